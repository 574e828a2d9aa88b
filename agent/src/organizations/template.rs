//! What a source of an organization's account looks like: the `[organizations.source]` table with its placeholders filled
//! in, read as any `[[sources]]` table is.
//!
//! Owns the placeholders, the role's name and the partition. So every key of a source works in a template, and is checked
//! in the same way. Pure.

use orgtrail_cloud::partition::Partition;
use serde_json::{Map, Value};

use crate::config::{Organization, Source};
use crate::notify;

/// An account as the placeholders know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// 12 digits.
    pub(crate) id: String,
    pub(crate) partition: Partition,
}

impl Account {
    /// One that could be, to try a template on.
    pub(crate) fn sample(partition: Option<Partition>) -> Self {
        Self { id: "111122223333".to_owned(), partition: partition.unwrap_or(Partition::Aws) }
    }
}

/// A key of the table, and what is wrong with it.
pub(crate) type Fault = (String, String);

/// The template of an organization.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    organization: String,
    table: Map<String, Value>,
    role_name: Option<String>,
    /// As the regions in the table and in the organization's connection say.
    partition: Option<Partition>,
}

impl Template {
    pub(crate) fn new(config: &Organization) -> Result<Self, Fault> {
        let mut table = config.source.clone();
        let fault = |key: &str, message: &str| Err((key.to_owned(), message.to_owned()));
        if table.is_empty() {
            return fault(
                "",
                "missing; add a table [organizations.source] with a location such as s3://cloudtrail-{account}",
            );
        }
        let role_name = match table.remove("role_name") {
            None => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return fault("role_name", "write the role's name, with its path if it has one"),
        };
        if role_name.is_some() && table.contains_key("role_arn") {
            return fault("role_name", "makes the role's ARN for each account: remove role_arn, or this");
        }
        if table.contains_key("accounts") {
            return fault(
                "accounts",
                "the organization says which: write [organizations.include] and [organizations.exclude]",
            );
        }
        let regions = [table.get("region").and_then(Value::as_str), config.connection.region.as_deref()];
        let [here, there] = regions.map(|region| region.map(Partition::of_region));
        let partition = here.or(there);
        if let (Some(one), Some(other)) = (here, there)
            && one != other
        {
            let message =
                format!("is in partition {one}, the organization's own region in {other}: an organization has one");
            return Err(("region".to_owned(), message));
        }
        let template = Self { organization: config.name.clone(), table, role_name, partition };
        if template.is_shared() && template.role_name.is_some() {
            return fault("role_name", "one location for all accounts has one role: write role_arn");
        }
        Ok(template)
    }

    /// The partition that the configuration names.
    pub(crate) fn partition(&self) -> Option<Partition> {
        self.partition
    }

    /// Whether all accounts deliver to one place: then it is one source, and the organization says whose logs are taken.
    pub(crate) fn is_shared(&self) -> bool {
        match self.table.get("location") {
            Some(Value::String(location)) => !location.contains("{account}"),
            _ => !self.table.contains_key("kind"),
        }
    }

    /// The queue that tells of all accounts' objects, if there is one.
    pub(crate) fn notifications(&self) -> Result<Option<notify::Config>, Fault> {
        const KEY: &str = "notifications";
        let Some(table) = self.table.get(KEY) else { return Ok(None) };
        if names_account(table) {
            let message = "one queue tells of all accounts, so {account} can't stand here: let every bucket send to one queue, \
                           directly, through SNS or EventBridge, or remove this table and listings find everything";
            return Err((KEY.to_owned(), message.to_owned()));
        }
        let filled = self.filled(KEY, table, &Account::sample(self.partition))?;
        let read = serde_json::from_value(filled).map_err(|error| (KEY.to_owned(), error.to_string()));
        read.map(Some)
    }

