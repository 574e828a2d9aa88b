//! Statements that make our data known to Amazon Athena.
//!
//! Owns two kinds of tables: an event data store's Delta table, and the log files of a trail as they lie there, ours or
//! CloudTrail's own. Does not own running the statements: whoever may do so pastes them into Athena.

mod find;

use jiff::civil::Date;

pub use self::find::log_files;

/// Why there is no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Athena reads buckets alone.
    #[error("{location} is no bucket: Athena reads what lies in S3; give an s3:// location")]
    NoBucket {
        /// Where the data lies.
        location: String,
    },
    /// A text would end a literal of the statement early.
    #[error("{text:?} can't stand in a statement: it holds a quote, a backslash or a control character")]
    Unquotable {
        /// The text.
        text: String,
    },
}

/// A table's name in Athena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// Its database; Athena's current one without.
    pub database: Option<String>,
    /// Its own name.
    pub table: String,
}

impl TableName {
    /// A name as Athena takes it: what isn't a lower-case letter, a digit or `_` becomes that ("Name databases, tables, and
    /// columns" in the Athena user guide).
    pub fn new(database: Option<&str>, table: &str) -> Self {
        Self { database: database.map(athenian), table: athenian(table) }
    }

    fn quoted(&self) -> String {
        let database = self.database.as_ref().map(|name| format!("`{name}`."));
        format!("{}`{}`", database.unwrap_or_default(), self.table)
    }
}

fn athenian(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    lower.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect()
}

/// The statement for an event data store's Delta table at `location`. Columns are not named: Athena takes them, and every
/// change, from the table's own log, and refuses a statement that says more ("Get started with Delta Lake tables").
///
/// # Errors
/// When `location` isn't a bucket's, or can't be quoted.
pub fn delta_table(name: &TableName, location: &str) -> Result<String, Error> {
    let location = folder(location)?;
    Ok(format!(
        "CREATE EXTERNAL TABLE {}\nLOCATION '{location}'\nTBLPROPERTIES ('table_type' = 'DELTA');\n",
        name.quoted()
    ))
}

/// The log files of a trail, as they lie there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFiles {
    /// What stands before the account in every key, from `s3://` on, such as `s3://logs/AWSLogs/o-abcdefghij/`.
    pub above: String,
    /// The folder between account and region: `CloudTrail`, or a sister such as `CloudTrail-Insight`.
    pub folder: String,
    /// The accounts. Empty: every query has to name its own.
    pub accounts: Vec<String>,
    /// The regions. Empty: every query has to name its own.
    pub regions: Vec<String>,
    /// The first day.
    pub since: Date,
}

/// The statement for log files, with partitions by account, region and day that Athena works out by itself ("Create the
/// table for CloudTrail logs in Athena using partition projection").
///
/// # Errors
/// When the files don't lie in a bucket, or a text can't be quoted.
pub fn log_file_table(name: &TableName, files: &LogFiles) -> Result<String, Error> {
    let above = folder(&files.above)?;
    let (year, month, day) = (files.since.year(), files.since.month(), files.since.day());
    let mut properties = vec![("projection.enabled".to_owned(), "true".to_owned())];
    properties.extend(projection("account", &files.accounts)?);
    properties.extend(projection("region", &files.regions)?);
    let fixed = [
        ("projection.day.type", "date".to_owned()),
        ("projection.day.format", "yyyy/MM/dd".to_owned()),
        ("projection.day.interval", "1".to_owned()),
        ("projection.day.interval.unit", "DAYS".to_owned()),
        ("projection.day.range", format!("{year:04}/{month:02}/{day:02},NOW")),
        ("storage.location.template", format!("{above}${{account}}/{}/${{region}}/${{day}}", quotable(&files.folder)?)),
    ];
    properties.extend(fixed.map(|(key, value)| (key.to_owned(), value)));
    let properties: Vec<_> = properties.iter().map(|(key, value)| format!("  '{key}' = '{value}'")).collect();
    let columns: Vec<_> =
        LOG_FILE_COLUMNS.iter().map(|(column, data_type)| format!("  {column} {data_type}")).collect();
    Ok(format!(
        "CREATE EXTERNAL TABLE {} (\n{}\n)\nPARTITIONED BY (`account` string, `region` string, `day` string)\n\
         ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'\n\
         STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat'\n\
         OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'\n\
         LOCATION '{above}'\nTBLPROPERTIES (\n{}\n);\n",
        name.quoted(),
        columns.join(",\n"),
        properties.join(",\n")
    ))
}

/// How Athena knows a partition column's values: from a list, or from each query.
fn projection(column: &str, values: &[String]) -> Result<Vec<(String, String)>, Error> {
    if values.is_empty() {
        return Ok(vec![(format!("projection.{column}.type"), "injected".to_owned())]);
    }
    Ok(vec![
        (format!("projection.{column}.type"), "enum".to_owned()),
        (format!("projection.{column}.values"), quotable(&values.join(","))?.to_owned()),
    ])
}

/// A bucket's location, with a slash at its end.
fn folder(location: &str) -> Result<String, Error> {
    let is_bucket = location.strip_prefix("s3://").is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty());
    if !is_bucket {
        return Err(Error::NoBucket { location: location.to_owned() });
    }
    Ok(format!("{}/", quotable(location)?.trim_end_matches('/')))
}

fn quotable(text: &str) -> Result<&str, Error> {
    let bad = |char: char| matches!(char, '\'' | '\\') || char.is_control();
    if text.contains(bad) { Err(Error::Unquotable { text: text.to_owned() }) } else { Ok(text) }
}

