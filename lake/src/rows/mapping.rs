//! Which member of a record goes where.
//!
//! Owns the tree of names that a record's JSON is walked with. Names are compared without case: real records spell
//! `eventID`, `eventId`, `ARN` and `arn`. Does not own reading values ([`super::read`]).

use std::cell::Cell;

use super::leaf::{Leaf, leaves};
use crate::kind::Kind;

/// What to do with a member.
#[derive(Debug)]
pub(crate) enum Node {
    /// An object whose members go to these.
    Object(Children),
    /// A value that goes to one leaf, or to several.
    Value(Vec<usize>),
    /// An array of objects, or one object in its place, that goes to the list at these indices.
    List {
        /// Where the list lies, from the column down.
        indices: Vec<usize>,
        /// The members of its elements.
        children: Children,
    },
}

/// The members of an object that go somewhere.
#[derive(Debug, Default)]
pub(crate) struct Children {
    members: Vec<(String, Node)>,
    /// Behind the member that was found last: records of one producer keep their order.
    next: Cell<usize>,
}

impl Children {
    /// What to do with the member of this name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Node> {
        let count = self.members.len();
        (0..count).map(|step| (self.next.get() + step) % count).find_map(|index| {
            let (member, node) = &self.members[index];
            member.as_bytes().eq_ignore_ascii_case(name).then(|| {
                self.next.set(index + 1);
                node
            })
        })
    }

    /// Puts the value at `path` into a leaf. A list lies as many names above its leaf as there are lists between them.
    fn insert(&mut self, path: &[&str], index: usize, leaf: &Leaf) {
        let Some((name, rest)) = path.split_first() else { return };
        let found = self.members.iter().position(|(member, _)| member == name);
        let at = found.unwrap_or_else(|| {
            let node = match rest.len() {
                0 => Node::Value(Vec::new()),
                below if below <= leaf.lists => {
                    Node::List { indices: leaf.indices[..leaf.indices.len() - below].into(), children: Self::default() }
                }
                _ => Node::Object(Self::default()),
            };
            self.members.push(((*name).to_owned(), node));
            self.members.len() - 1
        });
        match &mut self.members[at].1 {
            Node::Value(targets) => targets.push(index),
            Node::Object(children) | Node::List { children, .. } => children.insert(rest, index, leaf),
        }
    }
}

/// Where Insights events keep what CloudTrail Lake has in flat columns (reference: "Insights fields for Lake").
const INSIGHT: [(&str, &str); 10] = [
    ("insightdetails.insightsource", "insightsource"),
    ("insightdetails.state", "insightstate"),
    ("insightdetails.eventsource", "insighteventsource"),
    ("insightdetails.eventname", "insighteventname"),
    ("insightdetails.errorcode", "insighterrorcode"),
    ("insightdetails.insighttype", "insighttype"),
    ("insightdetails.insightcontext.statistics.baseline.average", "insightcontext.baselineaverage"),
    ("insightdetails.insightcontext.statistics.insight.average", "insightcontext.insightaverage"),
    ("insightdetails.insightcontext.statistics.baselineduration", "insightcontext.baselineduration"),
    ("insightdetails.insightcontext.statistics.insightduration", "insightcontext.insightduration"),
];

/// Members of AWS Config's configuration items that Lake calls otherwise, or has twice.
const CONFIGURATION_ITEM: [(&str, &str); 10] = [
    ("configurationitemcapturetime", "eventdata.configurationitemcapturetime"),
    ("configurationitemcapturetime", "eventtime"),
    ("configurationstateid", "eventdata.configurationitemstateid"),
    ("awsaccountid", "eventdata.accountid"),
    ("awsaccountid", "recipientaccountid"),
    ("accountid", "eventdata.accountid"),
    ("accountid", "recipientaccountid"),
    ("awsregion", "eventdata.awsregion"),
    ("awsregion", "awsregion"),
    ("availabilityzone", "eventdata.availabilityzone"),
];

/// The mapping of a kind.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) root: Children,
    pub(crate) leaves: Vec<Leaf>,
    /// Where `eventtime` is.
    pub(crate) event_time: Vec<usize>,
}

impl Mapping {
    pub(crate) fn new(kind: Kind) -> Self {
        let leaves = leaves(kind);
        let mut root = Children::default();
        for (index, leaf) in leaves.iter().enumerate() {
            let column = leaf.path.join(".");
            for path in sources(kind, &column) {
                let names: Vec<&str> = path.split('.').collect();
                root.insert(&names, index, leaf);
            }
        }
        let event_time = leaves.iter().find(|leaf| leaf.path == ["eventtime"]);
        let event_time = event_time.map_or_else(Vec::new, |leaf| leaf.indices.clone());
        Self { root, leaves, event_time }
    }
}

/// Where a record has what stands in a column.
fn sources(kind: Kind, column: &str) -> Vec<String> {
    let named = |table: &[(&str, &str)]| -> Vec<String> {
        table.iter().filter(|(_, to)| *to == column).map(|(from, _)| (*from).to_owned()).collect()
    };
    match kind {
        Kind::Events | Kind::ActivityAuditLog => vec![column.to_owned()],
        Kind::Insight => match (named(&INSIGHT), column.strip_prefix("insightcontext.")) {
            (named, _) if !named.is_empty() => named,
            (_, Some(rest)) => vec![format!("insightdetails.insightcontext.{rest}")],
            _ => vec![column.to_owned()],
        },
        Kind::ConfigurationItem => match (named(&CONFIGURATION_ITEM), column.strip_prefix("eventdata.")) {
            (named, _) if !named.is_empty() => named,
            (_, Some(rest)) => vec![rest.to_owned()],
            // Columns that all kinds have and an item has no member for: filled in, not read.
            _ => Vec::new(),
        },
    }
}
