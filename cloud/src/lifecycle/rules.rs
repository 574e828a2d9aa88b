//! Lifecycle rules as values: what a rule of ours says, and what becomes of a bucket's rules with it. No I/O.

use aws_sdk_s3::operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationOutput;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule as Rule, LifecycleRuleFilter,
    Transition, TransitionDefaultMinimumObjectSize, TransitionStorageClass,
};

/// Most characters of a rule's id. Source: S3 API reference, LifecycleRule.
const ID_CHARS_MAX: usize = 255;

/// What becomes of a trail's objects with time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Which rule of the bucket this is: 1 to 255 characters. The rule with this id is ours to replace.
    pub id: String,
    /// Which objects: those whose whole key in the bucket begins so. Empty for all.
    pub prefix: String,
    /// After how many days they go to S3 Glacier Flexible Retrieval, from where they can't be read before they are
    /// restored. S3 leaves objects below 128 KiB where they are, unless the bucket is set otherwise.
    pub glacier_after_days: Option<u32>,
    /// After how many days they are removed; in a bucket with versions, hidden behind a delete marker.
    pub expire_after_days: Option<u32>,
}

impl LifecycleRule {
    /// What is wrong with the values, as (field, message) pairs; empty when S3 can take them. Source: S3 user guide,
    /// "Lifecycle configuration elements".
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(1..=ID_CHARS_MAX).contains(&self.id.chars().count()) {
            problems.push(("id", format!("a rule's id has 1 to {ID_CHARS_MAX} characters")));
        }
        for (field, days) in
            [("glacier_after_days", self.glacier_after_days), ("expire_after_days", self.expire_after_days)]
        {
            if days.is_some_and(|days| days == 0 || i32::try_from(days).is_err()) {
                problems.push((field, format!("write 1 to {} days", i32::MAX)));
            }
        }
        match (self.glacier_after_days, self.expire_after_days) {
            (None, None) => problems.push(("glacier_after_days", "set it, expire_after_days, or both".to_owned())),
            (Some(glacier), Some(expire)) if expire <= glacier => problems.push((
                "expire_after_days",
                format!("objects expire after more days than the {glacier} after which they go to Glacier"),
            )),
            _ => {}
        }
        problems
    }

    fn to_rule(&self) -> Rule {
        let days = |days: u32| i32::try_from(days).unwrap_or(i32::MAX);
        let transition =
            |after| Transition::builder().days(days(after)).storage_class(TransitionStorageClass::Glacier).build();
        let expiration = |after| LifecycleExpiration::builder().days(days(after)).build();
        Rule::builder()
            .id(&self.id)
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix(&self.prefix).build())
            .set_transitions(self.glacier_after_days.map(|after| vec![transition(after)]))
            .set_expiration(self.expire_after_days.map(expiration))
            .build()
            .expect("a status is all it needs")
    }
}

/// A bucket's lifecycle rules as they are there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketRules {
    rules: Vec<Rule>,
    smallest: Option<TransitionDefaultMinimumObjectSize>,
}

impl BucketRules {
    pub(super) fn new(answer: GetBucketLifecycleConfigurationOutput) -> Self {
        let smallest = answer.transition_default_minimum_object_size;
        Self { rules: answer.rules.unwrap_or_default(), smallest }
    }

    /// The ids of the rules, in their order. A rule may have none.
    pub fn ids(&self) -> impl Iterator<Item = Option<&str>> {
        self.rules.iter().map(Rule::id)
    }

    /// What putting this rule would change, a line each; empty where it is there already.
    pub fn plan(&self, wanted: &LifecycleRule) -> Vec<String> {
        let rule = wanted.to_rule();
        let there = self.rules.iter().find(|there| there.id() == Some(&wanted.id));
        let id = &wanted.id;
        let change = match there {
            Some(there) if normal(there) == normal(&rule) => return Vec::new(),
            Some(there) => format!("change lifecycle rule `{id}` to: {}; it was: {}", describe(&rule), describe(there)),
            None => format!("add lifecycle rule `{id}`: {}", describe(&rule)),
        };
        std::iter::once(change).chain(kept(self.rules.len() - usize::from(there.is_some()))).collect()
    }

    /// These rules with this one in the place of the one with its id, else behind the others.
    pub(super) fn with(mut self, wanted: &LifecycleRule) -> Self {
        let rule = wanted.to_rule();
        match self.rules.iter_mut().find(|there| there.id() == Some(&wanted.id)) {
            Some(there) => *there = rule,
            None => self.rules.push(rule),
        }
        self
    }

