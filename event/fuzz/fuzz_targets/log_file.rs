//! Any bytes, as a gzip file and as a log file: no panic, no memory beyond the cap, every range inside the input, and
//! what was read as good reads the same when it is written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use orgtrail_event::gzip::Inflater;
use orgtrail_event::log_file::{Item, Limits, Writer, read};
use orgtrail_event::record::identity;

const CONTENT_BYTES_MAX: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut content = Vec::new();
    if Inflater::new().inflate(bytes, CONTENT_BYTES_MAX, &mut content).is_ok() {
        assert!(content.len() <= CONTENT_BYTES_MAX);
        log_file(&content);
    }
    assert!(content.capacity() <= CONTENT_BYTES_MAX);
    log_file(bytes);
});

fn log_file(json: &[u8]) {
    let Ok(reader) = read(json, &Limits::default()) else { return };
    let mut writer = Writer::new();
    let mut records = Vec::new();
    let mut end = 0;
    for item in reader {
        let (offset, len) = match item {
            Item::Record(record) => {
                let raw = &json[record.offset..record.offset + record.raw.len()];
                assert_eq!(raw, record.raw);
                std::str::from_utf8(raw).expect("a good record is UTF-8");
                let about = (identity(&record.header, raw), record.header.category(), record.header.event_hour());
                writer.push(raw);
                records.push((raw, about));
                (record.offset, raw.len())
            }
            Item::Bad(bad) => (bad.offset, bad.len),
        };
        assert!(offset >= end, "items overlap");
        end = offset + len;
        assert!(end <= json.len());
    }
    let written = writer.finish();
    let again = read(&written, &Limits::default()).expect("a written file is a log file").map(|item| match item {
        Item::Record(record) => {
            let about = (identity(&record.header, record.raw), record.header.category(), record.header.event_hour());
            (record.raw, about)
        }
        Item::Bad(bad) => panic!("{}", bad.reason),
    });
    assert!(again.eq(records));
}
