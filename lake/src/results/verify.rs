//! Verifying delivered results as `aws cloudtrail verify-query-results` (AWS CLI v2) does: hash each file, then verify the
//! signature over the hashes. The messages are those of the AWS CLI.

use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::{ErrorKind, ObjectStore};
use orgtrail_event::digest::{PublicKeys, to_hex};
use ring::digest::{Context, SHA256};

use super::{SIGN_FILE, SignFile};

/// Larger than any sign file: a thousand files take a hundred kilobytes.
const SIGN_FILE_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a file of results that are read at once: AWS's own files may have 1 TB.
const PART_BYTES: u64 = 8 << 20;

/// How long after a query's end its key is still looked for, as the AWS CLI does.
const KEYS_AHEAD: SignedDuration = SignedDuration::from_hours(20 * 24);

/// Why results are not what was delivered, or can't be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no sign file, or it is none.
    #[error("InformationCollectionError: Unable to load {SIGN_FILE} file, due to {0}")]
    SignFile(String),
    /// The sign file lists nothing.
    #[error("ValidationError: No export file was found in sign file.")]
    NoFiles,
    /// A file isn't there.
    #[error("ValidationError: File {0} of the sign file is not there")]
    Missing(String),
    /// A file's name leaves the folder.
    #[error("ValidationError: Invalid sign file provided. `{0}` is no name of a result file")]
    Name(String),
    /// A file was changed.
    #[error(
        "ValidationError: File {name} has inconsistent hash value with hash value recorded in sign file, hash value in sign \
         file is {expected} , but get {computed}"
    )]
    Hash {
        /// The file.
        name: String,
        /// The sign file's hash.
        expected: String,
        /// The file's own.
        computed: String,
    },
    /// Nobody knows the key.
    #[error("No public keys found for key with fingerprint: {0}")]
    NoKey(String),
    /// The key is no RSA key.
    #[error("ValidationError: Sign file invalid, unable to load PKCS #1 key: {0}")]
    Key(String),
    /// The sign file was changed.
    #[error("ValidationError: Invalid signature in sign file")]
    Signature,
    /// The place can't be read.
    #[error(transparent)]
    Outside(#[from] orgtrail_cloud::Error),
    /// The keys can't be had.
    #[error("{0}")]
    Keys(String),
}

/// Where public keys come from: those that sign at some moment between two times, and maybe more.
pub trait Keys {
    /// The keys of a region.
    fn of(
        &self,
        region: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> impl Future<Output = Result<PublicKeys, VerifyError>> + Send;
}

/// Verifies the results in a folder of a store: empty for the store's own.
///
/// # Errors
/// The first thing that is wrong.
pub async fn verify(store: &dyn ObjectStore, folder: &str, keys: &impl Keys) -> Result<SignFile, VerifyError> {
    let key = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let document = match store.get(&key(SIGN_FILE), SIGN_FILE_BYTES_MAX).await {
        Ok(object) => object.bytes,
        Err(error) if *error.kind() == ErrorKind::NotFound => return Err(VerifyError::SignFile(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let document: SignFile =
        serde_json::from_slice(&document).map_err(|error| VerifyError::SignFile(error.to_string()))?;
    if document.files.is_empty() {
        return Err(VerifyError::NoFiles);
    }
    for file in &document.files {
        let (name, expected) = (file.file_name.clone(), file.file_hash_value.clone());
        if name.is_empty() || name.contains(['/', '\\']) {
            return Err(VerifyError::Name(name));
        }
        let computed = match hash(store, &key(&name)).await {
            Ok(computed) => computed,
            Err(error) if *error.kind() == ErrorKind::NotFound => return Err(VerifyError::Missing(name)),
            Err(error) => return Err(error.into()),
        };
        if computed != expected {
            return Err(VerifyError::Hash { name, expected, computed });
        }
    }
    let complete: Timestamp = document
        .query_complete_time
        .parse()
        .map_err(|_| VerifyError::SignFile(format!("its queryCompleteTime {}", document.query_complete_time)))?;
    let fingerprint = &document.public_key_fingerprint;
    let listed = keys.of(&document.region, complete, complete.saturating_add(KEYS_AHEAD).unwrap_or(complete)).await?;
    let listed = listed.get(fingerprint).ok_or_else(|| VerifyError::NoKey(fingerprint.clone()))?;
    let key = listed.key().map_err(|_| VerifyError::Key(fingerprint.clone()))?;
    if document.is_signed_by(key) { Ok(document) } else { Err(VerifyError::Signature) }
}

/// Hex SHA-256 of an object, read part by part.
async fn hash(store: &dyn ObjectStore, key: &str) -> Result<String, orgtrail_cloud::Error> {
    let size = store.head(key).await?.size;
    let (mut hash, mut at) = (Context::new(&SHA256), 0);
    while at < size {
        let end = size.min(at + PART_BYTES);
        hash.update(&store.get_range(key, at..end).await?);
        at = end;
    }
    Ok(to_hex(hash.finish().as_ref()))
}
