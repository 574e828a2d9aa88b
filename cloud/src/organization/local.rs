//! A file that stands for an organization, where AWS Organizations can't be asked: what `aws organizations list-accounts`
//! printed, with two optional members more in each account.
//!
//! Owns: the file's form. Does not own: keeping it up to date. It is read again for every answer.
//!
//! ```json
//! {"Accounts": [{"Id": "111122223333", "Name": "prod", "Email": "prod@example.com", "State": "ACTIVE",
//!   "Arn": "arn:aws:organizations::999999999999:account/o-exampleorg/111122223333",
//!   "JoinedTimestamp": "2024-05-06T07:08:09.123000+00:00",
//!   "Tags": {"env": "prod"}, "ParentOuPath": ["r-ab12", "ou-ab12-11111111"]}]}
//! ```
//! `Tags` may be AWS's own list of `Key` and `Value`, `ParentOuPath` a text with slashes; AWS's own `Paths` does as well.

use super::{Account, AccountStatus, Organization, Wanted, ou_path};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Most bytes of the file: far more than the 10,000 accounts that an organization can have.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A file that lists accounts.
#[derive(Clone, Debug)]
pub struct LocalOrganization {
    path: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    accounts: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    #[serde(default)]
    arn: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    state: Option<String>,
    status: Option<String>,
    joined_timestamp: Option<Time>,
    #[serde(default)]
    paths: Vec<String>,
    parent_ou_path: Option<OuPath>,
    tags: Option<Tags>,
}

/// The CLI prints a time as text, its first version on request as a number of seconds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Text(String),
    Seconds(f64),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OuPath {
    Text(String),
    Ids(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Tags {
    Map(BTreeMap<String, String>),
    List(Vec<Tag>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

impl LocalOrganization {
    /// The organization in this file, which need not be there yet. `Invalid` where the path is not absolute.
    pub fn new(path: &Path) -> Result<Self, Error> {
        if !path.is_absolute() || path.file_name().is_none() {
            return Err(Error::new(ErrorKind::Invalid, "open", format!("organization file://{}", path.display()))
                .detail("write file:///absolute/path.json, with three slashes"));
        }
        Ok(Self { path: path.to_owned() })
    }

    fn subject(&self) -> String {
        format!("accounts of {}", self.path.display())
    }

    async fn read(&self) -> Result<Vec<Entry>, Error> {
        let path = self.path.clone();
        let text = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map(|_| text)
        });
        let text = match text.await {
            Ok(read) => read.map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::io("read", self.subject(), error).with_kind(ErrorKind::ContainerMissing)
                }
                _ => Error::io("read", self.subject(), error),
            })?,
            Err(panicked) => return Err(Error::new(ErrorKind::Other, "read", self.subject()).source(panicked)),
        };
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::new(ErrorKind::TooLarge { bytes_max: FILE_BYTES_MAX }, "read", self.subject()));
        }
        // A file that is being written can't be read for a moment: worth another attempt.
        let file: File = serde_json::from_str(&text).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "read", self.subject())
                .detail(format!("it is not in the form of `aws organizations list-accounts`: {error}"))
        })?;
        Ok(file.accounts)
    }
}

#[async_trait]
impl Organization for LocalOrganization {
    async fn accounts(&self, wanted: Wanted) -> Result<Vec<Account>, Error> {
        let mut accounts = BTreeMap::new();
        for entry in self.read().await? {
            if entry.id.len() != 12 || !entry.id.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Error::new(ErrorKind::Invalid, "read", self.subject())
                    .detail(format!("`{}` is no account: write its 12 digits, as text", entry.id)));
            }
            let account = entry.account(wanted);
            accounts.insert(account.id.clone(), account);
        }
        Ok(accounts.into_values().collect())
    }
}

