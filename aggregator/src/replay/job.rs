//! A replay as it is asked for, worked on and remembered: one JSON document.

use jiff::Timestamp;
use orgtrail_service::jobs;
use serde::{Deserialize, Serialize};

/// Objects that are named when they could not be delivered again; all are counted.
pub const FAILURES_MAX: usize = 100;

/// One replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// 8 hexadecimal digits.
    pub id: String,
    /// The trail whose delivered objects are read.
    pub trail: String,
    /// The destination that gets them: a trail's name, or `NAME/cloudwatch`.
    pub destination: String,
    /// Objects whose names carry this time or a later one.
    pub from: Timestamp,
    /// And an earlier one than this.
    pub to: Timestamp,
    /// When it was asked for. The oldest replay is worked on first.
    pub requested_at: Timestamp,
    /// By whom, as far as they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Where it stands.
    pub state: State,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why it failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How far it is.
    #[serde(default)]
    pub progress: Progress,
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for the aggregator, or for an older replay.
    Queued,
    /// The trail's objects are read and put into the journal.
    Running,
    /// All are in the journal; the destination doesn't hold them all yet.
    Delivering,
    /// The destination holds everything that could be read.
    Done,
    /// It can't be done; [`Job::error`] says why.
    Failed,
    /// An operator stopped it. What was in the journal by then is delivered all the same.
    Cancelled,
}

/// How far a replay is. It changes in one write with [`Progress::position`], so a crash neither loses nor repeats a count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Days of the range, times the folders (account, kind and region) of the trail.
    pub days: u64,
    /// Of those, gone through.
    pub days_done: u64,
    /// Log files of the range that were listed.
    pub listed: u64,
    /// Of those, put into the journal for the destination.
    pub taken: u64,
    /// Readable records of those.
    pub records: u64,
    /// Of those, passed over by the selectors of the destination's trail.
    pub filtered: u64,
    /// Objects in the range's day folders that are no log files.
    pub skipped: u64,
    /// Log files that could not be delivered again, or not whole.
    pub failed: u64,
    /// The first of those.
    pub failures: Vec<Failure>,
    /// Everything up to this key is in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// Highest place in the journal of what was put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
    /// Entries of the journal that the destination goes through before it holds everything.
    #[serde(default)]
    pub waiting: u64,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// A log file that could not be delivered again, or not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its key below the trail's location.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// What a person wants to know of a replay that isn't over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// The replay's id.
    pub id: String,
    /// The trail whose objects are read.
    pub trail: String,
    /// The destination that gets them.
    pub destination: String,
    /// Where it stands.
    pub state: State,
    /// Day folders of the range.
    pub days: u64,
    /// Of those, gone through.
    pub days_done: u64,
    /// Log files put into the journal.
    pub taken: u64,
    /// Their records.
    pub records: u64,
    /// Log files that could not be delivered again, or not whole.
    pub failed: u64,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

impl jobs::Job for Job {
    const KIND: &'static str = "replay";
    const WORKER: &'static str = "aggregator";

    fn id(&self) -> &str {
        &self.id
    }

    fn requested_at(&self) -> Timestamp {
        self.requested_at
    }

    fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at
    }
}

impl State {
    /// Whether nothing will change any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

impl Job {
    /// A replay to ask for, with an id of its own.
    ///
    /// # Errors
    /// The machine has no random numbers.
    pub fn new(
        trail: &str,
        destination: &str,
        (from, to): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> std::io::Result<Self> {
        Ok(Self {
            id: jobs::new_id()?,
            trail: trail.to_owned(),
            destination: destination.to_owned(),
            from,
            to,
            requested_at: now,
            requested_by: None,
            state: State::Queued,
            finished_at: None,
            error: None,
            progress: Progress::default(),
        })
    }

    /// The aggregator begins.
    pub(super) fn start(&mut self) {
        self.state = State::Running;
    }

    /// What was put into the journal went with a lost journal: everything is read again.
    pub(super) fn restart(&mut self) {
        self.state = State::Running;
        self.progress = Progress::default();
    }

    /// Everything that could be read is in the journal.
    pub(super) fn all_taken(&mut self) {
        self.state = State::Delivering;
        self.progress.days_done = self.progress.days;
    }

    /// Nothing will change any more.
    pub(super) fn end(&mut self, state: State, error: Option<String>, now: Timestamp) {
        self.state = state;
        self.error = error;
        self.finished_at = Some(now);
        self.progress.waits_for = None;
        self.progress.waiting = 0;
    }

    /// What a person wants to know of it.
    pub fn summary(&self) -> JobSummary {
        let progress = &self.progress;
        JobSummary {
            id: self.id.clone(),
            trail: self.trail.clone(),
            destination: self.destination.clone(),
            state: self.state,
            days: progress.days,
            days_done: progress.days_done,
            taken: progress.taken,
            records: progress.records,
            failed: progress.failed,
            waits_for: progress.waits_for.clone(),
        }
    }
}

impl Progress {
    /// Counts a log file that could not be delivered again, or not whole.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failed += 1;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        let time = |text: &str| text.parse().expect("a time");
        let range = (time("2026-03-01T00:00:00Z"), time("2026-03-02T00:00:00Z"));
        Job::new("org-trail", "mirror", range, time("2026-03-09T10:00:00Z")).expect("random numbers")
    }

    #[test]
    fn a_job_reads_back_as_it_was_written() {
        let mut job = job();
        job.start();
        job.progress.fail(Failure { key: "k".into(), why: "corrupt".into() });
        let text = serde_json::to_string(&job).expect("plain");
        assert_eq!(serde_json::from_str::<Job>(&text).expect("its own text"), job);
        assert!(text.contains(r#""state":"running""#), "{text}");
    }

    #[test]
    fn a_job_goes_from_queued_to_its_end_and_says_when() {
        let mut job = job();
        assert_eq!((job.state, job.state.is_over()), (State::Queued, false));
        job.start();
        job.progress = Progress { days: 6, days_done: 2, waits_for: Some("room".into()), waiting: 3, ..job.progress };
        job.all_taken();
        assert_eq!((job.state, job.progress.days_done), (State::Delivering, 6));
        job.end(State::Done, None, job.requested_at);
        assert!(job.state.is_over() && job.finished_at.is_some());
        assert_eq!((job.progress.waits_for, job.progress.waiting), (None, 0));
    }

    #[test]
    fn every_failure_is_counted_and_the_first_are_named() {
        let mut job = job();
        for number in 0..FAILURES_MAX + 5 {
            job.progress.fail(Failure { key: number.to_string(), why: String::new() });
        }
        assert_eq!((job.progress.failed, job.progress.failures.len()), (FAILURES_MAX as u64 + 5, FAILURES_MAX));
        job.restart();
        assert_eq!(job.progress, Progress::default());
    }
}
