//! Writing results: CSV in gzip files of one member each, put one after the other, and the sign file last.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use jiff::Timestamp;
use orgtrail_cloud::object_store::PutOptions;
use orgtrail_cloud::{ObjectStore, Signer};
use orgtrail_event::digest::{PublicKey, to_hex};
use orgtrail_service::clock::Clock;
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{DeliverError, FILES_MAX, SIGN_FILE, SignFile, SignedFile};
use crate::output::{Csv, Encoder as _, Failure, Whole};
use crate::sql::QueryError;

/// What objects are stored as. Not as an encoding, which some clients would take off.
const GZIP: &str = "application/gzip";

/// A place for results, and who signs them.
pub struct Delivery {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) signer: Arc<dyn Signer>,
    pub(super) account: String,
    pub(super) region: String,
    pub(super) scratch: PathBuf,
    pub(super) file_bytes_max: u64,
}

/// Delivered results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The folder of the files, as `s3://…` or `file:///…`.
    pub folder: String,
    /// Names and hashes of the files.
    pub files: Vec<SignedFile>,
    /// Rows in all of them.
    pub rows: u64,
    /// Compressed bytes in all of them.
    pub bytes: u64,
}

/// A new query's id: a UUID of version 4, as Lake's are.
///
/// # Errors
/// The operating system gives no random bytes.
pub fn query_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no random bytes"))?;
    // RFC 9562, 5.4: the version and the variant.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = to_hex(&bytes);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

impl Delivery {
    /// Runs a query to its end and delivers what it gives. Where that fails, what was put already is removed.
    ///
    /// # Errors
    /// The query's, the bucket's or the key's.
    pub async fn deliver(
        &self,
        query_id: &str,
        batches: SendableRecordBatchStream,
        clock: &dyn Clock,
    ) -> Result<Delivered, DeliverError> {
        let folder = folder(&self.account, query_id, clock.now());
        let mut put = Put { delivery: self, folder: &folder, files: Vec::new(), rows: 0, bytes: 0 };
        let result = match put.run(batches).await {
            Ok(()) => put.sign(clock.now()).await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            for number in 1..=put.files.len() {
                // The error that is told is the first; a file without a sign file is no result either way.
                drop(self.store.delete(&key(&folder, &name(number))).await);
            }
        }
        result?;
        let Put { files, rows, bytes, .. } = put;
        Ok(Delivered { folder: self.store.location().object(&folder), files, rows, bytes })
    }
}

/// Results on their way.
struct Put<'a> {
    delivery: &'a Delivery,
    folder: &'a str,
    /// Those that are put.
    files: Vec<SignedFile>,
    rows: u64,
    bytes: u64,
}

impl Put<'_> {
    async fn run(&mut self, mut batches: SendableRecordBatchStream) -> Result<(), DeliverError> {
        let schema = batches.schema();
        let mut file = None;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(QueryError::from)?;
            let mut open = match file.take() {
                Some(open) => open,
                None => self.begin(&schema)?,
            };
            open.write(&batch)?;
            self.rows += batch.num_rows() as u64;
            if open.bytes() < self.delivery.file_bytes_max {
                file = Some(open);
            } else {
                self.put(open).await?;
            }
        }
        // A query without rows has a header.
        match file {
            Some(open) => self.put(open).await,
            None if self.files.is_empty() => {
                let open = self.begin(&schema)?;
                self.put(open).await
            }
            None => Ok(()),
        }
    }

    fn begin(&self, schema: &SchemaRef) -> Result<Part, DeliverError> {
        if self.files.len() == FILES_MAX {
            return Err(DeliverError::TooManyFiles);
        }
        let path = self.delivery.scratch.join(name(self.files.len() + 1));
        let begun = || {
            let (file, out) = Whole::begin(&path)?;
            let out = Hashed { out, hash: Context::new(&SHA256), bytes: 0 };
            let csv = Csv::begin(GzEncoder::new(out, Compression::default()), schema)?;
            Ok((file, csv))
        };
        let (file, csv) = begun().map_err(|failure| failed(&path, failure))?;
        Ok(Part { path, file, csv })
    }

    async fn put(&mut self, part: Part) -> Result<(), DeliverError> {
        let Part { path, file, csv } = part;
        let finished = || {
            let mut out = csv.into_inner().finish()?;
            out.out.flush()?;
            Ok::<_, Failure>((to_hex(out.hash.finish().as_ref()), out.bytes))
        };
        let (file_hash_value, bytes) = finished().map_err(|failure| failed(&path, failure))?;
        let file_name = name(self.files.len() + 1);
        let options = PutOptions { content_type: Some(GZIP), ..PutOptions::default() };
        self.delivery.store.put_file(&key(self.folder, &file_name), file.path(), &options).await?;
        self.files.push(SignedFile { file_hash_value, file_name });
        self.bytes += bytes;
        Ok(())
    }

    async fn sign(&self, now: Timestamp) -> Result<(), DeliverError> {
        let Delivery { store, signer, region, .. } = self.delivery;
        let fingerprint = PublicKey::from_der(&signer.public_key().await?)?.fingerprint().to_owned();
        let complete = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut document = SignFile::unsigned(region.clone(), self.files.clone(), complete, fingerprint);
        document.hash_signature = to_hex(&signer.sign(document.string_to_sign().as_bytes()).await?);
        let json = serde_json::to_vec(&document).expect("texts and lists are always JSON");
        let options = PutOptions { content_type: Some("application/json"), ..PutOptions::default() };
        Ok(store.put(&key(self.folder, SIGN_FILE), json.into(), &options).await?)
    }
}

/// A file of results that is being written.
struct Part {
    path: PathBuf,
    /// Removed when this is dropped.
    file: Whole,
    csv: Csv<GzEncoder<Hashed>>,
}

impl Part {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), DeliverError> {
        self.csv.write(batch).map_err(|failure| failed(&self.path, failure))
    }

    /// Compressed bytes so far; some wait in the encoder.
    fn bytes(&self) -> u64 {
        self.csv.get_ref().get_ref().bytes
    }
}

/// Hashes what goes into a file.
struct Hashed {
    out: BufWriter<File>,
    hash: Context,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.out.write_all(buffer)?;
        self.hash.update(buffer);
        self.bytes += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn failed(path: &std::path::Path, failure: Failure) -> DeliverError {
    DeliverError::File { file: path.display().to_string(), failure }
}

fn folder(account: &str, query_id: &str, day: Timestamp) -> String {
    format!("AWSLogs/{account}/CloudTrail-Lake/Query/{}/{query_id}", day.strftime("%Y/%m/%d"))
}

fn name(number: usize) -> String {
    format!("result_{number}.csv.gz")
}

fn key(folder: &str, name: &str) -> String {
    format!("{folder}/{name}")
}
