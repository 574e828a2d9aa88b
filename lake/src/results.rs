//! Query results as CloudTrail Lake delivers them: gzipped CSV files and a signature over their hashes.
//!
//! Owns: the keys, the files, the sign file, and verifying both. Does not own the query, CSV ([`crate::output`]), or keys.
//!
//! Source: CloudTrail user guide, "Find your CloudTrail Lake saved query results" and "Validate CloudTrail Lake saved query
//! results"; what AWS does not document, the header and the quoting of its CSV, is ours.
//!
//! On a crash: files without `result_sign.json` are of a query that did not end; it is written last.

mod deliver;
mod sign_file;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use orgtrail_cloud::signer::MESSAGE_BYTES_MAX;
use orgtrail_cloud::{Connection, Location, Signer, open_signer, open_store};
use orgtrail_event::digest::KeyError;
use orgtrail_event::identifier::is_account;
use orgtrail_service::config::Problems;
use orgtrail_service::shape::Bytes;
use serde::Deserialize;

use crate::output::Failure;
use crate::sql::QueryError;

pub use self::deliver::{Delivered, Delivery, query_id};
pub use self::sign_file::{SIGN_FILE, SignFile, SignedFile};
pub use self::verify::{Keys, VerifyError, verify};

/// `[query.results]`: where results are delivered, and who signs them. The keys of a connection stand beside these.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The bucket and prefix, or folder, under which `AWSLogs/…/CloudTrail-Lake/Query/…` is written. Default: what
    /// `--results` says.
    pub location: Option<Location>,
    /// The account in whose folder results lie. Default: `000000000000`.
    pub account_id: Option<String>,
    /// Sign with this key: an RSA_2048 key of KMS for signing (ARN, id or alias), or `file:///path` of a PEM file. Best the
    /// key of the trail, whose public half auditors have. Required.
    pub signing_key_id: Option<String>,
    /// How the bucket and the key are reached.
    #[serde(flatten)]
    pub connection: Connection,
}

impl Config {
    /// Reports what is wrong with it.
    pub fn check(&self, problems: &mut Problems) {
        if self.signing_key_id.is_none() {
            problems.push(
                "signing_key_id",
                "missing; a KMS key's ARN, or make a file: orgtrail keys create --signing FILE",
            );
        }
        if let Some(account) = self.account_id.as_deref().filter(|account| !is_account(account)) {
            problems.push("account_id", format!("\"{account}\" is not 12 digits"));
        }
        if matches!(self.location, Some(Location::EventHistory { .. })) {
            problems.push("location", "an event history can only be read; s3://bucket/prefix or file:///folder");
        }
        for (key, message) in self.connection.problems() {
            problems.push(key, message);
        }
    }

    /// Opens the place and the key. `location` goes before the configured one; `scratch` is a folder for files that are not
    /// whole yet.
    ///
    /// # Errors
    /// There is no location or no key; a key file that can't be read.
    pub async fn open(&self, location: Option<Location>, scratch: PathBuf) -> Result<Delivery, DeliverError> {
        let location = location.or_else(|| self.location.clone()).ok_or(DeliverError::NoLocation)?;
        let key_id = self.signing_key_id.as_deref().ok_or(DeliverError::NoKey)?;
        let signer: Arc<dyn Signer> = open_signer(key_id, &self.connection).await?;
        let store = open_store(&location, &self.connection).await?;
        let account = self.account_id.clone().unwrap_or_else(|| NO_ACCOUNT.to_owned());
        let region = self.connection.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        Ok(Delivery { store, signer, account, region, scratch, file_bytes_max: FILE_BYTES_MAX })
    }
}

/// Why results were not delivered. Nothing is left of them then.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Nobody said where to.
    #[error("deliver results: no location: write --results s3://bucket/prefix, or location in [query.results]")]
    NoLocation,
    /// Nobody signs.
    #[error(
        "deliver results: no key signs them: write signing_key_id in [query.results]; orgtrail keys create --signing FILE \
         makes one"
    )]
    NoKey,
    /// The signing key.
    #[error("deliver results: {0}")]
    Key(#[from] KeyError),
    /// The bucket or the key service.
    #[error(transparent)]
    Outside(#[from] orgtrail_cloud::Error),
    /// A file of the scratch folder, or the encoding.
    #[error("write {file}: {failure}")]
    File {
        /// Its path.
        file: String,
        /// What happened.
        failure: Failure,
    },
    /// More files than one signature can cover.
    #[error(
        "deliver results: more than {FILES_MAX} files of {}; narrow the query by eventtime and deliver parts",
        Bytes(FILE_BYTES_MAX)
    )]
    TooManyFiles,
    /// The query itself.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Whose results are of no account.
const NO_ACCOUNT: &str = "000000000000";

/// Compressed bytes after which the next file begins. Below S3's bound of 5 GiB on one put.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Files that one signature covers: their hashes and the spaces between them are one message to the signer.
const FILES_MAX: usize = (MESSAGE_BYTES_MAX + 1) / 65;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
