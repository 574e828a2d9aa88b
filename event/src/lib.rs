//! What a CloudTrail delivery looks like: gzip, log files, records and object keys; and which records a trail takes.
//!
//! Owns the formats, reading and writing. Pure: no input or output, no clock, no threads; every function is a function
//! of its arguments and every limit is the caller's. Does not own where bytes come from or go to, or what is a duplicate.
//!
//! Record bytes are never written anew (I5): a record is a sub-slice of the log file it was read from.

pub mod configuration;
pub mod digest;
pub mod exported;
pub mod gzip;
pub mod identifier;
pub mod json;
pub mod key;
pub mod log_file;
pub mod record;
mod scan;
pub mod selector;
#[cfg(test)]
mod testing;
