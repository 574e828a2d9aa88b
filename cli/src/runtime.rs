//! A runtime for verbs that do one thing and end.

use anyhow::Context as _;
use orgtrail_service::run::Signals;

/// Runs the work of a short verb on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Does the work until it is done, or until the process is told to end (SIGTERM, Ctrl-C): then the work is dropped where it
/// stands, and there is None.
pub(crate) async fn until_signal<T>(work: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
    let mut signals = Signals::listen().context("listen to signals")?;
    Ok(tokio::select! {
        done = work => Some(done),
        _ = signals.next() => None,
    })
}
