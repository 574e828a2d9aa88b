//! The operations of a run, drawn from its seed. The same seed gives the same list.
//!
//! Each seed takes only some kinds of operations, and those in its own proportions: faults that are rare together are
//! common in some seed.

use std::time::Duration;

use orgtrail_cloud::ErrorKind;
use rand::Rng;
use rand::rngs::StdRng;

use crate::digests::{Comes, DigestOperation};
use crate::disk::Crash;
use crate::link::Way;
use crate::model::Damage;
use crate::past::Backfill;
use crate::post::PostOperation;
use crate::settings::Settings;

/// Which process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Agent,
    Aggregator,
}

/// Where an object is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) source: usize,
    pub(crate) account: usize,
    pub(crate) region: usize,
}

impl Place {
    pub(crate) fn draw(random: &mut StdRng, settings: &Settings) -> Self {
        Self {
            source: random.random_range(0..settings.sources),
            account: random.random_range(0..settings.accounts),
            region: random.random_range(0..settings.regions),
        }
    }
}

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Time passes.
    Pass(Duration),
    /// New log files, cut so long ago.
    Deliver { place: Place, files: usize, records: usize, age: Duration, damage: Option<Damage> },
    /// A log file that is larger than a message.
    DeliverFat { place: Place },
    /// An earlier file again, with the same bytes under another name.
    Redeliver { nth: usize },
    /// A file with records of earlier ones in another order, and new ones between: as a second trail writes.
    Copy { nth: usize, more: usize },
    /// An earlier file is written anew under its name: with one record more, mended, or as it was.
    Rewrite { nth: usize, same: bool },
    /// Something that is no log file.
    Foreign { place: Place },
    /// For a while, calls to a source fail.
    SourceSpell {
        source: usize,
        verb: &'static str,
        account: Option<usize>,
        kind: ErrorKind,
        one_in: u32,
        span: Duration,
    },
    /// For a while, puts to a trail fail, or only their answers are lost.
    TrailSpell { trail: usize, kind: ErrorKind, one_in: u32, answer_lost: bool, span: Duration },
    /// All connections break.
    Cut,
    /// Nothing arrives for a while; then the connection breaks, with all that is on its way, or goes on.
    Hold { way: Way, span: Duration, cut: bool },
    /// No connection comes about for a while.
    Refuse(Duration),
    /// The process is killed, now or at a durable write to come, and started again after a while.
    Crash { who: Who, crash: Option<Crash>, down: Duration },
    /// The process is stopped in good order and started again.
    Restart { who: Who, down: Duration },
    /// The process loses its disk.
    Wipe(Who),
    /// An older state of the process is put back: what one of its runs began with.
    Restore { who: Who, nth: usize },
    /// For a while nothing can be written.
    DiskFull { who: Who, span: Duration },
    /// Hours pass of which neither process sees more than the clock.
    Leap(Duration),
    /// One machine's clock is set wrong by so many seconds.
    Skew { who: Who, seconds: i64 },
    /// For a while the key service says only this.
    Keys { kind: ErrorKind, span: Duration },
    /// An operator wants everything in quarantine tried again.
    Retry,
    /// Something about the queue.
    Post(PostOperation),
    /// Something about digests.
    Digest(DigestOperation),
    /// Somebody asks for days before the live listings.
    Backfill(Backfill),
}

/// Kinds of operations with how often they are wanted.
const KINDS: [(Kind, u32); 19] = [
    (Kind::Deliver, 0),
    (Kind::Damaged, 6),
    (Kind::Redeliver, 6),
    (Kind::Copy, 8),
    (Kind::Rewrite, 6),
    (Kind::Foreign, 2),
    (Kind::Fat, 1),
    (Kind::SourceSpell, 8),
    (Kind::TrailSpell, 8),
    (Kind::Link, 8),
    (Kind::CrashAgent, 8),
    (Kind::CrashAggregator, 10),
    (Kind::Restart, 4),
    (Kind::Wipe, 2),
    (Kind::Restore, 2),
    (Kind::DiskFull, 3),
    (Kind::Clock, 4),
    (Kind::Keys, 4),
    (Kind::Retry, 3),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deliver,
    Damaged,
    Redeliver,
    Copy,
    Rewrite,
    Foreign,
    Fat,
    SourceSpell,
    TrailSpell,
    Link,
    CrashAgent,
    CrashAggregator,
    Restart,
    Wipe,
    Restore,
    DiskFull,
    Clock,
    Keys,
    Retry,
}

