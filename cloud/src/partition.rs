//! AWS partitions: which one a region belongs to, and how names are written there.
//!
//! Owns: the region prefixes and ARN forms. Does not own: endpoints, which the SDK derives from the region itself.
//! Source: AWS General Reference, "Amazon Resource Names" and the SDK's `partitions.json`.

use std::fmt;

/// A group of regions with accounts, credentials and names of its own. Roles can't be assumed across partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// China.
    China,
    /// AWS GovCloud (US).
    GovCloud,
    /// AWS European Sovereign Cloud.
    EuropeanSovereign,
    /// The isolated regions; the text is the partition's id.
    Isolated(&'static str),
}

impl Partition {
    /// The partition a region belongs to. An unknown region counts as commercial, as in the SDK.
    pub fn of_region(region: &str) -> Self {
        match region.split('-').next().unwrap_or_default() {
            "cn" => Self::China,
            "eusc" => Self::EuropeanSovereign,
            "us" if region.starts_with("us-gov-") => Self::GovCloud,
            "us" if region.starts_with("us-iso-") => Self::Isolated("aws-iso"),
            "us" if region.starts_with("us-isob-") => Self::Isolated("aws-iso-b"),
            "us" if region.starts_with("us-isof-") => Self::Isolated("aws-iso-f"),
            "eu" if region.starts_with("eu-isoe-") => Self::Isolated("aws-iso-e"),
            _ => Self::Aws,
        }
    }

    /// The partition an ARN names, or `None` where it is no ARN of a known partition.
    pub fn of_arn(arn: &str) -> Option<Self> {
        let id = arn.strip_prefix("arn:")?.split(':').next()?;
        Self::ALL.into_iter().find(|partition| partition.id() == id)
    }

    const ALL: [Self; 8] = [
        Self::Aws,
        Self::China,
        Self::GovCloud,
        Self::EuropeanSovereign,
        Self::Isolated("aws-iso"),
        Self::Isolated("aws-iso-b"),
        Self::Isolated("aws-iso-e"),
        Self::Isolated("aws-iso-f"),
    ];

    /// The second part of every ARN here.
    pub fn id(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::GovCloud => "aws-us-gov",
            Self::EuropeanSovereign => "aws-eusc",
            Self::Isolated(id) => id,
        }
    }

    /// The region in which requests to the partition's global services are signed.
    pub fn global_region(self) -> &'static str {
        match self {
            Self::Aws => "us-east-1",
            Self::China => "cn-northwest-1",
            Self::GovCloud => "us-gov-west-1",
            Self::EuropeanSovereign => "eusc-de-east-1",
            Self::Isolated("aws-iso-b") => "us-isob-east-1",
            Self::Isolated("aws-iso-e") => "eu-isoe-west-1",
            Self::Isolated("aws-iso-f") => "us-isof-south-1",
            Self::Isolated(_) => "us-iso-east-1",
        }
    }

    /// The end of every service's host here. Source: the SDK's `partitions.json`.
    pub fn dns_suffix(self) -> &'static str {
        match self {
            Self::Aws | Self::GovCloud => "amazonaws.com",
            Self::China => "amazonaws.com.cn",
            Self::EuropeanSovereign => "amazonaws.eu",
            Self::Isolated("aws-iso-b") => "sc2s.sgov.gov",
            Self::Isolated("aws-iso-e") => "cloud.adc-e.uk",
            Self::Isolated("aws-iso-f") => "csp.hci.ic.gov",
            Self::Isolated(_) => "c2s.ic.gov",
        }
    }

    /// An ARN in this partition; `region` and `account` are empty where the service leaves them out.
    pub fn arn(self, service: &str, region: &str, account: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{region}:{account}:{resource}", self.id())
    }

    /// The ARN of an object, or of a bucket where `key` is empty.
    pub fn s3_arn(self, bucket: &str, key: &str) -> String {
        if key.is_empty() { self.arn("s3", "", "", bucket) } else { self.arn("s3", "", "", &format!("{bucket}/{key}")) }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_know_their_partition() {
        for (region, id) in [
            ("us-east-1", "aws"),
            ("ap-southeast-4", "aws"),
            ("us-gov-west-1", "aws-us-gov"),
            ("cn-north-1", "aws-cn"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
        ] {
            assert_eq!(Partition::of_region(region).id(), id);
        }
    }

    #[test]
    fn arns_carry_the_partition_both_ways() {
        let arn = Partition::GovCloud.s3_arn("b", "k/l");
        assert_eq!(arn, "arn:aws-us-gov:s3:::b/k/l");
        assert_eq!(Partition::of_arn(&arn), Some(Partition::GovCloud));
        assert_eq!(Partition::of_arn("arn:moon:s3:::b"), None);
    }
}
