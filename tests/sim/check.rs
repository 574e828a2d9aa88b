//! What must hold in the end.

use std::collections::{BTreeMap, BTreeSet};

use orgtrail_agent::Outcome;
use orgtrail_agent::status::Status as AgentStatus;
use orgtrail_aggregator::status::Status as AggregatorStatus;
use orgtrail_cloud::ObjectStore as _;
use orgtrail_cloud::object_store::ListRequest;
use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::classify;
use serde_json::value::RawValue;

use crate::model::{Damage, Due};
use crate::operations::Who;
use crate::past;
use crate::post::{About, Post, STRANGER_SUBJECT};
use crate::proved::unproved;
use crate::run::Run;
use crate::settings::TRAILS;
use crate::world::Bucket;

/// Names of objects or records in a message: more would help nobody.
const NAMED_MAX: usize = 5;

/// The records of a log file.
pub(crate) fn records(gzip: &[u8]) -> Result<Vec<String>, String> {
    #[derive(serde::Deserialize)]
    struct File<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<&'a RawValue>,
    }
    let mut json = Vec::new();
    Inflater::new().inflate(gzip, 1 << 30, &mut json).map_err(|error| error.to_string())?;
    let file: File<'_> = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    Ok(file.records.into_iter().map(|record| record.get().to_owned()).collect())
}

/// Every record of a trail, with the keys of the objects that hold it.
async fn delivered(bucket: &Bucket) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut request = ListRequest::default();
    loop {
        let page = bucket.store.list(&request).await.map_err(|error| error.to_string())?;
        for meta in page.objects {
            let key = meta.key;
            if classify(&key).into_log().is_none() {
                continue;
            }
            let object = bucket.store.get(&key, 1 << 30).await.map_err(|error| error.to_string())?;
            for record in records(&object.bytes).map_err(|error| format!("{key}: {error}"))? {
                found.entry(record).or_default().push(key.clone());
            }
        }
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return Ok(found),
        }
    }
}

/// What must be delivered and isn't.
pub(crate) async fn missing(run: &Run) -> Vec<String> {
    let mut missing = Vec::new();
    for (index, bucket) in run.world.trails.iter().enumerate() {
        let delivered = match delivered(bucket).await {
            Ok(delivered) => delivered,
            Err(unreadable) => return vec![unreadable],
        };
        let due = run.model.due(index == 1);
        let absent = due.iter().filter(|(text, due)| **due == Due::Must && !delivered.contains_key(**text));
        missing.extend(absent.map(|(text, _)| format!("{}: {}", TRAILS[index], short(text))));
    }
    if let Some(post) = &run.world.post {
        missing.extend(post.left().into_iter().map(|body| format!("never deleted: {}", short(&body))));
    }
    if run.world.settings.past {
        missing.extend(past::left(run));
    }
    if missing.is_empty() && run.world.settings.digests {
        missing.extend(unproved_yet(run));
    }
    missing.truncate(NAMED_MAX);
    missing
}

/// What a running agent doesn't say of its digests yet.
fn unproved_yet(run: &Run) -> Vec<String> {
    let Some(life) = run.process(Who::Agent).life() else { return vec!["the agent is down".to_owned()] };
    let said = orgtrail_service::state_dir::read_status(life.dir()).ok().flatten();
    match said.and_then(|said| serde_json::from_value(said.value).ok()) {
        Some(status) => unproved(run, &status),
        None => vec!["the agent says nothing".to_owned()],
    }
}

fn short(text: &str) -> String {
    text.chars().take(230).collect()
}

/// Everything that isn't as it must be once both processes have ended.
pub(crate) async fn check(run: &Run, outcome: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, bucket) in run.world.trails.iter().enumerate() {
        check_trail(run, index, bucket, &mut wrong).await;
        wrong.extend(bucket.violations());
    }
    run.world.sources.iter().for_each(|source| wrong.extend(source.violations()));
    wrong.extend(run.world.post.iter().flat_map(Post::violations));
    check_agent(run, outcome, &mut wrong);
    check_quarantine(run, outcome, &mut wrong);
    check_aggregator(run, &mut wrong);
    check_counts(run, &mut wrong).await;
    if let Ok(status) = status(run, Who::Agent) {
        wrong.extend(unproved(run, &status));
    }
    wrong
}

async fn check_trail(run: &Run, index: usize, bucket: &Bucket, wrong: &mut Vec<String>) {
    let delivered = match delivered(bucket).await {
        Ok(delivered) => delivered,
        Err(unreadable) => return wrong.push(unreadable),
    };
    let due = run.model.due(index == 1);
    let trail = TRAILS[index];
    for (text, due) in &due {
        if *due == Due::Must && !delivered.contains_key(*text) {
            wrong.push(format!("{trail}: never delivered: {}", short(text)));
        }
    }
    // An aggregator that lost its disk has forgotten what it has delivered (docs/operations.md).
    let once = !run.forgot[Who::Aggregator as usize];
    for (text, keys) in &delivered {
        if !due.contains_key(text.as_str()) {
            wrong.push(format!("{trail}: {keys:?} holds what nobody delivered: {}", short(text)));
        }
        if once && keys.len() > 1 {
            wrong.push(format!("{trail}: delivered {} times, in {keys:?}: {}", keys.len(), short(text)));
        }
    }
    wrong.truncate(4 * NAMED_MAX);
}

