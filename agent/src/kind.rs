//! Opens sources, whatever their kind.
//!
//! Owns which object store a kind of source is, and what the kinds have to say beside their objects. Does not own the
//! stores: `lookup` presents its windows in CloudTrail's own layout, so that no stage has to know.

use std::sync::Arc;

use anyhow::Context;
use orgtrail_service::clock::Clock;

use crate::config::{self, SourceKind};
use crate::lookup::{LookupStore, Skipped};
use crate::object::Source;
use crate::outside::Outside;

/// What opening sources needs; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a source has to say beside its objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    /// Regions of an event history that are left out.
    pub(crate) skipped: Option<Skipped>,
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
        };
        let mut source = Source::new(config, &location, store);
        source.notes = notes;
        Ok(Arc::new(source))
    }
}
