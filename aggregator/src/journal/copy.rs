//! A journal written anew into another folder, value by value, under another seal. Offline: nobody else has either open.

use std::path::Path;

use super::Error;
use super::store::Store;
use crate::seal::{self, Seal};

/// One write to the new journal gathers so many bytes or values.
const BATCH_BYTES: u64 = 4 << 20;
const BATCH_VALUES: u64 = 1000;

/// What was written anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Values.
    pub(crate) values: u64,
    /// Their bytes, in the clear.
    pub(crate) bytes: u64,
}

/// Copies the journal in `from` into the empty or absent folder `to`; all of it is on disk when this returns. `step` is told
/// how many values are copied, and how many there are roughly, after every write.
pub(crate) fn copy(
    from: &Path,
    from_seal: &Seal,
    to: &Path,
    to_seal: &Seal,
    mut step: impl FnMut(u64, u64) -> Result<(), seal::Error>,
) -> Result<Copied, Error> {
    let source = Store::open(from, from_seal.clone())?;
    let target = Store::open(to, to_seal.clone())?;
    let total = source.values();
    let mut copied = Copied::default();
    let mut batch = target.batch();
    let (mut batch_bytes, mut batch_values) = (0, 0);
    source.for_each_value(|space, key, value| {
        batch_bytes += value.len() as u64;
        batch_values += 1;
        copied.values += 1;
        copied.bytes += value.len() as u64;
        batch.put_value(space, &key, value);
        if batch_bytes < BATCH_BYTES && batch_values < BATCH_VALUES {
            return Ok(());
        }
        (batch_bytes, batch_values) = (0, 0);
        std::mem::replace(&mut batch, target.batch()).commit()?;
        Ok(step(copied.values, total.max(copied.values))?)
    })?;
    batch.commit()?;
    step(copied.values, copied.values)?;
    Ok(copied)
}