impl Entry {
    fn account(self, wanted: Wanted) -> Account {
        let path = match self.parent_ou_path {
            Some(OuPath::Text(path)) => ou_path(&path),
            Some(OuPath::Ids(ids)) => ids,
            None => self.paths.first().map(|path| ou_path(path)).unwrap_or_default(),
        };
        let tags = match self.tags {
            Some(Tags::Map(tags)) => tags,
            Some(Tags::List(tags)) => tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            None => BTreeMap::new(),
        };
        // A list that somebody wrote by hand says nothing of states: what is on it is in use.
        let word = self.state.or(self.status).unwrap_or_else(|| "ACTIVE".to_owned());
        Account {
            id: self.id,
            arn: self.arn,
            name: self.name,
            email: self.email,
            status: AccountStatus::parse(&word),
            joined: self.joined_timestamp.and_then(Time::read),
            ou_path: if wanted.parents { path } else { Vec::new() },
            tags: if wanted.tags { tags } else { BTreeMap::new() },
        }
    }
}

impl Time {
    fn read(self) -> Option<Timestamp> {
        match self {
            Self::Text(text) => text.parse().ok(),
            // Far below the numbers that a float can't hold.
            #[allow(clippy::cast_possible_truncation)]
            Self::Seconds(seconds) => Timestamp::from_second(seconds as i64).ok(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::conformance;
    use crate::organization::FakeOrganization;

    const TEXT: &str = r#"{"Accounts": [
        {"Id": "222233334444", "Status": "SUSPENDED", "JoinedTimestamp": 1500000000.25,
         "Paths": ["o-exampleorg/r-ab12/ou-ab12-11111111/222233334444/"]},
        {"Id": "111122223333", "Name": "prod", "State": "ACTIVE", "Status": "SUSPENDED",
         "Arn": "arn:aws:organizations::999999999999:account/o-exampleorg/111122223333",
         "JoinedTimestamp": "2024-05-06T07:08:09.123000+02:00",
         "Tags": [{"Key": "env", "Value": "prod"}], "ParentOuPath": "r-ab12/ou-ab12-22222222"},
        {"Id": "333344445555", "Tags": {"env": "test"}, "ParentOuPath": ["r-ab12"]}]}"#;

    fn written(text: &str) -> (tempfile::TempDir, LocalOrganization) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.json");
        std::fs::write(&path, text).unwrap();
        (folder, LocalOrganization::new(&path).unwrap())
    }

    #[tokio::test]
    async fn what_the_cli_printed_is_read_with_tags_and_paths() {
        let (_folder, organization) = written(TEXT);
        let [prod, suspended, test] = &organization.accounts(Wanted { tags: true, parents: true }).await.unwrap()[..]
        else {
            panic!()
        };
        assert_eq!((prod.id.as_str(), &prod.status), ("111122223333", &AccountStatus::Active));
        assert_eq!(prod.ou_path, ["r-ab12", "ou-ab12-22222222"]);
        assert_eq!(prod.tags["env"], "prod");
        assert_eq!(prod.joined.unwrap().to_string(), "2024-05-06T05:08:09.123Z");
        assert_eq!((&suspended.status, suspended.ou_path.len()), (&AccountStatus::Suspended, 2));
        assert_eq!((test.tags["env"].as_str(), test.ou_path.len()), ("test", 1));
    }

    #[tokio::test]
    async fn a_file_and_the_fake_conform() {
        let (_folder, organization) = written(TEXT);
        let accounts = organization.accounts(Wanted { tags: true, parents: true }).await.unwrap();
        conformance::organization::all(&organization, &accounts).await;
        let fake = FakeOrganization::default();
        accounts.iter().rev().for_each(|account| fake.put(account.clone()));
        conformance::organization::all(&fake, &accounts).await;
    }

    #[tokio::test]
    async fn a_file_that_is_absent_or_half_written_is_worth_another_attempt_and_says_why() {
        let (folder, organization) = written(r#"{"Accounts": [{"Id""#);
        let error = organization.accounts(Wanted::default()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
        std::fs::remove_file(folder.path().join("accounts.json")).unwrap();
        let error = organization.accounts(Wanted::default()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
        let (_folder, organization) = written(r#"{"Accounts": [{"Id": "12"}]}"#);
        let error = organization.accounts(Wanted::default()).await.unwrap_err();
        assert!(error.to_string().contains("12 digits"), "{error}");
    }
}
