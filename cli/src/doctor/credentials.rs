//! Who a connection is: the first credentials, and each role behind them, one after the other.

use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::{Connection, caller_identity_and_time};

use super::Context;
use super::advice::{self, Scene};
use super::check::{Advice, Chain};
use super::statement::{Holder, Wanted};

const PARTITION: &str = "partition";
const CREDENTIALS: &str = "credentials";
const ASSUME_ROLE: &str = "assume role";

/// The ARN that signs the connection's requests; none where a hop failed, which the chain tells.
pub(super) async fn walk(connection: &Connection, chain: &mut Chain, context: &Context) -> Option<String> {
    let roles = connection.roles();
    // A token is exchanged for the first role: there is nobody before it.
    let first = usize::from(connection.web_identity_token_file.is_some());
    let mut who = None;
    for known in first..=roles.len() {
        let here = Connection {
            role_chain: roles[..known].to_vec(),
            role_arn: None,
            external_id: None,
            session_name: None,
            session_duration: None,
            ..connection.clone()
        };
        let asked = caller_identity_and_time(&here, &context.server_clock);
        let identity = context.call("ask for", "the caller's identity", asked).await;
        let role = known.checked_sub(1).and_then(|index| roles.get(index));
        match (identity, role) {
            (Ok(identity), None) => {
                chain.ok(CREDENTIALS, identity.arn.clone());
                who = Some(identity.arn);
            }
            (Ok(identity), Some(role)) => {
                chain.ok(ASSUME_ROLE, role.role_arn.clone());
                who = Some(identity.arn);
            }
            (Err(error), None) => {
                // GetCallerIdentity needs no permission: what is refused are the credentials themselves.
                let wanted = Wanted::new("OrgtrailWho", &["sts:GetCallerIdentity"], "*".to_owned(), Holder::Account);
                chain.fail(CREDENTIALS, error.to_string(), advice::of(&error, &wanted, &Scene::default()));
                roles.iter().for_each(|_| chain.skip_all(&[ASSUME_ROLE]));
                return None;
            }
            (Err(error), Some(role)) => {
                // What was asked for is nothing to the reader; what was refused is the role.
                let said = error.detail_text().trim_start_matches("no credentials: ");
                let detail = format!("{}: {} ({said})", role.role_arn, error.kind());
                chain.fail(ASSUME_ROLE, detail, advice::of_role(&error, role, who.as_deref()));
                roles[known..].iter().for_each(|_| chain.skip_all(&[ASSUME_ROLE]));
                return None;
            }
        }
    }
    who
}

/// Has a walk in this chain failed?
pub(super) fn failed(chain: &Chain) -> bool {
    [PARTITION, CREDENTIALS, ASSUME_ROLE].into_iter().any(|hop| chain.has_failed(hop))
}

/// The partitions of what is named must be one; false where they are not.
pub(super) fn one_partition(named: &[(&str, Option<Partition>)], chain: &mut Chain) -> bool {
    let mut known = named.iter().filter_map(|(name, partition)| partition.map(|partition| (*name, partition)));
    let Some((first, partition)) = known.next() else { return true };
    match known.find(|(_, other)| *other != partition) {
        None => true,
        Some((other, its)) => {
            let detail = format!("{first} is in partition {partition}, {other} in {its}");
            let text = "accounts, roles, keys and buckets of one partition are unknown in the others: everything of one source or \
                        trail must be in one";
            chain.fail(PARTITION, detail, vec![Advice::text(text)]);
            false
        }
    }
}
