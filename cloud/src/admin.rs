//! What a test needs to do to an account that the product never does: make buckets, keys, queues and temporary credentials,
//! send messages, and look at what was written.
//!
//! Does not own: roles and policies, which tests make with the AWS CLI. Panics where something fails: it sets a test up.

#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

mod organization;

use crate::conformance::log_sink::ReadBack;
use crate::conformance::queue::Sender;
use crate::log_sink::LogEvent;
use crate::{Connection, CredentialSource, credentials};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

/// An account in one region.
#[derive(Clone, Debug)]
pub struct Admin {
    config: SdkConfig,
}

/// How S3 says an object is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEncryption {
    /// `AES256` or `aws:kms`; empty where nothing was said.
    pub algorithm: String,
    /// The KMS key.
    pub key_id: Option<String>,
}

impl Admin {
    /// The account and region of this connection; the region must be given.
    pub async fn open(connection: &Connection) -> Self {
        Self { config: credentials::regional_config(connection, None, "the test's account").await.unwrap() }
    }

    /// Makes a bucket in this region.
    pub async fn create_bucket(&self, name: &str) {
        let region = self.config.region().unwrap().as_ref();
        let elsewhere = (region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region)).build()
        });
        let create = self.s3().create_bucket().bucket(name).set_create_bucket_configuration(elsewhere);
        create.send().await.unwrap();
    }

    /// Makes a symmetric KMS key. Returns its ARN.
    pub async fn create_key(&self) -> String {
        let created = self.kms().create_key().send().await.unwrap();
        created.key_metadata.unwrap().arn.unwrap()
    }

    /// Makes an RSA key of 2048 bits in KMS, for signing or else for encrypting. Returns its ARN.
    pub async fn create_rsa_key(&self, for_signing: bool) -> String {
        let usage = if for_signing { KeyUsageType::SignVerify } else { KeyUsageType::EncryptDecrypt };
        let created = self.kms().create_key().key_spec(KeySpec::Rsa2048).key_usage(usage).send().await.unwrap();
        created.key_metadata.unwrap().arn.unwrap()
    }

    /// Points an alias, `alias/…`, at a KMS key, away from the one it was pointed at.
    pub async fn point_alias(&self, alias: &str, arn: &str) {
        let id = arn.rsplit('/').next().unwrap();
        if self.kms().create_alias().alias_name(alias).target_key_id(id).send().await.is_err() {
            self.kms().update_alias().alias_name(alias).target_key_id(id).send().await.unwrap();
        }
    }

    /// Has a KMS key deleted in a week.
    pub async fn schedule_key_deletion(&self, arn: &str) {
        let id = arn.rsplit('/').next().unwrap();
        self.kms().schedule_key_deletion().key_id(id).pending_window_in_days(7).send().await.unwrap();
    }

    /// Switches a KMS key off.
    pub async fn disable_key(&self, arn: &str) {
        // By id: one emulator fails on ARNs here.
        let id = arn.rsplit('/').next().unwrap();
        self.kms().disable_key().key_id(id).send().await.unwrap();
    }

    /// Makes an SQS queue. Returns its URL.
    pub async fn create_queue(&self, name: &str) -> String {
        let created = aws_sdk_sqs::Client::new(&self.config).create_queue().queue_name(name).send().await.unwrap();
        created.queue_url.unwrap()
    }

    /// Sends to the queue with this URL.
    pub fn sender(&self, url: &str) -> QueueSender {
        QueueSender { url: url.to_owned(), client: aws_sdk_sqs::Client::new(&self.config) }
    }

    /// How an object is encrypted; the key is the whole one, with any prefix.
    pub async fn object_encryption(&self, bucket: &str, key: &str) -> ObjectEncryption {
        let head = self.s3().head_object().bucket(bucket).key(key).send().await.unwrap();
        ObjectEncryption {
            algorithm: head.server_side_encryption().map_or_else(String::new, |sse| sse.as_str().to_owned()),
            key_id: head.ssekms_key_id,
        }
    }

    /// An object's content type and encoding.
    pub async fn object_content(&self, bucket: &str, key: &str) -> (Option<String>, Option<String>) {
        let head = self.s3().head_object().bucket(bucket).key(key).send().await.unwrap();
        (head.content_type, head.content_encoding)
    }

    /// A role's credentials for so many seconds, to hand over as fixed ones.
    pub async fn assume_role(&self, role_arn: &str, external_id: &str, seconds: i32) -> CredentialSource {
        let sts = aws_sdk_sts::Client::new(&self.config);
        let assume = sts.assume_role().role_arn(role_arn).role_session_name("admin").external_id(external_id);
        let given = assume.duration_seconds(seconds).send().await.unwrap().credentials.unwrap();
        CredentialSource::Static {
            access_key_id: given.access_key_id,
            secret_access_key: given.secret_access_key,
            session_token: Some(given.session_token),
        }
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.config)
    }

    fn kms(&self) -> aws_sdk_kms::Client {
        aws_sdk_kms::Client::new(&self.config)
    }
}

/// Sends to one SQS queue.
#[derive(Clone, Debug)]
pub struct QueueSender {
    url: String,
    client: aws_sdk_sqs::Client,
}

#[async_trait]
impl Sender for QueueSender {
    async fn send(&self, body: &str) {
        self.client.send_message().queue_url(&self.url).message_body(body).send().await.unwrap();
    }
}

#[async_trait]
impl ReadBack for Admin {
    async fn events(&self, group: &str, stream: &str) -> Vec<LogEvent> {
        let client = aws_sdk_cloudwatchlogs::Client::new(&self.config);
        let mut events = Vec::new();
        let mut token = None;
        loop {
            let get = client.get_log_events().log_group_name(group).log_stream_name(stream).start_from_head(true);
            let page = get.set_next_token(token.clone()).send().await.unwrap();
            events.extend(page.events().iter().map(|event| LogEvent {
                timestamp_ms: event.timestamp().unwrap(),
                message: event.message().unwrap().to_owned(),
            }));
            // The end of a stream is where the token stays the same.
            if page.next_forward_token == token || page.next_forward_token.is_none() {
                return events;
            }
            token = page.next_forward_token;
        }
    }
}
