//! Has the state folder's file system room for everything that its process is allowed to keep there?
//!
//! Owns how much that is, from the process's own bounds. What the folder holds already counts as room: it is part of it.

use std::path::Path;

use orgtrail_agent::Config as Agent;
use orgtrail_aggregator::Config as Aggregator;
use orgtrail_service::disk_space::{Room, room, used};
use orgtrail_service::shape::Bytes;

use super::check::{Advice, Chain, Check};

const ROOM: &str = "room";
/// What one quarantine entry takes: a file of its own, of one block.
const ENTRY_BYTES: u64 = 4096;
/// What a checkpoint grows to beyond its bounds while it is written anew, and the least that any needs.
const CHECKPOINT_LEAST: Bytes = Bytes::mib(64);
/// Entries of some 6 million objects in open days, at 100 to 200 bytes each (docs/operations.md, "Sizing").
const CHECKPOINT: Bytes = Bytes::gib(1);
/// Seen-keys at 24 bytes a record, and the journal engine's own files; see the same page.
const JOURNAL_BESIDE: Bytes = Bytes::gib(1);

/// What a process may come to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// With less it will stop one day within its bounds.
    least: u64,
    /// With less it may.
    advised: u64,
    /// Files, one a quarantine entry.
    files: u64,
    /// What `advised` is made of, for people.
    of: String,
}

impl Need {
    pub(super) fn of_agent(config: &Agent) -> Self {
        let entries = config.quarantine.entries_max;
        let quarantine = entries.saturating_mul(ENTRY_BYTES);
        Self {
            least: quarantine.saturating_add(CHECKPOINT_LEAST.0),
            advised: quarantine.saturating_add(CHECKPOINT.0),
            files: entries,
            of: format!("checkpoint {CHECKPOINT}, quarantine.entries_max {entries} files of 4 KiB"),
        }
    }

    pub(super) fn of_aggregator(config: &Aggregator) -> Self {
        let (entries, capacity) = (config.quarantine.entries_max, config.journal.capacity);
        let quarantine = entries.saturating_mul(ENTRY_BYTES);
        Self {
            least: quarantine.saturating_add(capacity.0),
            advised: quarantine.saturating_add(capacity.0.saturating_mul(2)).saturating_add(JOURNAL_BESIDE.0),
            files: entries,
            of: format!(
                "journal.capacity {capacity} twice, as the engine writes it anew, {JOURNAL_BESIDE} for what records are known \
                 by, quarantine.entries_max {entries} files of 4 KiB"
            ),
        }
    }
}

/// Compares the room with the need.
pub(super) async fn check(path: &Path, need: Need) -> Vec<Check> {
    let mut chain = Chain::new(format!("state_dir {}", path.display()));
    let folder = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(&folder);
        Ok::<_, std::io::Error>((room(there)?, used(&folder)?))
    });
    match looked.await.map_err(std::io::Error::other).flatten() {
        Ok((room, used)) => tell(&need, room, used, &mut chain),
        Err(error) => chain.warn(ROOM, format!("can't be found out: {error}"), Vec::new()),
    }
    chain.end()
}

fn tell(need: &Need, room: Room, used: Bytes, chain: &mut Chain) {
    let has = room.free.0.saturating_add(used.0);
    let wanted = Bytes(need.advised);
    let detail = format!("{} free of {}, {} in use by the folder", human(room.free), human(room.total), human(used));
    let advice = |what: &str| vec![Advice::text(format!("{what}: {wanted} holds all that may be kept ({})", need.of))];
    if has < need.least {
        let detail = format!("{detail}: the configured bounds need {}", human(Bytes(need.least)));
        chain.fail(ROOM, detail, advice("give the file system more, or lower the bounds"));
    } else if room.files.is_some_and(|files| files < need.files / 10) {
        let files = room.files.unwrap_or_default();
        let detail =
            format!("{detail}: it can hold {files} more files, the quarantine alone may come to {}", need.files);
        chain.warn(ROOM, detail, vec![Advice::text("make the file system with more inodes, or lower the bound")]);
    } else if has < need.advised {
        let detail = format!("{detail}: {} are advised", human(wanted));
        chain.warn(ROOM, detail, advice("give the file system more, or lower the bounds"));
    } else {
        chain.ok(ROOM, detail);
    }
}

/// One digit behind the point.
fn human(bytes: Bytes) -> String {
    bytesize::ByteSize(bytes.0).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;

    fn outcome(free: Bytes, used: Bytes, files: Option<u64>) -> (Outcome, String) {
        let need = Need::of_aggregator(&Aggregator::default());
        let mut chain = Chain::new("state_dir /s");
        tell(&need, Room { free, total: Bytes::gib(100), files }, used, &mut chain);
        let check = chain.end().remove(0);
        (check.outcome, check.detail)
    }

    #[test]
    fn less_than_the_bounds_fails_and_less_than_their_double_warns() {
        let (failed, detail) = outcome(Bytes::gib(5), Bytes::gib(1), None);
        assert_eq!(failed, Outcome::Failed);
        assert_eq!(
            detail,
            "5.0 GiB free of 100.0 GiB, 1.0 GiB in use by the folder: the configured bounds need 10.4 GiB"
        );
        // What it has written already is part of what it may write.
        let (warned, detail) = outcome(Bytes::gib(5), Bytes::gib(6), None);
        assert_eq!(warned, Outcome::Warning, "{detail}");
        assert!(detail.ends_with("21.4 GiB are advised"), "{detail}");
        assert_eq!(outcome(Bytes::gib(22), Bytes(0), None).0, Outcome::Ok);
    }

    #[test]
    fn a_file_system_out_of_inodes_is_told() {
        let (warned, detail) = outcome(Bytes::gib(50), Bytes(0), Some(500));
        assert_eq!(warned, Outcome::Warning);
        assert!(detail.contains("500 more files"), "{detail}");
        assert_eq!(outcome(Bytes::gib(50), Bytes(0), Some(1_000_000)).0, Outcome::Ok);
    }
}
