//! What a process needs of its machine: a folder to write to, an address, certificates.

use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;
use orgtrail_service::state_dir::is_running;
use orgtrail_service::tls::Tls;
use x509_parser::pem::Pem;

use super::Context;
use super::check::{Advice, Chain, Check};

const STATE_DIR: &str = "state folder";
const LISTEN: &str = "listen";
const CERTIFICATE: &str = "certificate";

/// What is written to a folder, and removed.
const PROBE: &str = ".orgtrail-doctor";
/// A certificate that ends sooner is told.
const SOON_DAYS: i64 = 21;

/// Can the process write there? A folder that isn't there yet is made by its first start.
pub(super) async fn state_dir(path: &Path, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("state_dir {}", path.display()));
    let running = is_running(path).unwrap_or(false);
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    match writable(there, context.read_only) {
        Ok(()) if there != path => chain.ok(STATE_DIR, format!("will be made in {}", there.display())),
        Ok(()) => chain.ok(STATE_DIR, if running { "a process runs on it" } else { "no process runs on it" }),
        Err(error) => {
            let text = format!("let this user write there: chown, or chmod u+rwx {}", there.display());
            chain.fail(STATE_DIR, format!("write to {}: {error}", there.display()), vec![Advice::text(text)]);
        }
    }
    chain.end()
}

/// Writes a small file and removes it, or with `read_only` only looks.
pub(super) fn writable(folder: &Path, read_only: bool) -> std::io::Result<()> {
    if read_only {
        let there = std::fs::metadata(folder)?;
        let error = |what: &str| Err(std::io::Error::other(what.to_owned()));
        return match (there.is_dir(), there.permissions().readonly()) {
            (false, _) => error("no folder"),
            (true, true) => error("read-only"),
            (true, false) => Ok(()),
        };
    }
    let probe = folder.join(format!("{PROBE}-{}", std::process::id()));
    std::fs::write(&probe, b"orgtrail doctor\n")?;
    std::fs::remove_file(&probe)
}

/// Is the address free, or the process's own?
pub(super) async fn listen(address: SocketAddr, state_dir: Option<&Path>) -> Vec<Check> {
    let mut chain = Chain::new(format!("listen {address}"));
    let running = state_dir.is_some_and(|path| is_running(path).unwrap_or(false));
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => chain.ok(LISTEN, "free"),
        Err(_) if running => chain.ok(LISTEN, "taken by the process that runs"),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let text =
                "if it is this process that runs, all is well; else choose another port, or stop who has this one";
            chain.warn(LISTEN, error.to_string(), vec![Advice::text(text)]);
        }
        Err(error) => {
            let text = "write an address of this machine, such as 0.0.0.0:7443; ports below 1024 need a privilege";
            chain.fail(LISTEN, error.to_string(), vec![Advice::text(text)]);
        }
    }
    chain.end()
}

/// Are the files of a TLS table sound, and for how long?
pub(super) async fn certificate(table: &str, tls: &Tls, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("[{table}]"));
    if let Err(error) = tls.server() {
        chain.fail(CERTIFICATE, error.to_string(), Vec::new());
        return chain.end();
    }
    for path in [&tls.cert_file, &tls.ca_file] {
        match expiry(path) {
            Ok(end) => tell(path, end, context.clock.now(), &mut chain),
            Err(error) => chain.fail(CERTIFICATE, format!("read {}: {error}", path.display()), Vec::new()),
        }
    }
    chain.end()
}

fn tell(path: &Path, end: Timestamp, now: Timestamp, chain: &mut Chain) {
    let days = end.duration_since(now).as_hours() / 24;
    let detail = format!("{} until {end}", path.display());
    let advice = || vec![Advice::text("make a new one, and restart the process")];
    if end <= now {
        chain.fail(CERTIFICATE, format!("{detail}: it has ended"), advice());
    } else if days < SOON_DAYS {
        chain.warn(CERTIFICATE, format!("{detail}: {days} days"), advice());
    } else {
        chain.ok(CERTIFICATE, detail);
    }
}

/// When the first of a file's certificates ends.
fn expiry(path: &Path) -> Result<Timestamp, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut ends = Vec::new();
    for block in Pem::iter_from_buffer(&pem) {
        let block = block.map_err(|error| error.to_string())?;
        if block.label == "CERTIFICATE" {
            let certificate = block.parse_x509().map_err(|error| error.to_string())?;
            ends.push(certificate.validity().not_after.timestamp());
        }
    }
    let end = ends.into_iter().min().ok_or("no certificate")?;
    Timestamp::from_second(end).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::doctor::check::Outcome;

    #[test]
    fn a_certificate_is_told_three_weeks_before_its_end() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (days, outcome) in [(22, Outcome::Ok), (20, Outcome::Warning), (0, Outcome::Failed), (-1, Outcome::Failed)]
        {
            let mut chain = Chain::new("[tls]");
            tell(Path::new("/etc/agent.pem"), now + SignedDuration::from_hours(24 * days), now, &mut chain);
            let check = chain.end().remove(0);
            assert_eq!(check.outcome, outcome, "{days}: {}", check.detail);
        }
    }
}
