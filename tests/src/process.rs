//! The real processes, as an operator starts them: built once, started with their output in a file, ended by process id.
//!
//! A test fails on an ERROR line that it did not announce.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// Longest that any process of a test may take to end.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Path of one of the workspace's programs, built as the tests themselves are.
#[allow(clippy::disallowed_methods)]
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let own = std::env::current_exe().expect("this test has a path");
        let folder = own.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps").to_owned();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        // The whole workspace, so that nothing is compiled a second time with other features than the tests have.
        build.args(["build", "--quiet", "--locked", "--bins", "--workspace"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        // What cargo tells a running test. ring's build script looks at these: with them it, and all that uses it, would be
        // compiled anew here and then again by the next build from a shell.
        let told = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in told.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            build.env_remove(name);
        }
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the programs can't be built");
        folder
    });
    folder.join(name)
}

/// A started process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    errors_expected: bool,
}

impl Process {
    /// Starts a program; its output goes to `<log_dir>/<name>-<n>.log`.
    pub fn start(name: &str, arguments: &[&str], env: &[(String, String)], log_dir: &Path) -> anyhow::Result<Self> {
        let free = (0..).map(|n| log_dir.join(format!("{name}-{n}.log"))).find(|path| !path.exists());
        let log = free.context("a free log name")?;
        let output = File::create(&log)?;
        let child = Command::new(program(name))
            .args(arguments)
            .env("NO_COLOR", "1")
            .envs(env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log, errors_expected: false })
    }

    /// ERROR lines are part of this test.
    #[must_use]
    pub fn expecting_errors(mut self) -> Self {
        self.errors_expected = true;
        self
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9: as a crash of the machine's power would, but for the page cache.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// SIGTERM, and then the process's end.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        ensure!(status.success(), "{} is not running", self.name);
        self.wait()
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.wait_within(DEADLINE)
    }

    /// As [`Process::wait`], within a time of its own.
    pub fn wait_within(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > deadline {
                self.kill();
                bail!("{} did not end within {deadline:?}:\n{}", self.name, self.output());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the output holds `text`.
    pub fn wait_for(&mut self, text: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.output().contains(text) {
            ensure!(self.is_running(), "{} ended before it said {text:?}:\n{}", self.name, self.output());
            ensure!(began.elapsed() < DEADLINE, "{} never said {text:?}:\n{}", self.name, self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What it has said so far, both streams.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if self.errors_expected || std::thread::panicking() {
            if std::thread::panicking() {
                eprintln!("--- {} said:\n{}", self.name, self.output());
            }
            return;
        }
        let output = self.output();
        let errors: Vec<_> =
            output.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
        assert!(errors.is_empty(), "{} logged errors that the test did not expect: {errors:#?}", self.name);
    }
}

/// Runs a program to its end: exit code, and what it said.
pub fn run(name: &str, arguments: &[&str]) -> anyhow::Result<(i32, String, String)> {
    run_with(name, arguments, &[])
}

/// The same with further environment variables.
pub fn run_with(
    name: &str,
    arguments: &[&str],
    env: &[(&'static str, String)],
) -> anyhow::Result<(i32, String, String)> {
    let mut command = Command::new(program(name));
    command.args(arguments).env("NO_COLOR", "1").envs(env.iter().map(|(key, value)| (key, value)));
    let output = command.stdin(Stdio::null()).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr)))
}
