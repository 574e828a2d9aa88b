//! The files that stand among the logs and are none: an Insight pair, and somebody's notes. For digests see `digests`.

use super::organization::Organization;
use super::random::{Alphabet, Random};
use super::{FileKind, OtherFile, Plan, time};

/// One such file, with its content; whether to compress it.
pub(super) struct Extra {
    pub source: usize,
    pub file: OtherFile,
    pub content: Vec<u8>,
    pub compress: bool,
}

const README: &str = "Copied here while looking into the outage. Please keep until the review is over.\n";

/// One of each for every source that has an account.
pub(super) fn extras(plan: &Plan, organization: &Organization) -> Vec<Extra> {
    let mut random = Random::new(plan.seed, "others");
    let mut extras = Vec::new();
    let Some(region) = plan.regions.first() else { return extras };
    for (index, source) in organization.sources.iter().enumerate() {
        let Some(account) = source.accounts.first() else { continue };
        let mut add = |key: String, kind, content: String, compress| {
            let file = OtherFile { bucket: source.bucket.clone(), key, kind };
            extras.push(Extra { source: index, file, content: content.into_bytes(), compress });
        };
        let stamp = plan.last_stamp() - 3 * 60;
        let key = source.file_key(account, "CloudTrail-Insight", region, stamp, &mut random);
        add(key, FileKind::Insight, insight(account, region, stamp, &mut random), true);
        let folder = source.region_folder(account, "CloudTrail", region);
        let day = time::day_folder(plan.last_stamp());
        add(format!("{folder}{day}/README.txt"), FileKind::Foreign, README.to_owned(), false);
    }
    extras
}

/// Records of an Insight file.
pub(super) const INSIGHT_RECORDS: u64 = 2;

/// The Start and the End of one Insight: same shared id, own event ids, and no caller.
fn insight(account: &str, region: &str, stamp: i64, random: &mut Random) -> String {
    let mut uuid = || {
        let mut out = Vec::new();
        random.uuid(&mut out);
        String::from_utf8(out).expect("a UUID is ASCII")
    };
    let (shared, first, second) = (uuid(), uuid(), uuid());
    let role = random.string(Alphabet::Hex, 8);
    let record = |state: &str, id: &str, minutes_ago: i64, average: &str, minutes: u32| {
        let time = time::iso((stamp - minutes_ago * 60).div_euclid(60) * 60);
        format!(
            r#"{{"eventVersion":"1.09","eventTime":"{time}","awsRegion":"{region}","eventID":"{id}","eventType":"AwsCloudTrailInsight","recipientAccountId":"{account}","sharedEventID":"{shared}","insightDetails":{{"state":"{state}","eventSource":"ssm.amazonaws.com","eventName":"UpdateInstanceInformation","insightType":"ApiCallRateInsight","sourceEventCategory":"Management","insightContext":{{"statistics":{{"baseline":{{"average":9.82222E-5}},"insight":{{"average":{average}}},"insightDuration":{minutes},"baselineDuration":10181}},"attributions":[{{"attribute":"userIdentityArn","insight":[{{"value":"arn:aws:sts::{account}:assumed-role/fleet-{role}","average":{average}}}],"baseline":[]}},{{"attribute":"errorCode","insight":[{{"value":"null","average":{average}}}],"baseline":[{{"value":"null","average":9.82222E-5}}]}}]}}}},"eventCategory":"Insight"}}"#
        )
    };
    let start = record("Start", &first, 24, "11.5", 1);
    let end = record("End", &second, 20, "9.75", 4);
    format!(r#"{{"Records":[{start},{end}]}}"#)
}
