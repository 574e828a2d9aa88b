//! A place that holds objects, as Delta Lake and Parquet want to see it.
//!
//! Owns the translation from `object_store`'s trait to the seam that every other part of orgtrail uses, so that tables are
//! reached with the same credentials, endpoints, retries and error texts, in buckets and in folders. Does not own retries.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use orgtrail_cloud::object_store::{ListRequest, ObjectMeta as CloudMeta, PutOptions as CloudPut};
use orgtrail_cloud::{Error as CloudError, ErrorKind, Location, ObjectStore};
use tokio::sync::Mutex;

/// Deletions at a time.
const DELETES: usize = 8;

/// The seam, seen as an `object_store`.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<dyn ObjectStore>);

impl Store {
    /// Sees a location's objects.
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }

    /// Objects under a prefix of keys, page by page.
    fn objects(&self, prefix: String, after: Option<String>) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = Arc::clone(&self.0);
        let first = ListRequest { prefix, start_after: after, ..ListRequest::default() };
        let pages = stream::try_unfold(Some(first), move |request| {
            let store = Arc::clone(&store);
            async move {
                let Some(request) = request else { return Ok::<_, Error>(None) };
                let page = match store.list(&request).await {
                    // A folder that nothing was put into yet.
                    Err(error) if is_absent_folder(&*store, &error) => return Ok(None),
                    page => page.map_err(|error| translated(&request.prefix, error))?,
                };
                let next = page.next.map(|next| ListRequest { continuation: Some(next), ..request });
                let metas: Vec<_> = page.objects.into_iter().map(|meta| Ok(meta_of(&meta))).collect();
                Ok(Some((stream::iter(metas), next)))
            }
        });
        pages.try_flatten().boxed()
    }
}

fn is_absent_folder(store: &dyn ObjectStore, error: &CloudError) -> bool {
    *error.kind() == ErrorKind::ContainerMissing && matches!(store.location(), Location::File { .. })
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.location().fmt(f)
    }
}

