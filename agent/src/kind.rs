//! Opens sources, whatever their kind.
//!
//! Owns which object store a kind of source is, and what the kinds have to say beside their objects. Does not own the
//! stores: `lookup` and `export` present theirs in CloudTrail's own layout, so that no stage has to know.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use orgtrail_service::clock::Clock;
use orgtrail_service::quarantine::Quarantine;

use crate::config::{self, SourceKind};
use crate::export::{self, ExportStore};
use crate::lookup::{LookupStore, Skipped};
use crate::object::Source;
use crate::outside::Outside;

/// What opening sources needs; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) quarantine: Arc<Quarantine>,
    /// Where what was seen of exported logs is kept.
    pub(crate) exports: PathBuf,
}

/// What a source has to say beside its objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    /// Regions of an event history that are left out.
    pub(crate) skipped: Option<Skipped>,
    /// Files of exported logs.
    pub(crate) exported: Option<export::Tally>,
}

impl Opener {
    /// The source that a checked table describes. Calls nothing yet.
    pub(crate) async fn open(&self, config: &config::Source) -> anyhow::Result<Arc<Source>> {
        let location = config.place().context("a checked source has a location")?;
        let mut notes = Notes::default();
        let store = match config.kind {
            SourceKind::Bucket => self.outside.open_store(&location, &config.connection).await?,
            SourceKind::LookupEvents => {
                let (outside, clock) = (Arc::clone(&self.outside), Arc::clone(&self.clock));
                let store = LookupStore::new(config, &location, outside, clock);
                notes.skipped = Some(store.skipped());
                Arc::new(store)
            }
            SourceKind::ExportedLogs => {
                let (quarantine, clock) = (Arc::clone(&self.quarantine), Arc::clone(&self.clock));
                let store = ExportStore::new(&location, quarantine, clock, &self.exports)?;
                notes.exported = Some(store.tally());
                Arc::new(store)
            }
        };
        let mut source = Source::new(config, &location, store);
        // Exports come at any time with events of any day.
        source.days_stay_open = config.kind == SourceKind::ExportedLogs;
        source.notes = notes;
        Ok(Arc::new(source))
    }
}
