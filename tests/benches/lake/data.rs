//! Makes what `lake.sh` measures on: the deliveries of 20 accounts in 4 regions over 30 days, at least 3 million records.
//!
//!     cargo run --release --example lake_data -- FOLDER [RECORDS]
//!
//! Below FOLDER stand two buckets as AWS would have written them, and `manifest.json`. Every name and number is invented;
//! the same RECORDS give the same bytes.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;

use orgtrail_cli::generate::{Plan, Size, generate};
use orgtrail_cli::terminal::count;

/// Files of a busy organization: a third tiny, a tenth as large as CloudTrail makes them.
const SIZES: Size = Size { tiny_share: 0.3, tiny: (1, 10), fat_share: 0.1, fat: (500, 3_000), typical: 100 };

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder to write into");
    let records = arguments.next().map_or(3_100_000, |text| text.parse().expect("a number of records"));
    let plan = Plan {
        accounts: 20,
        hours: 30 * 24,
        events_per_file: SIZES,
        redelivered_share: 0.0,
        second_trail_share: 0.0,
        corrupt_share: 0.0,
        organization_id: None,
        digests: false,
        ..Plan::default()
    };
    let made = generate(&plan.with_records(records), Path::new(&folder), &mut |_| {}).unwrap();
    println!(
        "{folder}: {} records in {} files, {} MB of JSON, {} MB as gzip (ratio {:.1})",
        count(made.records),
        count(made.files_total()),
        count(made.json_bytes / 1_000_000),
        count(made.stored_bytes / 1_000_000),
        made.json_bytes as f64 / made.stored_bytes as f64,
    );
}
