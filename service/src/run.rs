//! The shell of a process: configuration problems, logging, the runtime, signals, the grace period, the exit code.
//!
//! It owns how a process begins and ends; what it does in between is the future it is given. The first SIGTERM or SIGINT
//! asks that future to end and gives it the grace period; the second one ends the process at once, as a crash would.

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::config::Invalid;
use crate::telemetry::{self, Log};

/// How long blocking work (a sync to disk) may still take once everything else has ended.
const BLOCKING_GRACE: Duration = Duration::from_secs(5);

/// How a process ended. These numbers are part of the operator's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Ok = 0,
    /// It could not go on; the last ERROR line says why. Starting it again continues where it was.
    Failed = 1,
    /// Finished, but something could not be processed and is quarantined: a person should look.
    Partial = 2,
    /// The command line is wrong; nothing was started. `EX_USAGE` of sysexits.h.
    Usage = 64,
    /// The configuration is wrong; nothing was started. `EX_CONFIG` of sysexits.h, so that a supervisor can tell it from
    /// a failure that a restart may cure.
    Config = 78,
    /// A second signal ended it at once: 128 + SIGINT, as a shell reports it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The command line's arguments; or the code to exit with once help, the version, or what is wrong was printed.
pub fn arguments<A: clap::Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        // Nothing is left to tell somebody who closed the terminal.
        drop(error.print());
        if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
    })
}

/// What the shell needs to know of a configuration.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The program, such as `orgtrail-agent`.
    pub process: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What to log, and how.
    pub log: Log,
    /// How long it may take to end in good order after the first signal.
    pub grace: Duration,
}

/// Runs a process: `shell` takes what the shell needs out of the configuration, `main` is the process itself. `main`
/// watches the token it is given and returns in good order when it is cancelled.
///
/// Problems of the configuration go to standard error one a line, without a log prefix: they are for the person who just
/// typed the command.
pub fn run<C, F>(
    config: Result<C, Invalid>,
    shell: impl FnOnce(&C) -> Shell,
    main: impl FnOnce(C, CancellationToken) -> F,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<Exit>>,
{
    let config = match config {
        Ok(config) => config,
        Err(invalid) => {
            eprintln!("{invalid}");
            return Exit::Config.into();
        }
    };
    let shell = shell(&config);
    telemetry::init(&shell.log);
    tracing::info!(process.name = shell.process, process.version = shell.version, "starting");
    let exit = match runtime() {
        Ok(runtime) => {
            let cancel = CancellationToken::new();
            let exit = runtime.block_on(until_the_end(main(config, cancel.clone()), cancel, shell.grace));
            runtime.shutdown_timeout(BLOCKING_GRACE);
            exit
        }
        Err(error) => {
            tracing::error!(error = %error, "the runtime cannot be started");
            Exit::Failed
        }
    };
    tracing::info!(process.name = shell.process, process.exit_code = exit as u8, "ended");
    exit.into()
}

/// Threads for blocking work are few: each that touches large buffers keeps a heap of its own in the system allocator, and
/// the work is bound by processors and disks, not by waiting.
fn runtime() -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(4 * cores + 4).build()
}

/// Runs `main` under the signals; for commands that have a runtime of their own.
pub async fn until_the_end(
    main: impl Future<Output = anyhow::Result<Exit>>,
    cancel: CancellationToken,
    grace: Duration,
) -> Exit {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(error = %error, "signals cannot be listened to");
            return Exit::Failed;
        }
    };
    let mut main = std::pin::pin!(main);
    // Cancel-safe: `main` is polled by reference and goes on below; `next` takes nothing when dropped.
    tokio::select! {
        result = &mut main => return exit_of(result),
        name = signals.next() => {
            tracing::info!(signal = name, grace = crate::shape::humane(grace), "shutting down; a second signal ends at once");
        }
    }
    cancel.cancel();
    // Cancel-safe: whichever arm is first, the process ends.
    tokio::select! {
        result = &mut main => exit_of(result),
        name = signals.next() => {
            tracing::warn!(signal = name, "second signal; ending at once");
            end_at_once()
        }
        () = tokio::time::sleep(grace) => {
            tracing::error!(grace = crate::shape::humane(grace), "not done within the grace period; ending anyway");
            Exit::Failed
        }
    }
}

