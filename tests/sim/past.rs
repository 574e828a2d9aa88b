//! Backfills: in some seeds live listings begin with the first day of the simulation, and what CloudTrail cut before is taken
//! when somebody asks for it, at any moment, and at last once more.
//!
//! What was there before anybody asked must be delivered then; what came to a day of the past later may be.

use jiff::civil::{Date, date};
use orgtrail_agent::backfill::job::{Job, Range, Rate, State};
use orgtrail_service::clock::Clock as _;
use orgtrail_service::jobs::Jobs;
use rand::Rng;
use rand::rngs::StdRng;

use crate::operations::{Operation, Who};
use crate::run::Run;
use crate::settings::{ACCOUNTS, SOURCES};

/// Live listings begin with it, in seeds that have a past.
pub(crate) const START: Date = date(2026, 3, 1);

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Backfill {
    source: usize,
    /// Days before [`START`] at which it begins and ends.
    days: (i64, i64),
    account: Option<usize>,
    rate: Option<Rate>,
    /// An operator changes his mind.
    cancelled: bool,
}

impl Backfill {
    pub(crate) fn draw(random: &mut StdRng, sources: usize) -> Self {
        let first = random.random_range(1..=4);
        Self {
            source: random.random_range(0..sources),
            days: (first, random.random_range(0..first)),
            account: random.random_bool(0.2).then(|| random.random_range(0..ACCOUNTS.len())),
            rate: random.random_bool(0.3).then(|| Rate::Objects(random.random_range(1..5))),
            cancelled: random.random_bool(0.15),
        }
    }

    /// Everything that was cut before live listings began.
    fn whole(source: usize) -> Self {
        Self { source, days: (10, 0), account: None, rate: None, cancelled: false }
    }

    /// Operations put between these.
    pub(crate) fn mixed(random: &mut StdRng, sources: usize, mut operations: Vec<Operation>) -> Vec<Operation> {
        for _ in 0..random.random_range(1..=3) {
            let at = random.random_range(0..=operations.len());
            operations.insert(at, Operation::Backfill(Self::draw(random, sources)));
        }
        operations
    }

    pub(crate) fn perform(&self, run: &mut Run) {
        run.asked_for_past = true;
        let Some(id) = self.submit(run) else { return };
        if let Some(life) = run.agent.life().filter(|_| self.cancelled) {
            // A job that is over meanwhile has no end to be asked for.
            drop(Jobs::<Job>::of(life.dir()).cancel(&id));
        }
    }

    /// None where the agent is down, or its disk full: then nobody asked.
    fn submit(&self, run: &Run) -> Option<String> {
        let life = run.agent.life()?;
        let day = |before: i64| START.checked_sub(jiff::Span::new().days(before)).expect("a day");
        let range = Range {
            source: SOURCES[self.source].to_owned(),
            from: day(self.days.0),
            to: day(self.days.1),
            accounts: self.account.map(|account| ACCOUNTS[account].to_owned()).into_iter().collect(),
            regions: Vec::new(),
        };
        let now = run.world.clocks[Who::Agent as usize].now();
        let mut job = Job::new(range, now).ok()?;
        job.rate = self.rate;
        Jobs::of(life.dir()).submit(&job).ok()?;
        Some(job.id)
    }
}

/// Asks for the whole past of the sources that nobody has asked for yet, and tells what is not over.
pub(crate) fn left(run: &Run) -> Vec<String> {
    let Some(life) = run.agent.life() else { return vec!["the agent is down".to_owned()] };
    let jobs = Jobs::<Job>::of(life.dir());
    let Ok(all) = jobs.list() else { return vec!["backfills cannot be listed".to_owned()] };
    let all: Vec<Job> = all.into_iter().flatten().collect();
    let mut left = Vec::new();
    for (source, location) in SOURCES[..run.world.settings.sources].iter().enumerate() {
        let is_whole = |job: &&Job| job.range.source == *location && job.range.from < date(2026, 2, 20);
        match all.iter().find(is_whole).map(|job| job.state) {
            Some(State::Done) => {}
            Some(state) => left.push(format!("the backfill of {location} is {state:?}")),
            None => {
                Backfill::whole(source).submit(run);
                left.push(format!("the backfill of {location} was not asked for"));
            }
        }
    }
    left.extend(all.iter().filter(|job| job.finished_at.is_none()).map(|job| format!("{job:?}")));
    left
}
