//! Keys as AWS documents them, as buckets have them, and as nobody would write them.

#![allow(clippy::unwrap_used)]

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn log(key: &str) -> LogKey {
    match classify(key) {
        ObjectKey::Log(log) | ObjectKey::Insight(log) => log,
        other => panic!("{key}: {other:?}"),
    }
}

fn printed(key: &ObjectKey) -> Option<String> {
    match key {
        ObjectKey::Log(log) | ObjectKey::Insight(log) => Some(log.to_string()),
        ObjectKey::Digest(digest) | ObjectKey::BackfillDigest(digest) => Some(digest.to_string()),
        ObjectKey::Foreign => None,
    }
}

const FILE: &str =
    "CloudTrail/us-east-2/2026/03/01/111122223333_CloudTrail_us-east-2_20260301T1005Z_AbCdEf0123456789.json.gz";

#[test]
fn all_four_layouts_are_told_apart() {
    for (above, layout, prefix, organization) in [
        ("AWSLogs/111122223333/", Layout::Plain, "", None),
        ("AWSLogs/o-abcdefghij/111122223333/", Layout::Organization, "", Some("o-abcdefghij")),
        ("o-abcdefghij/AWSLogs/o-abcdefghij/111122223333/", Layout::ControlTower, "o-abcdefghij", Some("o-abcdefghij")),
        ("a/b c/AWSLogs/111122223333/", Layout::Prefixed, "a/b c", None),
        ("a/AWSLogs/o-abcdefghij/111122223333/", Layout::Prefixed, "a", Some("o-abcdefghij")),
        // A prefix given with a slash at its end, one that is the word itself, and another organization's id.
        ("a//AWSLogs/111122223333/", Layout::Prefixed, "a/", None),
        ("AWSLogs/AWSLogs/111122223333/", Layout::Prefixed, "AWSLogs", None),
        ("AWSLogs/o-a/AWSLogs/o-b/111122223333/", Layout::Prefixed, "AWSLogs/o-a", Some("o-b")),
        ("o-zzzzzzzzzz/AWSLogs/o-abcdefghij/111122223333/", Layout::Prefixed, "o-zzzzzzzzzz", Some("o-abcdefghij")),
    ] {
        let key = format!("{above}{FILE}");
        let log = log(&key);
        assert_eq!(log.folder.layout(), layout, "{key}");
        assert_eq!(log.folder.prefix, prefix, "{key}");
        assert_eq!(log.folder.organization_id.as_deref(), organization, "{key}");
        assert_eq!((log.folder.account.as_str(), log.folder.region.as_str()), ("111122223333", "us-east-2"));
        assert_eq!(log.folder.path(), format!("{above}CloudTrail/us-east-2/"));
        assert_eq!(Folder::parse(&log.folder.path()).as_ref(), Some(&log.folder));
        assert_eq!(log.to_string(), key);
    }
}

#[test]
fn a_log_key_says_what_its_parts_say() {
    let log = log(&format!("AWSLogs/111122223333/{FILE}"));
    assert_eq!(log.folder.kind, Kind::Log);
    assert_eq!(log.date, date(2026, 3, 1));
    assert_eq!(log.stamp.to_string(), "20260301T1005Z");
    assert_eq!(log.stamp.unix_seconds(), 1_772_359_500);
    assert_eq!(log.unique, "AbCdEf0123456789");
    assert_eq!(log.folder.day_path(log.date), "AWSLogs/111122223333/CloudTrail/us-east-2/2026/03/01/");
    let made =
        LogKey::new(log.folder.clone(), log.date, Stamp::new(date(2026, 3, 1).at(10, 5, 59, 7)), "AbCdEf0123456789");
    assert_eq!(made, log);
}

