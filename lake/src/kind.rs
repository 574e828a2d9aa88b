//! The four kinds of event data stores, as CloudTrail Lake has them. An event data store holds one.
//!
//! Owns: their names, and which records belong to which. Does not own their columns ([`crate::schema`]).

use orgtrail_event::record::Category;
use serde::{Deserialize, Serialize};

/// What an event data store holds ("CloudTrail Lake event data stores" in the user guide). Named by the event category
/// that its selectors name, but for the first, which takes what trails hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Everything that a trail delivers: management, data and network activity events, and Insights and aggregated events
    /// as well, so that an event data store has as many rows as its trail has records. The default.
    #[default]
    Events,
    /// Insights events.
    Insight,
    /// Configuration items of AWS Config.
    ConfigurationItem,
    /// Events from outside AWS, which came in through a channel.
    ActivityAuditLog,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Events, Self::Insight, Self::ConfigurationItem, Self::ActivityAuditLog];

    /// The name in configuration and output: `Events`, or the one event category that the store holds.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "Events",
            Self::Insight => "Insight",
            Self::ConfigurationItem => "ConfigurationItem",
            Self::ActivityAuditLog => "ActivityAuditLog",
        }
    }

    /// Whether a log file's record of this category belongs into an event data store of this kind. Configuration items
    /// stand in files of AWS Config, so none of a log file's records do.
    pub fn holds(self, category: &Category) -> bool {
        match (self, category) {
            (Self::Events | Self::ActivityAuditLog, Category::Other(name)) => {
                (name == "ActivityAuditLog") == (self == Self::ActivityAuditLog)
            }
            (Self::Events, _) | (Self::Insight, Category::Insight) => true,
            _ => false,
        }
    }
}
