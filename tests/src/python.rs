//! Python programs beside the tests: environments made once from hash-locked requirements, and servers that end with the
//! process that started them.
//!
//! Owns: the environments under `target/emulators`, and the shell that ends a server. Does not own what is installed or
//! run ([`crate::emulator`], [`crate::engines`]). Without python3 what needs it is skipped with a line on stderr, unless
//! `CI` is set, where that is a failure.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Starts its arguments and kills them when standard input closes: however a test's process ends, even by kill -9.
const LEASH: &str = r#""$@" & pid=$!; cat >/dev/null; kill -9 $pid"#;

/// A command that runs `program` until its standard input closes. Arguments that are added are the program's.
pub(crate) fn leashed(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", LEASH, "sh"]).arg(program).stdin(Stdio::piped());
    command
}

/// Whether there is a Python for `what`; says so if not, and fails on a build server.
pub(crate) fn is_there_for(what: &str) -> bool {
    if has_python() {
        return true;
    }
    assert!(!in_ci(), "python3 is needed for {what}, and CI is set");
    tell(&format!("SKIPPED: no python3, so no {what}: nothing that needs it is tested here"));
    false
}

/// The Python environment of these requirements, a path in the crate of the tests, made on first use. Other processes
/// wait while one makes it.
pub(crate) fn install(requirements: &str) -> Result<PathBuf> {
    let lock_file = Path::new(env!("CARGO_MANIFEST_DIR")).join(requirements);
    let contents = fs::read(&lock_file).with_context(|| format!("read {}", lock_file.display()))?;
    let mut hash = DefaultHasher::new();
    contents.hash(&mut hash);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/emulators");
    fs::create_dir_all(&folder)?;
    let environment = folder.canonicalize()?.join(format!("{:016x}", hash.finish()));
    let guard = File::create(environment.with_extension("guard"))?;
    guard.lock()?;
    let complete = environment.join("complete");
    if complete.exists() {
        return Ok(environment);
    }
    tell(&format!("installing {requirements} into {} (once, about a minute)", environment.display()));
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"])
        .arg(&lock_file);
    run(&mut pip)?;
    File::create(&complete)?.write_all(&contents)?;
    Ok(environment)
}

/// Writes past the test runner, which shows what a test prints only when it fails.
pub(crate) fn tell(line: &str) {
    // Without a standard error there is nobody to tell.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Runs a command to its good end, and gives what it printed.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {command:?}"))?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {}\n{said}\n{errors}", output.status);
    Ok(said.into_owned())
}

fn has_python() -> bool {
    let version = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

#[allow(clippy::disallowed_methods, reason = "whether this is a build server is no setting of the product")]
fn in_ci() -> bool {
    std::env::var_os("CI").is_some()
}
