//! The grammar of the object keys under which AWS Config delivers, both ways.
//!
//! `[prefix/]AWSLogs/[o-id/]<account>/Config/<region>/<Y>/<M>/<D>/<ConfigSnapshot|ConfigHistory>/<file>` ("Example
//! Configuration Snapshot Delivery Notification" and its sister for histories in the developer guide). Months and days have
//! no leading zeros. Where Control Tower sets AWS Config up, the organization's id is the prefix.
//!
//! Owns [`classify`], which never fails and never guesses; what it takes is printed back byte for byte. Not taken: the file
//! that tests whether the bucket can be written, and oversized change notifications, whose items stand in histories too.

use std::fmt;

use jiff::civil::Date;

pub use crate::key::DigestStamp as Stamp;
use crate::key::{Parts, date, is_region};

/// The folder between account and region.
const SERVICE: &str = "Config";
const SNAPSHOT: &str = "ConfigSnapshot";
const HISTORY: &str = "ConfigHistory";

/// What the files of one account and region share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The delivery channel's S3 key prefix, `""` or `a/b`.
    pub prefix: String,
    /// `o-…` where it stands behind `AWSLogs`.
    pub organization_id: Option<String>,
    /// 12 digits.
    pub account: String,
    /// The region that was recorded, or `global`.
    pub region: String,
}

impl Place {
    /// The key prefix that all its objects share, with a slash at its end.
    pub fn path(&self) -> String {
        let (account, region) = (self.account.as_str(), self.region.as_str());
        let organization_id = self.organization_id.as_deref();
        Parts { prefix: &self.prefix, organization_id, account, kind: SERVICE, region }.path()
    }

    /// The key prefix of one day's objects, with a slash at its end.
    pub fn day_path(&self, date: Date) -> String {
        format!("{}{}/", self.path(), day_folder(date))
    }

    /// Reads a path down to the region, with or without a slash at its end.
    pub fn parse(path: &str) -> Option<Self> {
        let parts = Parts::split(path.strip_suffix('/').unwrap_or(path)).filter(|parts| parts.kind == SERVICE)?;
        Some(Self {
            prefix: parts.prefix.to_owned(),
            organization_id: parts.organization_id.map(str::to_owned),
            account: parts.account.to_owned(),
            region: parts.region.to_owned(),
        })
    }
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Contents {
    /// All recorded resources as they were at one moment.
    Snapshot {
        /// That moment.
        at: Stamp,
        /// `configSnapshotId`, a UUID.
        id: String,
    },
    /// The changes of all resources of a type, usually of six hours.
    History {
        /// Such as `AWS::EC2::SecurityGroup`.
        resource_type: String,
        /// The first change.
        from: Stamp,
        /// The last change.
        to: Stamp,
        /// The file's number among those of this type and time, from `1`.
        part: String,
    },
}

impl Contents {
    fn folder(&self) -> &'static str {
        match self {
            Self::Snapshot { .. } => SNAPSHOT,
            Self::History { .. } => HISTORY,
        }
    }
}

/// The key of one file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Where the file lies, down to the region.
    pub place: Place,
    /// The day folder.
    pub date: Date,
    /// What the file holds.
    pub contents: Contents,
    /// The day folder where it is spelt another way.
    day: Option<Box<str>>,
    /// The start of the file's name where the folders would lead to expect another one.
    head: Option<Box<str>>,
}

impl Key {
    /// A key whose file is named as AWS Config names it.
    pub fn new(place: Place, date: Date, contents: Contents) -> Self {
        Self { place, date, contents, day: None, head: None }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.contents.folder();
        match &self.day {
            Some(day) => write!(f, "{}{day}/{folder}/", self.place.path())?,
            None => write!(f, "{}{folder}/", self.place.day_path(self.date))?,
        }
        match &self.head {
            Some(head) => f.write_str(head)?,
            None => f.write_str(&expected_head(&self.place, folder))?,
        }
        match &self.contents {
            Contents::Snapshot { at, id } => write!(f, "_{at}_{id}.json.gz"),
            Contents::History { resource_type, from, to, part } => {
                write!(f, "_{resource_type}_{from}_{to}_{part}.json.gz")
            }
        }
    }
}

