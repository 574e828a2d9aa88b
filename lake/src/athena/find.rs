//! Which accounts and regions a trail's location holds: what a table over its log files needs to know.
//!
//! Owns the listings: two, and one for each account. Keys are not read any further.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use orgtrail_cloud::object_store::ListRequest;
use orgtrail_cloud::{Error, ObjectStore};

use super::LogFiles;

/// What stands above every account.
const ROOT: &str = "AWSLogs/";

/// The log files below a location, apart where a part of them has the organization's id above the account. `folder` is
/// `CloudTrail` or a sister.
///
/// # Errors
/// The location can't be listed.
pub async fn log_files(store: &dyn ObjectStore, folder: &str, since: Date) -> Result<Vec<LogFiles>, Error> {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in children(store, ROOT).await? {
        if name.starts_with("o-") {
            let above = format!("{ROOT}{name}/");
            let accounts = children(store, &above).await?;
            places.insert(above, accounts.into_iter().filter(|name| is_account(name)).collect());
        } else if is_account(&name) {
            places.entry(ROOT.to_owned()).or_default().insert(name);
        }
    }
    let mut found = Vec::new();
    for (above, all) in places {
        let (mut accounts, mut regions) = (Vec::new(), BTreeSet::new());
        for account in all {
            let of_account = children(store, &format!("{above}{account}/{folder}/")).await?;
            if !of_account.is_empty() {
                accounts.push(account);
                regions.extend(of_account);
            }
        }
        if !accounts.is_empty() {
            let above = format!("{}/{above}", store.location());
            found.push(LogFiles {
                above,
                folder: folder.to_owned(),
                accounts,
                regions: regions.into_iter().collect(),
                since,
            });
        }
    }
    Ok(found)
}

fn is_account(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// The names of the folders in a folder.
async fn children(store: &dyn ObjectStore, prefix: &str) -> Result<Vec<String>, Error> {
    let mut request = ListRequest { prefix: prefix.to_owned(), delimiter: Some('/'), ..ListRequest::default() };
    let mut names = Vec::new();
    loop {
        let page = store.list(&request).await?;
        let name = |child: &String| child[prefix.len()..].trim_end_matches('/').to_owned();
        names.extend(page.common_prefixes.iter().map(name));
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return Ok(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use orgtrail_cloud::{Connection, Location, open_store};

    use super::*;

    #[tokio::test]
    async fn accounts_and_regions_are_read_off_the_folders() {
        let folder = tempfile::tempdir().unwrap();
        for key in [
            "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/a.json.gz",
            "AWSLogs/o-abc/001122334455/CloudTrail/eu-west-1/2026/03/01/a.json.gz",
            "AWSLogs/o-abc/111122223333/CloudTrail/us-east-1/2026/03/01/a.json.gz",
            "AWSLogs/o-abc/222233334444/Config/us-east-1/2026/3/1/ConfigHistory/a.json.gz",
            "AWSLogs/o-abc/notes/CloudTrail/us-east-1/a",
        ] {
            let path = folder.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let location: Location = format!("file://{}", folder.path().display()).parse().unwrap();
        let store = open_store(&location, &Connection::default()).await.unwrap();
        let found = log_files(store.as_ref(), "CloudTrail", date(2020, 1, 1)).await.unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].above, format!("{location}/AWSLogs/"));
        assert_eq!(found[0].accounts, ["111122223333"]);
        assert_eq!(found[1].above, format!("{location}/AWSLogs/o-abc/"));
        assert_eq!(found[1].accounts, ["001122334455", "111122223333"]);
        assert_eq!(found[1].regions, ["eu-west-1", "us-east-1"]);
        assert_eq!(found[1].since, date(2020, 1, 1));
    }
}
