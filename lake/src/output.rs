//! What a query's result is written as, and where to: tables, CSV, JSON lines, Parquet and ORC; to standard output, a file or
//! an object.
//!
//! Owns: `--output`, the formats, and that a file or an object is there whole or not at all. Does not own the query, which
//! runs as its batches are asked for, nor signed delivery ([`crate::results`]). Memory is bounded: by a batch, and what a
//! format gathers before it writes (a row group, a stripe, the first rows of a table).

mod cell;
mod convert;
mod csv;
mod json;
mod orc;
mod parquet;
mod table;
mod whole;

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt as _;
use orgtrail_cloud::object_store::PutOptions;
use orgtrail_cloud::{Connection, Location, open_store};

pub(crate) use self::csv::Csv;
use self::json::Json;
use self::orc::Orc;
use self::parquet::Parquet;
use self::table::Table;
pub(crate) use self::whole::Whole;
use crate::sql::QueryError;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people.
    Table,
    /// Comma-separated values with a header; values as in CloudTrail Lake.
    Csv,
    /// An object a line.
    Json,
    /// Apache Parquet with zstd.
    Parquet,
    /// Apache ORC with zstd.
    Orc,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Table, Self::Csv, Self::Json, Self::Parquet, Self::Orc];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Orc => "orc",
        }
    }

    /// Whether a terminal can show it.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Table | Self::Csv | Self::Json)
    }

    /// The format that a file's extension names.
    fn of_file(name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit('/').next()?.rsplit_once('.')?;
        if stem.is_empty() {
            return None;
        }
        Some(match extension.to_ascii_lowercase().as_str() {
            "txt" => Self::Table,
            "csv" => Self::Csv,
            "json" | "jsonl" | "ndjson" => Self::Json,
            "parquet" => Self::Parquet,
            "orc" => Self::Orc,
            _ => return None,
        })
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Orc => "application/x-orc",
        }
    }
}

impl FromStr for Format {
    type Err = OutputError;

    fn from_str(text: &str) -> Result<Self, OutputError> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| OutputError(text.to_owned()))
    }
}

/// The text names neither a format nor a file of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no output: write table, csv, json, parquet or orc, or a file (or file:///… or s3://…) whose extension is \
     .txt, .csv, .json, .jsonl, .ndjson, .parquet or .orc"
)]
pub struct OutputError(String);

/// What `--output` says: a format, or a place whose name ends in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    format: Format,
    to: Destination,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    Stdout,
    File(PathBuf),
    /// A location, and the key below it.
    Object(Location, String),
}

impl Output {
    /// A format on standard output.
    pub fn stdout(format: Format) -> Self {
        Self { format, to: Destination::Stdout }
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it goes to standard output.
    pub fn is_stdout(&self) -> bool {
        self.to == Destination::Stdout
    }
}

impl FromStr for Output {
    type Err = OutputError;

    fn from_str(text: &str) -> Result<Self, OutputError> {
        if let Ok(format) = text.parse() {
            return Ok(Self::stdout(format));
        }
        let wrong = || OutputError(text.to_owned());
        let format = Format::of_file(text).ok_or_else(wrong)?;
        let to = match text.split_once("://") {
            None => Destination::File(PathBuf::from(text)),
            Some(("file", _)) => match text.parse().map_err(|_| wrong())? {
                Location::File { root } => Destination::File(root),
                _ => return Err(wrong()),
            },
            Some(_) => {
                let (location, key) = text.rsplit_once('/').ok_or_else(wrong)?;
                Destination::Object(location.parse().map_err(|_| wrong())?, key.to_owned())
            }
        };
        Ok(Self { format, to })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Destination::Stdout => f.write_str("standard output"),
            Destination::File(path) => write!(f, "{}", path.display()),
            Destination::Object(location, key) => f.write_str(&location.object(key)),
        }
    }
}

/// Why results could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The place, or the format.
    #[error("write {to}: {failure}")]
    Failed {
        /// Where to.
        to: String,
        /// What happened.
        failure: Failure,
    },
    /// The object store.
    #[error(transparent)]
    Store(#[from] orgtrail_cloud::Error),
    /// The query itself.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl WriteError {
    /// Whether whoever read standard output has seen enough.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Failed { failure: Failure::Io(error), .. } if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What a format or a file says.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The operating system.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The format's own writer.
    #[error("{0}")]
    Encode(String),
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => Self::Io(error),
            error => Self::Encode(error.to_string()),
        }
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Names of columns that the format has no type for, and whose values are therefore text, nested ones as JSON.
    pub as_text: Vec<String>,
}

