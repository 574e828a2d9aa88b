//! The golden vector, its every damage, and documents of all forms.

#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::gzip::Deflater;

/// Made with a throw-away key; verified with the AWS CLI's own code and with OpenSSL.
const GOLDEN: &str = include_str!("golden_digest.json");
const VALUE: &str = "MIIBCgKCAQEAuMGik9/lVkl+b74POdQLMOG/JdZ6r0bVzyWdqzexEzPxD0kLi+FQA/GPvyRJ6Vw6OL9BxEY8+PsXJ8xu7eUELvwiWMEomj89DVMv1GAAy3is0D/KJl9i4KAvs25uEMPz5y+z9fOjNssAvITgVY4yWTn2JegCLkOfiEnqdhcxUDo0ryv5+sgy2tCVY7qZt7zLvWDwExJIq5aVrQZJ+lFm8ZqPmE8radKrL78h4sKGnHkwKa/o5H4GO7ruWwpMnX9dlHqdgeHBnaM13ttUxqnUwuFUb2s7eVUBPlLxr3tOBBohJAkSCvDupe42nwzl5hvAWVKT+VLCp1tJtypnEnJqKwIDAQAB";
const SIGNATURE: &str = "a6ac88ff461e31224f26e70ae65131c9e0bed68c605b6a566701061b190b8d352957d18a812d75fb86f7c7e548fe8aad240d66e0a91501b65907abb7e25e28b91457689136c99f2a1a88b29d57a7360554e674c688ccb4d0f34e8b28e09896746cef77c47d4163a3e44068d0970fb3faa06d0bd763f7473950134886dd02e7c2eefbf21f4a7a7241fd3cb9d5c71e6f544a429535ff987469f887354a2d6cae26d1b2841db4097138f44036f65d1e78f2c287ba71e95fa22789ae4c5ad88f50d1dd8758acee8442060e4ed9f37caccbcc3b1dbec31b03d5f447ce3918488db1f1590e6a406ece55643823333b79066670fa3c5d04fe78b50f35eba97665046b40";
const FINGERPRINT: &str = "2a34fabdffb91a6d74db62321c9e1d5f";
const KEY: &str = "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2026/03/01/111122223333_CloudTrail-Digest_us-east-2_demo_us-east-1_20260301T110000Z.json.gz";
const HASH: &str = "c96ff15d32a48d98d7dbdf8266e2741fb681cfaf1d859381b74fe849a89059c1";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    Deflater::default().deflate(bytes)
}

fn keys() -> PublicKeys {
    let list = format!(
        r#"{{"PublicKeyList":[{{"Value":"{VALUE}","ValidityStartTime":1772000000.5,"ValidityEndTime":1773000000,"Fingerprint":"{FINGERPRINT}"}}]}}"#
    );
    PublicKeys::from_json(list.as_bytes()).unwrap()
}

fn read<'a>(gz: &'a [u8]) -> DigestRead<'a> {
    DigestRead {
        bucket: "ct-bucket",
        key: KEY,
        gz,
        signature: Some(SIGNATURE),
        signature_algorithm: Some(SIGNATURE_ALGORITHM),
        backfill_timestamp: None,
        home_region: "us-east-1",
        moved: false,
    }
}

fn verdict(read: &DigestRead<'_>) -> Result<(Digest, String), DigestFault> {
    verify_digest(read, &keys(), &mut Content::new())
}

#[test]
fn the_golden_digest_is_valid_and_written_back_byte_for_byte() {
    let gz = gzip(GOLDEN.as_bytes());
    let (digest, hash) = verdict(&read(&gz)).unwrap();
    assert_eq!(hash, HASH);
    assert_eq!(digest.to_json(), GOLDEN.as_bytes());
    assert_eq!(digest.string_to_sign(&hash), format!("2026-03-01T11:00:00Z\nct-bucket/{KEY}\n{HASH}\nnull"));
    assert_eq!(string_to_sign("e", "b", "k", "h", Some("ab")), "e\nb/k\nh\nab");
    let log = &digest.log_files[0];
    assert_eq!(Content::new().verify_log(&gzip(b"{\"Records\":[]}"), &log.hash_value), Ok(()));
    assert_eq!(PublicKey::from_der(&BASE64.decode(VALUE).unwrap()).unwrap().fingerprint(), FINGERPRINT);
}

