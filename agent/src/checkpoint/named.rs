//! Objects that are claimed by their names: a notification or a digest knows that they are there, whatever listings say.
//!
//! Owns nothing of its own: the decision is the one that listings meet (`checkpoint`), for one object.

use jiff::civil::Date;

use super::claim::{Listed, Named};
use super::entry::{EntryKey, FolderId, State as Standing};
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
        let standing = old.as_ref().map(|old| old.state.clone());
        let (resolves, known) = match self.take(&mut tx, key, &listed, old) {
            Choice::New { resolves, expected } => (resolves, expected),
            Choice::Again { expected } => (true, expected),
            Choice::Skip => return tx.commit().map(|()| Named::Settled(Standing::Skipped { reason: "".into() })),
            Choice::Known if self.held.contains(key) => return Ok(Named::InFlight),
            Choice::Known => return Ok(standing.map_or(Named::InFlight, Named::Settled)),
        };
        let claim = tx.claimed(key, resolves, expected.or(known), &self.held);
        tx.commit()?;
        self.tell(&state);
        Ok(Named::Taken(listed, claim))
    }

    /// How far the object with this name has come; `None` for one that nobody named yet, and for one of a closed day.
    pub(crate) fn standing(&self, folder: FolderId, day: Date, key: &str) -> Result<Option<Standing>, Error> {
        let mut state = lock(&self.state);
        let tx = Transaction::new(&self.db, &mut state);
        Ok(tx.entry(EntryKey::new(folder, day, key))?.map(|entry| entry.state))
    }
}
