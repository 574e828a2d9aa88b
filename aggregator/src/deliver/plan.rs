//! Hop 11: which objects a range of the journal becomes. Pure: a plan is a function of the heads it is made from (I7), and is
//! written down before it is used.
//!
//! An object passes through byte for byte, under its own name, when nothing of it has to go and it isn't tiny. The rest is
//! written anew: the records of one account, region and source day that are to stay, merged up to a size. What a replay
//! delivers again is never merged, so that its name and bytes don't depend on what happens to stand beside it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use orgtrail_event::key::{Folder, LogKey, Stamp};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::journal::Seq;
use crate::journal::head::Head;
use crate::trail::Trail;

/// When objects are merged, and how far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Objects of fewer gzip bytes are merged.
    pub(crate) merge_below: u64,
    /// Most JSON bytes of a merged object. CloudTrail's own files stop at 50 MB before compression (CloudTrail user guide,
    /// quotas).
    pub(crate) object_bytes_max: u64,
}

/// What a range of the journal becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// First seq of the range.
    pub(crate) from: Seq,
    /// First seq after it.
    pub(crate) end: Seq,
    /// The objects, in a fixed order.
    pub(crate) outputs: Vec<Output>,
}

/// One object of the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Output {
    /// A source object as it came.
    Verbatim {
        /// Where it goes.
        key: String,
        /// Where it stands in the journal.
        seq: Seq,
    },
    /// Records of one or more source objects.
    Merged {
        /// Where they go.
        key: String,
        /// Where they stand in the journal, ascending.
        seqs: Vec<Seq>,
    },
}

impl Output {
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Verbatim { key, .. } | Self::Merged { key, .. } => key,
        }
    }
}

type Group<'a> = Vec<(Seq, &'a Head, LogKey)>;

/// Plans the delivery of `heads`, which must be all heads from `from` on up to the last of them.
pub(crate) fn plan(trail: &Trail, limits: Limits, from: Seq, heads: &[(Seq, Head)]) -> Plan {
    let end = heads.last().map_or(from, |(seq, _)| seq + 1);
    let mut outputs = Vec::new();
    let mut groups: BTreeMap<(Folder, Date), Group<'_>> = BTreeMap::new();
    for (seq, head) in heads {
        let selected = head.selected(&trail.name);
        if selected.kept == 0 {
            continue;
        }
        let Some(key) = head.log_key() else { continue };
        if selected.verbatim && (head.gzip_bytes >= limits.merge_below || head.replay_to.is_some()) {
            outputs.push(Output::Verbatim { key: trail.verbatim_key(&key), seq: *seq });
        } else if head.replay_to.is_some() {
            outputs.push(merged(trail, &trail.folder(&key), key.date, &[(*seq, head, key)]));
        } else {
            groups.entry((trail.folder(&key), key.date)).or_default().push((*seq, head, key));
        }
    }
    for ((folder, date), group) in groups {
        for chunk in chunks(trail, group, limits.object_bytes_max) {
            outputs.push(merged(trail, &folder, date, &chunk));
        }
    }
    Plan { from, end, outputs }
}

/// Splits a group so that no chunk's JSON is over the limit, unless a single source file is.
fn chunks<'a>(trail: &Trail, group: Group<'a>, bytes_max: u64) -> Vec<Group<'a>> {
    let mut chunks: Vec<Group<'a>> = Vec::new();
    let mut bytes = 0;
    for member in group {
        let len = member.1.selected(&trail.name).kept_bytes;
        match chunks.last_mut() {
            Some(chunk) if bytes + len <= bytes_max => {
                bytes += len;
                chunk.push(member);
            }
            _ => {
                bytes = len;
                chunks.push(vec![member]);
            }
        }
    }
    chunks
}