/// The key of one of AWS Config's files, None for everything else. Total: every string has an answer.
pub fn classify(key: &str) -> Option<Key> {
    let (path, file) = key.rsplit_once('/')?;
    let (path, folder) = path.rsplit_once('/')?;
    let (path, day, date) = split_day(path)?;
    let place = Place::parse(path)?;
    let file = file.strip_suffix(".json.gz")?;
    let mut parts = file.splitn(5, '_');
    let (account, service, region, kind, rest) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_account = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
    if !is_account || service != SERVICE || !is_region(region) || kind != folder {
        return None;
    }
    let contents = match folder {
        SNAPSHOT => snapshot(rest)?,
        HISTORY => history(rest)?,
        _ => return None,
    };
    let head = format!("{account}_{service}_{region}_{kind}");
    let head = (head != expected_head(&place, folder)).then(|| head.into_boxed_str());
    let day = (day != day_folder(date)).then(|| day.into());
    Some(Key { place, date, contents, day, head })
}

fn snapshot(rest: &str) -> Option<Contents> {
    let (at, id) = rest.split_once('_')?;
    let named = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let at = Stamp::parse(at)?;
    named.then(|| Contents::Snapshot { at, id: id.to_owned() })
}

/// Read from the right: third parties choose the names of their resource types.
fn history(rest: &str) -> Option<Contents> {
    let mut parts = rest.rsplitn(4, '_');
    let (part, to, from, resource_type) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (from, to) = (Stamp::parse(from)?, Stamp::parse(to)?);
    let numbered = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let history = || Contents::History { resource_type: resource_type.to_owned(), from, to, part: part.to_owned() };
    (numbered && !resource_type.is_empty()).then(history)
}

fn expected_head(place: &Place, folder: &str) -> String {
    format!("{}_{SERVICE}_{}_{folder}", place.account, place.region)
}

/// `2016/9/27`
fn day_folder(date: Date) -> String {
    format!("{:04}/{}/{}", date.year(), date.month(), date.day())
}

