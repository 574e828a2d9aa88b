//! What the verbs have in common that ask a running process for a job: finding it, listing all, waiting for the end.
//!
//! Does not own what a job says (`replay`, `backfill`).

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use indicatif::ProgressBar;
use orgtrail_service::jobs::{Error, Job, Jobs};
use orgtrail_service::state_dir::is_running;

/// How often a followed job is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Looks for which the process may be down before the verb gives up: as long as a restart takes.
const DOWN_LOOKS: u32 = 25;

/// The job with this id, and which of the state folders it is in.
pub(crate) fn find<J: Job>(state_dirs: &[&Path], id: &str) -> anyhow::Result<(usize, J)> {
    for (index, dir) in state_dirs.iter().enumerate() {
        match Jobs::<J>::of(dir).read(id) {
            Ok(job) => return Ok((index, job)),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("no {kind} has the id {id}: see `orgtrail {kind} --list`", kind = J::KIND)
}

/// Asks for the end of a job.
pub(crate) fn cancel<J: Job>(state_dirs: &[&Path], id: &str) -> anyhow::Result<()> {
    let (index, _) = find::<J>(state_dirs, id)?;
    Jobs::<J>::of(state_dirs[index]).cancel(id)?;
    println!("asked for the end of {kind} {id}; `orgtrail {kind} --list` shows when it came", kind = J::KIND);
    Ok(())
}

/// All jobs; true where a file could not be read, which is told.
pub(crate) fn all<J: Job>(state_dirs: &[&Path]) -> anyhow::Result<(Vec<J>, bool)> {
    let (mut jobs, mut damaged) = (Vec::new(), false);
    for dir in state_dirs {
        for job in Jobs::<J>::of(dir).list()? {
            match job {
                Ok(job) => jobs.push(job),
                Err(error) => {
                    damaged = true;
                    eprintln!("orgtrail: {error}");
                }
            }
        }
    }
    Ok((jobs, damaged))
}

/// Waits for the job's end.
pub(crate) fn follow<J: Job>(
    state_dir: &Path,
    mut job: J,
    bar: &ProgressBar,
    show: impl Fn(&ProgressBar, &J),
) -> anyhow::Result<J> {
    let mut down = 0;
    while job.finished_at().is_none() {
        down = if is_running(state_dir)? { 0 } else { down + 1 };
        if down > DOWN_LOOKS {
            bar.finish_and_clear();
            bail!(
                "the {} of {} doesn't run; {kind} {id} waits for it: start it, then `orgtrail {kind} --follow {id}`",
                J::WORKER,
                state_dir.display(),
                kind = J::KIND,
                id = job.id()
            );
        }
        show(bar, &job);
        std::thread::sleep(LOOK);
        job = Jobs::<J>::of(state_dir).read(job.id())?;
    }
    bar.finish_and_clear();
    Ok(job)
}
