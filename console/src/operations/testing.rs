//! Two trails and two keys to ask about, and how to ask.

use std::sync::Arc;

use jiff::Timestamp;
use orgtrail_event::digest::PublicKeys;
use orgtrail_service::clock::Manual;
use orgtrail_service::health::Health;
use serde_json::Value;

use super::{Context, find};
use crate::caller::Caller;
use crate::config::TrailConfig;
use crate::error::Error;
use crate::public_keys::KeyFiles;
use crate::trail::Trail;

/// What the clock says.
pub(crate) const NOW: i64 = 1_800_000_000;

/// An organization trail at home in us-east-1, and a trail of eu-west-1 alone.
pub(crate) fn trails() -> Vec<TrailConfig> {
    let organization = TrailConfig {
        name: "org-trail".to_owned(),
        account_id: "111122223333".to_owned(),
        home_region: "us-east-1".to_owned(),
        organization_id: Some("o-exampleorgid".to_owned()),
        location: "s3://bucket/audit".parse().ok(),
        public_keys: Some("public-keys.json".into()),
        kms_key_id: Some("arn:aws:kms:us-east-1:111122223333:key/k".to_owned()),
        sns_topic: Some("arn:aws:sns:us-east-1:111122223333:topic".to_owned()),
        ..TrailConfig::default()
    };
    let regional = TrailConfig {
        name: "regional".to_owned(),
        account_id: "444455556666".to_owned(),
        home_region: "eu-west-1".to_owned(),
        multi_region: false,
        location: "file:///srv/org-trail-files".parse().ok(),
        ..TrailConfig::default()
    };
    vec![organization, regional]
}

/// These trails, with the keys `past`, until 1 000 000 s, and `present`, which has no end.
pub(crate) fn context(trails: Vec<TrailConfig>) -> Arc<Context> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("public-keys.json");
    let start = NOW - 60;
    let list = format!(
        r#"{{"PublicKeyList":[{{"Value":"AAEC","ValidityStartTime":0,"ValidityEndTime":"1970-01-12T13:46:40Z","Fingerprint":"past"}},
            {{"Value":"AAEC","ValidityStartTime":{start}.0,"Fingerprint":"present"}}]}}"#
    );
    PublicKeys::from_json(list.as_bytes()).unwrap();
    std::fs::write(&path, list).unwrap();
    let clock = Manual::new(Timestamp::from_second(NOW).unwrap());
    let keys = KeyFiles::new([path], Health::new(clock.clone()));
    keys.read().unwrap();
    // The file is gone with this function; what was read is kept.
    Arc::new(Context { trails: trails.into_iter().map(Trail::new).collect(), keys, clock })
}

/// Asks as a client of this region (empty: not signed) and account.
pub(crate) fn answer_of(
    context: &Arc<Context>,
    operation: &str,
    region: &str,
    account: &str,
    body: Value,
) -> Result<Value, Error> {
    let service = if operation.ends_with("Organization") { "AWSOrganizationsV20161128" } else { "CloudTrail_20131101" };
    let entry = find(&format!("{service}.{operation}")).unwrap();
    let region = Some(region.to_owned()).filter(|region| !region.is_empty());
    let caller = Caller { region, account: Some(account.to_owned()) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on((entry.run)(Arc::clone(context), caller, body))
}

/// Asks about [`trails`] from a region; empty: not signed.
pub(crate) fn answer(operation: &str, region: &str, body: Value) -> Value {
    answer_of(&context(trails()), operation, region, "111122223333", body).unwrap()
}

/// Asks from us-east-1 what can't be answered.
pub(crate) fn error(operation: &str, body: Value) -> Error {
    answer_of(&context(trails()), operation, "us-east-1", "111122223333", body).unwrap_err()
}