    /// The account's source; of a shared place, the source of any account is that of all.
    pub(crate) fn source(&self, account: &Account) -> Result<Source, Fault> {
        if let Some(named) = self.partition
            && named != account.partition
        {
            let message = format!("is in partition {named}, the account {} in {}", account.id, account.partition);
            return Err(("region".to_owned(), message));
        }
        let mut table = Map::new();
        for (key, value) in &self.table {
            table.insert(key.clone(), self.filled(key, value, account)?);
        }
        let name =
            if self.is_shared() { self.organization.clone() } else { format!("{}/{}", self.organization, account.id) };
        table.entry("name").or_insert(Value::String(name));
        if !self.is_shared() {
            table.insert("accounts".to_owned(), Value::Array(vec![Value::String(account.id.clone())]));
        }
        if let Some(role) = &self.role_name {
            let role = self.text("role_name", role, account)?;
            let arn = account.partition.arn("iam", "", &account.id, &format!("role/{}", role.trim_start_matches('/')));
            table.insert("role_arn".to_owned(), Value::String(arn));
        }
        serde_json::from_value(Value::Object(table)).map_err(|error| (String::new(), error.to_string()))
    }

    fn filled(&self, key: &str, value: &Value, account: &Account) -> Result<Value, Fault> {
        Ok(match value {
            Value::String(text) => Value::String(self.text(key, text, account)?),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.filled(key, item, account)).collect::<Result<_, _>>()?)
            }
            Value::Object(table) => {
                let filled = table
                    .iter()
                    .map(|(inner, value)| Ok((inner.clone(), self.filled(&format!("{key}.{inner}"), value, account)?)));
                Value::Object(filled.collect::<Result<_, Fault>>()?)
            }
            other => other.clone(),
        })
    }

    fn text(&self, key: &str, text: &str, account: &Account) -> Result<String, Fault> {
        let filled = text
            .replace("{account}", &account.id)
            .replace("{organization}", &self.organization)
            .replace("{partition}", account.partition.id());
        match filled.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
            Some((unknown, _)) => {
                let message = format!(
                    "`{{{unknown}}}` is unknown: {{account}}, {{organization}} and {{partition}} are filled in"
                );
                Err((key.to_owned(), message))
            }
            None => Ok(filled),
        }
    }
}

