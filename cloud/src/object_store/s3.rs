//! S3 as an object store.
//!
//! Owns: the requests, the bucket's region, and reading a body to its end (`s3/direct.rs` the short way). Does not own: credentials and timeouts
//! (`credentials`), nor what an error means (`error::classify`). Stateless but for the client, made on first use.
//!
//! The bucket's region is asked for before anything else, because the SDK does not follow S3's redirect to another one.
//! A configured region that turns out wrong is a warning, not an error: the bucket is used where it is. `WrongRegion`
//! comes only from a bucket that doesn't say where it is, or that moved while we ran.

mod direct;
mod pool;
mod refusals;
mod sign;
mod wire;

use self::direct::{Direct, Read};
use self::refusals::Refusals;
use super::{ListPage, ListRequest, Object, ObjectMeta, ObjectStore, PAGE_MAX, PutOptions};
use crate::error::classify;
use crate::{Connection, Error, ErrorKind, Location, credentials};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{EncodingType, ObjectCannedAcl, ServerSideEncryption};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Where a bucket is looked for when no region is given: S3 answers for every bucket of the partition here.
const FIRST_REGION: &str = "us-east-1";

/// Attempts at a GET whose answer began and whose body then failed. The SDK's own retries end where the body begins.
const READ_ATTEMPTS: u32 = 4;

/// Pause before the second attempt; doubled each time, and shortened at random by up to half.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// The slowest body that is waited for, beyond the operation timeout. Slower ones are cut off, so that no fetch hangs.
const BODY_BYTES_PER_SECOND_MIN: u64 = 100 * 1024;

/// A bucket, or the part of it under a prefix.
#[derive(Debug)]
pub struct S3Store {
    location: Location,
    bucket: String,
    /// With its trailing slash; empty for the whole bucket.
    prefix: String,
    connection: Connection,
    client: OnceCell<(Client, SdkConfig)>,
    /// `None` where objects can be got in the SDK's way only.
    direct: OnceCell<Option<Box<Direct>>>,
    refusals: Refusals,
}

