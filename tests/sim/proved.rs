//! What the agent says that digests prove, against what CloudTrail signed and what came of it.
//!
//! Two rules. *Never too much*: up to the time that a row claims, every digest is there and verifies, and every file that they
//! list was delivered as it was signed. *Exactly*: every file and digest that is missing, changed or damaged is named as what
//! it is, and no other.

use std::collections::BTreeSet;

use orgtrail_agent::status::{Completeness, Gap, GapKind, Status};

use crate::digests::{Cut, Fate, TRAIL};
use crate::model::Object;
use crate::operations::Place;
use crate::run::Run;
use crate::settings::{ACCOUNTS, REGIONS};

/// What is wrong with what an agent says.
pub(crate) fn unproved(run: &Run, status: &Status) -> Vec<String> {
    let places: BTreeSet<Place> = run.model.digests.cuts.iter().map(|cut| cut.place).collect();
    let mut wrong = Vec::new();
    for place in places {
        let chain = Chain::of(run, place);
        if chain.there.is_empty() {
            continue;
        }
        let source = run.world.sources[place.source].location().to_string();
        let row = status.completeness.iter().find(|row| {
            row.trail.as_deref() == Some(TRAIL)
                && (&*row.source, &*row.account, &*row.region)
                    == (&source, ACCOUNTS[place.account], REGIONS[place.region])
        });
        let mut told = Vec::new();
        match row {
            Some(row) => {
                chain.claims_no_more(row, &mut told);
                if chain.is_certain {
                    chain.names_exactly(row, &mut told);
                }
            }
            None if chain.is_certain => told.push("no digest was verified".to_owned()),
            None => {}
        }
        wrong.extend(told.into_iter().map(|what| format!("{place:?}: {what}; it says {row:?}")));
    }
    wrong
}

/// What a digest's file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// It is no gap.
    Good,
    /// It is a gap of this kind.
    Bad(GapKind),
    /// It is a gap of some kind.
    BadSomehow,
    /// It was good once, and may have been taken then.
    Either,
}

struct Chain<'a> {
    run: &'a Run,
    place: Place,
    cuts: Vec<&'a Cut>,
    /// Those in the chain that verify.
    there: Vec<&'a Cut>,
    /// All that verify came in time, so that what must be said of them is known.
    is_certain: bool,
}

impl<'a> Chain<'a> {
    fn of(run: &'a Run, place: Place) -> Self {
        let cuts: Vec<_> = run.model.digests.chain(place).collect();
        let verify = |cut: &&Cut| cut.fate == Fate::There;
        let there = cuts.iter().copied().filter(verify).filter(|cut| !cut.backfill).collect();
        let is_certain = cuts.iter().all(|cut| cut.in_time);
        Self { run, place, cuts, there, is_certain }
    }

