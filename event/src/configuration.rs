//! The files that AWS Config delivers: snapshots and histories of resources' configurations.
//!
//! `{"fileVersion":"1.0",…,"configurationItems":[{…},…]}` as gzip ("Viewing Configuration Details" and "Example Amazon EBS
//! Configuration History" in the AWS Config developer guide). Both kinds of files hold items of one form. Owns splitting a
//! file into items, with the rules of [`crate::log_file`]: an item is a sub-slice of its file, a bad one is named with its
//! place. Does not own the files' keys ([`key`]) or what an item's members mean.

pub mod key;

use crate::log_file::{self, Limits, Reader};

/// The root's member that holds the items.
const ITEMS: &str = "configurationItems";

/// Why the whole file is none of AWS Config's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file isn't a JSON object, up to where `configurationItems` should start.
    #[error("read configuration items: not a JSON object at byte {offset}: {what}")]
    NotJson {
        /// The first byte that can't be.
        offset: usize,
        /// What is wrong there, or what should have been.
        what: &'static str,
    },
    /// It is a JSON object without a `configurationItems` array.
    #[error("read configuration items: no \"configurationItems\" array in the root object")]
    NoItems,
}

/// Starts reading a file that was inflated, item by item. The records that the reader gives are the items; their headers
/// are those of CloudTrail records and mean nothing here.
pub fn read<'a>(json: &'a [u8], limits: &Limits) -> Result<Reader<'a>, Error> {
    log_file::read_array(json, ITEMS, limits).map_err(|error| match error {
        log_file::Error::NotJson { offset, what } => Error::NotJson { offset, what },
        log_file::Error::NoRecords => Error::NoItems,
    })
}

#[cfg(test)]
mod tests;
