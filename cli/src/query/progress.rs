//! The line that tells what a statement has read so far, on standard error while that is a terminal.

use std::fmt::Write;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use orgtrail_lake::sql::Statistics;

use super::print;

/// How often the figures are looked at.
const TICK: Duration = Duration::from_millis(100);

/// The line. It is gone when this is dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Begins to tell; nobody sees it where standard error is no terminal.
    pub(super) fn begin(statistics: &Statistics) -> Self {
        let is_seen = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            None,
            match is_seen {
                true => ProgressDrawTarget::stderr(),
                false => ProgressDrawTarget::hidden(),
            },
        );
        if is_seen {
            let statistics = statistics.clone();
            let figures = move |_: &ProgressState, out: &mut dyn Write| {
                // A line that can't be drawn is drawn a tick later.
                out.write_str(&print::progress(&statistics.figures())).unwrap_or_default();
            };
            let style = ProgressStyle::with_template("{spinner} {figures}").expect("the template is a constant");
            bar.set_style(style.with_key("figures", figures));
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    /// Takes the line away before rows are printed on the same terminal.
    pub(super) fn end(&self) -> impl Fn() + Send + Sync + 'static {
        let bar = self.0.clone();
        move || bar.finish_and_clear()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
