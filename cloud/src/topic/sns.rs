//! An SNS topic.
//!
//! Owns: the request and the form of an ARN. Does not own: the topic's policy and its encryption.

use super::{Topic, check, subject};
use crate::error::classify;
use crate::partition::Partition;
use crate::{Connection, Error, ErrorKind, credentials};
use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata as _;

/// A topic, in the region that its ARN names.
#[derive(Debug)]
pub struct SnsTopic {
    arn: String,
    client: Client,
}

impl SnsTopic {
    /// The topic with this ARN. `Invalid` where it is none, or a FIFO topic's. Calls nothing yet.
    pub async fn open(arn: &str, connection: &Connection) -> Result<Self, Error> {
        let region = region(arn).map_err(|why| Error::new(ErrorKind::Invalid, "open", subject(arn)).detail(why))?;
        let config = credentials::regional_config(connection, Some(region), &subject(arn)).await?;
        Ok(Self { arn: arn.to_owned(), client: Client::new(&config) })
    }
}

#[async_trait]
impl Topic for SnsTopic {
    async fn publish(&self, message: &str) -> Result<(), Error> {
        check(&self.arn, message)?;
        let published = self.client.publish().topic_arn(&self.arn).message(message).send().await;
        published.map(drop).map_err(|error| {
            // S3 says `NotFound` of an object; here it is the topic.
            let is_absent = error.code() == Some("NotFound");
            let error = classify::sdk("publish to", subject(&self.arn), error);
            if is_absent { error.with_kind(ErrorKind::ContainerMissing) } else { error }
        })
    }
}

/// The region of a topic's ARN: `arn:aws:sns:REGION:ACCOUNT:NAME`.
fn region(arn: &str) -> Result<&str, String> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts[..] {
        [_, _, "sns", region, account, name]
            if Partition::of_arn(arn).is_some() && ![region, account, name].contains(&"") =>
        {
            if name.ends_with(".fifo") {
                // As CloudTrail: a FIFO topic would need a group for each message, and subscribers other than S3's.
                return Err("a FIFO topic takes no such messages: write the ARN of a standard topic".to_owned());
            }
            Ok(region)
        }
        _ => Err("no topic: write arn:aws:sns:REGION:ACCOUNT:NAME or file:///path.ndjson".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_the_arns_and_what_is_no_topic_says_what_to_write() {
        assert_eq!(region("arn:aws-cn:sns:cn-north-1:111122223333:trail"), Ok("cn-north-1"));
        for bad in ["trail", "arn:aws:sqs:us-east-1:111122223333:trail", "arn:aws:sns::111122223333:trail", "s3://b"] {
            assert!(region(bad).is_err_and(|why| why.contains("arn:aws:sns:REGION")), "{bad}");
        }
        assert!(region("arn:aws:sns:us-east-1:111122223333:trail.fifo").is_err_and(|why| why.contains("standard")));
    }
}