impl S3Store {
    /// The store at a bucket's prefix. Calls nothing yet.
    pub fn new(bucket: &str, prefix: &str, connection: &Connection) -> Self {
        Self {
            location: Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() },
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            connection: connection.clone(),
            client: OnceCell::new(),
            direct: OnceCell::new(),
            refusals: Refusals::default(),
        }
    }

    /// The bucket's name.
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// A client in the bucket's region.
    pub(crate) async fn client(&self) -> Result<&Client, Error> {
        // Boxed: it runs once, and would make every operation's future large.
        self.client.get_or_try_init(|| Box::pin(self.connect())).await.map(|(client, _)| client)
    }

    /// The short way to objects, where there is one. Why it can't be found out shows when the SDK is asked.
    async fn direct(&self) -> Option<&Direct> {
        let learn = || {
            Box::pin(async {
                let (client, config) = self.client.get().ok_or("not connected")?;
                let direct = Direct::learn(client, config, &self.bucket, &self.connection, &self.refusals).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(direct.map(Box::new))
            })
        };
        self.direct.get_or_try_init(learn).await.ok()?.as_deref()
    }

    /// The region in which the bucket is reached.
    pub(crate) async fn region(&self) -> Result<Option<String>, Error> {
        Ok(self.client().await?.config().region().map(|region| region.as_ref().to_owned()))
    }

    /// A client in the bucket's own region.
    async fn connect(&self) -> Result<(Client, SdkConfig), Error> {
        let first = credentials::sdk_config(&self.connection, None).await;
        let given = first.region().map(|region| region.as_ref().to_owned());
        let region = given.clone().unwrap_or_else(|| FIRST_REGION.to_owned());
        let config = match given {
            Some(_) => first,
            None => credentials::sdk_config(&self.connection, Some(&region)).await,
        };
        let client = self.client_of(&config);
        let Some(found) = self.bucket_region(&client).await? else { return Ok((client, config)) };
        if found == region {
            return Ok((client, config));
        }
        if self.connection.region.is_some() {
            tracing::warn!(
                location = %self.location, region.configured = %region, region.found = %found,
                "the bucket is in another region than configured and is used there: correct `region`"
            );
        }
        // The roles too are assumed anew, at that region's endpoint.
        let config = credentials::sdk_config(&self.connection, Some(&found)).await;
        Ok((self.client_of(&config), config))
    }

    fn client_of(&self, config: &SdkConfig) -> Client {
        let mut builder = aws_sdk_s3::config::Builder::from(config).interceptor(self.refusals.clone());
        if let Some(path_style) = self.connection.force_path_style {
            builder = builder.force_path_style(path_style);
        }
        Client::from_conf(builder.build())
    }

    /// Where the bucket is. `None` when it won't say but can be reached with this client all the same.
    async fn bucket_region(&self, client: &Client) -> Result<Option<String>, Error> {
        let error = match client.head_bucket().bucket(&self.bucket).send().await {
            Ok(answer) => return Ok(answer.bucket_region),
            Err(error) => error,
        };
        // S3 names the region in refusals and redirects as well.
        if let Some(region) = classify::bucket_region(&error) {
            return Ok(Some(region));
        }
        let status = classify::status(&error);
        let error = classify::sdk("find the region of", self.location.to_string(), error);
        match status {
            Some(404) => Err(Error::new(ErrorKind::ContainerMissing, error.verb(), error.subject())
                .detail("there is no such bucket")
                .source(error)),
            // HeadBucket needs s3:ListBucket on the whole bucket, which a role may have under one prefix only. What the
            // role may do shows when it does it.
            Some(403) => Ok(None),
            Some(301 | 307 | 400) => match client.get_bucket_location().bucket(&self.bucket).send().await {
                Ok(answer) => Ok(Some(region_of_constraint(answer.location_constraint().map_or("", |c| c.as_str())))),
                Err(_) => Err(error),
            },
            _ => Err(error),
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// One GET and its body. The second part of an error says whether the body failed, which the SDK does not retry.
    async fn get_once(
        &self,
        client: &Client,
        key: &str,
        range: Option<&str>,
        bytes_max: u64,
    ) -> Result<Object, (Error, bool)> {
        let subject = || self.location.object(key);
        let too_large = || (Error::new(ErrorKind::TooLarge { bytes_max }, "get", subject()), false);
        let request = client.get_object().bucket(&self.bucket).key(self.key(key));
        let answer = request.set_range(range.map(str::to_owned)).send().await;
        let mut answer = answer.map_err(|error| (classify::sdk("get", subject(), error), false))?;
        let announced = answer.content_length.and_then(|len| u64::try_from(len).ok()).unwrap_or_default();
        if announced > bytes_max {
            return Err(too_large());
        }
        let patience = Duration::from_secs(announced / BODY_BYTES_PER_SECOND_MIN) + self.connection.operation_timeout;
        let mut body = std::mem::take(&mut answer.body);
        let read = async {
            // In one piece: growing would hold it twice. No more than the caller allows.
            let mut bytes = BytesMut::with_capacity(usize::try_from(announced).unwrap_or_default());
            while let Some(part) = body.next().await {
                let part = part.map_err(|error| (classify::body("get", subject(), error), true))?;
                if bytes.len() as u64 + part.len() as u64 > bytes_max {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&part);
            }
            Ok(bytes.freeze())
        };
        let bytes = tokio::time::timeout(patience, read)
            .await
            .map_err(|elapsed| (classify::body("get", subject(), elapsed), true))??;
        Ok(object(key, answer, bytes))
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    fn location(&self) -> &Location {
        &self.location
    }

    fn refusals(&self) -> u64 {
        self.refusals.count()
    }

    fn delimits(&self, _: char) -> bool {
        true
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Error> {
        let answer = self
            .client()
            .await?
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.key(&request.prefix))
            .set_start_after(request.start_after.as_deref().map(|after| self.key(after)))
            .set_delimiter(request.delimiter.map(String::from))
            .set_continuation_token(request.continuation.clone())
            .max_keys(PAGE_MAX as i32)
            // Keys may hold characters that XML can't.
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|error| classify::sdk("list", self.location.object(&request.prefix), error))?;
        let encoded = matches!(answer.encoding_type, Some(EncodingType::Url));
        let relative = |key: &str| {
            let key = if encoded { url_decode(key) } else { key.to_owned() };
            // The console marks a "folder" with an empty object named like the prefix itself.
            key.strip_prefix(&self.prefix).filter(|key| !key.is_empty()).map(str::to_owned)
        };
        let objects = answer.contents().iter().filter_map(|found| {
            Some(ObjectMeta {
                key: relative(found.key()?)?,
                size: found.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                etag: unquoted(found.e_tag()),
                last_modified: timestamp(found.last_modified()),
            })
        });
        let common_prefixes = answer.common_prefixes().iter().filter_map(|found| relative(found.prefix()?));
        Ok(ListPage {
            objects: objects.collect(),
            common_prefixes: common_prefixes.collect(),
            next: answer.is_truncated().unwrap_or_default().then(|| answer.next_continuation_token.clone()).flatten(),
        })
    }

    async fn get(&self, key: &str, bytes_max: u64) -> Result<Object, Error> {
        let client = self.client().await?;
        let mut attempt = 0;
        if let Some(direct) = self.direct().await {
            match direct.get(key, &self.key(key), bytes_max).await {
                Some(Read::Object(object)) => return Ok(object),
                Some(Read::TooLarge) => {
                    return Err(Error::new(ErrorKind::TooLarge { bytes_max }, "get", self.location.object(key)));
                }
                Some(Read::BrokenOff) => attempt = 1,
                None => {}
            }
        }
        loop {
            attempt += 1;
            match self.get_once(client, key, None, bytes_max).await {
                Ok(object) => return Ok(object),
                Err((error, true)) if attempt < READ_ATTEMPTS => read_again(&error, attempt).await,
                Err((error, _)) => return Err(error),
            }
        }
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let client = self.client().await?;
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.get_once(client, key, Some(&bytes), range.end - range.start).await {
                Ok(object) => return Ok(object.bytes),
                Err((error, true)) if attempt < READ_ATTEMPTS => read_again(&error, attempt).await,
                Err((error, _)) => return Err(error),
            }
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        let answer = self.client().await?.head_object().bucket(&self.bucket).key(self.key(key)).send().await;
        let answer = answer.map_err(|error| classify::sdk("head", self.location.object(key), error))?;
        Ok(ObjectMeta {
            key: key.to_owned(),
            size: answer.content_length.and_then(|len| u64::try_from(len).ok()).unwrap_or_default(),
            etag: unquoted(answer.e_tag()),
            last_modified: timestamp(answer.last_modified()),
        })
    }

    async fn put(&self, key: &str, bytes: Bytes, options: &PutOptions) -> Result<(), Error> {
        let put = put_request(self.client().await?, options).bucket(&self.bucket).key(self.key(key));
        let put = put.body(ByteStream::from(bytes)).send().await;
        put.map(drop).map_err(|error| classify::sdk("put", self.location.object(key), error))
    }

    async fn put_file(&self, key: &str, file: &Path, options: &PutOptions) -> Result<(), Error> {
        let read = |error: std::io::Error| Error::io("read", file.display().to_string(), error);
        let size = tokio::fs::metadata(file).await.map_err(read)?.len();
        let body = ByteStream::from_path(file).await.map_err(|error| read(std::io::Error::other(error)))?;
        let put = put_request(self.client().await?, options).bucket(&self.bucket).key(self.key(key)).body(body);
        // The operation timeout is for what is short.
        let patience = Duration::from_secs(size / BODY_BYTES_PER_SECOND_MIN) + self.connection.operation_timeout;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.connection.connect_timeout)
            .read_timeout(patience)
            .operation_timeout(patience)
            .build();
        let put = put.customize().config_override(aws_sdk_s3::config::Builder::new().timeout_config(timeouts));
        put.send().await.map(drop).map_err(|error| classify::sdk("put", self.location.object(key), error))
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let answer = self.client().await?.delete_object().bucket(&self.bucket).key(self.key(key)).send().await;
        match answer.map_err(|error| classify::sdk("delete", self.location.object(key), error)) {
            Err(error) if *error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The pause before another attempt at a body that failed.
async fn read_again(error: &Error, attempt: u32) {
    let pause = READ_PAUSE.mul_f64(f64::from(1 << (attempt - 1)) * rand::random_range(0.5..=1.0));
    tracing::warn!(%error, attempt, "an object's body failed and is read again");
    tokio::time::sleep(pause).await;
}

/// A put with its options, and nothing of what is put where.
fn put_request(client: &Client, options: &PutOptions) -> PutObjectFluentBuilder {
    let mut put = client.put_object();
    if let Some(encryption) = &options.encryption {
        put = put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(&encryption.key_id);
        if !encryption.context.is_empty() {
            put = put.ssekms_encryption_context(encoded_context(&encryption.context));
        }
        if encryption.bucket_key {
            put = put.bucket_key_enabled(true);
        }
    }
    if options.bucket_owner_full_control {
        put = put.acl(ObjectCannedAcl::BucketOwnerFullControl);
    }
    if options.if_absent {
        put = put.if_none_match("*");
    }
    put.set_content_type(options.content_type.map(str::to_owned))
        .set_content_encoding(options.content_encoding.map(str::to_owned))
        .set_metadata((!options.metadata.is_empty()).then(|| options.metadata.clone().into_iter().collect()))
}

fn object(key: &str, answer: GetObjectOutput, bytes: Bytes) -> Object {
    let meta = ObjectMeta {
        key: key.to_owned(),
        size: bytes.len() as u64,
        etag: unquoted(answer.e_tag()),
        last_modified: timestamp(answer.last_modified()),
    };
    Object { meta, bytes, metadata: answer.metadata.unwrap_or_default().into_iter().collect() }
}

/// The header `x-amz-server-side-encryption-context`: base64 of a JSON object of texts (S3 API reference, PutObject).
fn encoded_context(context: &BTreeMap<String, String>) -> String {
    BASE64.encode(serde_json::to_vec(context).expect("a map of texts is always JSON"))
}

/// The two historic names: S3 API reference, GetBucketLocation.
fn region_of_constraint(constraint: &str) -> String {
    match constraint {
        "" => FIRST_REGION.to_owned(),
        "EU" => "eu-west-1".to_owned(),
        region => region.to_owned(),
    }
}

fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

fn timestamp(time: Option<&DateTime>) -> Timestamp {
    time.and_then(|time| Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()).unwrap_or_default()
}

/// What `encoding-type=url` did: percent escapes, and `+` for a space.
fn url_decode(text: &str) -> String {
    let hex = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.extend(hex(*high).zip(hex(*low)).map(|(high, low)| (high * 16 + low) as u8));
                rest = after;
            }
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

    #[tokio::test]
    async fn refusals_after_which_it_is_asked_again_are_counted() {
        let stub = crate::stub::Stub::answering(&[(200, ""), (503, SLOW_DOWN), (503, SLOW_DOWN), (200, "x")]);
        let connection = Connection { region: Some("eu-west-1".into()), ..stub.connection() };
        let store = S3Store::new("bucket", "", &connection);
        assert_eq!(store.get("k", 10).await.unwrap().bytes, "x");
        assert_eq!(store.refusals(), 2, "on either way");
    }

    #[test]
    fn keys_of_a_listing_are_decoded() {
        assert_eq!(url_decode("a/b%2Bc+d%C3%BC%01%25"), "a/b+c dü\u{1}%");
        assert_eq!(url_decode("100%"), "100%");
        assert_eq!(url_decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn the_encryption_context_is_base64_of_sorted_json() {
        let context = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
        assert_eq!(encoded_context(&context), BASE64.encode(r#"{"a":"1","b":"2"}"#));
    }
}
