//! The records seen lately, in memory: which of them are duplicates.
//!
//! A duplicate is the same account, the same eventID and the same bytes. Buckets of one account and one hour of eventTime
//! (the same for every copy) are loaded from the store on touch and dropped, least recently touched first, when they outgrow
//! the memory budget. Owns no storage: what is new here is written by [`super::writer`], in the same atomic write as the
//! records themselves (I3).
//!
//! Eviction happens only between commits: a bucket may hold identities that are not on disk yet.

use std::collections::{BTreeMap, HashMap, HashSet};

use orgtrail_event::record::Identity;

/// One account's records of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BucketKey {
    /// Hour of eventTime since the Unix epoch; 0 for records without a readable time.
    pub(crate) hour: u32,
    /// See [`account_code`].
    pub(crate) account: u64,
}

/// An account as a number: its 12 digits, or a hash (with the top bit set) of what some records carry instead.
pub(crate) fn account_code(account: &str) -> u64 {
    match account.parse::<u64>() {
        Ok(number) if account.len() == 12 => number,
        _ => xxhash_rust::xxh3::xxh3_64(account.as_bytes()) | 1 << 63,
    }
}

/// What is known of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Never seen within the window.
    New,
    /// The same record was seen, and came from there: see `origins`.
    Duplicate(u16),
    /// Another record carried this eventID. Kept and reported: dropping it would lose an event without a word.
    SameIdOtherBytes,
}

/// About 24 bytes of identity, a control byte and the load factor.
const BYTES_PER_IDENTITY: u64 = 34;

/// 48 bits of a record's content, which is plenty among records of one id, and 16 bits of where it came from, which makes
/// no difference.
#[derive(Debug, Clone, Copy)]
struct Content(u64);

impl Content {
    const BITS: u32 = 48;

    fn new(content: u64, origin: u16) -> Self {
        Self(u64::from(origin) << Self::BITS | content & ((1 << Self::BITS) - 1))
    }

    fn origin(self) -> u16 {
        u16::try_from(self.0 >> Self::BITS).expect("16 bits are left")
    }

    fn bits(self) -> u64 {
        self.0 & ((1 << Self::BITS) - 1)
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Content {}

impl std::hash::Hash for Content {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

#[derive(Debug, Default)]
struct Bucket {
    /// eventIDs are random already, so a quick hash will do.
    contents: HashMap<[u8; 16], Content, xxhash_rust::xxh3::Xxh3DefaultBuilder>,
    /// Further contents under an id that stands in `contents` already.
    others: HashSet<([u8; 16], Content)>,
    touched: u64,
}

impl Bucket {
    fn insert(&mut self, identity: &Identity, origin: u16) -> Verdict {
        use std::collections::hash_map::Entry;
        let content = Content::new(identity.content, origin);
        match self.contents.entry(identity.id) {
            Entry::Vacant(vacant) => {
                vacant.insert(content);
                Verdict::New
            }
            Entry::Occupied(known) if *known.get() == content => Verdict::Duplicate(known.get().origin()),
            Entry::Occupied(_) => match self.others.get(&(identity.id, content)) {
                Some((_, known)) => Verdict::Duplicate(known.origin()),
                None => {
                    self.others.insert((identity.id, content));
                    Verdict::SameIdOtherBytes
                }
            },
        }
    }

    fn bytes(&self) -> u64 {
        (self.contents.len() + self.others.len()) as u64 * BYTES_PER_IDENTITY + 128
    }
}

/// The buckets in memory.
#[derive(Debug)]
pub(crate) struct Seen {
    buckets: HashMap<BucketKey, Bucket>,
    by_touch: BTreeMap<u64, BucketKey>,
    bytes: u64,
    bytes_max: u64,
    /// `bytes` when it was last shrunk.
    bytes_then: u64,
    clock: u64,
    /// Buckets loaded from the store since the start: how much the budget is missing.
    pub(crate) loads: u64,
}

impl Seen {
    /// `bytes_max` bounds the memory of all buckets together, but one bucket is always kept whole. Between two calls of
    /// `shrink` it is exceeded by what was touched.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            buckets: HashMap::new(),
            by_touch: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            bytes_then: 0,
            clock: 0,
            loads: 0,
        }
    }

    /// Looks one record, which comes from `origin`, up and remembers it. `load` reads the bucket's identities from the store.
    pub(crate) fn insert<E>(
        &mut self,
        key: BucketKey,
        identity: &Identity,
        origin: u16,
        load: impl FnOnce(BucketKey) -> Result<Vec<(Identity, u16)>, E>,
    ) -> Result<Verdict, E> {
        if !self.buckets.contains_key(&key) {
            let mut bucket = Bucket::default();
            for (known, origin) in load(key)? {
                bucket.insert(&known, origin);
            }
            self.loads += 1;
            self.bytes += bucket.bytes();
            self.clock += 1;
            bucket.touched = self.clock;
            self.by_touch.insert(self.clock, key);
            self.buckets.insert(key, bucket);
        }
        let bucket = self.buckets.get_mut(&key).expect("inserted above");
        let verdict = bucket.insert(identity, origin);
        if !matches!(verdict, Verdict::Duplicate(_)) {
            self.bytes += BYTES_PER_IDENTITY;
        }
        // Only the order matters, so one touch per run of records of the same bucket is enough.
        if bucket.touched != self.clock {
            self.by_touch.remove(&bucket.touched);
            self.clock += 1;
            bucket.touched = self.clock;
            self.by_touch.insert(self.clock, key);
        }
        Ok(verdict)
    }

    /// Drops the coldest buckets until the budget holds. Only between commits.
    pub(crate) fn shrink(&mut self) {
        while self.bytes > self.bytes_max && self.buckets.len() > 1 {
            let Some((_, key)) = self.by_touch.pop_first() else { break };
            self.remove_bucket(key);
        }
        self.bytes_then = self.bytes;
    }

    /// Whether as much as the budget was touched since it was last shrunk: time to commit and shrink.
    pub(crate) fn has_outgrown(&self) -> bool {
        self.bytes.saturating_sub(self.bytes_then) > self.bytes_max
    }

    /// Forgets a bucket whose stored entries changed underneath (they expired).
    pub(crate) fn forget(&mut self, key: BucketKey) {
        if let Some(bucket) = self.buckets.get(&key) {
            self.by_touch.remove(&bucket.touched);
            self.remove_bucket(key);
        }
    }

    fn remove_bucket(&mut self, key: BucketKey) {
        if let Some(bucket) = self.buckets.remove(&key) {
            self.bytes = self.bytes.saturating_sub(bucket.bytes());
        }
    }

    /// Memory of all buckets together, bytes (an estimate).
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8, content: u64) -> Identity {
        Identity { id: [n; 16], content }
    }

