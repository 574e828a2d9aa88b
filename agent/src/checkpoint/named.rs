//! Objects that are claimed by their names: a notification or a digest knows that they are there, whatever listings say.
//!
//! Owns nothing of its own: the decision is the one that listings meet (`checkpoint`), for one object.

use super::claim::{Claim, Listed, Named};
use super::entry::{EntryKey, FolderId};
use super::transaction::Transaction;
use super::{Checkpoint, Choice, Error, lock};

impl Checkpoint {
    /// Claims one object by its name, also one of a day that is closed: whoever names it knows that it is there. A verified
    /// digest says which hash to expect.
    pub(crate) fn claim_named(
        &self,
        folder: FolderId,
        listed: Listed,
        expected: Option<[u8; 32]>,
    ) -> Result<Named, Error> {
        let mut state = lock(&self.state);
        let mut tx = Transaction::new(&self.db, &mut state);
        let key = EntryKey::new(folder, listed.day, &listed.key);
        if !tx.is_closed(folder, listed.day) {
            tx.seen(folder, listed.day, listed.last_modified);
        }
        let old = tx.entry(key)?;
        let (resolves, known) = match self.take(&mut tx, key, &listed, old) {
            Choice::New { resolves, expected } => (resolves, expected),
            Choice::Again { expected } => (true, expected),
            Choice::Skip => return tx.commit().map(|()| Named::Settled),
            Choice::Known if self.held.contains(key) => return Ok(Named::InFlight),
            Choice::Known => return Ok(Named::Settled),
        };
        tx.commit()?;
        self.tell(&state);
        Ok(Named::Taken(listed, Claim::new(key, resolves, expected.or(known), &self.held)))
    }
}