    fn object(&self, key: &str) -> Option<&'a Object> {
        self.run.model.objects.iter().find(|object| object.source == self.place.source && object.key == key)
    }

    /// Whether the file was delivered as it was signed.
    fn is_taken(&self, key: &str, hash: &str) -> bool {
        let version = self.object(key).and_then(|object| object.versions.iter().find(|version| version.hash == hash));
        let trail = &self.run.world.trails[0];
        version.is_some_and(|version| {
            !version.is_spoilt() && version.at_trails()[0].iter().all(|record| trail.holds(record))
        })
    }

    fn claims_no_more(&self, row: &Completeness, wrong: &mut Vec<String>) {
        let (Some(since), Some(until)) = (row.since, row.complete_until) else { return };
        for cut in self.cuts.iter().filter(|cut| cut.start >= since && cut.start < until) {
            if cut.fate != Fate::There && !cut.backfill {
                wrong.push(format!("complete until {until}, and {} is {:?}", cut.key, cut.fate));
            }
            if cut.fate != Fate::There || !cut.in_time {
                continue;
            }
            for (key, _) in cut.files.iter().filter(|(key, hash)| !self.is_taken(key, hash)) {
                wrong.push(format!("complete until {until}, and {key} was never delivered as {} has it", cut.key));
            }
        }
    }

    fn names_exactly(&self, row: &Completeness, wrong: &mut Vec<String>) {
        let (first, last) = (self.there[0], self.there[self.there.len() - 1]);
        if (row.since, row.verified_until) != (Some(first.start), Some(last.end)) {
            wrong.push(format!("its digests reach from {} to {}", first.start, last.end));
        }
        let (between, files): (Vec<_>, Vec<_>) = row.gaps.iter().partition(|gap| is_between(gap.kind));
        self.names_digests(&between, wrong);
        self.names_files(&files, wrong);
    }

    fn names_digests(&self, gaps: &[&Gap], wrong: &mut Vec<String>) {
        let pairs = self.there.windows(2).filter(|pair| pair[0].end < pair[1].start);
        let stretches: Vec<_> = pairs.clone().map(|pair| (pair[0].end, pair[1].start)).collect();
        let mut said: Vec<_> = gaps.iter().map(|gap| (gap.start, gap.end)).collect();
        said.sort_unstable();
        if joined(&stretches) != joined(&said) {
            wrong.push(format!("its digests leave open {stretches:?}"));
        }
        let absent = |key: &str| self.cuts.iter().find(|cut| cut.key == key).map(|cut| cut.fate);
        for gap in gaps {
            let fits = match (gap.kind, gap.key.as_deref().map(absent)) {
                (GapKind::DigestMissing, Some(fate)) => fate == Some(Fate::Held),
                (GapKind::DigestInvalid, Some(fate)) => fate == Some(Fate::Invalid),
                (GapKind::NotCovered | GapKind::DigestMissing | GapKind::DigestInvalid, None) => true,
                _ => false,
            };
            if !fits {
                wrong.push(format!("no such gap is there: {gap:?}"));
            }
        }
        // What comes late splits a gap, of which a part then has no name.
        if self.cuts.iter().any(|cut| cut.late) {
            return;
        }
        let named: BTreeSet<_> = gaps.iter().filter_map(|gap| gap.key.as_ref()).collect();
        for key in pairs.filter_map(|pair| pair[1].previous.as_ref()).filter(|key| !named.contains(key)) {
            wrong.push(format!("{key} is absent and not named"));
        }
    }

    fn names_files(&self, gaps: &[&Gap], wrong: &mut Vec<String>) {
        let kind_of = |key: &str| gaps.iter().find(|gap| gap.key.as_deref() == Some(key)).map(|gap| gap.kind);
        let verify = self.cuts.iter().filter(|cut| cut.fate == Fate::There);
        let mut listed = BTreeSet::new();
        for (key, hash) in verify.flat_map(|cut| &cut.files) {
            listed.insert(key.as_str());
            let (came, said) = (self.came(key, hash), kind_of(key));
            let is_right = match came {
                Came::Good => said.is_none(),
                Came::Bad(kind) => said == Some(kind),
                Came::BadSomehow => said.is_some(),
                Came::Either => true,
            };
            if !is_right {
                wrong.push(format!("{key} is {came:?}, and it says {said:?}"));
            }
        }
        let strange = gaps.iter().filter(|gap| gap.key.as_deref().is_none_or(|key| !listed.contains(key)));
        wrong.extend(strange.map(|gap| format!("no digest lists what is named here: {gap:?}")));
    }

    fn came(&self, key: &str, hash: &str) -> Came {
        let Some(object) = self.object(key) else { return Came::BadSomehow };
        let last = object.versions.last().unwrap();
        let is_there = object.present && object.put;
        if is_there && last.hash == hash {
            return match last.damage {
                _ if !last.in_time => Came::Either,
                None => Came::Good,
                Some(_) if last.is_spoilt() => Came::Bad(GapKind::LogQuarantined),
                // Its sound records are delivered.
                Some(_) => Came::Either,
            };
        }
        let was_different = object.versions.iter().any(|version| version.hash != hash || version.damage.is_some());
        let was_damaged = object.versions.iter().any(|version| version.damage.is_some()) || object.was_missing;
        match (self.is_taken(key, hash), is_there) {
            (true, _) => Came::Either,
            // What was quarantined for something else before stays named for that.
            (false, true) if last.in_time && !was_damaged => Came::Bad(GapKind::LogHashDiffers),
            (false, false) if !was_different => Came::Bad(GapKind::LogMissing),
            (false, _) => Came::BadSomehow,
        }
    }
}

fn is_between(kind: GapKind) -> bool {
    matches!(kind, GapKind::DigestMissing | GapKind::DigestInvalid | GapKind::ChainBroken | GapKind::NotCovered)
}

/// Stretches without the borders between them.
fn joined(stretches: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (start, end) in stretches {
        match joined.last_mut() {
            Some(last) if *start <= last.1 => last.1 = last.1.max(*end),
            _ => joined.push((*start, *end)),
        }
    }
    joined
}
