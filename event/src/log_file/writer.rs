//! Writing log files.

const START: &[u8] = b"{\"Records\":[";
const END: &[u8] = b"]}";

/// Joins records into a log file as CloudTrail writes it: `{"Records":[…]}` on one line, without a line feed.
#[derive(Clone, Debug)]
pub struct Writer {
    json: Vec<u8>,
    records: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A file without records.
    pub fn new() -> Self {
        Self { json: START.to_vec(), records: 0 }
    }

    /// Adds a record: the bytes of one JSON object, as read. They aren't looked at.
    pub fn push(&mut self, raw: &[u8]) {
        if self.records > 0 {
            self.json.push(b',');
        }
        self.json.extend_from_slice(raw);
        self.records += 1;
    }

    /// How many records the file has.
    pub fn records(&self) -> usize {
        self.records
    }

    /// True as long as the file has no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The length in bytes of what [`Writer::finish`] would give now.
    pub fn len(&self) -> usize {
        self.json.len() + END.len()
    }

    /// The file.
    pub fn finish(mut self) -> Vec<u8> {
        self.json.extend_from_slice(END);
        self.json
    }
}