/// Draws the operations of one run.
pub(crate) struct Draw<'a> {
    pub(crate) random: &'a mut StdRng,
    pub(crate) settings: &'a Settings,
}

impl Draw<'_> {
    pub(crate) fn operations(&mut self) -> Vec<Operation> {
        let mut kinds: Vec<(Kind, u32)> = vec![(Kind::Deliver, 20)];
        for (kind, weight) in KINDS {
            // A fat file or a lost disk costs much, or excuses much: in few seeds.
            let out_of = if matches!(kind, Kind::Fat | Kind::Wipe | Kind::Restore) { 8 } else { 2 };
            if self.random.random_ratio(1, out_of) {
                kinds.push((kind, weight * self.random.random_range(1..=3)));
            }
        }
        let count = self.random.random_range(10..45);
        let mut operations = Vec::new();
        for _ in 0..count {
            let total: u32 = kinds.iter().map(|(_, weight)| weight).sum();
            let mut at = self.random.random_range(0..total);
            let kind = kinds.iter().find(|(_, weight)| {
                let here = at < *weight;
                at = at.saturating_sub(*weight);
                here
            });
            let operation = self.operation(kind.unwrap().0);
            let met = self.meets(&operation);
            operations.push(operation);
            operations.extend(met);
            if self.random.random_ratio(2, 3) {
                let span = self.span(&[10, 300, 2_000, 8_000, 20_000]);
                operations.push(Operation::Pass(span));
            }
        }
        operations
    }

    /// Puts operations between these that came to the simulation later.
    pub(crate) fn mixed(&mut self, mut operations: Vec<Operation>) -> Vec<Operation> {
        if self.settings.post.is_some() {
            for _ in 0..self.random.random_range(3..15) {
                let operation = Operation::Post(PostOperation::draw(self.random, self.settings));
                let at = self.random.random_range(0..=operations.len());
                operations.insert(at, operation);
            }
        }
        if self.settings.digests {
            for _ in 0..self.random.random_range(5..20) {
                let operation = Operation::Digest(DigestOperation::draw(self.random, self.settings));
                let at = self.random.random_range(0..=operations.len());
                operations.insert(at, operation);
            }
            // Most of what was delivered last is in some digest too.
            let (sources, accounts) = (self.settings.sources, self.settings.accounts);
            let places = (0..sources).flat_map(|source| (0..accounts).map(move |account| (source, account)));
            for (source, account) in places.collect::<Vec<_>>() {
                let place = Place { source, account, region: self.random.random_range(0..self.settings.regions) };
                let (comes, restart, leave_out) = (Comes::AtOnce, false, false);
                operations.push(Operation::Digest(DigestOperation::Cut { place, comes, restart, leave_out }));
            }
        }
        self.losing(operations)
    }

    /// Something acknowledged and not delivered for the aggregator's disk to lose, or most that is lost would hold nothing.
    fn losing(&mut self, operations: Vec<Operation>) -> Vec<Operation> {
        let mut all = Vec::with_capacity(operations.len());
        for operation in operations {
            let loses =
                matches!(operation, Operation::Wipe(Who::Aggregator) | Operation::Restore { who: Who::Aggregator, .. });
            if loses && self.random.random_ratio(2, 3) {
                let (trail, kind, span) = (0, ErrorKind::Unavailable, Duration::from_secs(30));
                all.push(Operation::TrailSpell { trail, kind, one_in: 1, answer_lost: false, span });
                let (place, age) = (self.place(), Duration::ZERO);
                all.push(Operation::Deliver { place, files: 2, records: 2, age, damage: None });
                all.push(Operation::Pass(Duration::from_secs(self.random.random_range(1..25))));
            }
            all.push(operation);
        }
        all
    }

    /// New files for a spell of trouble to meet, or most spells would pass while there is nothing to do.
    fn meets(&mut self, operation: &Operation) -> Option<Operation> {
        let Operation::SourceSpell { source, account, .. } = operation else { return None };
        let place = self.place();
        let place = Place { source: *source, account: account.unwrap_or(place.account), ..place };
        let deliver = Operation::Deliver { place, files: 2, records: 2, age: self.age(), damage: None };
        self.random.random_ratio(2, 3).then_some(deliver)
    }

    fn operation(&mut self, kind: Kind) -> Operation {
        match kind {
            Kind::Deliver => {
                let (place, age) = (self.place(), self.age());
                let files = self.random.random_range(1..=4);
                Operation::Deliver { place, files, records: self.random.random_range(1..=5), age, damage: None }
            }
            Kind::Damaged => {
                let (place, age) = (self.place(), self.age());
                let damage = Some(self.one(&Damage::ALL));
                Operation::Deliver { place, files: 1, records: self.random.random_range(1..=3), age, damage }
            }
            Kind::Redeliver => Operation::Redeliver { nth: self.random.random_range(0..1000) },
            Kind::Copy => {
                Operation::Copy { nth: self.random.random_range(0..1000), more: self.random.random_range(0..3) }
            }
            Kind::Rewrite => {
                Operation::Rewrite { nth: self.random.random_range(0..1000), same: self.random.random_ratio(1, 3) }
            }
            Kind::Foreign => Operation::Foreign { place: self.place() },
            Kind::Fat => Operation::DeliverFat { place: self.place() },
            Kind::SourceSpell => Operation::SourceSpell {
                source: self.random.random_range(0..self.settings.sources),
                verb: self.one(&["list", "get"]),
                account: self.random.random_bool(0.5).then(|| self.random.random_range(0..self.settings.accounts)),
                kind: self.trouble(),
                one_in: self.one(&[1, 1, 3]),
                span: self.span(&[500, 5_000, 40_000]),
            },
            Kind::TrailSpell => Operation::TrailSpell {
                trail: self.random.random_range(0..2),
                kind: self.trouble(),
                one_in: self.one(&[1, 2, 4]),
                answer_lost: self.random.random_bool(0.5),
                span: self.span(&[500, 5_000, 40_000]),
            },
            Kind::Link => self.link(),
            Kind::CrashAgent => self.crash(Who::Agent),
            Kind::CrashAggregator => self.crash(Who::Aggregator),
            Kind::Restart => Operation::Restart { who: self.who(), down: self.span(&[10, 5_000]) },
            Kind::Wipe => Operation::Wipe(self.who()),
            Kind::Restore => Operation::Restore { who: self.who(), nth: self.random.random_range(0..100) },
            Kind::DiskFull => Operation::DiskFull { who: self.who(), span: self.span(&[1_000, 15_000]) },
            Kind::Clock => self.clock(),
            Kind::Keys => Operation::Keys {
                kind: self.one(&[ErrorKind::Throttled, ErrorKind::Denied, ErrorKind::Unavailable]),
                span: self.span(&[1_000, 30_000]),
            },
            Kind::Retry => Operation::Retry,
        }
    }

    fn link(&mut self) -> Operation {
        match self.random.random_range(0..4) {
            0 => Operation::Cut,
            1 => Operation::Refuse(self.span(&[1_000, 20_000])),
            _ => Operation::Hold {
                way: if self.random.random_ratio(2, 3) { Way::Down } else { Way::Up },
                span: self.span(&[200, 2_000, 25_000]),
                cut: self.random.random_ratio(2, 3),
            },
        }
    }

    fn crash(&mut self, who: Who) -> Operation {
        let most = self.one(&[2, 12, 60]);
        let points = self.random.random_range(1..=most);
        let torn = self.random.random_ratio(1, 3).then(|| self.random.random());
        let crash = self.random.random_ratio(5, 6).then_some(Crash { points, torn });
        Operation::Crash { who, crash, down: self.span(&[10, 1_000, 20_000]) }
    }

    fn clock(&mut self) -> Operation {
        match self.random.random_range(0..3) {
            0 => Operation::Skew { who: self.who(), seconds: self.random.random_range(-100_000..100_000) },
            1 => Operation::Skew { who: self.who(), seconds: 0 },
            _ => {
                let most = self.one(&[3_600, 40_000, 120_000]);
                Operation::Leap(Duration::from_secs(self.random.random_range(60..=most)))
            }
        }
    }

    fn trouble(&mut self) -> ErrorKind {
        use ErrorKind::{ContainerMissing, Denied, ExpiredCredentials, Other, Throttled, Unavailable};
        self.one(&[Denied, Throttled, ExpiredCredentials, Unavailable, ContainerMissing, Other])
    }

    fn place(&mut self) -> Place {
        Place::draw(self.random, self.settings)
    }

    fn who(&mut self) -> Who {
        self.one(&[Who::Agent, Who::Aggregator])
    }

    /// Mostly just now; at times hours late, up to the day before.
    fn age(&mut self) -> Duration {
        match self.random.random_range(0..4) {
            0 => Duration::from_secs(self.random.random_range(0..100_000)),
            _ => Duration::from_secs(self.random.random_range(0..600)),
        }
    }

    fn span(&mut self, most_ms: &[u64]) -> Duration {
        let most = self.one(most_ms);
        Duration::from_millis(self.random.random_range(0..=most))
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.random.random_range(0..of.len())].clone()
    }
}
