//! Reads one exported file: inflates it if need be, and goes over its records and bad stretches in bounded memory.
//!
//! Owns the buffers and which account, region, kind and day a record is of. Does not own what is kept of it. Blocks on the
//! disk: call it off the async threads.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use orgtrail_event::exported::{self, Found, Splitter};
use orgtrail_event::key::{Folder, Kind};
use orgtrail_event::log_file::{Limits, RawRecord};
use orgtrail_event::record::{Category, Header};
use serde::{Deserialize, Serialize};

/// What is read at once.
const CHUNK: usize = 1 << 20;
/// Most bytes of a file, inflated: a small file must not inflate for ever.
const INFLATED_BYTES_MAX: u64 = 64 << 30;
/// The first bytes of gzip (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What records are put together by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) account: String,
    pub(super) region: String,
    /// The folder of the records' kind, such as `CloudTrail`.
    pub(super) kind: String,
    pub(super) day: Date,
}

impl Group {
    /// Where objects of the group lie.
    pub(super) fn folder(&self) -> Option<Folder> {
        let Self { account, region, kind, .. } = self;
        Folder::parse(&format!("AWSLogs/{account}/{kind}/{region}"))
    }
}

/// What was found in a file.
pub(super) enum Item<'a> {
    Record { offset: u64, end: u64, raw: &'a [u8], group: Group, seconds: i64 },
    Bad { offset: u64, len: u64, reason: &'static str, detail: String },
}

/// How far to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// The first record's offset.
    pub(super) from: u64,
    /// The offset behind the last record.
    pub(super) to: u64,
}

impl Span {
    pub(super) const ALL: Self = Self { from: 0, to: u64::MAX };
}

/// Shows everything in a part of the file, in its order. Interrupted where `stop` is set.
pub(super) fn read(
    path: &Path,
    span: Span,
    stop: &AtomicBool,
    mut show: impl FnMut(Item<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut source = open(path, span.from)?;
    let limits = Limits::default();
    let mut splitter = if span.from == 0 { Splitter::new(limits) } else { Splitter::resume(limits, span.from) };
    let (mut buffer, mut at, mut taken) = (Vec::new(), 0, span.from);
    let mut last = false;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        let before = taken + at as u64;
        let (used, found) = splitter.next(&buffer[at..], last);
        at += used;
        let end = taken + at as u64;
        match found {
            Found::Record { offset, raw } => {
                show(item(exported::record(raw, &limits), offset, end, raw.len()))?;
            }
            Found::Wrapped { offset, text } => {
                show(item(exported::record(text.as_bytes(), &limits), offset, end, (end - offset) as usize))?;
            }
            Found::Bad { offset, len, reason } => {
                show(Item::Bad { offset, len, reason: reason.label(), detail: reason.to_string() })?;
            }
            Found::End => return Ok(()),
            Found::More => {
                buffer.drain(..at);
                (taken, at) = (end, 0);
                match source.read_chunk(&mut buffer) {
                    Ok(more) => last = !more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        // What came before is good; the rest can't be had.
                        let detail = format!("the file can't be read further: {error}");
                        show(Item::Bad { offset: end, len: 0, reason: "unreadable", detail })?;
                        last = true;
                    }
                }
                if taken + buffer.len() as u64 > INFLATED_BYTES_MAX {
                    let detail = format!("larger than {INFLATED_BYTES_MAX} bytes inflated: split it");
                    return show(Item::Bad { offset: end, len: 0, reason: "too_large", detail });
                }
            }
        }
        if end >= span.to && end > before {
            return Ok(());
        }
    }
}

/// A file's content.
enum Source {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

fn open(path: &Path, from: u64) -> io::Result<Source> {
    let mut file = File::open(path)?;
    let mut magic = [0; 2];
    let is_gzip = matches!(file.read(&mut magic)?, 2 if magic == GZIP);
    if !is_gzip {
        file.seek(SeekFrom::Start(from))?;
        return Ok(Source::Plain(file));
    }
    file.rewind()?;
    let mut gzip = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, file));
    io::copy(&mut (&mut gzip).take(from), &mut io::sink())?;
    Ok(Source::Gzip(Box::new(gzip)))
}

impl Source {
    /// Adds to the buffer; false at the end.
    fn read_chunk(&mut self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let before = buffer.len();
        match self {
            Self::Plain(file) => file.take(CHUNK as u64).read_to_end(buffer)?,
            Self::Gzip(gzip) => gzip.take(CHUNK as u64).read_to_end(buffer)?,
        };
        Ok(buffer.len() > before)
    }
}

fn item<'a>(
    read: Result<RawRecord<'a>, orgtrail_event::log_file::BadReason>,
    offset: u64,
    end: u64,
    len: usize,
) -> Item<'a> {
    let bad = |reason, detail: String| Item::Bad { offset, len: len as u64, reason, detail };
    match read {
        Err(reason) => bad(reason.label(), reason.to_string()),
        Ok(record) => match group(&record.header) {
            Err((reason, detail)) => bad(reason, detail.to_owned()),
            Ok((group, seconds)) => Item::Record { offset, end, raw: record.raw, group, seconds },
        },
    }
}

/// What a record belongs to; else what it lacks.
fn group(header: &Header<'_>) -> Result<(Group, i64), (&'static str, &'static str)> {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let account = header.recipient_account_id.as_deref().filter(|account| is_account(account)).map(str::to_owned);
    let account = account
        .or_else(|| header.user_identity.text("accountId").map(|id| id.into_owned()).filter(|id| is_account(id)));
    let account = account.ok_or((
        "no_account",
        "it names no account: neither recipientAccountId nor userIdentity.accountId has 12 digits",
    ))?;
    let seconds = header.event_seconds().ok_or(("no_time", "it has no eventTime that can be read"))?;
    let time = Timestamp::from_second(seconds).map_err(|_| ("no_time", "its eventTime is out of range"))?;
    let kind = match header.category() {
        Category::Insight => Kind::Insight,
        Category::NetworkActivity => Kind::NetworkActivity,
        Category::Aggregated => Kind::Aggregated,
        _ => Kind::Log,
    };
    let group = Group {
        account,
        region: header.aws_region.as_deref().unwrap_or_default().to_owned(),
        kind: kind.folder().to_owned(),
        day: time.to_zoned(TimeZone::UTC).date(),
    };
    if group.folder().is_none() {
        return Err(("no_region", "it has no awsRegion that can be one"));
    }
    Ok((group, seconds))
}
