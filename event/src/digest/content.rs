//! The uncompressed content of digests and log files, read as the AWS CLI reads it.
//!
//! It takes the first gzip member. Behind one of a log file there must be nothing; behind one of a digest it doesn't look.
//! A log file that breaks off counts as what could be read of it.

use flate2::{Decompress, FlushDecompress, Status};
use ring::digest::{Context, SHA256};

use super::hex::{sha256_hex, to_hex};
use crate::gzip::Inflater;

/// Up to this many bytes a file is inflated in one go; larger ones take the slower way, in steps. CloudTrail's log files
/// have at most 50 MB by its user guide.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// How much of a file that isn't inflated in one go is held at a time.
const STEP_BYTES: usize = 64 << 10;

/// A digest with more content than this is not read: 64 MB are some 200 000 log files in an hour.
const DIGEST_BYTES_MAX: usize = 64 << 20;

/// Why a log file is INVALID. Displays as the AWS CLI words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LogFault {
    /// There is no such object.
    #[error("not found")]
    NotFound,
    /// Its content is another than when the digest was made.
    #[error("hash value doesn't match")]
    HashMismatch,
    /// It is not gzip, or damaged.
    #[error("invalid format")]
    InvalidFormat,
    /// Something stands behind the first gzip member.
    #[error("unexpected data after end of compressed stream")]
    TrailingData,
}

/// Inflates and hashes. Worth keeping, as it keeps its tables and its buffer.
pub struct Content {
    inflater: Inflater,
    buffer: Vec<u8>,
}

/// How the first member of a file ended.
enum End {
    /// Whole, with this many bytes of the file behind it.
    Whole(usize),
    /// The file broke off.
    Truncated,
    /// No gzip, or damaged.
    Corrupt,
}

impl Content {
    /// Without a buffer yet; the largest file read so far, up to 64 MB, decides its size.
    pub fn new() -> Self {
        Self { inflater: Inflater::new(), buffer: Vec::new() }
    }

    /// Compares a log file's content with the `hashValue` that its digest lists.
    ///
    /// # Errors
    /// The fault that the AWS CLI would report.
    pub fn verify_log(&mut self, gz: &[u8], hash_value: &str) -> Result<(), LogFault> {
        match self.log_hash(gz)? {
            hash if hash == hash_value => Ok(()),
            _ => Err(LogFault::HashMismatch),
        }
    }

    /// Hex SHA-256 of a log file's content.
    ///
    /// # Errors
    /// It is not gzip, damaged, or something stands behind the first member.
    pub fn log_hash(&mut self, gz: &[u8]) -> Result<String, LogFault> {
        match self.inflater.inflate(gz, WHOLE_BYTES_MAX, &mut self.buffer) {
            Ok(inflated) if inflated.members == 1 => return Ok(sha256_hex(&self.buffer)),
            Ok(_) => return Err(LogFault::TrailingData),
            // What exactly is wrong decides the verdict, so look again, step by step.
            Err(_) => {}
        }
        let mut hash = Context::new(&SHA256);
        match first_member(gz, |piece| hash.update(piece)) {
            End::Corrupt => Err(LogFault::InvalidFormat),
            End::Whole(behind) if behind > 0 => Err(LogFault::TrailingData),
            End::Whole(_) | End::Truncated => Ok(to_hex(hash.finish().as_ref())),
        }
    }

    /// A digest's uncompressed content; `None` where it is not gzip, damaged or larger than 64 MB.
    pub fn digest(&mut self, gz: &[u8]) -> Option<&[u8]> {
        match self.inflater.inflate(gz, DIGEST_BYTES_MAX, &mut self.buffer) {
            Ok(inflated) if inflated.members == 1 => return Some(&self.buffer),
            Ok(_) | Err(_) => self.buffer.clear(),
        }
        let (buffer, mut fits) = (&mut self.buffer, true);
        let end = first_member(gz, |piece| {
            fits &= buffer.len() + piece.len() <= DIGEST_BYTES_MAX;
            if fits {
                buffer.extend_from_slice(piece);
            }
        });
        (fits && matches!(end, End::Whole(_))).then_some(&self.buffer)
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::new()
    }
}

/// Hands out the content of the first member, piece by piece.
fn first_member(gz: &[u8], mut piece: impl FnMut(&[u8])) -> End {
    // 15 bits of window are all that deflate has.
    let mut decompress = Decompress::new_gzip(15);
    let mut out = vec![0; STEP_BYTES];
    let mut at = 0;
    loop {
        let before = (decompress.total_in(), decompress.total_out());
        let status = decompress.decompress(&gz[at..], &mut out, FlushDecompress::None);
        let read = usize::try_from(decompress.total_in() - before.0).expect("no longer than the input");
        let written = usize::try_from(decompress.total_out() - before.1).expect("no longer than the output");
        at += read;
        piece(&out[..written]);
        match status {
            Err(_) => return End::Corrupt,
            Ok(Status::StreamEnd) => return End::Whole(gz.len() - at),
            Ok(_) if read == 0 && written == 0 => return End::Truncated,
            Ok(_) => {}
        }
    }
}
