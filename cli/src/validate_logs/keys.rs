//! The public keys that digests are verified with: from a file, or from CloudTrail.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::Timestamp;
use orgtrail_cloud::Connection;
use orgtrail_cloud::public_keys::{CloudTrailKeys, PublicKeySource};
use orgtrail_event::digest::{ListedKey, PublicKeys};
use tokio::sync::Mutex;

use super::time::display;

/// The largest file of keys that is read. A key is half a kilobyte.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Public keys by region.
#[derive(Debug)]
pub(crate) enum Keys {
    /// All there are, from a file.
    File(PathBuf, Arc<PublicKeys>),
    /// ListPublicKeys, in the region of the log files.
    CloudTrail(Box<Connection>, Mutex<HashMap<String, Region>>),
}

#[derive(Debug, Clone)]
pub(crate) struct Region {
    source: Arc<dyn PublicKeySource>,
    keys: Arc<PublicKeys>,
}

impl Keys {
    pub(crate) fn from_file(path: &Path) -> anyhow::Result<Self> {
        let size = std::fs::metadata(path).with_context(|| format!("read public keys {}", path.display()))?.len();
        if size > FILE_BYTES_MAX {
            bail!("{} is larger than any list of public keys: {size} bytes", path.display());
        }
        let json = std::fs::read(path).with_context(|| format!("read public keys {}", path.display()))?;
        let keys = PublicKeys::from_json(&json).with_context(|| path.display().to_string())?;
        Ok(Self::File(path.to_owned(), Arc::new(keys)))
    }

    pub(crate) fn cloudtrail(connection: Connection) -> Self {
        Self::CloudTrail(Box::new(connection), Mutex::default())
    }

    /// The keys of a region that were valid at some time from `start` to `end`, and maybe more.
    ///
    /// # Errors
    /// CloudTrail doesn't answer, or there is none.
    pub(crate) async fn of(&self, region: &str, start: Timestamp, end: Timestamp) -> anyhow::Result<Arc<PublicKeys>> {
        let (connection, regions) = match self {
            Self::File(path, keys) if keys.is_empty() => bail!("no public keys in {}", path.display()),
            Self::File(_, keys) => return Ok(Arc::clone(keys)),
            Self::CloudTrail(connection, regions) => (connection, regions),
        };
        let mut regions = regions.lock().await;
        let known = match regions.get(region) {
            Some(known) => known.clone(),
            None => {
                let source = CloudTrailKeys::open(region, connection).await?;
                Region { source: Arc::new(source), keys: Arc::default() }
            }
        };
        let served = known.source.list(start, end).await?;
        if served.is_empty() {
            bail!("no public keys found between {} and {} in {region}", display(start), display(end));
        }
        let served =
            served.into_iter().map(|key| ListedKey::served(key.fingerprint, key.der, key.valid_from, key.valid_until));
        let keys: PublicKeys = known.keys.iter().cloned().chain(served).collect();
        let keys = Arc::new(keys);
        regions.insert(region.to_owned(), Region { source: known.source, keys: Arc::clone(&keys) });
        Ok(keys)
    }

    /// Whether asking again for another time can bring other keys.
    pub(crate) fn may_have_more(&self) -> bool {
        matches!(self, Self::CloudTrail(..))
    }
}
