//! Results are delivered as CloudTrail Lake delivers them, and whatever was changed since is found.

use std::io::Read as _;
use std::path::Path;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use flate2::read::GzDecoder;
use jiff::Timestamp;
use orgtrail_cloud::object_store::LocalStore;
use orgtrail_cloud::signer::FakeSigner;
use orgtrail_cloud::{ErrorKind, Signer as _};
use orgtrail_event::digest::{ListedKey, PublicKey, PublicKeys, sha256_hex};
use orgtrail_service::clock::Manual;

use super::*;

/// By openssl, with the fake signer's key, over the hashes of `a` and `b` with a space between them.
const BY_OPENSSL: &str = "7f80b80bd2c26ff6abddbc923710e89bedba2d32b2356765d31ef3297de7fa2b14f428606c4d7e0b762033faecd0713f37b3c1c6a669b9f82f7e78310a0edd5382d651c35ca30e13a7e207ca481f0178e88857a9d3fb63276282bb6b2a335d88bd6d78af04aa055bb3f8df743bc921b870d020832bc30af5c38276063b333f2fe4d9f2eaefd6509031ea220dbb069995473ba064f22b4b7f77fc94fbe01934aed2e32d4724d2144ad40f89dd0da5ce11469d0d25246cfd4ab4beb8ee0acf0adef915d09e44b15fcc16c6f7706fc51f852b635381278b488f2c539525bff74d71f7f768fcbb1b60827b3306313a7fb612c04c5f48dfbbf441117d0ff006afc0d4";

const QUERY: &str = "3f5a6c1e-0000-4000-8000-000000000001";
const FOLDER: &str = "AWSLogs/111122223333/CloudTrail-Lake/Query/2026/03/01/3f5a6c1e-0000-4000-8000-000000000001";

fn delivery(dir: &Path, signer: &FakeSigner) -> Delivery {
    let results = dir.join("results");
    Delivery {
        store: Arc::new(LocalStore::new(results)),
        signer: Arc::new(signer.clone()),
        account: "111122223333".to_owned(),
        region: "eu-central-1".to_owned(),
        scratch: dir.to_owned(),
        file_bytes_max: FILE_BYTES_MAX,
    }
}

/// Batches with these numbers of rows; the last one fails where told.
fn rows(batches: &[usize], fails: bool) -> SendableRecordBatchStream {
    let fields = vec![Field::new("eventname", DataType::Utf8, true), Field::new("n", DataType::Int64, true)];
    let schema = Arc::new(Schema::new(fields));
    let batch = |rows: &usize| {
        let names: StringArray = (0..*rows).map(|row| Some(format!("Event,{row}"))).collect();
        let counts: Int64Array = (0..*rows as i64).map(Some).collect();
        Ok(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(names), Arc::new(counts)]).unwrap())
    };
    let mut batches: Vec<_> = batches.iter().map(batch).collect();
    if fails {
        batches.push(Err(DataFusionError::ResourcesExhausted("the scan budget".to_owned())));
    }
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), futures::stream::iter(batches)))
}

fn clock() -> Arc<Manual> {
    Manual::new("2026-03-01T23:59:58Z".parse().unwrap())
}

struct Known(PublicKeys);

impl Keys for Known {
    async fn of(&self, region: &str, start: Timestamp, end: Timestamp) -> Result<PublicKeys, VerifyError> {
        assert_eq!(region, "eu-central-1");
        Ok(self.0.overlapping(start, end))
    }
}

async fn known(signer: &FakeSigner) -> Known {
    let key = PublicKey::from_der(&signer.public_key().await.unwrap()).unwrap();
    let until = "2026-04-01T00:00:00Z".parse().unwrap();
    Known([ListedKey::new(key, Timestamp::UNIX_EPOCH, until)].into_iter().collect())
}

