//! What a journal finds when it is opened: its epoch, where the destinations stand, the counters, what waits.

use std::collections::HashMap;

use ring::rand::{SecureRandom, SystemRandom};

use super::head::Head;
use super::ledger::{Delivered, Ingested, Ledger};
use super::store::Store;
use super::{Cursor, Destination, Error, Seq};

/// Drawn, not counted or stored: an old copy of the folder must not have the epoch of what came after it.
pub(super) fn draw_epoch() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Stopped("no random numbers on this machine".to_owned()))?;
    // JSON numbers above 2^53 trip other readers; 53 bits are plenty.
    Ok((u64::from_be_bytes(bytes) >> 11).max(1))
}

/// A destination that is new starts at the journal's end; one that is gone from the configuration stops holding entries back.
pub(super) fn load_cursors(
    store: &Store,
    destinations: &[Destination],
    next_seq: Seq,
    ledger: &Ledger,
) -> Result<HashMap<String, Cursor>, Error> {
    let mut stored: HashMap<String, Seq> = store.metas("cursor/")?.into_iter().collect();
    let mut cursors = HashMap::new();
    let mut batch = store.batch();
    for Destination { name: destination, .. } in destinations {
        let seq = stored.remove(destination).unwrap_or_else(|| {
            let total = ledger.ingested_total();
            batch.put_meta(&format!("cursor/{destination}"), &next_seq);
            batch.put_meta(&format!("before/{destination}"), &(total.read - total.duplicate - total.quarantined));
            next_seq
        });
        let mut pending = 0;
        for_each_head(store, seq, |_, head| pending += head.pending())?;
        cursors.insert(destination.clone(), Cursor { seq, pending, before: 0 });
    }
    for gone in stored.keys() {
        tracing::warn!(destination.name = gone, "destination is no longer configured: its cursor and plan are dropped");
        batch.remove_meta(&format!("cursor/{gone}"));
        batch.remove_meta(&format!("plan/{gone}"));
    }
    batch.commit()?;
    for (destination, cursor) in &mut cursors {
        cursor.before = store.meta(&format!("before/{destination}"))?.unwrap_or(0);
    }
    Ok(cursors)
}

pub(super) fn load_ledger(store: &Store) -> Result<Ledger, Error> {
    let mut ledger = Ledger::default();
    for (name, row) in store.metas::<Ingested>("ingested/")? {
        if let Some((account, region)) = name.split_once('/') {
            ledger.ingested.insert((account.to_owned(), region.to_owned()), row);
        }
    }
    for (name, row) in store.metas::<Delivered>("delivered/")? {
        // From the right: a destination's name may hold a slash.
        let mut parts = name.rsplitn(3, '/');
        if let (Some(region), Some(account), Some(destination)) = (parts.next(), parts.next(), parts.next()) {
            let rows = ledger.delivered.entry(destination.to_owned()).or_default();
            rows.insert((account.to_owned(), region.to_owned()), row);
        }
    }
    Ok(ledger)
}

/// Visits all heads from `from` on, a bounded number at a time.
pub(super) fn for_each_head(store: &Store, mut from: Seq, mut visit: impl FnMut(Seq, &Head)) -> Result<(), Error> {
    loop {
        let heads = store.heads(from, 1000)?;
        let Some((last, _)) = heads.last() else { return Ok(()) };
        from = last + 1;
        for (seq, head) in &heads {
            visit(*seq, head);
        }
    }
}
