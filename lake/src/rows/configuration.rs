//! What AWS Config's items lack of the columns that all event data stores have.
//!
//! Owns `eventcategory`, `eventtype` and `eventid` of configuration items. A snapshot says again what a history file has
//! said, so the id is made of what makes a state of a resource: the same state has the same id wherever it was read, and
//! counting distinct ids counts states. Does not own the members that an item has ([`super::mapping`]).

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_128;

use super::cell::Cell;
use super::leaf::Leaf;
use super::mapping::Mapping;

/// What makes a state of a resource, in `eventdata`.
const STATE: [&str; 6] = [
    "accountid",
    "awsregion",
    "resourcetype",
    "resourceid",
    "configurationitemcapturetime",
    "configurationitemstateid",
];

/// Completes the rows of items.
#[derive(Debug)]
pub(super) struct Completion {
    category: Vec<usize>,
    event_type: Vec<usize>,
    event_id: Vec<usize>,
    state: Vec<Vec<usize>>,
}

impl Completion {
    pub(super) fn new(mapping: &Mapping) -> Self {
        let at = |path: &[&str]| {
            let leaf = mapping.leaves.iter().find(|leaf: &&Leaf| leaf.path == path);
            leaf.map(|leaf| leaf.indices.clone()).unwrap_or_default()
        };
        Self {
            category: at(&["eventcategory"]),
            event_type: at(&["eventtype"]),
            event_id: at(&["eventid"]),
            state: STATE.iter().map(|name| at(&["eventdata", name])).collect(),
        }
    }

    /// Adds to an item's row what all events have ("CloudTrail Lake event schema", configuration items).
    pub(super) fn complete(&self, row: &mut Cell<'_>) {
        let id = self.id(row);
        let text = |text: &'static str| Cell::Text(Cow::Borrowed(text));
        row.set(&self.category, text("ConfigurationItem"));
        row.set(&self.event_type, text("AwsConfigurationItem"));
        row.set(&self.event_id, Cell::Text(Cow::Owned(id)));
    }

    /// A UUID of version 8, whose bits are ours to choose (RFC 9562).
    fn id(&self, row: &Cell<'_>) -> String {
        let mut state = Vec::with_capacity(256);
        for indices in &self.state {
            if let Some(Cell::Text(text)) = row.get(indices, None) {
                state.extend_from_slice(text.as_bytes());
            }
            state.push(0);
        }
        let (version, variant) = (0xF << 76, 0x3 << 62);
        let bits = xxh3_128(&state) & !(version | variant) | (0x8 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, RecordBatch};

    use crate::kind::Kind;
    use crate::rows::Rows;

    /// An item as histories have it; the developer guide's examples say `accountId` where files say `awsAccountId`.
    const ITEM: &str = r#"{"relatedEvents":[],"relationships":[],"configuration":{"groupId":"sg-1"},"tags":{},"configurationItemCaptureTime":"2026-03-01T09:14:00.123Z","configurationStateId":1738,"awsAccountId":"111122223333","configurationItemStatus":"OK","resourceType":"AWS::EC2::SecurityGroup","resourceId":"sg-1","awsRegion":"us-east-1"}"#;

    fn rows(items: &[&str]) -> RecordBatch {
        let mut rows = Rows::new(Kind::ConfigurationItem);
        for item in items {
            rows.push(item.as_bytes(), "file", 0);
        }
        rows.finish().unwrap()
    }

    fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Vec<&'a str> {
        batch.column_by_name(name).unwrap().as_string::<i32>().iter().map(Option::unwrap).collect()
    }

    #[test]
    fn an_item_has_the_columns_that_all_events_have() {
        let batch = rows(&[ITEM, &ITEM.replace("awsAccountId", "accountId")]);
        assert_eq!(texts(&batch, "eventcategory"), ["ConfigurationItem"; 2]);
        assert_eq!(texts(&batch, "eventtype"), ["AwsConfigurationItem"; 2]);
        assert_eq!(texts(&batch, "recipientaccountid"), ["111122223333"; 2]);
        assert_eq!(texts(&batch, "awsregion"), ["us-east-1"; 2]);
    }

    #[test]
    fn the_same_state_has_the_same_id_and_another_state_another() {
        let snapshot = ITEM.replace(r#""relatedEvents":[],"#, "");
        let later = ITEM.replace("09:14:00.123Z", "09:14:00.124Z");
        let elsewhere = ITEM.replace("us-east-1", "us-east-2");
        let batch = rows(&[ITEM, &snapshot, &later, &elsewhere]);
        let ids = texts(&batch, "eventid");
        assert_eq!(ids[0], ids[1]);
        assert!(ids[0] != ids[2] && ids[0] != ids[3] && ids[2] != ids[3]);
        let parts: Vec<_> = ids[0].split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert!(ids[0][14..].starts_with('8') && "89ab".contains(&ids[0][19..20]), "{}", ids[0]);
    }
}