#[async_trait]
impl object_store::ObjectStore for Store {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let if_absent = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return Err(unsupported("conditional updates")),
        };
        let put = CloudPut { if_absent, ..CloudPut::default() };
        let bytes = Bytes::from(payload);
        self.0.put(path.as_ref(), bytes, &put).await.map_err(|error| translated(path.as_ref(), error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, path: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload { store: self.clone(), path: path.clone(), parts: Arc::default(), count: 0 }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let key = path.as_ref();
        let failed = |error| translated(key, error);
        if let Some(GetRange::Bounded(range)) = &options.range
            && is_unconditional(&options)
        {
            let bytes = self.0.get_range(key, range.clone()).await.map_err(failed)?;
            return Ok(part(path, range.start, bytes));
        }
        // Which object it is must be known first.
        let meta = meta_of(&self.0.head(key).await.map_err(failed)?);
        options.check_preconditions(&meta)?;
        let range = match options.range {
            None => 0..meta.size,
            Some(GetRange::Bounded(range)) => range.start..range.end.min(meta.size),
            Some(GetRange::Offset(start)) => start..meta.size,
            Some(GetRange::Suffix(len)) => meta.size.saturating_sub(len)..meta.size,
        };
        let bytes = if options.head {
            Bytes::new()
        } else if range == (0..meta.size) {
            self.0.get(key, meta.size).await.map_err(failed)?.bytes
        } else {
            self.0.get_range(key, range.clone()).await.map_err(failed)?
        };
        let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::new() })
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let key = path.as_ref();
        let fetch = |range| async move { self.0.get_range(key, range).await.map_err(|error| translated(key, error)) };
        object_store::coalesce_ranges(ranges, fetch, object_store::OBJECT_STORE_COALESCE_DEFAULT).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = Arc::clone(&self.0);
        let delete = move |path: Result<Path>| {
            let store = Arc::clone(&store);
            async move {
                let path = path?;
                store.delete(path.as_ref()).await.map_err(|error| translated(path.as_ref(), error))?;
                Ok(path)
            }
        };
        paths.map(delete).buffered(DELETES).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects(folder(prefix), None)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects(folder(prefix), Some(offset.to_string()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut request = ListRequest { prefix: folder(prefix), delimiter: Some('/'), ..ListRequest::default() };
        let mut found = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        loop {
            let page = match self.0.list(&request).await {
                Err(error) if is_absent_folder(&*self.0, &error) => return Ok(found),
                page => page.map_err(|error| translated(&request.prefix, error))?,
            };
            found.objects.extend(page.objects.iter().map(meta_of));
            found.common_prefixes.extend(page.common_prefixes.iter().map(|prefix| Path::from(prefix.as_str())));
            request.continuation = page.next;
            if request.continuation.is_none() {
                return Ok(found);
            }
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let object = self.0.get(from.as_ref(), u64::MAX).await.map_err(|error| translated(from.as_ref(), error))?;
        let put = CloudPut { if_absent: matches!(options.mode, CopyMode::Create), ..CloudPut::default() };
        self.0.put(to.as_ref(), object.bytes, &put).await.map_err(|error| translated(to.as_ref(), error))
    }
}

/// A file in parts. Kept in memory until it is complete: the lake's files are bounded.
#[derive(Debug)]
struct Upload {
    store: Store,
    path: Path,
    parts: Arc<Mutex<Vec<(usize, PutPayload)>>>,
    count: usize,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (parts, at) = (Arc::clone(&self.parts), self.count);
        self.count += 1;
        Box::pin(async move {
            parts.lock().await.push((at, payload));
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let mut parts = std::mem::take(&mut *self.parts.lock().await);
        parts.sort_by_key(|(at, _)| *at);
        let whole = parts.into_iter().flat_map(|(_, payload)| payload).collect();
        object_store::ObjectStore::put_opts(&self.store, &self.path, whole, PutOptions::default()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.lock().await.clear();
        Ok(())
    }
}

/// A path's objects are those below it.
fn folder(prefix: Option<&Path>) -> String {
    match prefix.map(Path::as_ref) {
        None | Some("") => String::new(),
        Some(prefix) => format!("{prefix}/"),
    }
}

fn meta_of(meta: &CloudMeta) -> ObjectMeta {
    ObjectMeta {
        location: Path::parse(&meta.key).unwrap_or_else(|_| Path::from(meta.key.as_str())),
        last_modified: DateTime::from_timestamp(meta.last_modified.as_second(), 0).unwrap_or_default(),
        size: meta.size,
        e_tag: (!meta.etag.is_empty()).then(|| meta.etag.clone()),
        version: None,
    }
}

/// Whether the object may be any that lies there.
fn is_unconditional(options: &GetOptions) -> bool {
    let GetOptions { if_match, if_none_match, if_modified_since, if_unmodified_since, version, head, .. } = options;
    if_match.is_none()
        && if_none_match.is_none()
        && if_modified_since.is_none()
        && if_unmodified_since.is_none()
        && version.is_none()
        && !head
}

/// A part of an object in one request, not two: of the object itself no more is known than that it reaches so far.
fn part(path: &Path, start: u64, bytes: Bytes) -> GetResult {
    let range = start..start + bytes.len() as u64;
    let meta = ObjectMeta {
        location: path.clone(),
        last_modified: DateTime::default(),
        size: range.end,
        e_tag: None,
        version: None,
    };
    let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
    GetResult { payload, meta, range, attributes: Attributes::new() }
}

fn unsupported(what: &str) -> Error {
    Error::NotSupported { source: format!("{what} are not used by the lake").into() }
}

fn translated(path: &str, error: CloudError) -> Error {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound { path, source: Box::new(error) },
        ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: Box::new(error) },
        ErrorKind::Denied => Error::PermissionDenied { path, source: Box::new(error) },
        _ => Error::Generic { store: "orgtrail", source: Box::new(error) },
    }
}
