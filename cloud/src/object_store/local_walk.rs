//! Listing a folder tree as if it were a bucket: keys in byte order, page by page, reading only what a page needs.
//!
//! Owns: the order and the pruning. Does not own: the files themselves (`local`). Stateless: a page's token is the last
//! thing listed, so a listing survives restarts and files that come and go meanwhile.
//!
//! Directory order is not key order: `a-b` sorts before `a/b`, because `-` is less than `/`. Sorting a folder's entries by
//! name, with `/` after the names of folders, gives key order at every level. A folder is descended only when it can hold
//! keys under the prefix and after the start; one folder of n entries costs one pass over their names a page.

use super::{ListPage, ListRequest, ObjectMeta};
use jiff::Timestamp;
use std::collections::BinaryHeap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Names that start with this are the store's own and no objects: unfinished writes and metadata.
pub(super) const HIDDEN: &str = ".orgtrail-";

/// Folders deeper than this are not descended. S3's own bound on a key (1024 bytes) allows no deeper path of one-letter
/// names than 512.
const DEPTH_MAX: usize = 512;

/// Lists one page of the tree under `root`, of at most `page_max` objects and prefixes.
pub(super) fn list(root: &Path, request: &ListRequest, page_max: usize) -> io::Result<ListPage> {
    fs::metadata(root)?;
    let rolls_up = request.delimiter.is_some();
    let mut walk = Walk {
        prefix: &request.prefix,
        after: request.continuation.as_deref().or(request.start_after.as_deref()).unwrap_or_default(),
        // A token that ends in a slash is a common prefix that was listed: all below it is done.
        skip_below: request.continuation.as_deref().filter(|token| rolls_up && token.ends_with('/')),
        delimiter: rolls_up,
        page_max,
        page: ListPage::default(),
        last: String::new(),
    };
    // Start in the deepest folder that the prefix names: nothing outside it can match.
    let base = request.prefix.rfind('/').map_or("", |slash| &request.prefix[..=slash]);
    let more = match folder_of(root, base) {
        Some(folder) => walk.folder(&folder, base, 0)?,
        None => false,
    };
    let Walk { mut page, last, .. } = walk;
    page.next = more.then_some(last);
    Ok(page)
}

struct Walk<'a> {
    prefix: &'a str,
    after: &'a str,
    skip_below: Option<&'a str>,
    delimiter: bool,
    page_max: usize,
    page: ListPage,
    /// The last thing put on the page.
    last: String,
}

