//! An object store in memory, for tests: it can be told to fail, and it counts what was asked of it.

use super::{ListPage, ListRequest, Object, ObjectMeta, ObjectStore, PAGE_MAX, PutOptions};
use crate::{Error, ErrorKind, Location};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bucket in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct FakeStore {
    location: Location,
    page_max: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Stored>,
    now: Timestamp,
    writes: u64,
    faults: Vec<Fault>,
    calls: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Stored {
    meta: ObjectMeta,
    bytes: Bytes,
    options: PutOptions,
}

/// Calls that shall fail.
#[derive(Clone, Debug)]
pub struct Fault {
    /// `list`, `get`, `head`, `put` or `delete`.
    pub verb: &'static str,
    /// Only keys (for `list`, prefixes) that contain this.
    pub key_contains: String,
    /// How to fail.
    pub kind: ErrorKind,
    /// How often; then it is over.
    pub times: u32,
}

impl FakeStore {
    /// An empty store that goes by this location's name.
    pub fn new(location: Location) -> Self {
        Self { location, page_max: PAGE_MAX, state: Arc::default() }
    }

    /// The same with smaller pages.
    #[must_use]
    pub fn with_page_max(mut self, page_max: usize) -> Self {
        self.page_max = page_max;
        self
    }

    /// The time that objects written from now on carry. Starts at the Unix epoch.
    pub fn set_now(&self, now: Timestamp) {
        self.lock().now = now;
    }

    /// Makes calls fail. Faults add up; the first that fits is used.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// How often a verb was called, failures included.
    pub fn calls(&self, verb: &str) -> u64 {
        self.lock().calls.get(verb).copied().unwrap_or_default()
    }

    /// How an object was put.
    pub fn options(&self, key: &str) -> Option<PutOptions> {
        self.lock().objects.get(key).map(|stored| stored.options.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, verb: &'static str, key: &str) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.lock();
        *state.calls.entry(verb).or_default() += 1;
        let due = |fault: &Fault| fault.verb == verb && fault.times > 0 && key.contains(&fault.key_contains);
        match state.faults.iter_mut().find(|fault| due(fault)) {
            Some(fault) => {
                fault.times -= 1;
                Err(Error::new(fault.kind.clone(), verb, self.location.object(key)).detail("as the test asked"))
            }
            None => Ok(state),
        }
    }

    fn error(&self, kind: ErrorKind, verb: &'static str, key: &str) -> Error {
        Error::new(kind, verb, self.location.object(key))
    }
}

#[async_trait]
impl ObjectStore for FakeStore {
    fn location(&self) -> &Location {
        &self.location
    }

    fn delimits(&self, _: char) -> bool {
        true
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Error> {
        let state = self.enter("list", &request.prefix)?;
        let mut page = ListPage::default();
        let mut last = String::new();
        // A token says whether its text is a key that was listed or a prefix below which all is done.
        let (after, below) = match request.continuation.as_deref().map(|token| token.split_at(2)) {
            Some(("p:", prefix)) => (Some(prefix), Some(prefix)),
            Some((_, key)) => (Some(key), None),
            None => (request.start_after.as_deref(), None),
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, stored) in state.objects.range::<str, _>((from, Bound::Unbounded)) {
            if !key.starts_with(&request.prefix) || below.is_some_and(|below| key.starts_with(below)) {
                continue;
            }
            let rest = &key[request.prefix.len()..];
            let rolled = request.delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len_utf8()));
            let common = rolled.map(|end| &key[..request.prefix.len() + end]);
            if common.is_some() && common == page.common_prefixes.last().map(String::as_str) {
                continue;
            }
            if page.objects.len() + page.common_prefixes.len() == self.page_max {
                page.next = Some(last);
                break;
            }
            match common {
                Some(common) => {
                    page.common_prefixes.push(common.to_owned());
                    last = format!("p:{common}");
                }
                None => {
                    page.objects.push(stored.meta.clone());
                    last = format!("k:{key}");
                }
            }
        }
        Ok(page)
    }

    async fn get(&self, key: &str, bytes_max: u64) -> Result<Object, Error> {
        let state = self.enter("get", key)?;
        let stored = state.objects.get(key).ok_or_else(|| self.error(ErrorKind::NotFound, "get", key))?;
        if stored.meta.size > bytes_max {
            return Err(self.error(ErrorKind::TooLarge { bytes_max }, "get", key));
        }
        let Stored { meta, bytes, options } = stored;
        Ok(Object { meta: meta.clone(), bytes: bytes.clone(), metadata: options.metadata.clone() })
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        let state = self.enter("head", key)?;
        let stored = state.objects.get(key).ok_or_else(|| self.error(ErrorKind::NotFound, "head", key))?;
        Ok(stored.meta.clone())
    }

    async fn put(&self, key: &str, bytes: Bytes, options: &PutOptions) -> Result<(), Error> {
        let mut state = self.enter("put", key)?;
        if options.if_absent && state.objects.contains_key(key) {
            return Err(self.error(ErrorKind::AlreadyExists, "put", key));
        }
        state.writes += 1;
        let meta = ObjectMeta {
            key: key.to_owned(),
            size: bytes.len() as u64,
            etag: format!("fake-{}", state.writes),
            last_modified: state.now,
        };
        state.objects.insert(key.to_owned(), Stored { meta, bytes, options: options.clone() });
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.enter("delete", key)?.objects.remove(key);
        Ok(())
    }
}
