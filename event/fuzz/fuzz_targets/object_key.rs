//! Any string as an object key: no panic, and what was parsed prints as it stood.

#![no_main]

use libfuzzer_sys::fuzz_target;
use orgtrail_event::key::{Folder, ObjectKey, classify};

fuzz_target!(|key: &str| {
    let (printed, folder) = match classify(key) {
        ObjectKey::Log(log) | ObjectKey::Insight(log) => (log.to_string(), log.folder),
        ObjectKey::Digest(digest) | ObjectKey::BackfillDigest(digest) => (digest.to_string(), digest.folder),
        ObjectKey::Foreign => return,
    };
    assert_eq!(printed, key);
    assert_eq!(Folder::parse(&folder.path()), Some(folder));
});