fn check_agent(run: &Run, outcome: &Outcome, wrong: &mut Vec<String>) {
    let objects = &outcome.objects;
    if !outcome.complete || objects.in_flight > 0 || outcome.undelivered > 0 || objects.delivered != objects.done {
        wrong.push(format!("the agent has not come to rest: {outcome:?}"));
    }
    let status: AgentStatus = match status(run, Who::Agent) {
        Ok(status) => status,
        Err(error) => return wrong.push(error),
    };
    for row in &status.rows {
        if !row.objects.is_conserved() {
            wrong.push(format!("the object ledger does not balance: {row:?}"));
        }
    }
    if !status.objects.is_conserved() {
        wrong.push(format!("the object ledger does not balance: {:?}", status.objects));
    }
}

fn check_quarantine(run: &Run, outcome: &Outcome, wrong: &mut Vec<String>) {
    let (must, may) = run.model.quarantined();
    let name = |(source, key): &(usize, &str)| run.world.sources[*source].store.location().object(key);
    let there: BTreeSet<String> = outcome.quarantined.iter().map(|object| object.subject.clone()).collect();
    for subject in must.iter().map(&name).filter(|subject| !there.contains(subject)) {
        wrong.push(format!("{subject} is damaged and not in the agent's quarantine"));
    }
    for object in run.model.objects.iter().filter(|object| object.versions.last().unwrap().is_sound()) {
        if !run.model.is_as_signed(object) {
            continue;
        }
        let subject = name(&(object.source, object.key.as_str()));
        if there.contains(&subject) {
            wrong.push(format!("{subject} is sound and still in the agent's quarantine"));
        }
    }
    let mut may: BTreeSet<String> = may.iter().map(&name).collect();
    check_messages(run, &there, &mut may, wrong);
    for subject in there.difference(&may).filter(|subject| !subject.starts_with(STRANGER_SUBJECT)) {
        wrong.push(format!("{subject} is in the agent's quarantine and was never damaged"));
    }
}

/// Every message that could not be read was put aside, and no other.
fn check_messages(run: &Run, there: &BTreeSet<String>, may: &mut BTreeSet<String>, wrong: &mut Vec<String>) {
    let (Some(post), Some(settings)) = (&run.world.post, &run.world.settings.post) else { return };
    let mut must = post.subjects(&About::Poison);
    if settings.park_strangers {
        must.append(&mut post.subjects(&About::Stranger));
    }
    // With its disk an agent loses what it has put aside.
    if !run.forgot[Who::Agent as usize] {
        wrong.extend(must.difference(there).map(|subject| format!("{subject} was never put aside")));
    }
    may.append(&mut must);
}

fn check_aggregator(run: &Run, wrong: &mut Vec<String>) {
    let status: AggregatorStatus = match status(run, Who::Aggregator) {
        Ok(status) => status,
        Err(error) => return wrong.push(error),
    };
    for trail in &status.trails {
        if !trail.balanced || trail.pending > 0 {
            wrong.push(format!("the record ledger does not balance: {trail:?} of {:?}", status.records));
        }
    }
    if run.forgot[Who::Aggregator as usize] {
        return;
    }
    // What is not what its digest says is the agent's to put aside.
    let signed = run.model.objects.iter().filter(|object| run.model.is_as_signed(object));
    let last = signed.map(|object| object.versions.last().unwrap());
    let bad = last.filter(|last| last.in_time && last.damage == Some(Damage::BadStretch)).count() as u64;
    let quarantined = status.quarantine.get("bad_record").copied().unwrap_or(0);
    if quarantined < bad {
        wrong.push(format!("{quarantined} bad stretches are in the aggregator's quarantine, not {bad}"));
    }
}

/// What the ledger says was delivered is what is there.
async fn check_counts(run: &Run, wrong: &mut Vec<String>) {
    let Ok(status) = status::<AggregatorStatus>(run, Who::Aggregator) else { return };
    if run.forgot[Who::Aggregator as usize] {
        return;
    }
    for (trail, bucket) in status.trails.iter().zip(&run.world.trails) {
        let Ok(there) = delivered(bucket).await else { return };
        let records: usize = there.values().map(Vec::len).sum();
        let objects: BTreeSet<&String> = there.values().flatten().collect();
        if (records as u64, objects.len() as u64) != (trail.delivered, trail.objects) {
            wrong.push(format!(
                "{records} records in {} objects are there, and the ledger says {trail:?}",
                objects.len()
            ));
        }
    }
}

/// What a process that runs last said of itself, for people.
pub(crate) fn said(run: &Run, who: Who) -> String {
    let Some(life) = run.process(who).life() else { return "nothing: it is down".to_owned() };
    match orgtrail_service::state_dir::read_status(life.dir()) {
        Ok(Some(said)) => format!("{:#}", said.value),
        other => format!("{other:?}"),
    }
}

/// What a process that has ended last said of itself.
fn status<T: serde::de::DeserializeOwned>(run: &Run, who: Who) -> Result<T, String> {
    let dir = run.process(who).left();
    let said = orgtrail_service::state_dir::read_status(&dir).map_err(|error| error.to_string())?;
    let said = said.ok_or_else(|| format!("{who:?} left no status in {}", dir.display()))?;
    serde_json::from_value(said.value).map_err(|error| error.to_string())
}
