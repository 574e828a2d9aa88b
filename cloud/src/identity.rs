//! Who a connection is, as STS sees it.
//!
//! Owns: the one request, which needs no permission and so tells credentials that work from those that don't. Does not
//! own: what the account may do.

use crate::error::classify;
use crate::server_clock::ServerClock;
use crate::{Connection, Error, ErrorKind, credentials};

const SUBJECT: &str = "the caller's identity";

/// Who signs a connection's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's 12 digits.
    pub account: String,
    /// The principal: a user's ARN, or that of a role's session.
    pub arn: String,
}

/// Asks STS, in the connection's region. GetCallerIdentity needs no permission.
pub async fn caller_identity(connection: &Connection) -> Result<Identity, Error> {
    caller_identity_and_time(connection, &ServerClock::default()).await
}

/// The same, and `clock` compares this machine's clock with that of STS, also where the answer is a refusal.
pub async fn caller_identity_and_time(connection: &Connection, clock: &ServerClock) -> Result<Identity, Error> {
    let mut config = credentials::global_config(connection).await.into_builder();
    if let Some(url) = &connection.sts_endpoint_url {
        config.set_endpoint_url(Some(url.clone()));
    }
    let config = aws_sdk_sts::config::Builder::from(&config.build()).interceptor(clock.clone()).build();
    let answer = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await;
    let answer = answer.map_err(|error| classify::sdk("ask for", SUBJECT, error))?;
    let incomplete = |what: &str| Error::new(ErrorKind::Other, "ask for", SUBJECT).detail(format!("it has no {what}"));
    Ok(Identity {
        account: answer.account.ok_or_else(|| incomplete("account"))?,
        arn: answer.arn.ok_or_else(|| incomplete("ARN"))?,
    })
}
