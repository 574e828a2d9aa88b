//! Makes the contents of log files and puts them in place.
//!
//! Owns record times (how long before the file's stamp an event happened), batches of records, damaged copies, and the
//! atomic write: a file appears under its key whole or not at all, so that a reader may look at any time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Corruption;
use super::cast::Account;
use super::random::Random;
use super::template::Scene;
use super::templates::{Repertoire, giant};

/// The inflated text of one log file, with the place of every record in it.
#[derive(Default)]
pub(super) struct Body {
    pub json: Vec<u8>,
    pub records: Vec<Range<usize>>,
}

const HEAD: &[u8] = b"{\"Records\":[";
const TAIL: &[u8] = b"]}";

impl Body {
    fn clear(&mut self) {
        self.json.clear();
        self.json.extend_from_slice(HEAD);
        self.records.clear();
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.records.is_empty() {
            self.json.push(b',');
        }
        let from = self.json.len();
        write(&mut self.json);
        self.records.push(from..self.json.len());
    }

    fn close(&mut self) {
        self.json.extend_from_slice(TAIL);
    }

    /// The bytes of one record.
    pub(super) fn record(&self, index: usize) -> &[u8] {
        &self.json[self.records[index].clone()]
    }
}

/// The global services' home: their events carry this region wherever they were called.
const GLOBAL_REGION: &str = "us-east-1";

/// Share of global services' events that stand under another region's key, as some do in real deliveries.
const STRAY_GLOBAL: f64 = 0.05;

/// Seconds from an event to its file's stamp, as measured on a real delivery: share of events below, seconds.
const LAG: [(f64, f64); 6] = [(0.0, 0.0), (0.01, 11.0), (0.5, 191.0), (0.9, 397.0), (0.99, 542.0), (1.0, 608.0)];

/// Writes new records for one account and region.
pub(super) struct Author<'a> {
    pub repertoire: &'a Repertoire,
    pub account: &'a Account,
    pub region: &'a str,
}

impl Author<'_> {
    /// Fills `body` with `count` new records of a file with this stamp; with `one_giant`, the first of them is huge.
    pub(super) fn compose(&self, body: &mut Body, count: u32, stamp: i64, one_giant: bool, random: &mut Random) {
        body.clear();
        for index in 0..count {
            let scene = Scene { account: self.account, region: self.region, time: stamp - lag(random) };
            if index == 0 && one_giant {
                body.push(|out| giant(&scene, random, out));
                continue;
            }
            let mut entry = self.repertoire.pick(random);
            while entry.global && self.region != GLOBAL_REGION && !random.chance(STRAY_GLOBAL) {
                entry = self.repertoire.pick(random);
            }
            let scene = Scene { region: if entry.global { GLOBAL_REGION } else { self.region }, ..scene };
            body.push(|out| entry.template.render(&scene, random, out));
        }
        body.close();
    }
}

fn lag(random: &mut Random) -> i64 {
    let drawn = random.fraction();
    for pair in LAG.windows(2) {
        let ((below, from), (share, to)) = (pair[0], pair[1]);
        if drawn <= share {
            return (from + (to - from) * (drawn - below) / (share - below)) as i64;
        }
    }
    LAG[LAG.len() - 1].1 as i64
}

/// Fills `body` with some of the records of `earlier` in another order, each at most once.
pub(super) fn recut(earlier: [&Body; 2], body: &mut Body, random: &mut Random) {
    let mut chosen: Vec<(usize, usize)> =
        (0..2).flat_map(|file| (0..earlier[file].records.len()).map(move |record| (file, record))).collect();
    random.shuffle(&mut chosen);
    // Differently cut: between a third and all of what the two files hold.
    let keep = random.between((chosen.len() as u64).div_ceil(3), chosen.len() as u64) as usize;
    body.clear();
    for (file, record) in &chosen[..keep] {
        body.push(|out| out.extend_from_slice(earlier[*file].record(*record)));
    }
    body.close();
}

/// A damaged copy.
pub(super) struct Spoilt {
    pub bytes: Vec<u8>,
    /// Whole records before the damage.
    pub whole_records: u64,
}

const ERROR_PAGE: &[u8] =
    b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";

/// Damages `body`, whose gzip is `gz`; `deflate` compresses what has to be compressed again.
pub(super) fn spoil(
    kind: Corruption,
    body: &Body,
    gz: &[u8],
    deflate: impl FnOnce(&[u8]) -> Vec<u8>,
    random: &mut Random,
) -> Spoilt {
    let whole = |bytes| Spoilt { bytes, whole_records: 0 };
    match kind {
        Corruption::Empty => whole(Vec::new()),
        // Past gzip's header of ten bytes, before its trailer of eight.
        Corruption::TruncatedGzip => whole(gz[..random.between(12, gz.len() as u64 - 9) as usize].to_vec()),
        Corruption::NotGzip => whole(ERROR_PAGE.to_vec()),
        Corruption::NotJson => whole(deflate(ERROR_PAGE)),
        Corruption::NoRecords => {
            whole(deflate(br#"{"awsAccountId":"111122223333","note":"an object without its list"}"#))
        }
        Corruption::CutJson => {
            // In the second half of the file, so that there is something to salvage before it.
            let count = body.records.len() as u64;
            let cut = random.between(count / 2, count - 1) as usize;
            let record = &body.records[cut];
            let end = random.between(record.start as u64 + 1, record.end as u64 - 1) as usize;
            Spoilt { bytes: deflate(&body.json[..end]), whole_records: cut as u64 }
        }
    }
}

/// Puts files in place.
pub(super) struct Shelf {
    out: PathBuf,
    folder: PathBuf,
}

impl Shelf {
    pub(super) fn new(out: &Path) -> Self {
        Self { out: out.to_owned(), folder: PathBuf::new() }
    }

    /// Writes `bytes` to `path`, below the output. Appears whole: written beside the buckets and moved.
    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.out);
        if folder != self.folder {
            fs::create_dir_all(folder)?;
            self.folder = folder.to_owned();
        }
        let mut name = std::ffi::OsString::from(".delivering-");
        name.push(path.file_name().unwrap_or_default());
        let draft = self.out.join(name);
        fs::write(&draft, bytes)?;
        fs::rename(&draft, path)
    }

    /// As [`Shelf::put`], with user metadata where a folder that stands for a bucket has it: `.orgtrail-meta-<name>` beside
    /// the object, one JSON object of texts.
    pub(super) fn put_with_metadata(
        &mut self,
        path: &Path,
        bytes: &[u8],
        metadata: &BTreeMap<&str, String>,
    ) -> io::Result<()> {
        let mut beside = std::ffi::OsString::from(".orgtrail-meta-");
        beside.push(path.file_name().unwrap_or_default());
        self.put(&path.with_file_name(beside), &serde_json::to_vec(metadata).map_err(io::Error::from)?)?;
        self.put(path, bytes)
    }
}