/// Takes `<Y>/<M>/<D>` off the end of a path, with or without leading zeros; what stays ends in the region.
fn split_day(path: &str) -> Option<(&str, &str, Date)> {
    let mut slashes = path.rmatch_indices('/').map(|(at, _)| at);
    let (_, _, before) = (slashes.next()?, slashes.next()?, slashes.next()?);
    let day = &path[before + 1..];
    let mut numbers = day.split('/');
    let (year, month, number) = (numbers.next()?, numbers.next()?, numbers.next()?);
    if year.len() != 4 || !(1..=2).contains(&month.len()) || !(1..=2).contains(&number.len()) {
        return None;
    }
    let date = date(year, &format!("{month:0>2}"), &format!("{number:0>2}"))?;
    let path = &path[..before];
    // A folder without a name below the region would be lost when the key is put together again.
    (!path.ends_with('/')).then_some((path, day, date))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    /// The examples of the developer guide ("Example Configuration Snapshot Delivery Notification", "Example Configuration
    /// History Delivery Notification").
    const GUIDE: [&str; 2] = [
        "AWSLogs/123456789012/Config/us-east-2/2016/9/27/ConfigSnapshot/123456789012_Config_us-east-2_ConfigSnapshot_20160927T183939Z_16da64e4-cb65-4846-b061-e6c3ba43cb96.json.gz",
        "AWSLogs/123456789012/Config/us-east-2/2016/9/27/ConfigHistory/123456789012_Config_us-east-2_ConfigHistory_AWS::CloudTrail::Trail_20160927T195818Z_20160927T195818Z_1.json.gz",
    ];

    #[test]
    fn the_guides_keys_say_what_their_parts_say() {
        let [snapshot, history] = GUIDE.map(|key| classify(key).unwrap());
        assert_eq!(snapshot.date, date(2016, 9, 27));
        assert_eq!((snapshot.place.account.as_str(), snapshot.place.region.as_str()), ("123456789012", "us-east-2"));
        let at = Stamp::new(date(2016, 9, 27).at(18, 39, 39, 0));
        assert_eq!(snapshot.contents, Contents::Snapshot { at, id: "16da64e4-cb65-4846-b061-e6c3ba43cb96".to_owned() });
        let at = Stamp::new(date(2016, 9, 27).at(19, 58, 18, 0));
        let resource_type = "AWS::CloudTrail::Trail".to_owned();
        assert_eq!(history.contents, Contents::History { resource_type, from: at, to: at, part: "1".to_owned() });
        assert_eq!(history.place.day_path(history.date), "AWSLogs/123456789012/Config/us-east-2/2016/9/27/");
        assert_eq!(Key::new(history.place.clone(), history.date, history.contents.clone()), history);
        for key in GUIDE {
            assert_eq!(classify(key).unwrap().to_string(), key);
        }
    }

    #[test]
    fn every_layout_spelling_and_type_is_taken() {
        let [snapshot, history] = GUIDE;
        for (key, prefix, organization) in [
            (format!("o-abcdefghij/{snapshot}"), "o-abcdefghij", None),
            (format!("a/b c/{history}"), "a/b c", None),
            (history.replace("AWSLogs/", "AWSLogs/o-abcdefghij/"), "", Some("o-abcdefghij")),
            (snapshot.replace("/9/", "/09/"), "", None),
            (history.replace("us-east-2", "global"), "", None),
            // Another account in the file's name than in the folder.
            (snapshot.replace("/123456789012_", "/999900001111_"), "", None),
            (history.replace("AWS::CloudTrail::Trail", "MyCustom::My_Testing::WebServer"), "", None),
            (history.replace("AWS::CloudTrail::Trail", "AWS::::Account").replace("_1.json", "_12.json"), "", None),
        ] {
            let parsed = classify(&key).unwrap_or_else(|| panic!("{key}"));
            assert_eq!(parsed.to_string(), key);
            assert_eq!(parsed.place.prefix, prefix, "{key}");
            assert_eq!(parsed.place.organization_id.as_deref(), organization, "{key}");
            assert_eq!(Place::parse(&parsed.place.path()), Some(parsed.place));
        }
    }

    #[test]
    fn what_is_none_of_its_files_is_left_alone() {
        let [snapshot, history] = GUIDE;
        for key in [
            "AWSLogs/123456789012/Config/ConfigWritabilityCheckFile".to_owned(),
            "AWSLogs/123456789012/Config/us-west-2/2016/10/6/OversizedChangeNotification/AWS::EC2::Instance/i-1/123456789012_Config_us-west-2_ChangeNotification_AWS::EC2::Instance_i-1_20161006T164616Z_0.json.gz".to_owned(),
            snapshot.replace("/Config/", "/CloudTrail/"),
            snapshot.replace("/ConfigSnapshot/", "/ConfigHistory/"),
            snapshot.replace(".json.gz", ".json"),
            snapshot.replace("/9/27/", "/9/31/"),
            snapshot.replace("/9/27/", "/9/"),
            snapshot.replace("/us-east-2/", "/us-east-2//"),
            snapshot.replace("T183939Z", "T1839Z"),
            history.replace("_1.json", "_x.json"),
            history.replace("_AWS::CloudTrail::Trail", ""),
            history.replace("/123456789012/", "/12345/"),
            String::new(),
        ] {
            assert_eq!(classify(&key), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn any_string_has_an_answer_and_what_is_taken_prints_as_it_stood(key in "\\PC{0,80}", cut in 0..180_usize, put in "[-a-z0-9_:/.]{0,3}") {
            for base in GUIDE {
                let cut = cut.min(base.len());
                for key in [key.clone(), format!("{}{put}{}", &base[..cut], &base[cut..])] {
                    if let Some(parsed) = classify(&key) {
                        prop_assert_eq!(parsed.to_string(), key);
                    }
                }
            }
        }
    }
}