#[test]
fn every_kind_has_its_folder_and_its_class() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_folder(kind.folder()), Some(kind));
        let folder = kind.folder();
        let rest =
            if kind == Kind::Digest { "demo_us-east-1_20260301T110000Z" } else { "20260301T0516Z_AbCdEf0123456789" };
        let key = format!(
            "AWSLogs/111122223333/{folder}/us-east-2/2026/03/01/111122223333_{folder}_us-east-2_{rest}.json.gz"
        );
        match (kind, classify(&key)) {
            (Kind::Log | Kind::NetworkActivity | Kind::Aggregated, ObjectKey::Log(log))
            | (Kind::Insight, ObjectKey::Insight(log)) => assert_eq!(log.folder.kind, kind),
            (Kind::Digest, ObjectKey::Digest(digest)) => assert_eq!(digest.folder.kind, kind),
            (_, other) => panic!("{key}: {other:?}"),
        }
    }
}

#[test]
fn digest_keys_take_any_trail_name() {
    for trail in ["demo", "my_trail.of-things", "a_us-east-1_20260301T110000Z", "x_backfill"] {
        for (suffix, backfill) in [("", false), ("_backfill", true)] {
            let key = format!(
                "p/AWSLogs/o-abcdefghij/111122223333/CloudTrail-Digest/us-east-2/2026/03/01/\
                 111122223333_CloudTrail-Digest_us-east-2_{trail}_eu-west-1_20260301T110059Z{suffix}.json.gz"
            );
            let digest = match classify(&key) {
                ObjectKey::Digest(digest) if !backfill => digest,
                ObjectKey::BackfillDigest(digest) if backfill => digest,
                other => panic!("{key}: {other:?}"),
            };
            assert_eq!((digest.trail.as_str(), digest.home_region.as_str()), (trail, "eu-west-1"));
            assert_eq!(digest.end.unix_seconds(), 1_772_362_859);
            assert_eq!(digest.end, DigestStamp::new(date(2026, 3, 1).at(11, 0, 59, 0)));
            assert_eq!(digest.backfill, backfill);
            assert_eq!(digest.to_string(), key);
        }
    }
}

// The historic sample without the underscore, and trap 26: names without the usual 16 characters.
#[test]
fn unusual_unique_parts_are_taken() {
    for (end, unique) in [
        ("Z_AbCdEf0123456789", "AbCdEf0123456789"),
        ("ZHdkvFTXOA3Vnhbc", "HdkvFTXOA3Vnhbc"),
        ("Z", ""),
        ("Z_x", "x"),
        ("Z__a-b_", "_a-b_"),
        ("Z-1", "-1"),
    ] {
        let key = format!(
            "AWSLogs/111122223333/CloudTrail/us-east-2/2014/06/10/111122223333_CloudTrail_us-east-2_20140610T1255{end}.json.gz"
        );
        assert_eq!(log(&key).unique, unique, "{key}");
        assert_eq!(log(&key).to_string(), key);
    }
}

// Trap 22: the day of the folder needn't be the stamp's. AWS documents no stem for the newer kinds.
#[test]
fn a_file_name_that_differs_from_its_folder_is_kept() {
    for key in [
        "AWSLogs/111122223333/CloudTrail/us-east-2/2026/03/02/111122223333_CloudTrail_us-east-2_20260301T2355Z_a.json.gz",
        "AWSLogs/111122223333/CloudTrail/us-east-2/2026/03/01/999999999999_CloudTrail_us-east-2_20260301T1005Z_a.json.gz",
        "AWSLogs/111122223333/CloudTrail/us-east-2/2026/03/01/111122223333_CloudTrail_us-west-1_20260301T1005Z_a.json.gz",
        "AWSLogs/111122223333/CloudTrail-NetworkActivity/us-east-2/2026/03/01/111122223333_CloudTrail_us-east-2_20260301T1005Z_a.json.gz",
    ] {
        assert_eq!(log(key).folder.account, "111122223333");
        assert_eq!(log(key).to_string(), key);
    }
}

