//! Which files a plan makes: every file's account, region, stamp, kind and number of records, before any byte of it is
//! written. Pure, and the same for the same plan.

use super::organization::Organization;
use super::random::Random;
use super::{Corruption, Plan, Size, time};

/// One file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// Index into the organization's accounts.
    pub account: usize,
    /// Index into the plan's regions.
    pub region: usize,
    /// Unix seconds, a multiple of five minutes.
    pub stamp: i64,
    /// When it is delivered, which a late file's stamp doesn't say.
    pub delivered: i64,
    pub work: Work,
}

/// What a file holds. Copies follow directly after the file they are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// So many new records.
    Log(u32),
    /// New records under a key much older than its neighbours'.
    Late(u32),
    /// The bytes of the file before.
    Redelivered,
    /// Records of the files before in another order, as a second trail into the same bucket cuts them.
    SecondTrail,
    /// A spoilt copy of the file before.
    Corrupt(Corruption),
}

/// Meets a share to within one file, in small plans as in large ones.
struct Quota {
    share: f64,
    owed: f64,
}

impl Quota {
    fn due(&mut self) -> bool {
        self.owed += self.share;
        let due = self.owed >= 1.0;
        if due {
            self.owed -= 1.0;
        }
        due
    }
}

/// How far back a late file's stamp lies, in steps of five minutes: 3 to 30 hours.
const LATE_STEPS: (u64, u64) = (36, 360);

/// All files of `plan`, prefix by prefix and within a prefix in the order of their stamps.
pub(super) fn schedule(plan: &Plan, organization: &Organization) -> Vec<Job> {
    let mut random = Random::new(plan.seed, "schedule");
    let random = &mut random;
    // Different starting points, so that the kinds don't fall on the same files.
    let quota = |share: f64, owed: f64| Quota { share, owed };
    let mut redelivered = quota(plan.redelivered_share, 0.8);
    let mut second_trail = quota(plan.second_trail_share, 0.6);
    let mut late = quota(plan.late_share, 0.7);
    let mut corrupt = quota(plan.corrupt_share, 0.9);
    let mut fat = quota(plan.events_per_file.fat_share, 0.5);
    let mut kinds = Corruption::ALL.iter().cycle();
    let slots = u64::from(plan.hours.max(1)) * 12;
    let last = plan.last_stamp();
    let mut jobs = Vec::new();
    let account_weights = weights(organization.accounts.len(), 0.7);
    let region_weights = weights(plan.regions.len(), 0.9);
    for (account, account_weight) in account_weights.iter().enumerate() {
        for (region, region_weight) in region_weights.iter().enumerate() {
            let mean = plan.files_per_hour * f64::from(plan.hours) * account_weight * region_weight;
            let files = (mean.round() as usize).max(1);
            let mut stamps: Vec<i64> =
                (0..files).map(|_| last - random.below(slots) as i64 * time::STAMP_SECONDS).collect();
            stamps.sort_unstable();
            for stamp in stamps {
                let mut add = |at: i64, work| {
                    let delivered = stamp.max(at).min(last);
                    jobs.push(Job { account, region, stamp: at.min(last), delivered, work });
                };
                let records = size(&plan.events_per_file, &mut fat, random);
                if late.due() {
                    let back = random.between(LATE_STEPS.0, LATE_STEPS.1) as i64 * time::STAMP_SECONDS;
                    add(stamp - back, Work::Late(records));
                    continue;
                }
                add(stamp, Work::Log(records));
                if redelivered.due() {
                    add(stamp + random.below(2) as i64 * time::STAMP_SECONDS, Work::Redelivered);
                }
                if second_trail.due() {
                    add(stamp, Work::SecondTrail);
                }
                if corrupt.due() {
                    add(stamp, Work::Corrupt(*kinds.next().expect("a cycle over all kinds never ends")));
                }
            }
        }
    }
    jobs
}

/// Falling weights with mean 1: the first accounts and regions are the busy ones.
fn weights(count: usize, exponent: f64) -> Vec<f64> {
    let raw: Vec<f64> = (1..=count).map(|place| 1.0 / (place as f64).powf(exponent)).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|weight| weight * count as f64 / sum).collect()
}

fn size(sizes: &Size, fat: &mut Quota, random: &mut Random) -> u32 {
    let between = |random: &mut Random, (from, to): (u32, u32)| random.between(from.into(), to.into()) as u32;
    if fat.due() {
        return between(random, sizes.fat).max(1);
    }
    // The share is of all files, the draw is among those that are not fat.
    if random.chance(sizes.tiny_share / (1.0 - sizes.fat_share).max(f64::EPSILON)) {
        return between(random, sizes.tiny).max(1);
    }
    // Log-normal like real deliveries: most files far below the mean, some far above.
    const SIGMA: f64 = 0.8;
    let mean = f64::from(sizes.typical.max(1));
    let drawn = (mean.ln() - SIGMA * SIGMA / 2.0 + SIGMA * random.normal()).exp();
    drawn.round().clamp(1.0, mean * 20.0) as u32
}
