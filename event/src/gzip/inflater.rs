//! Inflating: the fast way for files as CloudTrail writes them, the thorough way for all others.

use libdeflater::Decompressor;
use memchr::memmem;

use super::members::Members;
use super::{Error, Inflated};

/// How a member starts: magic, and deflate as the method, the only one there is (RFC 1952).
pub(super) const MAGIC: &[u8] = b"\x1f\x8b\x08";

/// The shortest member: header, an empty block, trailer.
const MEMBER_BYTES_MIN: usize = 20;

/// Deflate can't do better than 258 bytes for 2 bits.
const RATIO_MAX: usize = 1032;

/// Inflates gzip files in whole. Worth keeping, as it keeps its tables.
pub struct Inflater {
    fast: Decompressor,
    thorough: Members,
}

impl Inflater {
    /// An inflater without state between files.
    pub fn new() -> Self {
        Self { fast: Decompressor::new(), thorough: Members::new() }
    }

    /// Inflates `gz`, all members of it, and makes `out` its content. At most `max` bytes: never allocates more for
    /// content. After an error `out` is empty.
    pub fn inflate(&mut self, gz: &[u8], max: usize, out: &mut Vec<u8>) -> Result<Inflated, Error> {
        if self.inflate_one(gz, max, out).is_some() {
            return Ok(Inflated { members: 1 });
        }
        out.clear();
        let inflated = self.thorough.inflate(gz, max, &mut |piece| append(out, piece, max));
        if inflated.is_err() {
            out.clear();
        }
        inflated
    }

    /// Inflates `gz`, all members of it, and hands its content on in pieces. Slower than in whole, and takes no memory for
    /// content. At most `max` bytes; after an error the pieces are worth nothing.
    pub fn inflate_through(&mut self, gz: &[u8], max: usize, mut sink: impl FnMut(&[u8])) -> Result<Inflated, Error> {
        self.thorough.inflate(gz, max, &mut sink)
    }

    /// Inflates a file of one member that says how long its content is. None if there is anything unusual about it.
    pub(super) fn inflate_one(&mut self, gz: &[u8], max: usize, out: &mut Vec<u8>) -> Option<()> {
        if gz.len() < MEMBER_BYTES_MIN || !gz.starts_with(MAGIC) {
            return None;
        }
        let trailer = gz.last_chunk::<8>()?;
        let [crc @ .., _, _, _, _] = *trailer;
        let [_, _, _, _, size @ ..] = *trailer;
        let size = usize::try_from(u32::from_le_bytes(size)).ok()?;
        if size > max || size > gz.len().saturating_mul(RATIO_MAX) {
            return None;
        }
        if memmem::find(&gz[1..], MAGIC).is_some() {
            // A second member, or chance, once in 16 MB.
            return None;
        }
        // What `out` held before is overwritten, so only its growth need be zeroed.
        if out.len() > size {
            out.truncate(size);
        } else {
            out.reserve_exact(size - out.len());
            out.resize(size, 0);
        }
        let len = self.fast.gzip_decompress(gz, out).ok()?;
        // libdeflate has checked the first member's own trailer; this one is the file's. Bytes behind the member would have
        // to end in a copy of its trailer to pass, and even then the content is right.
        (len == size && libdeflater::crc32(out) == u32::from_le_bytes(crc)).then_some(())
    }
}

/// Never makes room for more than `max`.
fn append(out: &mut Vec<u8>, piece: &[u8], max: usize) {
    if out.capacity() - out.len() < piece.len() {
        out.reserve_exact(out.len().max(piece.len()).min(max - out.len()));
    }
    out.extend_from_slice(piece);
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}