fn merged(trail: &Trail, folder: &Folder, date: Date, chunk: &[(Seq, &Head, LogKey)]) -> Output {
    if let [(seq, head, key)] = chunk
        && head.selected(&trail.name).verbatim
    {
        return Output::Verbatim { key: trail.verbatim_key(key), seq: *seq };
    }
    let seqs = chunk.iter().map(|(seq, ..)| *seq).collect();
    let stamp: Stamp = chunk.iter().map(|(.., key)| key.stamp).max().expect("a chunk has members");
    let key = LogKey::new(folder.clone(), date, stamp, unique(&trail.name, chunk)).to_string();
    Output::Merged { key, seqs }
}

/// CloudTrail's 16 letters and digits, here a function of what the object holds.
fn unique(trail: &str, chunk: &[(Seq, &Head, LogKey)]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(trail.as_bytes());
    for (_, head, _) in chunk {
        context.update(b"\n");
        context.update(head.source.as_bytes());
        context.update(head.key.as_bytes());
        context.update(head.sha256.as_bytes());
        for (first, count) in head.selected(trail).left_out() {
            context.update(&first.to_be_bytes());
            context.update(&count.to_be_bytes());
        }
    }
    base62(context.finish().as_ref())
}

/// 16 letters and digits out of at least 16 random-looking bytes.
pub(crate) fn base62(hash: &[u8]) -> String {
    const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    hash.iter().take(16).map(|byte| char::from(DIGITS[usize::from(*byte) % 62])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::head::{Lane, PassedOver};
    use crate::journal::runs::Runs;

    const LIMITS: Limits = Limits { merge_below: 1000, object_bytes_max: 10_000 };

    fn trail() -> Trail {
        Trail {
            name: "org-trail".into(),
            organization_id: Some("o-exampleorgid".into()),
            account: "111122223333".into(),
            home_region: "us-east-1".into(),
            arn: String::new(),
            bucket: "b".into(),
            prefix: String::new(),
        }
    }

    fn head(account: &str, day: &str, stamp: &str, gzip_bytes: u64) -> Head {
        Head {
            source: "file:///b".into(),
            key: format!(
                "p/AWSLogs/{account}/CloudTrail/us-east-1/2026/03/{day}/{account}_CloudTrail_us-east-1_202603{day}T{stamp}Z_AbCdEf0123456789.json.gz"
            ),
            etag: "e".into(),
            sha256: "00".into(),
            kept: 5,
            kept_bytes: 4000,
            gzip_bytes,
            inflated_bytes: 5000,
            event_times: None,
            omit: Runs::default(),
            verbatim: true,
            passed_over: BTreeMap::new(),
            replay_to: None,
            lane: Lane::Live,
        }
    }

    const FAT: &str = "AWSLogs/o-exampleorgid/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T1005Z_AbCdEf0123456789.json.gz";

    #[test]
    fn an_unchanged_object_keeps_its_name_in_the_trails_layout() {
        let plan = plan(&trail(), LIMITS, 7, &[(7, head("111122223333", "01", "1005", 1000))]);
        assert_eq!(plan.outputs, [Output::Verbatim { key: FAT.into(), seq: 7 }]);
        assert_eq!((plan.from, plan.end), (7, 8));
    }

    #[test]
    fn tiny_objects_of_one_account_region_and_day_are_merged() {
        let heads = [
            (1, head("111122223333", "01", "1005", 10)),
            (2, head("111122223333", "02", "1005", 10)),
            (3, head("444455556666", "01", "1005", 10)),
            (4, head("111122223333", "01", "1010", 10)),
        ];
        let plan = plan(&trail(), LIMITS, 1, &heads);
        let merged: Vec<_> = plan.outputs.iter().filter(|output| matches!(output, Output::Merged { .. })).collect();
        let [Output::Merged { key, seqs }] = merged[..] else { panic!("{plan:?}") };
        assert_eq!(seqs, &[1, 4]);
        assert!(key.contains("/111122223333/CloudTrail/us-east-1/2026/03/01/"), "{key}");
        assert!(key.contains("_20260301T1010Z_"), "the newest stamp names it: {key}");
        assert_eq!(plan.outputs.len(), 3, "the others stay alone and so unchanged");
    }

    #[test]
    fn a_changed_object_never_takes_the_originals_name() {
        let changed =
            Head { omit: [2].into_iter().collect(), verbatim: false, ..head("111122223333", "01", "1005", 5000) };
        let plan = plan(&trail(), LIMITS, 1, &[(1, changed)]);
        let [Output::Merged { key, .. }] = &plan.outputs[..] else { panic!("{plan:?}") };
        assert_ne!(key, FAT);
    }

    #[test]
    fn what_a_trail_passes_over_changes_its_plan_alone() {
        let some = PassedOver { records: 2, bytes: 1600, ordinals: [0, 3].into_iter().collect() };
        let all = PassedOver { records: 5, bytes: 4000, ordinals: (0..5).collect() };
        let passed_over = BTreeMap::from([("org-trail".to_owned(), some), ("quiet".to_owned(), all)]);
        let heads = [(1, Head { passed_over, ..head("111122223333", "01", "1005", 5000) })];
        let ours = plan(&trail(), LIMITS, 1, &heads);
        assert!(matches!(&ours.outputs[..], [Output::Merged { key, .. }] if key != FAT), "{ours:?}");
        let other = plan(&Trail { name: "other".into(), ..trail() }, LIMITS, 1, &heads);
        assert!(matches!(&other.outputs[..], [Output::Verbatim { .. }]), "{other:?}");
        let quiet = plan(&Trail { name: "quiet".into(), ..trail() }, LIMITS, 1, &heads);
        assert_eq!((quiet.end, quiet.outputs.len()), (2, 0));
    }

    #[test]
    fn a_replayed_object_is_for_its_destination_alone() {
        let heads = [(1, Head { replay_to: Some("other".into()), ..head("111122223333", "01", "1005", 5000) })];
        assert_eq!(plan(&trail(), LIMITS, 1, &heads).outputs, []);
        assert_eq!(plan(&Trail { name: "other".into(), ..trail() }, LIMITS, 1, &heads).outputs.len(), 1);
    }

    #[test]
    fn what_a_replay_delivers_again_is_named_alike_whatever_stands_beside_it() {
        let replayed =
            |stamp: &str| Head { replay_to: Some("org-trail".into()), ..head("111122223333", "01", stamp, 10) };
        let cut = |stamp: &str| Head { omit: [1].into_iter().collect(), verbatim: false, ..replayed(stamp) };
        let live = head("111122223333", "01", "1005", 10);
        let keys = |heads: &[(Seq, Head)]| {
            let plan = plan(&trail(), LIMITS, 1, heads);
            plan.outputs.iter().map(|output| output.key().to_owned()).collect::<Vec<_>>()
        };
        for again in [replayed("1010"), cut("1010")] {
            let alone = keys(&[(1, again.clone())]);
            let beside = keys(&[(1, live.clone()), (2, cut("1015")), (3, again)]);
            assert_eq!(alone.len(), 1);
            assert!(beside.len() == 3 && beside.contains(&alone[0]), "{alone:?} {beside:?}");
        }
    }

    #[test]
    fn a_merged_object_stops_at_its_size() {
        let heads: Vec<_> = (1..=5).map(|seq| (seq, head("111122223333", "01", "1005", 10))).collect();
        let plan = plan(&trail(), LIMITS, 1, &heads);
        let sizes = plan.outputs.iter().map(|output| match output {
            Output::Merged { seqs, .. } => seqs.len(),
            Output::Verbatim { .. } => 1,
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn the_same_heads_give_the_same_plan() {
        let heads: Vec<_> = (1..=9).map(|seq| (seq, head("111122223333", "01", "1005", 10))).collect();
        assert_eq!(plan(&trail(), LIMITS, 1, &heads), plan(&trail(), LIMITS, 1, &heads));
    }

    #[test]
    fn objects_without_anything_new_vanish_from_the_plan_but_not_from_its_range() {
        let nothing = Head { kept: 0, gzip_bytes: 0, ..head("111122223333", "01", "1005", 0) };
        let plan = plan(&trail(), LIMITS, 3, &[(3, nothing)]);
        assert_eq!((plan.end, plan.outputs.len()), (4, 0));
    }
}
