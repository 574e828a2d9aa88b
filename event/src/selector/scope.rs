//! Which accounts and regions a trail covers, and whether it takes global services' events.
//!
//! Account and region are those of the object's folder, which is what CloudTrail itself delivered by: records of other
//! accounts' making and, from before 22 November 2021, of another region lie in it, too.

use super::Invalid;
use super::explain::Condition;
use super::field::Operator;
use crate::identifier::is_account;
use crate::record::{Category, Header};

/// What a trail covers. The default: all accounts and regions, global services included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Only these accounts, 12 digits each. Empty: all.
    pub accounts: Vec<String>,
    /// Only these regions. Empty: all.
    pub regions: Vec<String>,
    /// The one region of a single-region trail. None: a multi-region trail (CloudTrail's `IsMultiRegionTrail`).
    pub home_region: Option<String>,
    /// CloudTrail's `IncludeGlobalServiceEvents`. A multi-region trail must include them.
    pub include_global_service_events: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Self { accounts: Vec::new(), regions: Vec::new(), home_region: None, include_global_service_events: true }
    }
}

impl Scope {
    /// Adds what is wrong to `problems`.
    pub(super) fn check(&self, problems: &mut Vec<Invalid>) {
        for (index, account) in self.accounts.iter().enumerate() {
            if !is_account(account) {
                let message = format!("\"{account}\" is not 12 digits; leave the list out for all accounts");
                problems.push(Invalid::ours(format!("accounts[{index}]"), message));
            }
        }
        let regions = self.regions.iter().enumerate().map(|(index, region)| (format!("regions[{index}]"), region));
        for (at, region) in regions.chain(self.home_region.iter().map(|region| ("home_region".to_owned(), region))) {
            if !is_region(region) {
                let message = format!("\"{region}\" is no region: lower-case letters, digits and '-', as in us-east-1");
                problems.push(Invalid::ours(at, message));
            }
        }
        match &self.home_region {
            None if !self.include_global_service_events => problems.push(Invalid {
                at: "include_global_service_events".to_owned(),
                exception: Some("InvalidParameterCombinationException"),
                message: "a multi-region trail must include global service events".to_owned(),
            }),
            Some(home) if !self.regions.is_empty() && !self.regions.contains(home) => {
                let message =
                    format!("leaves out \"{home}\", the only region of a single-region trail: nothing is left");
                problems.push(Invalid::ours("regions", message));
            }
            _ => {}
        }
    }

    /// The scope with its lists in order.
    pub(super) fn sorted(&self) -> Self {
        let mut scope = self.clone();
        scope.accounts.sort();
        scope.regions.sort();
        scope
    }

    /// Whether a sorted scope covers the record; else which of its keys leaves it out.
    pub(super) fn admits(&self, header: &Header<'_>, account: &str, region: &str) -> Result<(), Outside> {
        let lists = |list: &[String], it: &str| list.is_empty() || list.binary_search_by(|one| (**one).cmp(it)).is_ok();
        if !lists(&self.accounts, account) {
            return Err(Outside::Account);
        }
        if !lists(&self.regions, region) {
            return Err(Outside::Region);
        }
        match &self.home_region {
            Some(home) if home != region => Err(Outside::HomeRegion),
            _ if self.include_global_service_events => Ok(()),
            _ => global_service(header, region).map_or(Ok(()), |sign| Err(Outside::GlobalService(sign))),
        }
    }

    /// In words: the key, and the condition that wasn't met.
    pub(super) fn explain(
        &self,
        outside: Outside,
        header: &Header<'_>,
        account: &str,
        region: &str,
    ) -> (&'static str, Condition) {
        let equals = |field: &str, values: &[String], found: &str| Condition {
            field: field.to_owned(),
            operator: Operator::Equals.name(),
            values: values.to_vec(),
            found: vec![found.to_owned()],
        };
        match outside {
            Outside::Account => ("accounts", equals("account", &self.accounts, account)),
            Outside::Region => ("regions", equals("region", &self.regions, region)),
            Outside::HomeRegion => ("home_region", equals("region", self.home_region.as_slice(), region)),
            Outside::GlobalService(sign) => {
                let (field, value) = sign.field(header);
                let condition = Condition {
                    field: field.to_owned(),
                    operator: Operator::NotEquals.name(),
                    values: vec![value.clone()],
                    found: vec![value],
                };
                ("include_global_service_events", condition)
            }
        }
    }
}

/// The key of a scope that leaves a record out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    Account,
    Region,
    HomeRegion,
    GlobalService(Sign),
}

/// By what a global service's event was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Source,
    Endpoint,
    Region,
}

impl Sign {
    fn field(self, header: &Header<'_>) -> (&'static str, String) {
        let (field, value) = match self {
            Self::Source => ("eventSource", header.event_source.as_deref()),
            Self::Endpoint => ("tlsDetails.clientProvidedHostHeader", Some(STS_GLOBAL_ENDPOINT)),
            Self::Region => ("awsRegion", header.aws_region.as_deref()),
        };
        (field, value.unwrap_or_default().to_owned())
    }
}

/// Where global services' events are recorded (CloudTrail user guide, "Global service events").
const GLOBAL_REGION: &str = "us-east-1";
const STS_GLOBAL_ENDPOINT: &str = "sts.amazonaws.com";

/// Tells a global service's event: one of IAM or CloudFront; of STS, if the global endpoint was asked; of any service, if
/// it is recorded for us-east-1 and lies in another region's folder, where CloudTrail delivered such events to before 22
/// November 2021. What can't be told is a regional event: to take one too many is better than to lose one.
fn global_service(header: &Header<'_>, region: &str) -> Option<Sign> {
    if header.category() != Category::Management {
        return None;
    }
    match header.event_source.as_deref() {
        Some("iam.amazonaws.com" | "cloudfront.amazonaws.com") => return Some(Sign::Source),
        Some("sts.amazonaws.com") if header.client_provided_host_header().as_deref() == Some(STS_GLOBAL_ENDPOINT) => {
            return Some(Sign::Endpoint);
        }
        _ => {}
    }
    let moved = region != GLOBAL_REGION && header.aws_region.as_deref() == Some(GLOBAL_REGION);
    moved.then_some(Sign::Region)
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
