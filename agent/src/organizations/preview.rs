//! What an organization's configuration makes of its accounts at this moment, for a command that wants to look.

use jiff::Timestamp;
use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::{Error, ErrorKind, open_organization};

use super::accounts::{Accounts, wanted};
use super::template::{Account, Template};
use crate::config::{Organization, Source};

/// Sources out of one list of accounts.
#[derive(Debug, Default)]
pub struct Preview {
    /// Accounts that are listed and selected.
    pub accounts: usize,
    /// Their sources; one for all where they share a place.
    pub sources: Vec<Source>,
    /// Accounts whose sources can't be made, and why.
    pub refused: Vec<String>,
}

/// Lists the accounts once, and makes their sources. Nothing of it is kept.
///
/// # Errors
/// The accounts can't be listed.
pub async fn preview(config: &Organization, now: Timestamp) -> Result<Preview, Error> {
    let invalid = |(key, message): (String, String)| {
        Error::new(ErrorKind::Invalid, "make sources of", config.name.clone()).detail(format!("{key}: {message}"))
    };
    let template = Template::new(config).map_err(invalid)?;
    let list = open_organization(config.accounts_file.as_deref().unwrap_or("aws"), &config.connection).await?;
    let listed = list.accounts(wanted(&config.include, &config.exclude)).await?;
    let mut accounts = Accounts::default();
    accounts.listed(listed, &config.include, &config.exclude, now);
    let mut preview = Preview::default();
    for (id, known) in accounts.known.iter().filter(|(_, known)| known.is_read(now, config.drain)) {
        preview.accounts += 1;
        if template.is_shared() && !preview.sources.is_empty() {
            continue;
        }
        let partition = Partition::of_arn(&known.arn).or(template.partition()).unwrap_or(Partition::Aws);
        match template.source(&Account { id: id.clone(), partition }) {
            Ok(source) => preview.sources.push(source),
            Err((key, message)) => preview.refused.push(format!("{id}: {key}: {message}")),
        }
    }
    Ok(preview)
}