#[test]
fn everything_else_is_foreign() {
    let good = format!("AWSLogs/111122223333/{FILE}");
    assert!(matches!(classify(&good), ObjectKey::Log(_)));
    for (from, to) in [
        ("AWSLogs/", ""),
        ("AWSLogs/", "/AWSLogs/"),
        ("AWSLogs/", "awslogs/"),
        ("AWSLogs/", "AWSLogs//"),
        ("AWSLogs/", "AWSLogs/x-abcdefghij/"),
        ("AWSLogs/", "xAWSLogs/"),
        ("AWSLogs/1111", "AWSLogs/111"),
        ("AWSLogs/1111", "AWSLogs/１111"),
        ("/CloudTrail/", "/Config/"),
        ("/CloudTrail/", "/CloudTrail-Digest/"),
        ("/CloudTrail/us-east-2", "/CloudTrail/us_east_2"),
        ("/CloudTrail/us-east-2", "/CloudTrail/"),
        ("2026/03/01/", "/2026/03/01/"),
        ("2026/03/01/", "2026/03/01//"),
        ("2026/03/01/", "2026/03/"),
        ("2026/03/01/", "2026/3/1/"),
        ("2026/03/01/", "2026/02/29/"),
        ("2026/03/01/", "+026/03/01/"),
        ("2026/03/01/", "2026/03/01/x/"),
        ("_CloudTrail_", "_CloudTrail-Digest_"),
        ("_CloudTrail_", "_Config_"),
        ("/111122223333_", "/_"),
        ("T1005Z", "T2405Z"),
        ("T1005Z", "T1060Z"),
        ("T1005Z", "T1005"),
        ("T1005Z", "T10é5Z"),
        ("20260301T", "20260230T"),
        ("AbCdEf0123456789", ""),
        ("AbCdEf0123456789", "AbCd.Ef"),
        ("AbCdEf0123456789", "AbCdé"),
        (".json.gz", ".json"),
        (".json.gz", ".json.gz.tmp"),
        (".json.gz", ".json.gz/"),
    ] {
        assert!(good.contains(from), "{from}");
        let key = good.replacen(from, to, 1);
        assert_eq!(classify(&key), ObjectKey::Foreign, "{key}");
    }
    for key in [
        "",
        "/",
        "AWSLogs/111122223333/CloudTrail-Lake/Query/2026/03/01/x/result_sign.json",
        "AWSLogs/111122223333/CloudTrail/",
        "AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/03/01/111122223333_vpcflowlogs_us-east-1_fl-1_20260301T1005Z_a.log.gz",
        "AWSLogs/o-abcd/811596193553/CloudTrail/us-east-1/2020/10/01/811596193553_CloudTrail_us-east-1-20201001T0000.json.gz",
        "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2026/03/01/999999999999_CloudTrail-Digest_us-east-2_demo_us-east-1_20260301T110000Z.json.gz",
        "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2026/03/01/111122223333_CloudTrail-Digest_us-east-2__us-east-1_20260301T110000Z.json.gz",
        "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2026/03/01/111122223333_CloudTrail-Digest_us-east-2_us-east-1_20260301T110000Z.json.gz",
        "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2026/03/01/111122223333_CloudTrail-Digest_us-east-2_demo_us-east-1_20260301T1100Z.json.gz",
        "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2026/03/01/111122223333_CloudTrail-Digest_us-east-2_demo_us-east-1_20260301T110060Z.json.gz",
    ] {
        assert_eq!(classify(key), ObjectKey::Foreign, "{key}");
    }
}