/// What writing needs to know of where it runs.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Characters of a line of standard output, where that is a terminal: a table is made to fit.
    pub terminal_width: Option<usize>,
    /// A folder for what is put into a bucket once it is whole.
    pub scratch: PathBuf,
    /// How the bucket is reached.
    pub connection: Connection,
    /// Called once before the first byte goes to standard output, so that a progress line can be taken away.
    pub before_printing: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { terminal_width, scratch, .. } = self;
        f.debug_struct("Surroundings").field("terminal_width", terminal_width).field("scratch", scratch).finish()
    }
}

impl Output {
    /// Runs a query to its end and writes what it gives. An output that could not be written whole is not there.
    ///
    /// # Errors
    /// The query's, the file's or the bucket's.
    pub async fn write(
        &self,
        mut batches: SendableRecordBatchStream,
        around: &Surroundings,
    ) -> Result<Written, WriteError> {
        let mut writer = Writer::begin(self, &batches.schema(), around)?;
        let mut rows = 0;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(QueryError::from)?;
            rows += batch.num_rows() as u64;
            writer.write(&batch)?;
        }
        let as_text = std::mem::take(&mut writer.as_text);
        writer.finish(&around.connection).await?;
        Ok(Written { rows, as_text })
    }
}

/// Writes batches in a format. Stays on its thread, as the writer of ORC has to.
pub(crate) trait Encoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure>;

    /// Writes what is left and flushes it.
    fn finish(self: Box<Self>) -> Result<(), Failure>;
}

/// Bytes on their way to standard output.
const BUFFER_BYTES: usize = 64 << 10;

/// Standard output, announced before its first byte.
struct Printed<W> {
    out: W,
    before: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl<W: Write> Write for Printed<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if let Some(announce) = self.before.take() {
            announce();
        }
        self.out.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Where an output is prepared before it is there.
enum Pending {
    Stdout,
    File(Whole),
    /// A file that never gets a name: it is put from where it is.
    Object(Whole, Location, String),
}

/// An output that is being written. Dropped unfinished, it leaves nothing behind.
struct Writer {
    output: Output,
    encoder: Box<dyn Encoder>,
    pending: Pending,
    as_text: Vec<String>,
}

impl Writer {
    /// Begins an output for rows of a schema.
    fn begin(output: &Output, schema: &Schema, around: &Surroundings) -> Result<Self, WriteError> {
        let failed = |failure| WriteError::Failed { to: output.to_string(), failure };
        let begun = || -> Result<_, Failure> {
            let (out, pending): (Box<dyn Write + Send>, _) = match &output.to {
                Destination::Stdout => {
                    let out = Printed { out: io::stdout(), before: around.before_printing.clone() };
                    (Box::new(BufWriter::with_capacity(BUFFER_BYTES, out)), Pending::Stdout)
                }
                Destination::File(path) => {
                    let (file, out) = Whole::begin(path)?;
                    (Box::new(out), Pending::File(file))
                }
                Destination::Object(location, key) => {
                    let (file, out) = Whole::begin(&around.scratch.join(key))?;
                    (Box::new(out), Pending::Object(file, location.clone(), key.clone()))
                }
            };
            let terminal_width = around.terminal_width.filter(|_| output.is_stdout());
            let (encoder, as_text) = encoder(output.format, out, schema, terminal_width)?;
            Ok((encoder, as_text, pending))
        };
        let (encoder, as_text, pending) = begun().map_err(failed)?;
        Ok(Self { output: output.clone(), encoder, pending, as_text })
    }

    /// Writes rows.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        self.encoder.write(batch).map_err(|failure| WriteError::Failed { to: self.output.to_string(), failure })
    }

    /// Everything is written: gives it its name.
    async fn finish(self, connection: &Connection) -> Result<(), WriteError> {
        let failed = |failure| WriteError::Failed { to: self.output.to_string(), failure };
        self.encoder.finish().map_err(failed)?;
        match self.pending {
            Pending::Stdout => Ok(()),
            Pending::File(file) => file.finish().map_err(|error| failed(error.into())),
            Pending::Object(file, location, key) => {
                let store = open_store(&location, connection).await?;
                let options =
                    PutOptions { content_type: Some(self.output.format.content_type()), ..PutOptions::default() };
                Ok(store.put_file(&key, file.path(), &options).await?)
            }
        }
    }
}

