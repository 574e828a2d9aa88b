//! One listing for all silent folders of an account and kind, in place of one for each.
//!
//! Folders of regions lie side by side, `…/CloudTrail/eu-west-1/2026/03/01/<account>_CloudTrail_…`, and the first `_` of a
//! key stands in its file's name. So a listing that rolls keys up by `_` names each day of each region once: a thousand
//! days a request. A folder sleeps when its open days hold nothing; then a day behind its watermark says that something
//! came, as surely as its own listing would, and it is listed itself. Days that are closed fill the page too, so each
//! request begins behind the watermark of the first folder about which nothing is known yet: there are never more requests
//! than folders.
//!
//! Owns who sleeps, the requests of a sweep, and what their answers say. Does not own when a folder may sleep (`rhythm`),
//! nor watermarks: those move with a folder's own listings only, which go on all the while, much less often.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use orgtrail_cloud::object_store::ListRequest;

use super::Context;
use super::poll::key_before;
use crate::checkpoint::FolderId;
use crate::object::SourceFolder;

/// What file names hold and the folders above them don't.
const DELIMITER: char = '_';

pub(super) type GroupId = u64;

/// Whether folders of this source are swept: its store can do it, and no queue tells of its objects.
pub(super) fn is_swept(folder: &SourceFolder) -> bool {
    folder.source.store.delimits(DELIMITER) && !folder.source.notified
}

/// Who sleeps, by what one listing can show.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    groups: BTreeMap<GroupId, Group>,
    /// By the source's location and the prefix.
    ids: HashMap<(String, String), GroupId>,
    made: GroupId,
}

/// Folders of one account and kind.
#[derive(Debug)]
struct Group {
    name: (String, String),
    folders: BTreeSet<FolderId>,
}

impl Sleepers {
    /// Adds a folder; answers its group, and whether that is new.
    pub(super) fn add(&mut self, folder: &SourceFolder) -> (GroupId, bool) {
        let prefix = folder.path.trim_end_matches('/').trim_end_matches(&*folder.folder.region);
        let name = (folder.source.location.clone(), prefix.to_owned());
        let is_new = !self.ids.contains_key(&name);
        let made = &mut self.made;
        let id = *self.ids.entry(name.clone()).or_insert_with(|| std::mem::replace(made, *made + 1));
        let group = self.groups.entry(id).or_insert_with(|| Group { name, folders: BTreeSet::new() });
        group.folders.insert(folder.id);
        (id, is_new)
    }

    pub(super) fn remove(&mut self, group: GroupId, folder: FolderId) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.folders.remove(&folder);
        }
    }

    /// Those of a group; without any, the group goes.
    pub(super) fn of(&mut self, id: GroupId) -> Option<(String, Vec<FolderId>)> {
        let group = self.groups.get(&id)?;
        if group.folders.is_empty() {
            let group = self.groups.remove(&id)?;
            self.ids.remove(&group.name);
            return None;
        }
        Some((group.name.1.clone(), group.folders.iter().copied().collect()))
    }
}

/// What a sweep says.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Something lies behind their watermarks.
    pub(super) woken: Vec<FolderId>,
    /// A request failed before it was known.
    pub(super) unknown: Vec<FolderId>,
}

/// Looks for what is new in these folders, which lie right below the prefix.
pub(super) async fn sweep(context: Arc<Context>, prefix: String, mut folders: Vec<Arc<SourceFolder>>) -> Swept {
    let began = context.clock.now();
    folders.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let begin = |folder: &Arc<SourceFolder>| {
        let closed = context.checkpoint.closed_through(folder.id);
        closed.and_then(|closed| key_before(folder, closed)).unwrap_or_else(|| folder.path.clone())
    };
    let mut left: VecDeque<_> = folders.into_iter().map(|folder| (begin(&folder), folder)).collect();
    let mut swept = Swept::default();
    while let Some((from, first)) = left.front() {
        let source = Arc::clone(&first.source);
        let request = ListRequest {
            prefix: prefix.clone(),
            start_after: Some(from.clone()),
            delimiter: Some(DELIMITER),
            continuation: None,
        };
        let page = match context.list(&source, None, &request).await {
            Ok((Ok(page), _)) => page,
            // The folders' own listings will tell.
            Ok((Err(error), _)) => {
                tracing::debug!(source.name = source.name, prefix, %error, "silent folders are listed one by one");
                break;
            }
            Err(_) => break,
        };
        let mut names: Vec<_> = page.common_prefixes;
        names.extend(page.objects.into_iter().map(|object| object.key));
        names.sort_unstable();
        let seen_to = page.next.as_ref().map(|_| names.last().cloned().unwrap_or_default());
        let before = left.len();
        while let Some((from, folder)) = left.front() {
            let next = names.partition_point(|name| name <= from);
            let has_news = names.get(next).is_some_and(|name| name.starts_with(&folder.path));
            let is_seen = |to: &String| *to > folder.path && !to.starts_with(&folder.path);
            if has_news {
                swept.woken.push(folder.id);
            } else if seen_to.as_ref().is_none_or(is_seen) {
                folder.was_listed(began);
            } else {
                break;
            }
            left.pop_front();
        }
        // A page that says nothing of the folder that it began with: its own listing will.
        if left.len() == before
            && let Some((_, folder)) = left.pop_front()
        {
            swept.unknown.push(folder.id);
        }
    }
    swept.unknown.extend(left.into_iter().map(|(_, folder)| folder.id));
    swept
}