    /// What taking our own rule away would change, a line each; empty where it isn't there. Ours has this id *and* this
    /// prefix: another trail of the same name has another prefix, and its rule stays.
    pub fn plan_without(&self, id: &str, prefix: &str) -> Vec<String> {
        let Some(ours) = self.rules.iter().find(|rule| is_ours(rule, id, prefix)) else { return Vec::new() };
        let removal = format!("remove lifecycle rule `{id}`: {}", describe(ours));
        std::iter::once(removal).chain(kept(self.rules.len() - 1)).collect()
    }

    /// These rules without our own.
    pub(super) fn without(mut self, id: &str, prefix: &str) -> Self {
        self.rules.retain(|rule| !is_ours(rule, id, prefix));
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn into_configuration(
        self,
    ) -> (BucketLifecycleConfiguration, Option<TransitionDefaultMinimumObjectSize>) {
        let configuration = BucketLifecycleConfiguration::builder().set_rules(Some(self.rules)).build();
        (configuration.expect("rules are all it needs"), self.smallest)
    }
}

fn is_ours(rule: &Rule, id: &str, prefix: &str) -> bool {
    rule.id() == Some(id) && rule.filter().and_then(|filter| filter.prefix()) == Some(prefix)
}

/// The line about others' rules.
fn kept(others: usize) -> Option<String> {
    match others {
        0 => None,
        1 => Some("keep 1 other lifecycle rule as it is".to_owned()),
        others => Some(format!("keep {others} other lifecycle rules as they are")),
    }
}

/// One form for rules that say the same: a filter without anything is one with an empty prefix, an absent list is an
/// empty one, and a delete marker that is not asked about is not expired.
fn normal(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    if rule.filter.as_ref().is_some_and(|filter| *filter == LifecycleRuleFilter::builder().build()) {
        rule.filter = Some(LifecycleRuleFilter::builder().prefix("").build());
    }
    rule.transitions = rule.transitions.filter(|transitions| !transitions.is_empty());
    rule.noncurrent_version_transitions =
        rule.noncurrent_version_transitions.filter(|transitions| !transitions.is_empty());
    if let Some(expiration) = &mut rule.expiration {
        expiration.expired_object_delete_marker = expiration.expired_object_delete_marker.filter(|asked| *asked);
    }
    rule
}

/// A rule in words: what ours can say, and that there is more where another changed it.
fn describe(rule: &Rule) -> String {
    let mut does = Vec::new();
    for transition in rule.transitions() {
        let class = transition.storage_class().map_or("another class", TransitionStorageClass::as_str);
        does.push(format!("go to {class} after {} days", transition.days().unwrap_or_default()));
    }
    if let Some(days) = rule.expiration().and_then(|expiration| expiration.days()) {
        does.push(format!("are removed after {days} days"));
    }
    if does.is_empty() {
        does.push("do something else".to_owned());
    }
    let prefix = rule.filter().and_then(|filter| filter.prefix()).unwrap_or_default();
    let off = if *rule.status() == ExpirationStatus::Enabled { "" } else { " (switched off)" };
    format!("objects under `{prefix}` {}{off}", does.join(" and "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, LifecycleRuleAndOperator, Tag};

    fn wanted() -> LifecycleRule {
        LifecycleRule {
            id: "orgtrail-audit".into(),
            prefix: "AWSLogs/o-1/".into(),
            glacier_after_days: Some(90),
            expire_after_days: Some(365),
        }
    }

    /// With what this module knows nothing of.
    fn foreign() -> Vec<Rule> {
        let tag = Tag::builder().key("k").value("v").build().unwrap();
        let and = LifecycleRuleAndOperator::builder().prefix("x/").tags(tag).object_size_less_than(7).build();
        let first = Rule::builder()
            .status(ExpirationStatus::Disabled)
            .filter(LifecycleRuleFilter::builder().and(and).build())
            .transitions(Transition::builder().days(1).storage_class(TransitionStorageClass::from("TAPE")).build())
            .build();
        let parts = AbortIncompleteMultipartUpload::builder().days_after_initiation(3).build();
        #[allow(deprecated, reason = "rules of the old form are still about")]
        let second = Rule::builder().id("old").prefix("").status(ExpirationStatus::Enabled);
        vec![first.unwrap(), second.abort_incomplete_multipart_upload(parts).build().unwrap()]
    }

    fn bucket(rules: Vec<Rule>) -> BucketRules {
        BucketRules { rules, smallest: Some(TransitionDefaultMinimumObjectSize::VariesByStorageClass) }
    }

    #[test]
    fn others_rules_and_the_setting_for_small_objects_stay_exactly() {
        let before = bucket(foreign());
        let after = before.clone().with(&wanted());
        assert_eq!(after.rules[..2], before.rules[..]);
        assert_eq!(after.ids().collect::<Vec<_>>(), [None, Some("old"), Some("orgtrail-audit")]);
        assert_eq!(
            before.plan(&wanted()),
            [
                "add lifecycle rule `orgtrail-audit`: objects under `AWSLogs/o-1/` go to GLACIER after 90 days and are \
                 removed after 365 days",
                "keep 2 other lifecycle rules as they are",
            ]
        );
        let (configuration, smallest) = after.into_configuration();
        assert_eq!(configuration.rules()[..2], foreign()[..]);
        assert_eq!(smallest, Some(TransitionDefaultMinimumObjectSize::VariesByStorageClass));
    }

    #[test]
    fn a_rule_that_is_there_changes_nothing_and_another_value_replaces_it_in_its_place() {
        let mut rules = foreign();
        rules.insert(1, wanted().to_rule());
        let there = bucket(rules);
        assert_eq!(there.plan(&wanted()), [""; 0]);
        assert_eq!(there.clone().with(&wanted()), there);
        let longer = LifecycleRule { expire_after_days: Some(2557), glacier_after_days: None, ..wanted() };
        let plan = there.plan(&longer);
        assert!(plan[0].starts_with("change lifecycle rule `orgtrail-audit` to: "), "{plan:?}");
        assert!(plan[0].contains("removed after 2557 days; it was: ") && plan[0].ends_with("365 days"), "{plan:?}");
        let after = there.with(&longer);
        assert_eq!(after.ids().collect::<Vec<_>>(), [None, Some("orgtrail-audit"), Some("old")]);
        assert_eq!(after.plan(&longer), [""; 0]);
    }

    #[test]
    fn only_our_own_rule_is_taken_away() {
        let mut rules = foreign();
        rules.insert(1, wanted().to_rule());
        let there = bucket(rules);
        let LifecycleRule { id, prefix, .. } = wanted();
        let plan = there.plan_without(&id, &prefix);
        assert!(
            plan[0].starts_with("remove lifecycle rule `orgtrail-audit`: objects under `AWSLogs/o-1/`"),
            "{plan:?}"
        );
        assert_eq!(plan[1..], ["keep 2 other lifecycle rules as they are"]);
        assert_eq!(there.clone().without(&id, &prefix), bucket(foreign()));
        assert!(bucket(vec![wanted().to_rule()]).without(&id, &prefix).is_empty());
        // The same name over other objects, and other names over ours.
        for (id, prefix) in [(&id[..], "AWSLogs/o-2/"), ("old", ""), ("orgtrail-other", &prefix), ("", "")] {
            assert_eq!(there.plan_without(id, prefix), [""; 0], "{id} {prefix}");
            assert_eq!(there.clone().without(id, prefix), there, "{id} {prefix}");
        }
    }

    #[test]
    fn what_somebody_changed_in_our_rule_is_changed_back() {
        let mut rule = wanted().to_rule();
        rule.status = ExpirationStatus::Disabled;
        let plan = bucket(vec![rule]).plan(&wanted());
        assert!(plan[0].ends_with("(switched off)"), "{plan:?}");
        assert_eq!(plan.len(), 1);
    }

    #[test]
    fn another_spelling_of_the_same_rule_is_the_same_rule() {
        let all = LifecycleRule { prefix: String::new(), glacier_after_days: None, ..wanted() };
        let mut rule = all.to_rule();
        rule.filter = Some(LifecycleRuleFilter::builder().build());
        rule.transitions = Some(Vec::new());
        rule.expiration.as_mut().unwrap().expired_object_delete_marker = Some(false);
        assert_eq!(bucket(vec![rule]).plan(&all), [""; 0]);
    }

    #[test]
    fn every_problem_is_told() {
        assert_eq!(wanted().problems(), []);
        let bad = LifecycleRule { id: String::new(), expire_after_days: Some(90), ..wanted() };
        assert_eq!(bad.problems().into_iter().map(|(field, _)| field).collect::<Vec<_>>(), ["id", "expire_after_days"]);
        let none = LifecycleRule { glacier_after_days: None, expire_after_days: None, ..wanted() };
        assert!(none.problems()[0].1.contains("or both"));
        let zero = LifecycleRule { glacier_after_days: Some(0), expire_after_days: Some(u32::MAX), ..wanted() };
        assert_eq!(zero.problems().len(), 2);
    }
}
