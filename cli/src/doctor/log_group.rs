//! A trail's log group: who sends, whether the group is there, and whether it takes an event.
//!
//! What is written: the stream that the trail itself would make, and to it an event that is too old to be kept. No group is
//! made. With `--read-only` none of it.

use orgtrail_aggregator::cloudwatch::probe;
use orgtrail_aggregator::config::{CloudWatchLogsConfig, TrailConfig};
use orgtrail_cloud::ErrorKind;

use super::advice::{self, Scene};
use super::check::{Advice, Chain, Check};
use super::statement::{Holder, Wanted, principal};
use super::{Context, credentials};

const LOG_GROUP: &str = "log group";

/// Sends as the trail would.
pub(super) async fn log_group(config: &CloudWatchLogsConfig, trail: &TrailConfig, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("trail {} log group", trail.name));
    let arn = probe::arn(config, trail).await;
    let region = arn.as_deref().and_then(|arn| arn.split(':').nth(3)).map(str::to_owned);
    let mut scene = Scene { who: None, region };
    if config.location.is_none() {
        scene.who = credentials::walk(&config.connection, &mut chain, context).await;
        if scene.who.is_none() {
            chain.skip_all(&[LOG_GROUP]);
            return chain.end();
        }
    }
    if context.read_only {
        chain.skip(LOG_GROUP, "--read-only");
        return chain.end();
    }
    match context.call("send to", "the log group", probe::probe(config, trail, context.clock.now())).await {
        Ok(detail) => chain.ok(LOG_GROUP, detail),
        Err(error) if *error.kind() == ErrorKind::ContainerMissing => {
            chain.fail(LOG_GROUP, error.to_string(), absent(arn.as_deref().unwrap_or_default(), &scene));
        }
        Err(error) => {
            let arn = arn.unwrap_or_else(|| "*".to_owned());
            let actions = ["logs:CreateLogStream", "logs:PutLogEvents"];
            let wanted = Wanted::new("OrgtrailSendsLogs", &actions, format!("{arn}:*"), Holder::Account);
            chain.fail(LOG_GROUP, error.to_string(), advice::of(&error, &wanted, &scene));
        }
    }
    chain.end()
}

/// Whoever makes it says how long it keeps events; the aggregator would let it keep them for ever.
fn absent(arn: &str, scene: &Scene) -> Vec<Advice> {
    let name = arn.split(":log-group:").nth(1).unwrap_or("NAME");
    let region = scene.region.as_deref().unwrap_or("REGION");
    let make = format!(
        "make it: aws logs create-log-group --region {region} --log-group-name {name}, and say how long it keeps events: aws logs \
         put-retention-policy --region {region} --log-group-name {name} --retention-in-days 90; or correct `log_group` and `region`"
    );
    let whose = scene.who.as_deref().map_or_else(|| "the caller".to_owned(), principal);
    let wanted = Wanted::new("OrgtrailMakesLogGroup", &["logs:CreateLogGroup"], arn.to_owned(), Holder::Account);
    vec![
        Advice::text(make),
        Advice::statement(
            format!(
                "or let the aggregator make it, which keeps events for ever: allowed by this in the permissions policy of {whose}"
            ),
            wanted.identity(),
        ),
    ]
}
