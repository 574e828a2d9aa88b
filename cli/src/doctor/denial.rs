//! What AWS says when it refuses: who asked for what, on what, and which policy decided.
//!
//! Owns the reading of the texts. Source: IAM user guide, "Troubleshoot access denied error messages", and what the services
//! really answer. Pure.

/// A refusal as far as its text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    /// Who asked: a user's ARN, or that of a role's session.
    pub(super) principal: Option<String>,
    /// `s3:GetObject`
    pub(super) action: Option<String>,
    /// The ARN, where one is named.
    pub(super) resource: Option<String>,
    pub(super) side: Side,
    /// A statement forbids it; no further Allow helps.
    pub(super) explicit: bool,
}

/// Which policy decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Of the user or role itself.
    Identity,
    /// Of the bucket, key, queue, topic or log group.
    Resource,
    /// Of the role that was to be assumed.
    Trust,
    Boundary,
    Session,
    ServiceControl,
    ResourceControl,
    Endpoint,
    /// The text does not say.
    Unsaid,
}

/// The names in the texts. The first that is found counts.
const SIDES: [(&str, Side); 8] = [
    ("identity-based polic", Side::Identity),
    ("resource-based polic", Side::Resource),
    ("trust polic", Side::Trust),
    ("permissions boundar", Side::Boundary),
    ("session polic", Side::Session),
    ("service control polic", Side::ServiceControl),
    ("resource control polic", Side::ResourceControl),
    ("VPC endpoint polic", Side::Endpoint),
];

impl Side {
    /// The policy's name for people.
    pub(super) fn policy(self) -> &'static str {
        match self {
            Self::Identity => "the permissions policy of the role or user",
            Self::Resource => "the resource's own policy",
            Self::Trust => "the role's trust policy",
            Self::Boundary => "the role's permissions boundary",
            Self::Session => "the session policy that came with the credentials",
            Self::ServiceControl => "a service control policy of the organization",
            Self::ResourceControl => "a resource control policy of the organization",
            Self::Endpoint => "the policy of the VPC endpoint",
            Self::Unsaid => "a policy that the answer doesn't name",
        }
    }
}

impl Denial {
    /// Is it about a KMS key, whatever was asked for?
    pub(super) fn is_of_key(&self) -> bool {
        self.action.as_deref().is_some_and(|action| action.starts_with("kms:"))
    }

    /// Reads `User: ARN is not authorized to perform: ACTION on resource: ARN because no … policy allows …`, in all or in
    /// part.
    pub(super) fn read(text: &str) -> Self {
        let word = |text: &str| {
            let word = text.trim_start().split([' ', ',', ')', ';']).next().unwrap_or_default();
            word.trim_matches(['"', '\'', '.']).to_owned()
        };
        let after = |mark: &str| text.split_once(mark).map(|(_, rest)| word(rest)).filter(|word| !word.is_empty());
        let why =
            ["with an explicit deny", "because "].iter().find_map(|mark| text.find(mark)).map_or("", |at| &text[at..]);
        let side = SIDES.iter().find(|(name, _)| why.contains(name)).map_or(Side::Unsaid, |(_, side)| *side);
        Self {
            principal: after("User: ").filter(|arn| arn.starts_with("arn:")),
            action: after("not authorized to perform: ").filter(|action| action.contains(':')),
            resource: after("on resource: ").filter(|arn| arn.starts_with("arn:")),
            side,
            explicit: text.contains("explicit deny"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_names_who_what_and_which_policy() {
        let denial = Denial::read(
            "AccessDenied: User: arn:aws:sts::111122223333:assumed-role/reader/orgtrail is not authorized to perform: \
             s3:GetObject on resource: \"arn:aws:s3:::logs/AWSLogs/a.json.gz\" because no identity-based policy allows the \
             s3:GetObject action",
        );
        assert_eq!(denial.principal.as_deref(), Some("arn:aws:sts::111122223333:assumed-role/reader/orgtrail"));
        assert_eq!(denial.action.as_deref(), Some("s3:GetObject"));
        assert_eq!(denial.resource.as_deref(), Some("arn:aws:s3:::logs/AWSLogs/a.json.gz"));
        assert_eq!((denial.side, denial.explicit), (Side::Identity, false));
    }

    #[test]
    fn every_policy_that_can_decide_is_told_apart() {
        let text = |why: &str| {
            format!(
                "User: arn:aws:iam::1:user/a is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::b/k {why}"
            )
        };
        for (why, side, explicit) in [
            ("because no resource-based policy allows the s3:GetObject action", Side::Resource, false),
            ("with an explicit deny in a resource-based policy", Side::Resource, true),
            ("with an explicit deny in a service control policy", Side::ServiceControl, true),
            ("because no service control policy allows the s3:GetObject action", Side::ServiceControl, false),
            ("with an explicit deny in a resource control policy", Side::ResourceControl, true),
            ("because no permissions boundary allows the s3:GetObject action", Side::Boundary, false),
            ("because no session policy allows the s3:GetObject action", Side::Session, false),
            ("because no VPC endpoint policy allows the s3:GetObject action", Side::Endpoint, false),
            ("with an explicit deny in an identity-based policy", Side::Identity, true),
            ("", Side::Unsaid, false),
        ] {
            let denial = Denial::read(&text(why));
            assert_eq!((denial.side, denial.explicit), (side, explicit), "{why}");
        }
    }

    #[test]
    fn what_kms_says_of_a_key_elsewhere_is_its_policys() {
        let denial = Denial::read(
            "AccessDenied: User: arn:aws-us-gov:sts::111122223333:assumed-role/reader/orgtrail is not authorized to perform: \
             kms:Decrypt on resource: arn:aws-us-gov:kms:us-gov-west-1:444455556666:key/k because the resource does not exist \
             in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access",
        );
        assert_eq!((denial.side, denial.explicit), (Side::Resource, false));
        assert_eq!(denial.action.as_deref(), Some("kms:Decrypt"));
        let bare = Denial::read(
            "AccessDeniedException: User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt on the resource \
             associated with this ciphertext because no identity-based policy allows the kms:Decrypt action",
        );
        assert_eq!((bare.resource, bare.side), (None, Side::Identity));
    }

    #[test]
    fn a_bare_refusal_says_nothing() {
        let denial = Denial::read("AccessDenied: Access Denied");
        assert_eq!((denial.principal, denial.action, denial.resource), (None, None, None));
        assert_eq!(denial.side, Side::Unsaid);
    }
}
