//! Inflates an object to see that it is sound and to take the SHA-256 of its content.
//!
//! Owns where that happens: small objects on the spot, because handing one over costs more than inflating it; all others
//! off the async threads, as many at once as there are processors. Content is looked at and thrown away: in whole where it
//! is small, which is faster, and in pieces where it is large, so that no memory is needed for it whatever its size.

use std::fmt;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use orgtrail_event::gzip::{Error, Inflater};
use ring::digest::{Context as Hash, Digest, SHA256, digest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An object that inflates to this at most takes a fraction of a millisecond.
const ON_THE_SPOT_MAX: usize = 256 << 10;
/// Content is inflated in whole up to this, by what the object announces: nearly all of CloudTrail's files. Each processor
/// keeps two buffers of that size.
const WHOLE_MAX: usize = 2 << 20;

/// A sound object's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) sha256: [u8; 32],
    pub(super) bytes: u64,
}

/// Tables and buffers for inflating, used again and again.
pub(super) struct Inflate {
    max: usize,
    idle: Arc<Mutex<Vec<Workspace>>>,
    processors: Arc<Semaphore>,
    workspaces_max: usize,
}

#[derive(Default)]
struct Workspace {
    inflater: Inflater,
    content: Vec<u8>,
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate").field("max", &self.max).finish_non_exhaustive()
    }
}

impl Inflate {
    /// For contents of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            max,
            idle: Arc::default(),
            processors: Arc::new(Semaphore::new(processors)),
            workspaces_max: 2 * processors,
        }
    }

    /// Inflates the object. The outer error is a panic of the inflater.
    pub(super) async fn check(&self, gzip: Bytes) -> anyhow::Result<Result<Checked, Error>> {
        if announced(&gzip) <= ON_THE_SPOT_MAX && gzip.len() <= ON_THE_SPOT_MAX {
            let mut workspace = self.workspace();
            let checked = workspace.check(&gzip, ON_THE_SPOT_MAX.min(self.max));
            self.keep(workspace);
            // An object may announce less than it holds.
            if ON_THE_SPOT_MAX >= self.max || !matches!(checked, Err(Error::TooLarge { .. })) {
                return Ok(checked);
            }
        }
        let turn = self.turn().await?;
        let (mut workspace, max) = (self.workspace(), self.max);
        let (checked, workspace) = tokio::task::spawn_blocking(move || {
            let checked = workspace.check(&gzip, max);
            drop(turn);
            (checked, workspace)
        })
        .await
        .context("inflate an object")?;
        self.keep(workspace);
        Ok(checked)
    }

    /// A turn at a processor, for whatever else needs one.
    pub(super) async fn turn(&self) -> anyhow::Result<OwnedSemaphorePermit> {
        Arc::clone(&self.processors).acquire_owned().await.context("wait for a processor")
    }

    fn workspace(&self) -> Workspace {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn keep(&self, workspace: Workspace) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.workspaces_max {
            idle.push(workspace);
        }
    }
}

impl Workspace {
    fn check(&mut self, gzip: &[u8], max: usize) -> Result<Checked, Error> {
        if announced(gzip) <= WHOLE_MAX {
            let whole = self.inflater.inflate(gzip, max.min(WHOLE_MAX), &mut self.content);
            // An object may announce less than it holds.
            if max <= WHOLE_MAX || !matches!(whole, Err(Error::TooLarge { .. })) {
                return whole.map(|_| checked(digest(&SHA256, &self.content), self.content.len() as u64));
            }
        }
        let (mut hash, mut bytes) = (Hash::new(&SHA256), 0);
        self.inflater.inflate_through(gzip, max, |piece| {
            hash.update(piece);
            bytes += piece.len() as u64;
        })?;
        Ok(checked(hash.finish(), bytes))
    }
}

fn checked(hash: Digest, bytes: u64) -> Checked {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash.as_ref());
    Checked { sha256, bytes }
}

/// The content's length by the gzip trailer (RFC 1952, ISIZE): right for one member below 4 GiB, a hint for anything else.
fn announced(gzip: &[u8]) -> usize {
    gzip.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize)
}

#[cfg(test)]
mod tests {
    use orgtrail_event::gzip::Deflater;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[tokio::test]
    async fn the_digest_is_of_the_content() {
        let gzip = Bytes::from(Deflater::new(6).deflate(b"abc"));
        let checked = Inflate::new(1 << 20).check(gzip).await.unwrap().unwrap();
        // FIPS 180-4's own example.
        assert_eq!(hex(&checked.sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(checked.bytes, 3);
    }

    #[tokio::test]
    async fn the_cap_holds_on_the_spot_and_off_it() {
        let gzip = Bytes::from(Deflater::new(6).deflate(&vec![b'x'; 3 << 20]));
        assert_eq!(Inflate::new(4 << 20).check(gzip.clone()).await.unwrap().unwrap().bytes, 3 << 20);
        for max in [1000, 1 << 20] {
            assert_eq!(Inflate::new(max).check(gzip.clone()).await.unwrap(), Err(Error::TooLarge { max }));
        }
    }

    #[test]
    fn content_of_any_size_takes_no_memory_beyond_the_buffer() {
        let mut workspace = Workspace::default();
        for bytes in [1, WHOLE_MAX, WHOLE_MAX + 1, 20 << 20] {
            let content = vec![b'x'; bytes];
            let checked = workspace.check(&Deflater::new(6).deflate(&content), 64 << 20).unwrap();
            assert_eq!((checked.bytes, &checked.sha256[..]), (bytes as u64, digest(&SHA256, &content).as_ref()));
            assert!(workspace.content.capacity() <= WHOLE_MAX, "{bytes}: {}", workspace.content.capacity());
        }
    }

    #[tokio::test]
    async fn a_trailer_that_lies_does_not_hide_the_content() {
        // Two members: the trailer at the end speaks for the second alone.
        let mut deflater = Deflater::new(6);
        let mut gzip = deflater.deflate(&vec![b'x'; 3 << 20]);
        gzip.extend(deflater.deflate(b"y"));
        let checked = Inflate::new(4 << 20).check(Bytes::from(gzip)).await.unwrap().unwrap();
        assert_eq!(checked.bytes, (3 << 20) + 1);
    }
}
