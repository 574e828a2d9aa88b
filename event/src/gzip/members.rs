//! Inflating member by member, with an eye on everything that may be wrong.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::inflater::MAGIC;
use super::{Error, Inflated};

/// Content is handed on in pieces of this size at most.
const PIECE_BYTES: usize = 64 << 10;

// Flags of RFC 1952.
const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

pub(super) struct Members {
    decompress: Decompress,
    piece: Box<[u8]>,
}

/// Takes content, piece by piece.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&[u8]);

impl Members {
    pub(super) fn new() -> Self {
        Self { decompress: Decompress::new(false), piece: Box::default() }
    }

    /// Hands the content of all members on, at most `max` bytes.
    pub(super) fn inflate(&mut self, gz: &[u8], max: usize, sink: Sink<'_>) -> Result<Inflated, Error> {
        if gz.is_empty() {
            return Err(Error::Empty);
        }
        if self.piece.is_empty() {
            self.piece = vec![0; PIECE_BYTES].into();
        }
        let (mut at, mut left) = (0, max);
        let mut members = 0;
        while at < gz.len() {
            if !gz[at..].starts_with(MAGIC) {
                return Err(match members {
                    0 if MAGIC.starts_with(gz) => Error::Truncated { member: 1 },
                    0 => Error::NotGzip,
                    _ => Error::TrailingData { offset: at, len: gz.len() - at, members },
                });
            }
            members += 1;
            let written;
            (at, written) = self
                .member(&gz[at..], members, left, sink)
                .map(|(read, written)| (at + read, written))
                .map_err(|error| match error {
                    Error::TooLarge { .. } => Error::TooLarge { max },
                    other => other,
                })?;
            left -= written;
        }
        Ok(Inflated { members })
    }

    /// Inflates the member that `gz` starts with. Gives its length and that of its content, which is `max` at most.
    fn member(&mut self, gz: &[u8], member: u32, max: usize, sink: Sink<'_>) -> Result<(usize, usize), Error> {
        let truncated = Error::Truncated { member };
        let corrupt = |what: &str| Error::Corrupt(format!("{what} in member {member}"));
        let mut at = match header_end(gz, 0) {
            Header::End(at) => at,
            Header::Truncated => return Err(truncated),
            Header::Reserved => return Err(corrupt("reserved flag")),
        };
        let (mut crc, mut left) = (Crc::new(), max);
        self.decompress.reset(false);
        loop {
            let before = (self.decompress.total_in(), self.decompress.total_out());
            // At the cap a byte of room tells an end from more to come.
            let room = left.clamp(1, PIECE_BYTES);
            let status = self.decompress.decompress(&gz[at..], &mut self.piece[..room], FlushDecompress::None);
            let read = usize::try_from(self.decompress.total_in() - before.0).expect("no longer than the input");
            let written = usize::try_from(self.decompress.total_out() - before.1).expect("no longer than the output");
            at += read;
            if written > left {
                return Err(Error::TooLarge { max });
            }
            left -= written;
            let piece = &self.piece[..written];
            crc.update(piece);
            sink(piece);
            match status {
                Err(error) => return Err(corrupt(&format!("deflate data: {}", error.message().unwrap_or("invalid")))),
                Ok(Status::StreamEnd) => break,
                Ok(_) if read == 0 && written == 0 => return Err(truncated),
                Ok(_) => {}
            }
        }
        let Some(trailer) = gz.get(at..).and_then(|rest| rest.first_chunk::<8>()) else { return Err(truncated) };
        if trailer[..4] != crc.sum().to_le_bytes() {
            return Err(corrupt("wrong checksum"));
        }
        if trailer[4..] != crc.amount().to_le_bytes() {
            return Err(corrupt("wrong length"));
        }
        Ok((at + trailer.len(), max - left))
    }
}

enum Header {
    End(usize),
    Truncated,
    Reserved,
}

/// Goes over the header of the member at `at`. Its own checksum isn't looked at: the content's is.
fn header_end(gz: &[u8], at: usize) -> Header {
    let Some(&flags) = gz.get(at + 3) else { return Header::Truncated };
    if flags & RESERVED != 0 {
        return Header::Reserved;
    }
    let mut at = at + 10;
    if flags & FEXTRA != 0 {
        let Some(&[low, high]) = gz.get(at..at + 2) else { return Header::Truncated };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [FNAME, FCOMMENT] {
        if flags & flag != 0 {
            let end = gz.get(at..).and_then(|rest| memchr::memchr(0, rest));
            let Some(end) = end else { return Header::Truncated };
            at += end + 1;
        }
    }
    if flags & FHCRC != 0 {
        at += 2;
    }
    if at > gz.len() { Header::Truncated } else { Header::End(at) }
}
