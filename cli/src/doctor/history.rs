//! An event history: credentials, the account's regions, and one page of each.

use jiff::SignedDuration;
use orgtrail_agent::Source;
use orgtrail_cloud::lookup::{Category, LookupRequest};
use orgtrail_cloud::regions::Closed;
use orgtrail_cloud::{open_lookup, open_regions};

use super::advice::{self, Scene};
use super::check::{Chain, Check};
use super::statement::{Holder, Wanted};
use super::{Context, Job, credentials};

const REGIONS: &str = "regions";
const LOOK_UP: &str = "look up";
/// What is asked for: the last hour.
const SPAN: SignedDuration = SignedDuration::from_hours(1);

/// Walks a source of kind `lookup_events`.
pub(super) async fn history(config: &Source, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("source {}", config.name()));
    let connection = &config.connection;
    let Some(who) = credentials::walk(connection, &mut chain, context).await else {
        chain.skip_all(&[REGIONS, LOOK_UP]);
        return chain.end();
    };
    let scene = Scene { who: Some(who), region: connection.region.clone() };
    let regions = if config.regions.is_empty() {
        let listed = async { open_regions(connection).await.list(None).await };
        match context.call("list", "the account's regions", listed).await {
            Ok(listed) => {
                let usable: Vec<String> =
                    listed.into_iter().filter(|region| region.status.is_usable()).map(|region| region.name).collect();
                chain.ok(REGIONS, format!("{} enabled", usable.len()));
                usable
            }
            Err(error) => {
                let wanted = Wanted::new("OrgtrailRegions", &["account:ListRegions"], "*".to_owned(), Holder::Account);
                chain.fail(REGIONS, error.to_string(), advice::of(&error, &wanted, &scene));
                chain.skip_all(&[LOOK_UP]);
                return chain.end();
            }
        }
    } else {
        config.regions.clone()
    };
    let jobs = regions.iter().map(|region| Box::pin(look_up(config, region, &scene, context)) as Job<'_>);
    let mut checks = chain.end();
    checks.extend(context.all(jobs.collect()).await);
    checks
}

async fn look_up(config: &Source, region: &str, scene: &Scene, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("source {} {region}", config.name()));
    let end = context.clock.now();
    let start = end.checked_sub(SPAN).unwrap_or(end);
    let request = LookupRequest { start, end, category: Category::Management, continuation: None };
    let page = async { open_lookup(region, &config.connection).await?.page(&request).await };
    match context.call("look up", region, page).await {
        Ok(page) => chain.ok(LOOK_UP, format!("{} events on the first page of the last hour", page.events.len())),
        Err(error) => match Closed::of(&error) {
            Some(closed) => chain.skip(LOOK_UP, format!("the region is closed to this account: {}", closed.as_str())),
            None => {
                let wanted =
                    Wanted::new("OrgtrailHistory", &["cloudtrail:LookupEvents"], "*".to_owned(), Holder::Account);
                chain.fail(LOOK_UP, error.to_string(), advice::of(&error, &wanted, scene));
            }
        },
    }
    chain.end()
}