    fn nothing(_: BucketKey) -> Result<Vec<(Identity, u16)>, ()> {
        Ok(Vec::new())
    }

    const HOUR: BucketKey = BucketKey { hour: 7, account: 111122223333 };

    #[test]
    fn same_id_over_other_bytes_is_kept_once() {
        let mut seen = Seen::new(1 << 20);
        assert_eq!(seen.insert(HOUR, &id(1, 10), 3, nothing), Ok(Verdict::New));
        assert_eq!(seen.insert(HOUR, &id(1, 10), 3, nothing), Ok(Verdict::Duplicate(3)));
        assert_eq!(seen.insert(HOUR, &id(1, 11), 3, nothing), Ok(Verdict::SameIdOtherBytes));
        assert_eq!(seen.insert(HOUR, &id(1, 11), 3, nothing), Ok(Verdict::Duplicate(3)));
    }

    #[test]
    fn accounts_and_hours_are_apart() {
        let mut seen = Seen::new(1 << 20);
        assert_eq!(seen.insert(HOUR, &id(1, 10), 3, nothing), Ok(Verdict::New));
        for other in [BucketKey { hour: 8, ..HOUR }, BucketKey { account: 1, ..HOUR }] {
            assert_eq!(seen.insert(other, &id(1, 10), 3, nothing), Ok(Verdict::New));
        }
    }

    #[test]
    fn a_cold_bucket_is_loaded_again_from_the_store() {
        let mut seen = Seen::new(200);
        let key = |hour| BucketKey { hour, account: 1 };
        for hour in 0..10 {
            assert_eq!(seen.insert(key(hour), &id(1, 1), 3, nothing), Ok(Verdict::New));
        }
        seen.shrink();
        assert!(seen.bytes() <= 400, "{} bytes", seen.bytes());
        let stored = |_| Ok::<_, ()>(vec![(id(1, 1), 5)]);
        assert_eq!(seen.insert(key(0), &id(1, 1), 2, stored), Ok(Verdict::Duplicate(5)));
        assert_eq!(seen.loads, 11);
    }

    #[test]
    fn it_says_when_as_much_as_the_budget_was_touched() {
        let mut seen = Seen::new(10_000);
        let mut hour = 0;
        for _ in 0..3 {
            while !seen.has_outgrown() {
                seen.insert(BucketKey { hour, account: 1 }, &id(1, 1), 3, nothing).expect("nothing to load");
                hour += 1;
            }
            assert!(seen.bytes() <= 20_200, "{} bytes", seen.bytes());
            seen.shrink();
            assert!(seen.bytes() <= 10_000 && !seen.has_outgrown());
        }
    }

    #[test]
    fn memory_is_accounted_back_to_zero() {
        let mut seen = Seen::new(0);
        for hour in 0..50 {
            for n in 0..20 {
                seen.insert(BucketKey { hour, account: 1 }, &id(n, 1), 3, nothing).expect("nothing to load");
            }
        }
        for hour in 0..50 {
            seen.forget(BucketKey { hour, account: 1 });
        }
        assert_eq!((seen.bytes(), seen.by_touch.len()), (0, 0));
    }

    #[test]
    fn account_codes_keep_leading_zeros_and_odd_accounts_apart() {
        assert_eq!(account_code("000000000042"), 42);
        assert_ne!(account_code("42"), 42);
        assert_ne!(account_code("XXXX"), account_code("YYYY"));
    }
}
