//! Whether the digests of a chain follow one another without a hole: what the AWS CLI doesn't look for.
//!
//! Pure: is given each step of a walk, newest first, and says what is wrong. A hole that the signer declared (a digest
//! without a previous one) is told as a restart and is no fault.

use jiff::{SignedDuration, Timestamp};
use orgtrail_event::digest::Digest;
use orgtrail_event::key::{Folder, ObjectKey, classify};

use super::fetch::Sound;
use super::finding::{Finding, What};
use super::place::Address;
use super::time::{display, hours};
use super::walk::{Step, ends_at};

/// How long after its hour a digest may come. CloudTrail's usually come within the hour.
const GRACE_HOURS: i64 = 2;

/// The walk so far.
pub(super) struct Continuity {
    start: Timestamp,
    /// Until when digests must be there.
    until: Timestamp,
    /// From when on every hour has a digest, valid or not.
    covered_from: Option<Timestamp>,
    /// The valid digest that the walk came from.
    newer: Option<Newer>,
    /// The longest time that a valid digest was about: what one that can't be read is taken to be about. The last one
    /// before logging is stopped is shorter than the others.
    span: Option<SignedDuration>,
}

/// What a digest says of the one before it.
struct Newer {
    name: String,
    starts: Timestamp,
    previous: Option<Previous>,
}

struct Previous {
    at: Address,
    hash: Option<String>,
    signature: Option<String>,
}

impl Continuity {
    /// A walk over the time from `start` to `end`, made at `now`.
    pub(super) fn new(start: Timestamp, end: Timestamp, now: Timestamp) -> Self {
        Self { start, until: end.min(now), covered_from: None, newer: None, span: None }
    }

    /// Takes the next step. `name` is what the digest is called.
    pub(super) fn step(&mut self, step: &Step, name: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut find = |what| found.push(Finding { name: name.to_owned(), what });
        let (starts, ends) = match &step.result {
            Ok(sound) => {
                self.span = self.span.max(Some(sound.start.duration_until(sound.end)));
                (sound.start, sound.end)
            }
            // Its own word can't be trusted; by its key it ends then.
            Err(_) => match ends_at(&step.at.key) {
                Some(ends) => (ends - self.span(), ends),
                None => return found,
            },
        };
        match self.covered_from {
            None if ends + hours(GRACE_HOURS) < self.until => {
                find(What::NewestMissing { ends, until: self.until });
            }
            Some(covered) if ends < covered && self.hole_is_undeclared(&step.at) => {
                find(What::Deleted { from: ends, until: covered });
            }
            _ => {}
        }
        if let Ok(sound) = &step.result {
            if let Some(newer) = &self.newer {
                newer.compare(&step.at, sound, &mut found);
            }
            found.extend(unlike(&sound.digest, name));
            if step.gap_from.is_some() {
                found.push(Finding { name: name.to_owned(), what: What::Restart });
            }
        }
        self.covered_from = Some(self.covered_from.map_or(starts, |covered| covered.min(starts)));
        self.newer = step.result.as_ref().ok().map(|sound| Newer {
            name: name.to_owned(),
            starts: sound.start,
            previous: sound.previous().map(|at| Previous {
                at,
                hash: sound.digest.previous_digest_hash_value.clone(),
                signature: sound.digest.previous_digest_signature.clone(),
            }),
        });
        found
    }

    /// The end of the walk. `chain` is what the chain is called.
    pub(super) fn end(self, chain: &str) -> Option<Finding> {
        let found = |what| Some(Finding { name: chain.to_owned(), what });
        let Some(covered) = self.covered_from else {
            // Shorter than a digest and its delay: there need not be one.
            let needed = self.start + hours(1 + GRACE_HOURS) < self.until;
            return if needed { found(What::NoDigest { from: self.start, until: self.until }) } else { None };
        };
        // The signer's word that nothing came before; or else there are older digests, and none is there.
        let span = self.span();
        let declared = self.newer.is_some_and(|newer| newer.previous.is_none());
        if declared || covered < self.start + span {
            return None;
        }
        found(What::Deleted { from: self.start, until: covered })
    }

    fn span(&self) -> SignedDuration {
        self.span.unwrap_or(hours(1))
    }

    /// A hole before what is covered: the digest after it names no earlier one, or names this one and so leads over it.
    fn hole_is_undeclared(&self, older: &Address) -> bool {
        match &self.newer {
            // What follows the hole isn't valid or isn't there.
            None => true,
            Some(Newer { previous: None, .. }) => false,
            Some(Newer { previous: Some(previous), .. }) => previous.at != *older,
        }
    }
}

impl Newer {
    /// Compares the digest before with what this one holds of it.
    fn compare(&self, at: &Address, older: &Sound, found: &mut Vec<Finding>) {
        let Some(previous) = self.previous.as_ref().filter(|previous| previous.at == *at) else { return };
        let mut find = |what| found.push(Finding { name: self.name.clone(), what });
        if previous.hash.as_ref().is_some_and(|hash| !hash.eq_ignore_ascii_case(&older.hash)) {
            find(What::PreviousHash);
        }
        if previous.signature.as_ref().is_some_and(|signature| !signature.eq_ignore_ascii_case(&older.signature)) {
            find(What::PreviousSignature);
        }
        if older.end != self.starts {
            find(What::Discontinuous { starts: self.starts, previous_ends: older.end });
        }
    }
}

/// What a digest says that doesn't go with its own key.
fn unlike(digest: &Digest, name: &str) -> Option<Finding> {
    let (ObjectKey::Digest(key) | ObjectKey::BackfillDigest(key)) = classify(&digest.digest_s3_object) else {
        return None;
    };
    let found = |says: String, key: String| Some(Finding { name: name.to_owned(), what: What::Unlike { says, key } });
    let account = &digest.aws_account_id;
    if *account != key.folder.account {
        return found(format!("account {account}"), format!("account {}", key.folder.account));
    }
    let ends = digest.digest_end_time.parse::<Timestamp>().ok();
    if ends.is_some_and(|ends| ends.as_second() != key.end.unix_seconds()) {
        let stamp = Timestamp::from_second(key.end.unix_seconds()).map(display).unwrap_or_default();
        return found(format!("that it ends at {}", digest.digest_end_time), stamp);
    }
    let elsewhere = |folder: &Folder| folder.account != key.folder.account || folder.region != key.folder.region;
    let stray = digest.log_files.iter().find_map(|file| match classify(&file.s3_object) {
        ObjectKey::Log(log) | ObjectKey::Insight(log) if elsewhere(&log.folder) => Some(log.folder),
        _ => None,
    })?;
    let (own, stray) = ((&key.folder.account, &key.folder.region), (stray.account, stray.region));
    found(format!("that it lists log files of {} in {}", stray.0, stray.1), format!("{} in {}", own.0, own.1))
}