fn exit_of(result: anyhow::Result<Exit>) -> Exit {
    result.unwrap_or_else(|error| {
        tracing::error!(error = format!("{error:#}"), "failed");
        Exit::Failed
    })
}

/// Without unwinding or waiting for anything: this is what the second signal asks for, and every store survives a crash.
#[expect(clippy::disallowed_methods, reason = "the one place where a process ends without returning from main")]
fn end_at_once() -> Exit {
    std::process::exit(i32::from(Exit::Interrupted as u8))
}

/// SIGTERM and SIGINT. A process that listens once no longer ends by them of itself.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one's name. Cancel-safe: a signal stays pending until it is received here.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// None.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// The next one's name.
    pub async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "ctrl-c"
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use anyhow::anyhow;

    use super::*;

    fn shell(_config: &()) -> Shell {
        shell_with(Duration::from_secs(1))
    }

    fn shell_with(grace: Duration) -> Shell {
        Shell { process: "test", version: "0", log: Log::default(), grace }
    }

    fn debug(code: ExitCode) -> String {
        format!("{code:?}")
    }

    #[test]
    fn the_exit_code_says_how_it_ended() {
        let run_with = |result: anyhow::Result<Exit>| debug(run(Ok(()), shell, |(), _cancel| async { result }));
        assert_eq!(run_with(Ok(Exit::Ok)), debug(ExitCode::SUCCESS));
        assert_eq!(run_with(Ok(Exit::Partial)), debug(ExitCode::from(2)));
        assert_eq!(run_with(Err(anyhow!("no disk"))), debug(ExitCode::from(1)));
        let invalid = Invalid { problems: Vec::new() };
        let code = run(Err::<(), _>(invalid), shell, |(), _cancel| async { Ok(Exit::Ok) });
        assert_eq!(debug(code), debug(ExitCode::from(78)));
    }

    /// What [`a_process_under_signals`] runs in a process of its own, told apart by its arguments.
    #[test]
    #[ignore = "only run by the test below, in a process of its own"]
    fn process_that_waits() {
        let has = |word| std::env::args().any(|arg| arg.contains(word));
        let stubborn = has("stubborn");
        if !stubborn && !has("willing") {
            return;
        }
        let grace = Duration::from_secs(if has("patient") { 60 } else { 1 });
        let code = run(
            Ok(()),
            |()| shell_with(grace),
            |(), cancel| async move {
                println!("ready");
                cancel.cancelled().await;
                if stubborn {
                    std::future::pending::<()>().await;
                }
                Ok(Exit::Partial)
            },
        );
        // The test harness would turn any return into its own exit code.
        #[expect(clippy::disallowed_methods, reason = "hands the code on from inside the test harness")]
        std::process::exit(if debug(code) == debug(ExitCode::from(2)) { 2 } else { 1 });
    }

    /// The exit code of a process that gets SIGTERM `signals` times, and how long it took to end.
    fn a_process_under_signals(kind: &str, signals: u32) -> (Option<i32>, Duration) {
        use std::io::{BufRead, BufReader};
        let mut child = Command::new(std::env::current_exe().unwrap())
            // Names that match no test, only read by the process itself.
            .args(["--ignored", "--nocapture", "process_that_waits", kind])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("ready")), "the process did not start");
        let begin = Instant::now();
        for _ in 0..signals {
            assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
            std::thread::sleep(Duration::from_millis(150));
        }
        (child.wait().unwrap().code(), begin.elapsed())
    }

    #[test]
    fn the_first_signal_lets_it_end_in_good_order() {
        assert_eq!(a_process_under_signals("willing", 1).0, Some(2));
    }

    #[test]
    fn the_second_signal_ends_it_at_once() {
        let (code, took) = a_process_under_signals("stubborn-but-patient", 2);
        assert_eq!(code, Some(130));
        assert!(took < Duration::from_secs(30), "{took:?}");
    }

    #[test]
    fn the_grace_period_ends_it_too() {
        let (code, took) = a_process_under_signals("stubborn", 1);
        assert_eq!(code, Some(1));
        assert!(took >= Duration::from_millis(900), "{took:?}");
    }
}
