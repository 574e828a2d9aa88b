//! What is done to digests and to the files that they list: how it is drawn, and how it is carried out.

use std::time::Duration;

use orgtrail_event::digest::SIGNATURE_METADATA;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::sleep;

use super::{Cut, Fate, Request};
use crate::operations::Place;
use crate::run::Run;
use crate::settings::Settings;

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum DigestOperation {
    /// A digest of what was delivered since the last one.
    Cut { place: Place, comes: Comes, restart: bool, leave_out: bool },
    /// A digest of what was left out of an earlier one.
    Backfill { place: Place },
    /// Digests that were held back come now, the newest first.
    Release,
    /// A file that a digest will list, and that does not come.
    Withhold { place: Place, records: usize },
    /// Files that were withheld come now.
    Arrive,
    /// A file is taken away from its source.
    Remove { nth: usize },
    /// A file is changed: it holds a record more.
    Tamper { nth: usize },
    /// A file is what its digest says again.
    Mend { nth: usize },
}

/// How a digest comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comes {
    AtOnce,
    /// Later, or never.
    Held,
    /// With a signature that is another's.
    Forged,
    /// Without its metadata.
    Bare,
    /// Cut off.
    Truncated,
}

impl DigestOperation {
    pub(crate) fn draw(random: &mut StdRng, settings: &Settings) -> Self {
        let place = Place::draw(random, settings);
        let nth = random.random_range(0..1000);
        match random.random_range(0..20) {
            0..=7 => {
                let comes = match random.random_range(0..10) {
                    0..=5 => Comes::AtOnce,
                    6 | 7 => Comes::Held,
                    _ => [Comes::Forged, Comes::Bare, Comes::Truncated][random.random_range(0..3)],
                };
                let restart = random.random_ratio(1, 8);
                Self::Cut { place, comes, restart, leave_out: random.random_ratio(1, 3) }
            }
            8 | 9 => Self::Backfill { place },
            10 => Self::Release,
            11 | 12 => Self::Withhold { place, records: random.random_range(1..4) },
            13 => Self::Arrive,
            14 | 15 => Self::Remove { nth },
            16..=18 => Self::Tamper { nth },
            _ => Self::Mend { nth },
        }
    }

    pub(crate) async fn perform(&self, run: &mut Run) {
        match self {
            Self::Cut { place, comes, restart, leave_out } => {
                let mut files = unlisted(run, *place);
                if *leave_out && files.len() > 1 {
                    files.pop();
                }
                let now = run.world.time.now();
                let request = Request { place: *place, now, restart: *restart, backfill_of: None, files };
                if let Some(at) = cut(run, request).await
                    && *comes != Comes::Held
                {
                    come(run, at, *comes).await;
                }
            }
            Self::Backfill { place } => {
                let cuts = &run.model.digests.cuts;
                let has_one =
                    |of: &Cut| cuts.iter().any(|cut| cut.backfill && cut.place == of.place && cut.end == of.end);
                let of = cuts.iter().rposition(|cut| cut.place == *place && !cut.backfill && !has_one(cut));
                let Some(of) = of else { return };
                let files = unlisted(run, *place);
                let now = run.world.time.now();
                let request = Request { place: *place, now, restart: false, backfill_of: Some(of), files };
                if let Some(at) = cut(run, request).await {
                    come(run, at, Comes::AtOnce).await;
                }
            }
            Self::Release => {
                let held = |run: &Run| run.model.digests.cuts.iter().rposition(|cut| cut.fate == Fate::Held);
                while let Some(at) = held(run) {
                    come(run, at, Comes::AtOnce).await;
                    sleep(Duration::from_millis(300)).await;
                }
            }
            Self::Withhold { place, records } => run.withhold(*place, *records),
            Self::Arrive => {
                let withheld: Vec<_> = (0..run.model.objects.len()).filter(|at| !run.model.objects[*at].put).collect();
                for at in withheld {
                    run.put_back(at).await;
                }
            }
            Self::Remove { nth } => {
                if let Some(at) = run.nth_put(*nth) {
                    run.remove(at).await;
                }
            }
            Self::Tamper { nth } => {
                if let Some(at) = run.nth_put(*nth) {
                    run.rewrite(at, false).await;
                }
            }
            Self::Mend { nth } => {
                if let Some(at) = run.nth_put(*nth) {
                    run.put_back(at).await;
                }
            }
        }
    }
}

/// What was delivered and stands in no digest: keys, with the hashes of what they hold now.
fn unlisted(run: &Run, place: Place) -> Vec<(String, String)> {
    let Place { source, account, region } = place;
    let here = run.model.objects.iter().filter(|object| {
        (object.source, object.account, object.region) == (source, account, region)
            && (object.present || !object.put)
            && !run.model.digests.lists(source, &object.key)
    });
    here.map(|object| (object.key.clone(), object.versions.last().unwrap().hash.clone())).collect()
}

/// The new digest's place in the list of all.
async fn cut(run: &mut Run, request: Request) -> Option<usize> {
    run.model.digests.cut(request).await?;
    Some(run.model.digests.cuts.len() - 1)
}

/// A digest comes to its source.
async fn come(run: &mut Run, at: usize, comes: Comes) {
    let digest = &run.model.digests.cuts[at];
    let (mut gzip, mut metadata) = (digest.gzip.clone(), digest.metadata.clone());
    match comes {
        Comes::AtOnce | Comes::Held => {}
        Comes::Forged => {
            let signature = metadata.get_mut(SIGNATURE_METADATA).unwrap();
            *signature = signature.chars().rev().collect();
        }
        Comes::Bare => metadata.clear(),
        Comes::Truncated => gzip.truncate(gzip.len() / 2),
    }
    let (place, key) = (digest.place, digest.key.clone());
    let later = run.model.digests.cuts[at + 1..].iter();
    let late = later.into_iter().any(|cut| cut.place == place && !cut.backfill && cut.fate != Fate::Held);
    let day = orgtrail_event::key::classify(&key).into_digest().unwrap().date;
    let is_good = comes == Comes::AtOnce;
    run.put_digest(place.source, &key, gzip, metadata, !is_good).await;
    let in_time = run.is_in_time(day);
    let digest = &mut run.model.digests.cuts[at];
    digest.fate = if is_good { Fate::There } else { Fate::Invalid };
    (digest.late, digest.in_time) = (late, in_time);
}
