//! Gzip of whole buffers; content in whole, or in pieces where it is only looked at.
//!
//! Inflating is capped by the caller and says exactly what is wrong with an input; deflating gives one member whose bytes
//! depend on nothing but the input, as the AWS CLI calls a log file with bytes behind the first member invalid. Does not
//! own streams: a log file is at most 50 MB before compression by the CloudTrail user guide.

mod deflater;
mod inflater;
mod members;

pub use self::deflater::{Deflater, LEVEL_DEFAULT};
pub use self::inflater::Inflater;

/// What an input had besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inflated {
    /// How many gzip members stood behind one another; CloudTrail writes 1.
    pub members: u32,
}

/// Why an input can't be inflated. Offsets count from the start of the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input has no bytes.
    #[error("inflate gzip: the input is empty")]
    Empty,
    /// The input doesn't start as gzip does, with `1f 8b 08`.
    #[error("inflate gzip: the input is not gzip")]
    NotGzip,
    /// The input ends inside a member.
    #[error("inflate gzip: the input ends inside member {member}")]
    Truncated {
        /// Which member, from 1.
        member: u32,
    },
    /// A member is damaged.
    #[error("inflate gzip: corrupt: {0}")]
    Corrupt(String),
    /// The content is larger than allowed.
    #[error("inflate gzip: the content is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// Bytes that aren't gzip stand behind the last member.
    #[error("inflate gzip: {len} bytes at byte {offset}, behind member {members}, are not gzip")]
    TrailingData {
        /// Where they start.
        offset: usize,
        /// How many they are.
        len: usize,
        /// How many members stand before them.
        members: u32,
    },
}

#[cfg(test)]
mod tests;