fn names_account(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{account}"),
        Value::Array(items) => items.iter().any(names_account),
        Value::Object(table) => table.values().any(names_account),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(toml: &str) -> Result<Template, Fault> {
        let source: Map<String, Value> = serde_json::from_str(toml).unwrap();
        Template::new(&Organization { name: "acme".to_owned(), source, ..Organization::default() })
    }

    fn account(partition: Partition) -> Account {
        Account { id: "444455556666".to_owned(), partition }
    }

    #[test]
    fn each_partition_gets_its_own_roles_and_locations() {
        for (region, partition, id) in [
            ("eu-central-1", Partition::Aws, "aws"),
            ("us-gov-west-1", Partition::GovCloud, "aws-us-gov"),
            ("cn-north-1", Partition::China, "aws-cn"),
        ] {
            let template = template(&format!(
                r#"{{"location": "s3://{{organization}}-{{account}}-{{partition}}/logs", "region": "{region}",
                    "role_name": "audit/orgtrail", "external_id": "{{account}}-7"}}"#
            ))
            .unwrap();
            assert!(!template.is_shared());
            let source = template.source(&account(partition)).unwrap();
            assert_eq!(source.connection.problems(), []);
            assert_eq!(source.location.as_ref().unwrap().to_string(), format!("s3://acme-444455556666-{id}/logs"));
            assert_eq!(source.connection.role_arn, Some(format!("arn:{id}:iam::444455556666:role/audit/orgtrail")));
            assert_eq!(source.connection.external_id.as_deref(), Some("444455556666-7"));
            assert_eq!(
                (source.name(), source.accounts),
                ("acme/444455556666".to_owned(), vec!["444455556666".to_owned()])
            );
            for other in [Partition::Aws, Partition::GovCloud, Partition::China] {
                let refused = template.source(&account(other)).is_err();
                assert_eq!(refused, other != partition, "a template of {partition} and an account of {other}");
            }
        }
    }

    #[test]
    fn without_a_region_the_account_says_its_partition() {
        let template = template(r#"{"location": "s3://trail-{account}", "role_name": "orgtrail"}"#).unwrap();
        let source = template.source(&account(Partition::China)).unwrap();
        assert_eq!(source.connection.role_arn.unwrap(), "arn:aws-cn:iam::444455556666:role/orgtrail");
    }

    #[test]
    fn regions_of_two_partitions_are_refused() {
        let config = Organization {
            connection: orgtrail_cloud::Connection { region: Some("us-gov-west-1".into()), ..Default::default() },
            source: serde_json::from_str(r#"{"location": "s3://trail-{account}", "region": "us-east-1"}"#).unwrap(),
            ..Organization::default()
        };
        let (key, message) = Template::new(&config).unwrap_err();
        assert_eq!(key, "region");
        assert!(message.contains("aws-us-gov"), "{message}");
    }

    #[test]
    fn one_location_for_all_is_one_source() {
        let template = template(r#"{"location": "s3://org-trail", "start": "latest"}"#).unwrap();
        assert!(template.is_shared());
        assert_eq!(template.source(&account(Partition::Aws)).unwrap().name(), "acme");
    }

    #[test]
    fn event_histories_are_a_source_for_each_account() {
        let template =
            template(r#"{"kind": "lookup_events", "role_name": "orgtrail", "region": "us-gov-east-1"}"#).unwrap();
        assert!(!template.is_shared());
        let source = template.source(&account(Partition::GovCloud)).unwrap();
        assert_eq!(source.accounts, ["444455556666"]);
        assert_eq!(source.connection.role_arn.unwrap(), "arn:aws-us-gov:iam::444455556666:role/orgtrail");
    }

    #[test]
    fn one_queue_tells_of_all_accounts_and_none_of_each() {
        let queue = |queue: &str| {
            let toml = format!(
                r#"{{"location": "s3://trail-{{account}}", "notifications": {{"queue": "{queue}", "role_arn": "r"}}}}"#
            );
            template(&toml).unwrap().notifications()
        };
        let shared = queue("https://sqs.eu-west-1.amazonaws.com/111122223333/{organization}-trails").unwrap().unwrap();
        assert_eq!(shared.queue, "https://sqs.eu-west-1.amazonaws.com/111122223333/acme-trails");
        assert_eq!(shared.connection.role_arn.as_deref(), Some("r"));
        let (key, message) = queue("https://sqs.eu-west-1.amazonaws.com/{account}/trails").unwrap_err();
        assert_eq!(key, "notifications");
        assert!(message.contains("one queue tells of all accounts"), "{message}");
        assert_eq!(template(r#"{"location": "s3://x-{account}"}"#).unwrap().notifications(), Ok(None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_key() {
        for (toml, key) in [
            ("{}", ""),
            (r#"{"location": "s3://x", "role_name": "r"}"#, "role_name"),
            (r#"{"location": "s3://x-{account}", "role_name": "r", "role_arn": "a"}"#, "role_name"),
            (r#"{"location": "s3://x-{account}", "accounts": []}"#, "accounts"),
        ] {
            assert_eq!(template(toml).unwrap_err().0, key, "{toml}");
        }
        for (toml, said) in [
            (r#"{"location": "s3://x-{account}", "digest_keys": "file:///{acount}"}"#, "{acount}"),
            (r#"{"location": "s3://x-{account}", "lokation": "x"}"#, "lokation"),
            (r#"{"location": "s3://x-{account}", "start": "soon"}"#, "soon"),
        ] {
            let (_, message) = template(toml).unwrap().source(&account(Partition::Aws)).unwrap_err();
            assert!(message.contains(said), "{message}");
        }
    }
}