#[test]
fn a_digest_key_that_is_made_is_read_again() {
    let folder = Folder {
        prefix: "p".to_owned(),
        organization_id: Some("o-abcdefghij".to_owned()),
        account: "111122223333".to_owned(),
        kind: Kind::Log,
        region: "us-east-2".to_owned(),
    };
    let end = DigestStamp::new(date(2026, 3, 2).at(0, 0, 1, 0));
    let key = DigestKey::new(folder, end, "a_b", "us-east-1", true);
    assert_eq!(
        key.to_string(),
        "p/AWSLogs/o-abcdefghij/111122223333/CloudTrail-Digest/us-east-2/2026/03/02/\
         111122223333_CloudTrail-Digest_us-east-2_a_b_us-east-1_20260302T000001Z_backfill.json.gz"
    );
    assert_eq!(classify(&key.to_string()), ObjectKey::BackfillDigest(key));
}

#[test]
fn stamps_at_the_ends_of_time_hold() {
    for (text, seconds) in [("00000101T0000Z", -62_167_219_200), ("99991231T2359Z", 253_402_300_740)] {
        let key = format!("AWSLogs/111122223333/CloudTrail/r/2026/03/01/111122223333_CloudTrail_r_{text}_a.json.gz");
        assert_eq!(log(&key).stamp.unix_seconds(), seconds);
        assert_eq!(log(&key).to_string(), key);
    }
    assert_eq!(Stamp::new(date(-4, 2, 29).at(1, 2, 3, 4)).to_string(), "00000229T0102Z");
}

/// Keys near the grammar: right in most parts, wrong in some.
fn near_key() -> impl Strategy<Value = String> {
    let kinds =
        "(CloudTrail|CloudTrail-Digest|CloudTrail-Insight|CloudTrail-NetworkActivity|CloudTrail-Aggregated|Config)";
    let organization = "((o-[a-z0-9]{1,12})/)?";
    (
        "([a-zA-Z/ o-]{0,8}/)?",
        organization,
        "[0-9]{12}",
        kinds,
        "[a-z]{2}-[a-z]{4}-[1-9]",
        "20[0-9]{2}/(0[0-9]|1[0-3])/[0-3][0-9]",
        kinds,
        "[_a-z]{0,6}(_us-east-1_)?",
        "20[0-9]{2}(0[0-9]|1[0-2])[0-3][0-9]T[0-2][0-9][0-5][0-9]([0-5][0-9])?Z",
        "_?[a-zA-Z0-9_-]{0,16}(_backfill)?",
    )
        .prop_map(|(prefix, organization, account, kind, region, day, stem, trail, stamp, unique)| {
            let stem = if stem == "Config" { kind.clone() } else { stem };
            let trail = if kind == "CloudTrail-Digest" { trail } else { String::new() };
            format!(
                "{prefix}AWSLogs/{organization}{account}/{kind}/{region}/{day}/\
                 {account}_{stem}_{region}_{trail}{stamp}{unique}.json.gz"
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_parsed_key_prints_as_it_stood(key in near_key()) {
        if let Some(printed) = printed(&classify(&key)) {
            prop_assert_eq!(printed, key);
        }
    }

    #[test]
    fn every_string_has_an_answer(key in "\\PC{0,80}", cut in 0usize..200) {
        assert!(printed(&classify(&key)).is_none_or(|printed| printed == key));
        let good = format!("AWSLogs/111122223333/{FILE}");
        let mut key: String = good.chars().take(cut).chain(key.chars()).collect();
        key.extend(good.chars().skip(cut));
        prop_assert!(printed(&classify(&key)).is_none_or(|printed| printed == key));
    }

    #[test]
    fn a_made_key_classifies_as_itself(
        prefix in "([a-z]{1,5}(/[a-z]{1,5})?)?", account in "[0-9]{12}", minute in 0i8..60, unique in "[a-zA-Z0-9]{16}",
        organization_id in proptest::option::of("o-[a-z0-9]{10,32}"),
    ) {
        let folder = Folder { prefix, organization_id, account, kind: Kind::Log, region: "eu-central-2".into() };
        let day = date(2026, 3, 1);
        let key = LogKey::new(folder, day, Stamp::new(day.at(1, minute, 0, 0)), unique);
        prop_assert_eq!(classify(&key.to_string()), ObjectKey::Log(key));
    }
}
