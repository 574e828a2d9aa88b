//! How the checkpoint lies in its tree, and how it is read back at the start.
//!
//! Owns the keys of everything but the entries' own bytes. Reading touches every entry of the open days once, to count
//! what is in flight and what is open.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::chain::Chain;
use super::close::forget;
use super::days::{Days, FolderMeta};
use super::entry::{Entry, EntryKey, FolderId, State as Standing, day_prefix};
use super::ledger::{Ledger, Progress, RowKey};
use super::statement::Statement;
use super::{Error, FolderState, State};

/// Version of the layout.
pub(super) const FORMAT: &str = "2";
const FORMAT_KEY: &[u8] = b"mformat";
pub(super) const EPOCH: &[u8] = b"mepoch";
pub(super) const DELIVERED: &[u8] = b"mdelivered";

/// sled's own default is a gigabyte; the working set is the last two or three days of each folder.
const CACHE_BYTES: u64 = 32 << 20;

pub(super) fn open(dir: &Path) -> Result<(sled::Db, State), Error> {
    // Flushed by `keep_flushed`: sled's own thread would wake up twice a second also where nothing changes.
    let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let db = config.open()?;
    match db.get(FORMAT_KEY)? {
        Some(format) if format == FORMAT.as_bytes() => {}
        Some(format) => return Err(Error::Format(String::from_utf8_lossy(&format).into_owned())),
        None => {
            db.insert(FORMAT_KEY, FORMAT)?;
            db.flush()?;
        }
    }
    let mut state =
        State { epoch: number(&db, EPOCH)?, delivered_end: number(&db, DELIVERED)?.unwrap_or(0), ..State::default() };
    read_rows(&db, &mut state)?;
    read_folders(&db, &mut state)?;
    read_entries(&db, &mut state)?;
    read_proofs(&db, &mut state)?;
    let mut undelivered = 0;
    for line in db.scan_prefix(b"s") {
        line?;
        undelivered += 1;
    }
    state.progress = Progress::sum(state.rows.iter(), undelivered);
    debug_assert!(state.rows.iter().all(super::Row::is_conserved), "conservation after opening: {:?}", state.rows);
    Ok((db, state))
}