fn encoder(
    format: Format,
    out: Box<dyn Write + Send>,
    schema: &Schema,
    terminal_width: Option<usize>,
) -> Result<(Box<dyn Encoder>, Vec<String>), Failure> {
    Ok(match format {
        Format::Table => (Box::new(Table::new(out, schema, terminal_width)), Vec::new()),
        Format::Csv => (Box::new(Csv::begin(out, schema)?), Vec::new()),
        Format::Json => (Box::new(Json::new(out, schema)), Vec::new()),
        Format::Parquet => {
            let parquet = Parquet::begin(out, schema)?;
            let as_text = parquet.as_text();
            (Box::new(parquet), as_text)
        }
        Format::Orc => {
            let orc = Orc::begin(out, schema)?;
            let as_text = orc.as_text();
            (Box::new(orc), as_text)
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use datafusion::error::DataFusionError;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

    use super::cell::tests::every_kind;
    use super::*;

    fn output(text: &str) -> Output {
        text.parse().unwrap()
    }

    #[test]
    fn a_format_or_a_name_that_ends_in_one() {
        assert_eq!(output("csv"), Output::stdout(Format::Csv));
        for (text, format) in [
            ("results.orc", Format::Orc),
            ("a/b.Parquet", Format::Parquet),
            ("x.jsonl", Format::Json),
            ("file:///tmp/x.csv", Format::Csv),
            ("s3://bucket/some/prefix/x.txt", Format::Table),
        ] {
            assert_eq!(output(text).format(), format, "{text}");
            assert!(!output(text).is_stdout());
        }
        assert_eq!(output("s3://bucket/some/x.csv").to_string(), "s3://bucket/some/x.csv");
        assert_eq!(output("file:///tmp/x.csv").to_string(), "/tmp/x.csv");
        for wrong in ["xml", "", ".csv", "a/.csv", "x.doc", "s3://x.csv", "ftp://host/x.csv", "file://x.csv"] {
            let error = wrong.parse::<Output>().unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("parquet"), "{error}");
        }
    }

    async fn written(output: &Output, dir: &Path) -> Result<Written, WriteError> {
        let around = Surroundings { scratch: dir.to_owned(), ..Surroundings::default() };
        let batch = every_kind();
        output.write(stream(vec![Ok(batch.clone()), Ok(batch)]), &around).await
    }

    fn stream(batches: Vec<Result<RecordBatch, DataFusionError>>) -> SendableRecordBatchStream {
        let schema = every_kind().schema();
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches)))
    }

    #[test]
    fn printing_is_announced_once_and_only_when_there_is_something() {
        let times = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&times);
        let before: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let mut printed = Printed { out: Vec::new(), before: Some(before) };
        printed.flush().unwrap();
        assert_eq!(times.load(Ordering::Relaxed), 0);
        printed.write_all(b"a").unwrap();
        printed.write_all(b"b").unwrap();
        assert_eq!((times.load(Ordering::Relaxed), printed.out), (1, b"ab".to_vec()));
    }

    fn files(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[tokio::test]
    async fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        let output = Output { format: Format::Csv, to: Destination::File(path.clone()) };
        let failing = vec![Ok(every_kind()), Err(DataFusionError::ResourcesExhausted("memory".to_owned()))];
        let around = Surroundings { scratch: dir.path().to_owned(), ..Surroundings::default() };
        let error = output.write(stream(failing), &around).await.unwrap_err();
        assert!(matches!(error, WriteError::Query(_)), "{error}");
        assert_eq!(files(dir.path()), 0, "a query that failed leaves nothing");

        std::fs::write(&path, "old").unwrap();
        assert_eq!(written(&output, dir.path()).await.unwrap(), Written { rows: 4, as_text: Vec::new() });
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("eventtime,"));
        assert_eq!(files(dir.path()), 1);
        let nowhere = Output { format: Format::Csv, to: Destination::File(dir.path().join("none/x.csv")) };
        let error = written(&nowhere, dir.path()).await.unwrap_err().to_string();
        assert!(error.contains("none/x.csv"), "{error}");
    }

    #[tokio::test]
    async fn an_object_is_put_when_it_is_whole_and_the_scratch_file_is_gone() {
        let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let location = Location::try_from(dir.path()).unwrap();
        let output = Output { format: Format::Orc, to: Destination::Object(location, "x.orc".to_owned()) };
        let written = written(&output, scratch.path()).await.unwrap();
        assert_eq!(written.as_text, ["useridentity", "numbers", "nothing"]);
        assert!(std::fs::read(dir.path().join("x.orc")).unwrap().starts_with(b"ORC"));
        assert_eq!(files(scratch.path()), 0);
    }
}
