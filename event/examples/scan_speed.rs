//! How long reading takes: prints seconds per GB of JSON, on one thread, for inflating, scanning and identities.
//!
//! `cargo run --release --example scan_speed -p orgtrail-event`

use std::hint::black_box;
use std::time::Instant;

use orgtrail_event::gzip::{Deflater, Inflater};
use orgtrail_event::log_file::{Item, Limits, Writer, read};
use orgtrail_event::record::identity;

const FILE_RECORDS: usize = 2_000;
const ROUNDS: usize = 200;

fn main() {
    let json = log_file();
    let gz = Deflater::default().deflate(&json);
    println!("{} bytes of JSON, {} of gzip, {ROUNDS} rounds", json.len(), gz.len());

    let mut inflater = Inflater::new();
    let mut out = Vec::new();
    measure("inflate", json.len(), || {
        inflater.inflate(black_box(&gz), json.len(), &mut out).expect("it was just deflated");
    });
    measure("scan", json.len(), || {
        assert_eq!(records(&json).count(), FILE_RECORDS);
    });
    measure("scan, identities and hours", json.len(), || {
        for record in records(&json) {
            black_box((identity(&record.header, record.raw), record.header.event_hour()));
        }
    });
    measure("UTF-8 alone", json.len(), || {
        black_box(std::str::from_utf8(black_box(&json)).expect("it was made of strings"));
    });
    let mut deflater = Deflater::default();
    measure("deflate", json.len(), || {
        black_box(deflater.deflate(black_box(&json)));
    });
}

fn measure(what: &str, bytes: usize, mut run: impl FnMut()) {
    run();
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| run());
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.2} s/GB", seconds * 1e9 / (bytes * ROUNDS) as f64);
}

fn records(json: &[u8]) -> impl Iterator<Item = orgtrail_event::log_file::RawRecord<'_>> {
    let reader = read(black_box(json), &Limits::default()).expect("it was just written");
    reader.map(|item| match item {
        Item::Record(record) => record,
        Item::Bad(bad) => panic!("{}", bad.reason),
    })
}

/// Records of the shape and the size, about 1.5 KB, that most real ones have.
fn log_file() -> Vec<u8> {
    let mut writer = Writer::new();
    for n in 0..FILE_RECORDS {
        let (minute, second) = (n / 60 % 60, n % 60);
        writer.push(
            format!(
                concat!(
                    r#"{{"eventVersion":"1.08","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLEEXAMPLE01:deploy","#,
                    r#""arn":"arn:aws:sts::111122223333:assumed-role/Deployer/deploy","accountId":"111122223333","#,
                    r#""accessKeyId":"ASIAEXAMPLEEXAMPLE{n:02}","sessionContext":{{"sessionIssuer":{{"type":"Role","#,
                    r#""principalId":"AROAEXAMPLEEXAMPLE01","arn":"arn:aws:iam::111122223333:role/Deployer","#,
                    r#""accountId":"111122223333","userName":"Deployer"}},"webIdFederationData":{{}},"#,
                    r#""attributes":{{"creationDate":"2026-03-01T09:58:00Z","mfaAuthenticated":"false"}}}}}},"#,
                    r#""eventTime":"2026-03-01T10:{minute:02}:{second:02}Z","eventSource":"s3.amazonaws.com","#,
                    r#""eventName":"PutObject","awsRegion":"us-east-2","sourceIPAddress":"198.51.100.7","#,
                    r#""userAgent":"[aws-sdk-java/1.11.1 Linux/4.14 OpenJDK_64-Bit_Server_VM/25 java/1.8.0]","#,
                    r#""requestParameters":{{"bucketName":"example-bucket-{n}","Host":"example-bucket.s3.us-east-2.amazonaws.com","#,
                    r#""key":"logs/2026/03/01/part-{n}.parquet"}},"responseElements":{{"x-amz-request-id":"3E57427F33A59F07","#,
                    r#""x-amz-id-2":"x/{n:040x}=="}},"additionalEventData":{{"SignatureVersion":"SigV4","#,
                    r#""CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":{n}.0,"bytesTransferredOut":0.0}},"#,
                    r#""requestID":"3E57427F33A59F07","eventID":"0d9e6c5a-0000-4000-8000-{n:012x}","readOnly":false,"#,
                    r#""resources":[{{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::example-bucket-{n}/logs/part-{n}"}}],"#,
                    r#""eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"111122223333","#,
                    r#""eventCategory":"Data","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","#,
                    r#""clientProvidedHostHeader":"example-bucket.s3.us-east-2.amazonaws.com"}}}}"#,
                ),
                n = n,
                minute = minute,
                second = second,
            )
            .as_bytes(),
        );
    }
    writer.finish()
}