fn number(db: &sled::Tree, key: &[u8]) -> Result<Option<u64>, Error> {
    let Some(bytes) = db.get(key)? else { return Ok(None) };
    let bytes = bytes.as_ref().try_into().map_err(|_| damaged(key))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

fn read_rows(db: &sled::Tree, state: &mut State) -> Result<(), Error> {
    for line in db.scan_prefix(b"r") {
        let (key, value) = line?;
        let parts = texts(&key).filter(|parts| parts.len() == 3).ok_or_else(|| damaged(&key))?;
        let [location, account, region] = <[&str; 3]>::try_from(parts).expect("three parts");
        let row = state.row(RowKey { location: location.into(), account: account.into(), region: region.into() });
        state.rows[row].ledger = from_json::<Ledger>(&key, &value)?;
    }
    Ok(())
}

fn read_folders(db: &sled::Tree, state: &mut State) -> Result<(), Error> {
    let mut folders = Vec::new();
    for line in db.scan_prefix(b"f") {
        let (key, value) = line?;
        let parts = texts(&key).filter(|parts| parts.len() == 2).ok_or_else(|| damaged(&key))?;
        let meta = from_json::<FolderMeta>(&key, &value)?;
        folders.push((meta, parts[0].to_owned(), parts[1].to_owned()));
    }
    folders.sort_by_key(|(meta, ..)| meta.id);
    for (index, (meta, location, path)) in folders.into_iter().enumerate() {
        if meta.id as usize != index {
            return Err(Error::Damaged(format!("the list of folders at {index}")));
        }
        let (account, region) = (meta.account.clone(), meta.region.clone());
        let row = state.row(RowKey { location: location.clone(), account, region });
        state.folder_index.insert((location.clone(), path.clone()), index);
        let days = Days::new(meta.closed_through);
        let holds_digests = state.note_digests(&path, row, FolderId(meta.id));
        let stays_open = false;
        state.folders.push(FolderState { location, path, meta, row, days, claimed: 0, stays_open, holds_digests });
    }
    Ok(())
}

fn read_entries(db: &sled::Db, state: &mut State) -> Result<(), Error> {
    let mut over = BTreeSet::new();
    for line in db.scan_prefix(b"e") {
        let line = line?;
        let (key, value) = entry(&line)?;
        let day = key.day().ok_or_else(|| damaged(&line.0))?;
        let folder = state.folders.get_mut(key.folder().0 as usize).ok_or_else(|| damaged(&line.0))?;
        // Of a day that a crash let close without its entries.
        if folder.is_closed(day) && !value.state.is_open() {
            over.insert((key.folder(), day));
            continue;
        }
        let counts = folder.days.day_mut(day);
        counts.entries += 1;
        counts.open += u64::from(value.state.is_open());
        if value.state == Standing::Claimed {
            counts.claimed += 1;
            folder.claimed += 1;
            state.rows[folder.row].in_flight += 1;
            if folder.is_closed(day) {
                state.detached.insert(key);
            }
        }
    }
    for (folder, day) in over {
        forget(db, folder, day)?;
    }
    db.flush()?;
    Ok(())
}

fn read_proofs(db: &sled::Tree, state: &mut State) -> Result<(), Error> {
    for line in db.scan_prefix(b"c") {
        let (key, value) = line?;
        let (folder, trail) = key[1..].split_first_chunk::<4>().ok_or_else(|| damaged(&key))?;
        let trail = std::str::from_utf8(trail).map_err(|_| damaged(&key))?;
        let folder = FolderId(u32::from_be_bytes(*folder));
        state.proofs.chains.insert((folder, trail.to_owned()), from_json::<Chain>(&key, &value)?);
    }
    for line in db.scan_prefix(b"d") {
        let (key, value) = line?;
        let (folder, _) = key[1..].split_first_chunk::<4>().ok_or_else(|| damaged(&key))?;
        let folder = FolderId(u32::from_be_bytes(*folder));
        *state.proofs.pending.entry(folder).or_default() += 1;
        let from = from_json::<Statement>(&key, &value)?.start;
        let waiting = state.proofs.waiting_from.entry(folder).or_insert(from);
        *waiting = from.min(*waiting);
    }
    Ok(())
}

pub(super) fn chain_key(folder: FolderId, trail: &str) -> Vec<u8> {
    [b"c", &folder.0.to_be_bytes()[..], trail.as_bytes()].concat()
}

pub(super) fn entry((key, value): &(sled::IVec, sled::IVec)) -> Result<(EntryKey, Entry), Error> {
    let entry_key = EntryKey::from_slice(&key[1..]).ok_or_else(|| damaged(key))?;
    let entry = Entry::decode(value).ok_or_else(|| damaged(key))?;
    Ok((entry_key, entry))
}

/// One object that waits for `Delivered`.
#[derive(Debug, Clone, Copy)]
pub(super) struct IndexLine {
    pub(super) seq: u64,
    pub(super) entry: EntryKey,
    /// Counted as done; otherwise quarantined.
    pub(super) done: bool,
}

impl IndexLine {
    pub(super) fn of(entry: EntryKey, value: &Entry) -> Option<Self> {
        let seq = value.state.awaited_seq()?;
        Some(Self { seq, entry, done: matches!(value.state, Standing::Acked { .. }) })
    }

    pub(super) fn key(&self) -> Vec<u8> {
        [b"s", &self.seq.to_be_bytes()[..], self.entry.as_bytes()].concat()
    }

    pub(super) fn value(self) -> &'static [u8] {
        if self.done { b"d" } else { b"q" }
    }
}

pub(super) fn index_line((key, value): &(sled::IVec, sled::IVec)) -> Result<IndexLine, Error> {
    let (seq, entry) = key[1..].split_first_chunk::<8>().ok_or_else(|| damaged(key))?;
    let entry = EntryKey::from_slice(entry).ok_or_else(|| damaged(key))?;
    Ok(IndexLine { seq: u64::from_be_bytes(*seq), entry, done: value.as_ref() == b"d" })
}

/// The lines below `seq_end`; all of them for `u64::MAX`.
pub(super) fn index_range(seq_end: u64) -> Range<Vec<u8>> {
    let end = if seq_end == u64::MAX { b"t".to_vec() } else { [b"s", &seq_end.to_be_bytes()[..]].concat() };
    b"s".to_vec()..end
}

pub(super) fn entry_key(key: EntryKey) -> [u8; 1 + EntryKey::LEN] {
    let mut bytes = [b'e'; 1 + EntryKey::LEN];
    bytes[1..].copy_from_slice(key.as_bytes());
    bytes
}

pub(super) fn day_entries(folder: FolderId, day: Date) -> Vec<u8> {
    [b"e", &day_prefix(folder, day)[..]].concat()
}

pub(super) fn folder_key(location: &str, path: &str) -> Vec<u8> {
    [b"f", location.as_bytes(), b"\0", path.as_bytes()].concat()
}

pub(super) fn row_key(key: &RowKey) -> Vec<u8> {
    [b"r", key.location.as_bytes(), b"\0", key.account.as_bytes(), b"\0", key.region.as_bytes()].concat()
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of numbers and strings always serialise")
}

pub(super) fn from_json<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|_| damaged(key))
}

/// The parts of a key behind its first byte.
fn texts(key: &[u8]) -> Option<Vec<&str>> {
    std::str::from_utf8(&key[1..]).ok().map(|text| text.split('\0').collect())
}

fn damaged(key: &[u8]) -> Error {
    Error::Damaged(format!("line `{}`", key.escape_ascii()))
}