#[test]
fn each_fault_is_found_in_the_order_of_the_aws_cli() {
    let gz = gzip(GOLDEN.as_bytes());
    let fault = |read: &DigestRead<'_>| verdict(read).unwrap_err().to_string();
    assert_eq!(fault(&DigestRead { gz: b"x", ..read(&gz) }), "invalid format");
    assert_eq!(fault(&DigestRead { gz: &gzip(b"[1,"), signature: None, ..read(&gz) }), "invalid format");
    assert_eq!(fault(&DigestRead { gz: &gz[..gz.len() - 9], ..read(&gz) }), "invalid format");
    // JSON without the members: metadata is looked at first.
    assert_eq!(fault(&DigestRead { gz: &gzip(b"{}"), signature: None, ..read(&gz) }), "signature verification failed");
    assert_eq!(
        fault(&DigestRead { gz: &gzip(b"{}"), signature_algorithm: None, ..read(&gz) }),
        "signature verification failed"
    );
    assert_eq!(fault(&DigestRead { gz: &gzip(b"{}"), ..read(&gz) }), "invalid format");
    let without = GOLDEN.replace(r#","previousDigestSignature":null"#, "");
    assert_eq!(fault(&DigestRead { gz: &gzip(without.as_bytes()), ..read(&gz) }), "invalid format");
    let backfill = KEY.replace(".json.gz", "_backfill.json.gz");
    assert_eq!(fault(&DigestRead { key: &backfill, ..read(&gz) }), "invalid format");
    let moved = DigestRead { key: &backfill, backfill_timestamp: Some("2026-03-01T11:00:00.000Z"), ..read(&gz) };
    assert_eq!(fault(&moved), "has been moved from its original location");
    assert_eq!(fault(&DigestRead { bucket: "other", ..read(&gz) }), "has been moved from its original location");
    let changed = GOLDEN.replace(FINGERPRINT, "00");
    assert_eq!(
        fault(&DigestRead { gz: &gzip(changed.as_bytes()), ..read(&gz) }),
        "public key not found in region us-east-1 for fingerprint 00"
    );
    let changed = GOLDEN.replace("10:01:00", "10:02:00");
    assert_eq!(fault(&DigestRead { gz: &gzip(changed.as_bytes()), ..read(&gz) }), "signature verification failed");
    assert_eq!(fault(&DigestRead { signature: Some("abc"), ..read(&gz) }), "Odd-length string");
    assert_eq!(fault(&DigestRead { signature: Some("zz"), ..read(&gz) }), "Non-hexadecimal digit found");
    assert_eq!(fault(&DigestRead { signature: Some("ab"), ..read(&gz) }), "signature verification failed");
    let double = PublicKeys::from_json(
        format!(r#"{{"PublicKeyList":[{{"Value":"{}","Fingerprint":"{FINGERPRINT}"}}]}}"#, BASE64.encode(VALUE))
            .as_bytes(),
    );
    let unloadable = verify_digest(&read(&gz), &double.unwrap(), &mut Content::new()).unwrap_err();
    assert_eq!(unloadable.to_string(), format!("Unable to load PKCS #1 key with fingerprint {FINGERPRINT}"));
}

#[test]
fn a_moved_copy_is_verified_over_its_original_place() {
    let gz = gzip(GOLDEN.as_bytes());
    let copy = format!("archive/2026/{KEY}");
    let moved = DigestRead { bucket: "copies", key: &copy, moved: true, ..read(&gz) };
    assert!(verdict(&moved).is_ok());
    assert_eq!(verdict(&DigestRead { moved: false, ..moved }), Err(DigestFault::Moved));
    // Under another hour, account, or trail it is no copy but a swap.
    for (from, to) in [("T110000Z", "T120000Z"), ("111122223333", "111122223334"), ("demo", "other")] {
        let swapped = copy.replace(from, to);
        assert_eq!(verdict(&DigestRead { key: &swapped, ..moved }), Err(DigestFault::Moved), "{to}");
    }
    let changed = GOLDEN.replace("ct-bucket", "copies");
    assert_eq!(verdict(&DigestRead { gz: &gzip(changed.as_bytes()), ..moved }), Err(DigestFault::Signature));
}

#[test]
fn a_log_file_is_judged_as_the_aws_cli_does() {
    let mut content = Content::new();
    let body = b"{\"Records\":[]}";
    let hash = sha256_hex(body);
    let gz = gzip(body);
    let mut wrong_crc = gz.clone();
    *wrong_crc.iter_mut().nth_back(7).unwrap() ^= 1;
    for (bytes, verdict) in [
        (gz.clone(), Ok(())),
        (gzip(b"{\"Records\":[ ]}"), Err(LogFault::HashMismatch)),
        ([gz.clone(), b"x".to_vec()].concat(), Err(LogFault::TrailingData)),
        ([gz.clone(), gz.clone()].concat(), Err(LogFault::TrailingData)),
        (body.to_vec(), Err(LogFault::InvalidFormat)),
        (wrong_crc, Err(LogFault::InvalidFormat)),
        (gz[..15].to_vec(), Err(LogFault::HashMismatch)),
        (Vec::new(), Err(LogFault::HashMismatch)),
        // All content is there; only the trailer broke off.
        (gz[..gz.len() - 3].to_vec(), Ok(())),
    ] {
        assert_eq!(content.verify_log(&bytes, &hash), verdict, "{bytes:02x?}");
    }
}

#[test]
fn only_the_first_member_of_a_digest_counts() {
    let mut content = Content::new();
    let two = [gzip(b"one"), gzip(b"two")].concat();
    assert_eq!(content.digest(&two), Some(&b"one"[..]));
    assert_eq!(content.digest(&[gzip(b"one"), b"x".to_vec()].concat()), Some(&b"one"[..]));
    assert_eq!(content.digest(b"one"), None);
}

#[test]
fn a_key_in_a_wrapping_is_the_same_key() {
    let pkcs1 = BASE64.decode(VALUE).unwrap();
    let mut spki = vec![
        0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
        0x00,
    ];
    spki.extend([0x03, 0x82, 0x01, 0x0f, 0x00]);
    spki.extend_from_slice(&pkcs1);
    let key = PublicKey::from_der(&spki).unwrap();
    assert_eq!((key.der(), key.fingerprint()), (pkcs1.as_slice(), FINGERPRINT));
    for wrong in [&spki[..spki.len() - 1], &[spki.clone(), vec![0]].concat(), &pkcs1[..100], b"", VALUE.as_bytes()] {
        assert_eq!(PublicKey::from_der(wrong), Err(KeyError));
    }
}

#[test]
fn the_list_of_keys_is_read_in_every_form_and_written_in_one() {
    let numbers = keys();
    let text = numbers.to_json();
    assert!(text.contains("\"ValidityEndTime\": \"2026-03-08T20:00:00Z\""), "{text}");
    assert_eq!(PublicKeys::from_json(text.as_bytes()).unwrap(), numbers);
    let offset = text.replace("2026-03-08T20:00:00Z", "2026-03-08T15:00:00-05:00");
    assert_eq!(PublicKeys::from_json(offset.as_bytes()).unwrap(), numbers);
    let start = "2026-03-08T20:00:00Z".parse().unwrap();
    assert_eq!(numbers.overlapping(start, start).iter().count(), 1);
    assert!(numbers.overlapping(start + jiff::SignedDuration::from_secs(1), jiff::Timestamp::MAX).is_empty());
    // Nothing but the value: no end of time, and the fingerprint is the key's.
    let bare = format!(r#"{{"PublicKeyList":[{{"Value":"{VALUE}"}}]}}"#);
    let bare = PublicKeys::from_json(bare.as_bytes()).unwrap();
    assert_eq!(bare.get(FINGERPRINT).unwrap().fingerprint, FINGERPRINT);
    let mut both = bare.clone();
    numbers.iter().for_each(|key| both.add(key.clone()));
    assert_eq!(both, bare);
    for (wrong, says) in [
        ("[]", "list-public-keys"),
        (r#"{"PublicKeyList":[{"Value":"*","Fingerprint":"ab"}]}"#, "key ab is not base64"),
        (r#"{"PublicKeyList":[{"Value":"","ValidityStartTime":"now"}]}"#, "neither seconds"),
    ] {
        let error = PublicKeys::from_json(wrong.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

fn custody() -> Custody {
    let digest: Digest = Digest::from_json(GOLDEN.as_bytes()).unwrap();
    let sources = vec![SourceFile { location: "s3://source".into(), key: "k".into(), hash_value: HASH.into() }];
    Custody {
        log_files: vec![Sources { s3_object: digest.log_files[0].s3_object.clone(), sources }],
        source_digests: vec![SourceDigest {
            location: "s3://source".into(),
            key: "d".into(),
            hash_value: HASH.into(),
            signature: SIGNATURE.into(),
            public_key_fingerprint: FINGERPRINT.into(),
            verified_at: "2026-03-01T11:20:00Z".into(),
            log_files: vec!["k".into()],
        }],
        backfill_digests: vec![BackfillRef {
            s3_bucket: "ct-bucket".into(),
            s3_object: "b".into(),
            hash_value: HASH.into(),
            signature: SIGNATURE.into(),
        }],
        ..Custody::new()
    }
}

#[test]
fn custody_is_the_last_member_and_must_fit_the_digest() {
    let mut digest = Digest::from_json(GOLDEN.as_bytes()).unwrap();
    digest.orgtrail = Some(custody());
    let json = String::from_utf8(digest.to_json()).unwrap();
    let prefix = GOLDEN.strip_suffix('}').unwrap();
    let own = json.strip_prefix(prefix).unwrap();
    assert!(own.starts_with(r#","orgtrail":{"version":1,"logFiles":[{"s3Object":"AWSLogs/"#), "{own}");
    assert!(own.contains(r#""sourceDigests":[{"location":"s3://source","key":"d","hashValue":""#), "{own}");
    assert!(own.contains(r#""backfillDigests":[{"s3Bucket":"ct-bucket","s3Object":"b""#), "{own}");
    assert_eq!(Digest::from_json(json.as_bytes()).unwrap(), digest);
    assert_eq!(custody().check(&digest), []);

    let mut wrong = custody();
    wrong.log_files.push(Sources { s3_object: "else".into(), sources: Vec::new() });
    wrong.log_files.push(wrong.log_files[0].clone());
    wrong.source_digests[0].hash_value = "ab".into();
    wrong.backfill_digests[0].signature = "x".into();
    assert_eq!(
        wrong.check(&digest),
        [
            CustodyFault::NotListed("else".into()),
            CustodyFault::Twice(wrong.log_files[0].s3_object.clone()),
            CustodyFault::Malformed("d".into()),
            CustodyFault::Malformed("b".into()),
        ]
    );
    assert_eq!(Custody { version: 2, ..wrong }.check(&digest), [CustodyFault::Version(2)]);
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/:._\"\\\\\u{e9}-]{0,20}"
}

fn option() -> impl Strategy<Value = Option<String>> {
    prop::option::of(text())
}

prop_compose! {
    fn log_file()(
        s3_bucket in text(), s3_object in text(), hash_value in text(), hash_algorithm in text(),
        newest_event_time in option(), oldest_event_time in option(),
    ) -> LogFile {
        LogFile { s3_bucket, s3_object, hash_value, hash_algorithm, newest_event_time, oldest_event_time }
    }
}

prop_compose! {
    fn digest()(
        [aws_account_id, digest_start_time, digest_end_time, digest_s3_bucket, digest_s3_object] in [text(), text(), text(), text(), text()],
        [digest_public_key_fingerprint, digest_signature_algorithm] in [text(), text()],
        [newest_event_time, oldest_event_time, previous_digest_s3_bucket, previous_digest_s3_object] in [option(), option(), option(), option()],
        [previous_digest_hash_value, previous_digest_hash_algorithm, previous_digest_signature] in [option(), option(), option()],
        log_files in vec(log_file(), 0..3),
        with_custody in any::<bool>(),
    ) -> Digest {
        let orgtrail = with_custody.then(custody);
        Digest {
            aws_account_id, digest_start_time, digest_end_time, digest_s3_bucket, digest_s3_object,
            digest_public_key_fingerprint, digest_signature_algorithm, newest_event_time, oldest_event_time,
            previous_digest_s3_bucket, previous_digest_s3_object, previous_digest_hash_value,
            previous_digest_hash_algorithm, previous_digest_signature, log_files, orgtrail,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(digest in digest()) {
        prop_assert_eq!(Digest::from_json(&digest.to_json()).unwrap(), digest);
    }

    #[test]
    fn members_that_nobody_knows_are_passed_over(digest in digest(), name in "[a-z]{1,8}X", value in crate::testing::json()) {
        let json = String::from_utf8(digest.to_json()).unwrap();
        let with = format!("{{\"{name}\":{value},{}", &json[1..]);
        prop_assert_eq!(Digest::from_json(with.as_bytes()).unwrap(), digest);
    }

    #[test]
    fn no_damaged_digest_is_valid(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut json = GOLDEN.as_bytes().to_vec();
        let at = at.index(json.len());
        json[at] ^= flip;
        prop_assert!(verdict(&read(&gzip(&json))).is_err());
    }

    #[test]
    fn no_damaged_signature_is_valid(at in 0..SIGNATURE.len(), digit in "[0-9a-f]") {
        let mut signature = SIGNATURE.to_owned();
        signature.replace_range(at..=at, &digit);
        let gz = gzip(GOLDEN.as_bytes());
        let verdict = verdict(&DigestRead { signature: Some(&signature), ..read(&gz) });
        prop_assert_eq!(verdict.is_ok(), signature == SIGNATURE);
    }

    #[test]
    fn any_bytes_have_a_verdict(bytes in vec(any::<u8>(), 0..200), edits in crate::testing::edits()) {
        let mut content = Content::new();
        drop(PublicKey::from_der(&bytes));
        prop_assert!(content.verify_log(&bytes, HASH).is_err());
        let gz = crate::testing::edited(&gzip(GOLDEN.as_bytes()), &edits);
        prop_assert!(content.digest(&gz).is_none_or(|json| json.len() <= GOLDEN.len()));
        drop(verdict(&read(&gz)));
    }
}
