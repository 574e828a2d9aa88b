//! An organization: its list of accounts, and the sources that they are.

use orgtrail_agent::{Organization, preview};

use super::advice::{self, Scene};
use super::check::{Advice, Chain, Check};
use super::statement::{Holder, Wanted};
use super::{Context, Job, credentials, queue, source};

const ACCOUNTS: &str = "accounts";

/// Walks one `[[organizations]]` table, and each source that it makes.
pub(super) async fn organization(config: &Organization, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("organization {}", config.name));
    let mut scene = Scene { who: None, region: config.connection.region.clone() };
    if config.accounts_file.is_none() {
        scene.who = credentials::walk(&config.connection, &mut chain, context).await;
        if scene.who.is_none() {
            chain.skip_all(&[ACCOUNTS]);
            return chain.end();
        }
    }
    let listed = context.call("list the accounts of", &config.name, preview(config, context.clock.now())).await;
    let preview = match listed {
        Ok(preview) => preview,
        Err(error) => {
            let mut advice = advice::of(&error, &wanted(config), &scene);
            if config.accounts_file.is_none() {
                let text = "only the management account and delegated administrators may ask; from elsewhere, register one: aws \
                            organizations register-delegated-administrator, or give role_arn";
                advice.push(Advice::text(text));
            }
            chain.fail(ACCOUNTS, error.to_string(), advice);
            return chain.end();
        }
    };
    let detail = format!("{} sources of {} accounts", preview.sources.len(), preview.accounts);
    if let Some(refused) = preview.refused.first() {
        chain.fail(ACCOUNTS, format!("{detail}; {refused}"), vec![Advice::text("correct [organizations.source]")]);
    } else if preview.sources.is_empty() {
        let text = "look at [organizations.include] and [organizations.exclude]";
        chain.warn(ACCOUNTS, detail, vec![Advice::text(text)]);
    } else {
        chain.ok(ACCOUNTS, detail);
    }
    let mut jobs: Vec<Job<'_>> = Vec::new();
    jobs.extend(preview.sources.iter().map(|one| Box::pin(source::source(one, context)) as Job<'_>));
    jobs.extend(queue::jobs(&preview.sources, context));
    let mut checks = chain.end();
    checks.extend(context.all(jobs).await);
    checks
}

/// What the selection asks of AWS Organizations.
fn wanted(config: &Organization) -> Wanted {
    let mut actions = vec!["organizations:ListAccounts"];
    let [include, exclude] = [&config.include, &config.exclude];
    if !include.tags.is_empty() || !exclude.tags.is_empty() {
        actions.push("organizations:ListTagsForResource");
    }
    if !include.units.is_empty() || !exclude.units.is_empty() {
        actions.push("organizations:ListParents");
    }
    Wanted::new("OrgtrailAccounts", &actions, "*".to_owned(), Holder::Account)
}