/// The columns that AWS documents for CloudTrail's log files (the page above). JSON stays text.
const LOG_FILE_COLUMNS: [(&str, &str); 29] = [
    ("eventversion", "string"),
    ("useridentity", USER_IDENTITY),
    ("eventtime", "string"),
    ("eventsource", "string"),
    ("eventname", "string"),
    ("awsregion", "string"),
    ("sourceipaddress", "string"),
    ("useragent", "string"),
    ("errorcode", "string"),
    ("errormessage", "string"),
    ("requestparameters", "string"),
    ("responseelements", "string"),
    ("additionaleventdata", "string"),
    ("requestid", "string"),
    ("eventid", "string"),
    ("readonly", "string"),
    ("resources", "array<struct<arn:string,accountid:string,type:string>>"),
    ("eventtype", "string"),
    ("apiversion", "string"),
    ("recipientaccountid", "string"),
    ("serviceeventdetails", "string"),
    ("sharedeventid", "string"),
    ("vpcendpointid", "string"),
    ("vpcendpointaccountid", "string"),
    ("eventcategory", "string"),
    ("addendum", "struct<reason:string,updatedfields:string,originalrequestid:string,originaleventid:string>"),
    ("sessioncredentialfromconsole", "string"),
    ("edgedevicedetails", "string"),
    ("tlsdetails", "struct<tlsversion:string,ciphersuite:string,clientprovidedhostheader:string>"),
];

const USER_IDENTITY: &str = "struct<type:string,principalid:string,arn:string,accountid:string,invokedby:string,\
    accesskeyid:string,username:string,onbehalfof:struct<userid:string,identitystorearn:string>,\
    sessioncontext:struct<attributes:struct<mfaauthenticated:string,creationdate:string>,\
    sessionissuer:struct<type:string,principalid:string,arn:string,accountid:string,username:string>,\
    ec2roledelivery:string,webidfederationdata:struct<federatedprovider:string,attributes:map<string,string>>>>";

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_delta_table_is_named_and_nothing_more() {
        let name = TableName::new(Some("audit"), "Org-Events.2026");
        let statement = delta_table(&name, "s3://lake/events").unwrap();
        assert_eq!(
            statement,
            "CREATE EXTERNAL TABLE `audit`.`org_events_2026`\nLOCATION 's3://lake/events/'\n\
             TBLPROPERTIES ('table_type' = 'DELTA');\n"
        );
    }

    fn files() -> LogFiles {
        LogFiles {
            above: "s3://logs/AWSLogs/o-abcdefghij/".to_owned(),
            folder: "CloudTrail".to_owned(),
            accounts: vec!["001122334455".to_owned(), "111122223333".to_owned()],
            regions: vec!["eu-west-1".to_owned()],
            since: date(2024, 3, 1),
        }
    }

    #[test]
    fn log_files_are_partitioned_by_account_region_and_day() {
        let statement = log_file_table(&TableName::new(None, "org-trail"), &files()).unwrap();
        let columns = "CREATE EXTERNAL TABLE `org_trail` (\n  eventversion string,\n  useridentity struct<type:string,";
        assert!(statement.starts_with(columns), "{statement}");
        let rest = "  tlsdetails struct<tlsversion:string,ciphersuite:string,clientprovidedhostheader:string>
)
PARTITIONED BY (`account` string, `region` string, `day` string)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://logs/AWSLogs/o-abcdefghij/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.account.type' = 'enum',
  'projection.account.values' = '001122334455,111122223333',
  'projection.region.type' = 'enum',
  'projection.region.values' = 'eu-west-1',
  'projection.day.type' = 'date',
  'projection.day.format' = 'yyyy/MM/dd',
  'projection.day.interval' = '1',
  'projection.day.interval.unit' = 'DAYS',
  'projection.day.range' = '2024/03/01,NOW',
  'storage.location.template' = 's3://logs/AWSLogs/o-abcdefghij/${account}/CloudTrail/${region}/${day}'
);
";
        assert!(statement.ends_with(rest), "{statement}");
    }

    #[test]
    fn what_is_not_listed_every_query_names() {
        let files = LogFiles { accounts: Vec::new(), regions: Vec::new(), ..files() };
        let statement = log_file_table(&TableName::new(None, "t"), &files).unwrap();
        for column in ["account", "region"] {
            assert!(statement.contains(&format!("  'projection.{column}.type' = 'injected',\n")), "{statement}");
        }
        assert!(!statement.contains(".values"), "{statement}");
    }

    #[test]
    fn angle_brackets_and_columns_are_whole() {
        for (column, data_type) in LOG_FILE_COLUMNS {
            assert_eq!(data_type.matches('<').count(), data_type.matches('>').count(), "{column}");
            assert!(!data_type.contains(' '), "{column}: {data_type}");
        }
        let names: std::collections::BTreeSet<_> = LOG_FILE_COLUMNS.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), LOG_FILE_COLUMNS.len());
    }

    #[test]
    fn what_athena_cannot_read_or_would_misread_is_refused() {
        let name = TableName::new(None, "t");
        for location in ["file:///srv/lake", "/srv/lake", "s3://", "s3:///x"] {
            let error = delta_table(&name, location).unwrap_err();
            assert_eq!(error, Error::NoBucket { location: location.to_owned() });
        }
        let text = "s3://b/it's".to_owned();
        assert_eq!(delta_table(&name, &text), Err(Error::Unquotable { text }));
        let accounts = vec!["1', 'x' = '".to_owned()];
        assert!(log_file_table(&name, &LogFiles { accounts, ..files() }).is_err());
    }
}