impl Walk<'_> {
    /// Adds what is in this folder and below. True once the page is full and there is more.
    fn folder(&mut self, folder: &Path, key_prefix: &str, depth: usize) -> io::Result<bool> {
        if depth > DEPTH_MAX {
            tracing::warn!(folder = %folder.display(), "folders nested too deep to be objects, not listed");
            return Ok(false);
        }
        let mut from = None;
        loop {
            // One more than fits, to know whether there is another page. Folders can turn out empty, so there may be
            // another round.
            let names = self.smallest(folder, key_prefix, from.as_deref())?;
            let exhausted = names.len() <= self.page_max;
            for name in &names {
                if self.entry(folder, key_prefix, name, depth)? {
                    return Ok(true);
                }
            }
            if exhausted {
                return Ok(false);
            }
            from = names.into_iter().next_back();
        }
    }

    /// Adds one entry. True once the page is full and there is more.
    fn entry(&mut self, folder: &Path, key_prefix: &str, name: &str, depth: usize) -> io::Result<bool> {
        let key = format!("{key_prefix}{name}");
        let path = folder.join(name.trim_end_matches('/'));
        if !name.ends_with('/') {
            // A file that went away since its name was read is no object any more.
            let Some(metadata) = gone_is_none(fs::metadata(&path))? else { return Ok(false) };
            if self.is_full() {
                return Ok(true);
            }
            self.last.clone_from(&key);
            self.page.objects.push(meta(key, &metadata)?);
            return Ok(false);
        }
        if self.delimiter && key.starts_with(self.prefix) && key.len() > self.prefix.len() {
            if !self.holds_object_after(&path, &key, depth + 1)? {
                return Ok(false);
            }
            if self.is_full() {
                return Ok(true);
            }
            self.last.clone_from(&key);
            self.page.common_prefixes.push(key);
            return Ok(false);
        }
        self.folder(&path, &key, depth + 1)
    }

    fn is_full(&self) -> bool {
        self.page.objects.len() + self.page.common_prefixes.len() == self.page_max
    }

    /// The first `page_max + 1` names in key order that can matter, folders with a trailing slash.
    fn smallest(&self, folder: &Path, key_prefix: &str, from: Option<&str>) -> io::Result<Vec<String>> {
        let mut heap = BinaryHeap::with_capacity(self.page_max + 2);
        let Some(entries) = gone_is_none(fs::read_dir(folder))? else { return Ok(Vec::new()) };
        for entry in entries {
            let Some(name) = entry_name(&entry?)? else { continue };
            if from.is_some_and(|from| name.as_str() <= from) || !self.can_matter(key_prefix, &name) {
                continue;
            }
            heap.push(name);
            if heap.len() > self.page_max + 1 {
                heap.pop();
            }
        }
        Ok(heap.into_sorted_vec())
    }

    /// Can this file be listed, or this folder hold something that can?
    fn can_matter(&self, key_prefix: &str, name: &str) -> bool {
        let key = Joined(key_prefix, name);
        if self.skip_below.is_some_and(|done| key.starts_with(done)) {
            return false;
        }
        if name.ends_with('/') {
            let under_prefix = key.starts_with(self.prefix) || key.is_start_of(self.prefix);
            under_prefix && (key.is_after(self.after) || key.is_start_of(self.after))
        } else {
            key.starts_with(self.prefix) && key.is_after(self.after)
        }
    }

    /// Is there any object below that counts? A bucket has no empty folders. Stops at the first.
    fn holds_object_after(&self, folder: &Path, key_prefix: &str, depth: usize) -> io::Result<bool> {
        if depth > DEPTH_MAX {
            return Ok(false);
        }
        let Some(entries) = gone_is_none(fs::read_dir(folder))? else { return Ok(false) };
        let mut folders = Vec::new();
        for entry in entries {
            let Some(name) = entry_name(&entry?)? else { continue };
            if !self.can_matter(key_prefix, &name) {
                continue;
            }
            if !name.ends_with('/') {
                return Ok(true);
            }
            folders.push(name);
        }
        for name in folders {
            let path = folder.join(name.trim_end_matches('/'));
            if self.holds_object_after(&path, &format!("{key_prefix}{name}"), depth + 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Two parts of a key, compared without joining them: this runs for every name of a folder.
struct Joined<'a>(&'a str, &'a str);

impl Joined<'_> {
    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().chain(self.1.bytes())
    }

    fn len(&self) -> usize {
        self.0.len() + self.1.len()
    }

    fn starts_with(&self, start: &str) -> bool {
        self.len() >= start.len() && self.bytes().zip(start.bytes()).all(|(a, b)| a == b)
    }

    fn is_start_of(&self, text: &str) -> bool {
        text.len() >= self.len() && self.bytes().zip(text.bytes()).all(|(a, b)| a == b)
    }

    fn is_after(&self, text: &str) -> bool {
        self.bytes().gt(text.bytes())
    }
}

/// The folder a key prefix names, or `None` where there can be none.
fn folder_of(root: &Path, base: &str) -> Option<PathBuf> {
    let mut folder = root.to_owned();
    for part in base.split_terminator('/') {
        if part.is_empty() || part == "." || part == ".." || part.starts_with(HIDDEN) || part.contains('\0') {
            return None;
        }
        folder.push(part);
    }
    Some(folder)
}

/// The name in a listing: with a slash for a folder; `None` for what is no object. Links to files count as files; links
/// to folders are not followed, since they can lead in circles.
fn entry_name(entry: &fs::DirEntry) -> io::Result<Option<String>> {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    if name.starts_with(HIDDEN) {
        return Ok(None);
    }
    let Some(kind) = gone_is_none(entry.file_type())? else { return Ok(None) };
    let is_file = if kind.is_symlink() {
        gone_is_none(fs::metadata(entry.path()))?.is_some_and(|target| target.is_file())
    } else {
        kind.is_file()
    };
    Ok(match (is_file, kind.is_dir()) {
        (true, _) => Some(name.into_owned()),
        (_, true) => Some(format!("{name}/")),
        _ => None,
    })
}

/// What a listing tells about a file. The etag is made of size and time, so that nothing needs to be read.
pub(super) fn meta(key: String, metadata: &fs::Metadata) -> io::Result<ObjectMeta> {
    let modified = metadata.modified()?;
    let nanos = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    Ok(ObjectMeta {
        key,
        size: metadata.len(),
        etag: format!("{:x}-{nanos:x}", metadata.len()),
        last_modified: Timestamp::try_from(modified).unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
