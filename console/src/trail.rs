//! A trail as CloudTrail's clients see it: where it is visible, and the Trail object.
//!
//! Owns the rules of home and shadow. Source: CloudTrail API reference, DescribeTrails and Trail.

use orgtrail_cloud::Location;
use orgtrail_cloud::partition::Partition;
use orgtrail_event::identifier::check_trail_name;
use serde::Serialize;

use crate::config::TrailConfig;
use crate::error::Error;

/// How a trail looks from one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The region is its home.
    Home,
    /// It covers the region from elsewhere.
    Shadow,
    /// It has nothing to do with the region.
    Elsewhere,
}

/// A trail.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    pub(crate) arn: String,
    pub(crate) config: TrailConfig,
}

impl Trail {
    pub(crate) fn new(config: TrailConfig) -> Self {
        Self { arn: config.arn(), config }
    }

    /// How it looks from `region`; a client that doesn't say where it is is at home everywhere.
    pub(crate) fn sight(&self, region: Option<&str>) -> Sight {
        let home = self.config.home_region.as_str();
        match region {
            None => Sight::Home,
            Some(region) if region == home => Sight::Home,
            Some(region) if self.config.multi_region && Partition::of_region(region) == Partition::of_region(home) => {
                Sight::Shadow
            }
            Some(_) => Sight::Elsewhere,
        }
    }

    /// CloudTrail's Trail object.
    pub(crate) fn description(&self) -> Description<'_> {
        let config = &self.config;
        let (bucket, prefix) = match &config.location {
            Some(Location::S3 { bucket, prefix }) => {
                (bucket.clone(), Some(prefix.as_str()).filter(|text| !text.is_empty()))
            }
            // A folder stands for the bucket that its last part names, in digests too.
            Some(Location::File { root }) => {
                (root.file_name().unwrap_or_default().to_string_lossy().into_owned(), None)
            }
            Some(Location::EventHistory { .. }) | None => (String::new(), None),
        };
        Description {
            name: &config.name,
            s3_bucket_name: bucket,
            s3_key_prefix: prefix,
            sns_topic_name: config.sns_topic.as_deref().and_then(|arn| arn.rsplit(':').next()),
            sns_topic_arn: config.sns_topic.as_deref(),
            include_global_service_events: config.include_global_service_events,
            is_multi_region_trail: config.multi_region,
            home_region: &config.home_region,
            trail_arn: &self.arn,
            log_file_validation_enabled: config.public_keys.is_some(),
            cloud_watch_logs_log_group_arn: config.cloudwatch_logs_log_group_arn.as_deref(),
            cloud_watch_logs_role_arn: config.cloudwatch_logs_role_arn.as_deref(),
            kms_key_id: config.kms_key_id.as_deref(),
            has_custom_event_selectors: config.has_custom_event_selectors,
            has_insight_selectors: config.has_insight_selectors,
            is_organization_trail: config.organization_id.is_some(),
        }
    }
}

/// CloudTrail's Trail object; what a trail doesn't have is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Description<'t> {
    name: &'t str,
    s3_bucket_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_key_prefix: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sns_topic_name: Option<&'t str>,
    #[serde(rename = "SnsTopicARN", skip_serializing_if = "Option::is_none")]
    sns_topic_arn: Option<&'t str>,
    include_global_service_events: bool,
    is_multi_region_trail: bool,
    home_region: &'t str,
    #[serde(rename = "TrailARN")]
    trail_arn: &'t str,
    log_file_validation_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_watch_logs_log_group_arn: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_watch_logs_role_arn: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<&'t str>,
    has_custom_event_selectors: bool,
    has_insight_selectors: bool,
    is_organization_trail: bool,
}

/// What a request names a trail by. Names are of the client's region, ARNs of any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named<'n> {
    Name(&'n str),
    Arn(&'n str),
}

impl<'n> Named<'n> {
    /// # Errors
    /// `InvalidTrailNameException` or `CloudTrailARNInvalidException`, as CloudTrail answers.
    pub(crate) fn parse(text: &'n str) -> Result<Self, Error> {
        if !text.starts_with("arn:") {
            return match check_trail_name(text) {
                Ok(()) => Ok(Self::Name(text)),
                Err(problem) => Err(Error::new("InvalidTrailNameException", problem)),
            };
        }
        let mut parts = text.splitn(6, ':').skip(2);
        let is_trail = parts.next() == Some("cloudtrail")
            && parts.nth(2).and_then(|resource| resource.strip_prefix("trail/")).is_some_and(|name| !name.is_empty());
        if is_trail {
            return Ok(Self::Arn(text));
        }
        let message = format!("{text} is no trail's ARN: arn:aws:cloudtrail:<region>:<account>:trail/<name>");
        Err(Error::new("CloudTrailARNInvalidException", message))
    }

    /// Whether a client in `region` means this trail.
    pub(crate) fn is(self, trail: &Trail, region: Option<&str>) -> bool {
        match self {
            Self::Name(name) => trail.config.name == name && trail.sight(region) == Sight::Home,
            Self::Arn(arn) => trail.arn == arn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_is_at_home_in_one_region_and_a_shadow_in_those_of_its_partition() {
        let config =
            TrailConfig { name: "org-trail".to_owned(), home_region: "us-east-1".to_owned(), ..TrailConfig::default() };
        let trail = Trail::new(config.clone());
        for (region, sight) in [
            (Some("us-east-1"), Sight::Home),
            (Some("eu-west-1"), Sight::Shadow),
            (Some("us-gov-west-1"), Sight::Elsewhere),
            (None, Sight::Home),
        ] {
            assert_eq!(trail.sight(region), sight, "{region:?}");
        }
        let single = Trail::new(TrailConfig { multi_region: false, ..config });
        assert_eq!(single.sight(Some("eu-west-1")), Sight::Elsewhere);
    }

    #[test]
    fn a_trail_is_named_by_name_or_arn() {
        let arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/t.1";
        assert_eq!(Named::parse("org-trail"), Ok(Named::Name("org-trail")));
        assert_eq!(Named::parse(arn), Ok(Named::Arn(arn)));
        for (wrong, code) in [
            ("", "InvalidTrailNameException"),
            ("a b", "InvalidTrailNameException"),
            ("arn:aws:s3:::bucket", "CloudTrailARNInvalidException"),
            ("arn:aws:cloudtrail:us-east-1:111122223333:trail/", "CloudTrailARNInvalidException"),
            ("arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/x", "CloudTrailARNInvalidException"),
        ] {
            assert_eq!(Named::parse(wrong).unwrap_err().code, code, "{wrong}");
        }
    }
}
