//! What a process tells about itself while it runs: log lines on standard error, and metrics.
//!
//! It owns how they look and the registry they are counted in; which lines and which metrics there are belongs to the
//! modules that have something to say. Field names are dotted and the same everywhere (`account.id`, `object.key`).
//! ERROR means data at risk or a person needed, WARN recovered, INFO a state change.

use std::fmt;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::{Metric, Registry};
use serde::Deserialize;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Check, Problems};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people: one line each, coloured on a terminal.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// What to log, and how: the `[log]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `"text"` (default) or `"json"`.
    pub format: Format,
    /// `"error"`, `"warn"`, `"info"` (default), `"debug"` or `"trace"`; or levels by module, such as
    /// `"info,orgtrail_agent::ship=debug"`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".to_owned() }
    }
}

impl Check for Log {
    fn check(&self, problems: &mut Problems) {
        if !reads_as_levels(&self.level) {
            problems.push(
                "level",
                format!(
                    "`{}` is not a level; write error, warn, info, debug or trace, or levels by module such as \
                     \"info,orgtrail_agent::ship=debug\"",
                    self.level
                ),
            );
        }
    }
}

/// `Targets` takes a word it does not know for a module's name; a misspelt level would then log nothing at all.
fn reads_as_levels(text: &str) -> bool {
    let level_of = |part: &str| part.rsplit('=').next().unwrap_or_default().trim().parse::<LevelFilter>();
    text.parse::<Targets>().is_ok() && text.split(',').all(|part| level_of(part).is_ok())
}

/// Libraries that tell every step at INFO, and what of theirs is worth a line unless the configuration names them. Of two
/// commits that meet, one is told as an error, which its caller expects.
const TALKATIVE: [(&str, LevelFilter); 3] = [
    ("buoyant_kernel", LevelFilter::WARN),
    ("deltalake_core", LevelFilter::WARN),
    ("deltalake_core::kernel::transaction", LevelFilter::OFF),
];

/// Starts logging to standard error. Only the first call of a process counts: `orgtrail up` runs several roles.
pub fn init(log: &Log) {
    init_with(log, std::io::stderr, std::io::stderr().is_terminal());
}

/// Starts logging to `writer`, for commands that keep standard error for their progress.
pub fn init_with<W>(log: &Log, writer: W, ansi: bool)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    if subscriber(log, writer, ansi).try_init().is_err() {
        tracing::debug!("logging was already started");
    }
}

fn subscriber<W>(log: &Log, writer: W, ansi: bool) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // `Check` refuses a level that cannot be read; a caller that did not check gets the default.
    let targets: Targets = log.level.parse().unwrap_or_else(|_| Targets::new().with_default(Level::INFO));
    let unnamed = TALKATIVE.into_iter().filter(|(library, _)| !log.level.contains(library));
    let targets = targets.with_targets(unnamed);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    let lines = match log.format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(CountErrors).with(lines.with_filter(targets))
}

static ERRORS: AtomicU64 = AtomicU64::new(0);

/// ERROR lines since the process started, whatever the level. A test fails on one that it did not expect.
#[must_use]
pub fn errors_logged() -> u64 {
    ERRORS.load(Ordering::Relaxed)
}

/// Counts ERROR events, also those that the level hides.
struct CountErrors;

impl<S: Subscriber> Layer<S> for CountErrors {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            ERRORS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The metrics of one process (or of one role, where several share a process). Clones share the registry.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// An empty registry whose metrics begin with `orgtrail_<process>_`.
    #[must_use]
    pub fn new(process: &str) -> Self {
        Self { registry: Arc::new(Mutex::new(Registry::with_prefix(format!("orgtrail_{process}")))) }
    }

    /// Registers a metric: `objects_done`, not `orgtrail_agent_objects_done_total` (prefix and suffix are added), and a
    /// help text without a full stop (one is added). Returns it, to be kept and counted on.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.with(|registry| registry.register(name, help, metric.clone()));
        metric
    }

    /// Everything else a registry can do: units, constant labels, collectors.
    pub fn with<T>(&self, action: impl FnOnce(&mut Registry) -> T) -> T {
        action(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All metrics in the OpenMetrics text format, which Prometheus reads too.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        self.with(|registry| prometheus_client::encoding::text::encode(&mut text, registry))
            .expect("writing to a string cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use prometheus_client::metrics::counter::Counter;
    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn metrics_carry_the_process_in_their_name() {
        let metrics = Metrics::new("agent");
        let done: Counter = metrics.register("objects_done", "Objects that are done", Counter::default());
        done.inc_by(3);
        let text = metrics.encode();
        assert!(text.contains("\norgtrail_agent_objects_done_total 3\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn error_lines_are_counted_even_when_hidden() {
        let before = errors_logged();
        with_default(tracing_subscriber::registry().with(CountErrors), || {
            tracing::error!("one");
            tracing::warn!("not this one");
        });
        assert!(errors_logged() > before);
    }

    #[test]
    fn json_lines_are_objects_with_dotted_fields() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = Log { format: Format::Json, level: "info,quiet=error".to_owned() };
        with_default(subscriber(&log, move || writer.clone(), false), || {
            tracing::info!(account.id = "123456789012", "listed");
            tracing::debug!("hidden");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let listed = text.lines().find(|line| line.contains("listed")).unwrap();
        let value: serde_json::Value = serde_json::from_str(listed).unwrap();
        assert_eq!(value["account.id"], "123456789012");
        assert_eq!(value["level"], "INFO");
        assert!(!text.contains("hidden"));
    }

    #[test]
    fn a_wrong_level_is_refused_with_examples() {
        let mut problems = Problems::default();
        Log { format: Format::Text, level: "loud".to_owned() }.check(&mut problems);
        assert!(!problems.is_empty());
        let mut problems = Problems::default();
        Log { format: Format::Text, level: "warn,orgtrail_agent=debug".to_owned() }.check(&mut problems);
        assert!(problems.is_empty());
    }
}