fn files(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir.join("results").join(FOLDER)) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn results_lie_where_lake_puts_them_and_verify() {
    let (dir, signer) = (tempfile::tempdir().unwrap(), FakeSigner::default());
    let delivery = delivery(dir.path(), &signer);
    let delivered = delivery.deliver(QUERY, rows(&[2, 3], false), &*clock()).await.unwrap();
    assert_eq!((delivered.rows, delivered.files.len()), (5, 1));
    assert_eq!(delivered.folder, format!("file://{}/results/{FOLDER}", dir.path().display()));
    assert_eq!(files(dir.path()), ["result_1.csv.gz", "result_sign.json"]);

    let gzip = std::fs::read(dir.path().join("results").join(FOLDER).join("result_1.csv.gz")).unwrap();
    assert_eq!(delivered.bytes, gzip.len() as u64);
    assert_eq!(delivered.files[0].file_hash_value, sha256_hex(&gzip), "of the compressed file");
    // The decoder reads one member and no more.
    let mut text = String::new();
    GzDecoder::new(&gzip[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "eventname,n\n\"Event,0\",0\n\"Event,1\",1\n\"Event,0\",0\n\"Event,1\",1\n\"Event,2\",2\n");

    let signed = verify(delivery.store.as_ref(), FOLDER, &known(&signer).await).await.unwrap();
    assert_eq!((signed.version.as_str(), signed.query_complete_time.as_str()), ("1.0", "2026-03-01T23:59:58Z"));
    let json = std::fs::read_to_string(dir.path().join("results").join(FOLDER).join(SIGN_FILE)).unwrap();
    assert!(json.starts_with(r#"{"version":"1.0","region":"eu-central-1","files":[{"fileHashValue":""#), "{json}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left in the scratch folder");
}

#[tokio::test]
async fn files_end_at_a_bound_and_each_begins_with_the_header() {
    let (dir, signer) = (tempfile::tempdir().unwrap(), FakeSigner::default());
    let delivery = Delivery { file_bytes_max: 1, ..delivery(dir.path(), &signer) };
    let delivered = delivery.deliver(QUERY, rows(&[20_000, 20_000, 20_000], false), &*clock()).await.unwrap();
    let names: Vec<_> = delivered.files.iter().map(|file| file.file_name.as_str()).collect();
    assert_eq!(names, ["result_1.csv.gz", "result_2.csv.gz", "result_3.csv.gz"]);
    verify(delivery.store.as_ref(), FOLDER, &known(&signer).await).await.unwrap();
    let mut lines = 0;
    for name in names {
        let gzip = std::fs::read(dir.path().join("results").join(FOLDER).join(name)).unwrap();
        let mut text = String::new();
        GzDecoder::new(&gzip[..]).read_to_string(&mut text).unwrap();
        assert!(text.starts_with("eventname,n\n"));
        lines += text.lines().count() - 1;
    }
    assert_eq!(lines, 60_000);
}

#[tokio::test]
async fn one_signature_has_room_for_so_many_files() {
    let hashes = SignFile::unsigned(
        String::new(),
        vec![SignedFile { file_hash_value: "0".repeat(64), file_name: String::new() }; FILES_MAX],
        String::new(),
        String::new(),
    );
    assert_eq!(FILES_MAX, 63);
    FakeSigner::default().sign(hashes.string_to_sign().as_bytes()).await.unwrap();
    let (dir, signer) = (tempfile::tempdir().unwrap(), FakeSigner::default());
    let delivery = Delivery { file_bytes_max: 0, ..delivery(dir.path(), &signer) };
    let error = delivery.deliver(QUERY, rows(&[1; 64], false), &*clock()).await.unwrap_err();
    assert!(matches!(error, DeliverError::TooManyFiles), "{error}");
    assert_eq!(files(dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_query_without_rows_delivers_its_header() {
    let (dir, signer) = (tempfile::tempdir().unwrap(), FakeSigner::default());
    let delivered = delivery(dir.path(), &signer).deliver(QUERY, rows(&[], false), &*clock()).await.unwrap();
    assert_eq!((delivered.rows, delivered.files.len()), (0, 1));
}

#[tokio::test]
async fn a_query_that_fails_delivers_nothing_and_one_that_cannot_be_signed_neither() {
    let (dir, signer) = (tempfile::tempdir().unwrap(), FakeSigner::default());
    let delivery = Delivery { file_bytes_max: 1, ..delivery(dir.path(), &signer) };
    let error = delivery.deliver(QUERY, rows(&[20_000, 1], true), &*clock()).await.unwrap_err();
    assert!(matches!(error, DeliverError::Query(_)), "{error}");
    assert_eq!(files(dir.path()), [""; 0]);
    signer.set_failing(Some(ErrorKind::Throttled));
    delivery.deliver(QUERY, rows(&[1], false), &*clock()).await.unwrap_err();
    assert_eq!(files(dir.path()), [""; 0]);
    let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(entries.collect::<Vec<_>>(), ["results"], "nothing is left in the scratch folder");
}

#[tokio::test]
async fn whatever_was_changed_is_told_in_the_aws_clis_words() {
    let (dir, signer) = (tempfile::tempdir().unwrap(), FakeSigner::default());
    let delivery = delivery(dir.path(), &signer);
    delivery.deliver(QUERY, rows(&[2], false), &*clock()).await.unwrap();
    let keys = known(&signer).await;
    let (store, folder) = (delivery.store.as_ref(), dir.path().join("results").join(FOLDER));
    let (result, sign) = (folder.join("result_1.csv.gz"), folder.join(SIGN_FILE));
    let (gzip, json) = (std::fs::read(&result).unwrap(), std::fs::read_to_string(&sign).unwrap());
    let says = |error: VerifyError| error.to_string();

    std::fs::write(&result, "other").unwrap();
    let (hash, other) = (sha256_hex(&gzip), sha256_hex(b"other"));
    assert_eq!(
        says(verify(store, FOLDER, &keys).await.unwrap_err()),
        format!(
            "ValidationError: File result_1.csv.gz has inconsistent hash value with hash value recorded in sign file, hash \
             value in sign file is {hash} , but get {other}"
        )
    );
    // Somebody who changes the hash too has no key to sign it with.
    std::fs::write(&sign, json.replace(&hash, &other)).unwrap();
    let error = verify(store, FOLDER, &keys).await.unwrap_err();
    assert_eq!(says(error), "ValidationError: Invalid signature in sign file");
    std::fs::remove_file(&result).unwrap();
    assert!(matches!(verify(store, FOLDER, &keys).await.unwrap_err(), VerifyError::Missing(_)));
    std::fs::write(&sign, json.replace("result_1.csv.gz", "../x")).unwrap();
    assert!(matches!(verify(store, FOLDER, &keys).await.unwrap_err(), VerifyError::Name(_)));
    std::fs::write(&sign, "{").unwrap();
    assert!(says(verify(store, FOLDER, &keys).await.unwrap_err()).contains("Unable to load result_sign.json file"));
    std::fs::write(&sign, json.replace("[{", "[],\"x\":[{")).unwrap();
    assert!(matches!(verify(store, FOLDER, &keys).await.unwrap_err(), VerifyError::NoFiles));

    std::fs::write(&result, &gzip).unwrap();
    std::fs::write(&sign, &json).unwrap();
    verify(store, FOLDER, &keys).await.unwrap();
    let error = verify(store, FOLDER, &Known(PublicKeys::new())).await.unwrap_err();
    assert!(says(error).starts_with("No public keys found for key with fingerprint: "));
}

#[tokio::test]
async fn a_signature_by_openssl_is_accepted_and_so_ours_is_by_openssl() {
    let signer = FakeSigner::default();
    let key = PublicKey::from_der(&signer.public_key().await.unwrap()).unwrap();
    let file = |content: &[u8]| SignedFile { file_hash_value: sha256_hex(content), file_name: String::new() };
    let mut document =
        SignFile::unsigned(String::new(), vec![file(b"a"), file(b"b")], String::new(), key.fingerprint().to_owned());
    document.hash_signature = BY_OPENSSL.to_owned();
    assert!(document.is_signed_by(&key));
    // The scheme has one signature for a message, so what openssl makes is what it accepts.
    let own = signer.sign(document.string_to_sign().as_bytes()).await.unwrap();
    assert_eq!(orgtrail_event::digest::to_hex(&own), BY_OPENSSL);
    document.files.swap(0, 1);
    assert!(!document.is_signed_by(&key), "the order counts");
}

#[test]
fn query_ids_are_random_uuids() {
    let (first, second) = (query_id().unwrap(), query_id().unwrap());
    assert_ne!(first, second);
    assert_eq!((first.len(), first.as_bytes()[14]), (36, b'4'), "{first}");
    assert!(b"89ab".contains(&first.as_bytes()[19]), "{first}");
}
