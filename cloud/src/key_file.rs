//! Files that hold a secret key: made for their owner alone, never replaced, and refused where others can read them.
//!
//! Owns: the files' mode and size. Does not own: what stands in them (`key_service::local`, `signer::local`).

use crate::durable::sync_folder;
use crate::{Error, ErrorKind};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

/// The longest file that can hold a key. The largest are RSA keys: 4096 bits take 3.3 KB as PEM.
const BYTES_MAX: u64 = 16 * 1024;

/// Makes a file that only its owner may read, durable when this returns. `AlreadyExists` where there is one.
pub(crate) fn create(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed = |error| Error::io("create", subject(path), error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(folder).map_err(failed)
}

/// Reads a file. `Invalid` where it is absent or readable by others: a key made in place of one that is merely not
/// mounted would be another key, so none is ever made here. `form` says how one is made.
pub(crate) fn read(path: &Path, form: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let metadata = fs::metadata(path).map_err(|error| invalid(path, format!("{error}; {form}")))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(invalid(path, format!("others can read it: chmod 600 {}", path.display())));
    }
    if metadata.len() > BYTES_MAX {
        return Err(invalid(path, format!("{} bytes are no key; {form}", metadata.len())));
    }
    fs::read(path).map(Zeroizing::new).map_err(|error| Error::io("open", subject(path), error))
}

/// A file that can't be used.
pub(crate) fn invalid(path: &Path, why: String) -> Error {
    Error::new(ErrorKind::Invalid, "open", subject(path)).detail(why)
}

/// A key file's name in messages.
pub(crate) fn subject(path: &Path) -> String {
    format!("key file {}", path.display())
}
