//! From a `Connection` to an SDK configuration: who we are, where we call, and how long we wait.
//!
//! Owns: the order of credential sources, the chain of roles, their refresh, the HTTP client and every timeout. Does not
//! own: the fields and their check (`connection`), nor a bucket's region (`object_store::s3`).
//!
//! Credentials live in the client's identity cache. They are replaced, by the next call that needs them, between half
//! and all of `REFRESH_AHEAD` before they expire: the SDK spreads the moment at random, so that a thousand sources whose
//! roles were assumed together don't come back together. Callers that wait meanwhile share one refresh.

mod remembered;

use self::remembered::Remembered;
use crate::connection::{Connection, CredentialSource, RoleStep, SESSION_NAME};
use crate::partition::Partition;
use crate::{Error, ErrorKind};
use aws_config::identity::IdentityCache;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityOutput;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider as TlsProvider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder as HttpClientBuilder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::runtime;

/// How long before they expire credentials count as expired, at most.
const REFRESH_AHEAD: Duration = Duration::from_secs(4 * 60);

/// The SDK configuration of a connection. `region` outranks the connection's own.
///
/// Calls nothing but, where no region is given anywhere else, the machine's metadata service.
pub(crate) async fn sdk_config(connection: &Connection, region: Option<&str>) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(connection.connect_timeout)
        .read_timeout(connection.read_timeout)
        .operation_timeout(connection.operation_timeout)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .app_name(AppName::new("orgtrail").expect("only letters"))
        .http_client(http_client())
        .timeout_config(timeouts)
        .identity_cache(IdentityCache::lazy().buffer_time(REFRESH_AHEAD).build());
    if let Some(region) = region.or(connection.region.as_deref()) {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(url) = &connection.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(profile) = &connection.profile {
        loader = loader.profile_name(profile);
    }
    match &connection.credentials {
        CredentialSource::Static { access_key_id, secret_access_key, session_token } => {
            let fixed =
                Credentials::new(access_key_id, secret_access_key, session_token.clone(), None, "orgtrail-static");
            loader = loader.credentials_provider(fixed);
        }
        CredentialSource::Chain if connection.web_identity_token_file.is_some() => loader = loader.no_credentials(),
        CredentialSource::Chain => {}
    }
    // Boxed: both run once a client, and would make every future that opens one large.
    let base = Box::pin(loader.load()).await;
    remembering(Box::pin(with_roles(connection, base)).await)
}

/// The same, and what provides credentials remembers them.
fn remembering(config: SdkConfig) -> SdkConfig {
    let (Some(provider), Some(clock)) = (config.credentials_provider(), config.time_source()) else { return config };
    let remembered = SharedCredentialsProvider::new(Remembered::new(provider, clock));
    config.into_builder().credentials_provider(remembered).build()
}

/// The configuration for a service that has no way to find its region by itself.
pub(crate) async fn regional_config(
    connection: &Connection,
    region: Option<&str>,
    subject: &str,
) -> Result<SdkConfig, Error> {
    let config = sdk_config(connection, region).await;
    if config.region().is_none() {
        return Err(Error::new(ErrorKind::Invalid, "open", subject)
            .detail("no region: set `region`, AWS_REGION, or a region in the profile"));
    }
    Ok(config)
}

/// The same for a service that has one endpoint a partition (Organizations, Account Management): where nothing gives a
/// region, it is the one that the partition's global services live in.
pub(crate) async fn global_config(connection: &Connection) -> SdkConfig {
    let config = sdk_config(connection, None).await;
    if config.region().is_some() {
        return config;
    }
    let role = connection.roles().into_iter().next_back();
    let partition = role.and_then(|role| Partition::of_arn(&role.role_arn)).unwrap_or(Partition::Aws);
    sdk_config(connection, Some(partition.global_region())).await
}

/// Puts the roles on top of the base credentials, each assumed with the one before, at the regional STS endpoint.
async fn with_roles(connection: &Connection, base: SdkConfig) -> SdkConfig {
    let roles = connection.roles();
    if roles.is_empty() {
        return base;
    }
    let mut sts = base.to_builder();
    if let Some(url) = &connection.sts_endpoint_url {
        sts.set_endpoint_url(Some(url.clone()));
    }
    let sts = sts.build();
    let mut provider = base.credentials_provider();
    let mut rest = &roles[..];
    if let (Some(token_file), [first, others @ ..]) = (&connection.web_identity_token_file, rest) {
        provider = Some(SharedCredentialsProvider::new(WebIdentity::new(&sts, token_file, first)));
        rest = others;
    }
    for step in rest {
        let mut builder = AssumeRoleProvider::builder(&step.role_arn)
            .session_name(step.session_name.as_deref().unwrap_or(SESSION_NAME))
            .configure(&sts);
        if let Some(id) = &step.external_id {
            builder = builder.external_id(id);
        }
        if let Some(duration) = step.session_duration {
            builder = builder.session_length(duration);
        }
        let assumed = match provider {
            Some(before) => builder.build_from_provider(before).await,
            None => builder.build().await,
        };
        provider = Some(SharedCredentialsProvider::new(assumed));
    }
    let mut config = base.into_builder();
    config.set_credentials_provider(provider);
    config.build()
}

/// Exchanges the token in a file for a role's credentials. The SDK's own provider reads its endpoint and timeouts from
/// the environment only; this one uses the connection's.
#[derive(Debug)]
struct WebIdentity {
    sts: aws_sdk_sts::Client,
    token_file: PathBuf,
    role: RoleStep,
}

impl WebIdentity {
    fn new(sts: &SdkConfig, token_file: &std::path::Path, role: &RoleStep) -> Self {
        Self { sts: aws_sdk_sts::Client::new(sts), token_file: token_file.to_owned(), role: role.clone() }
    }

    async fn exchange(&self) -> provider::Result {
        let token = tokio::fs::read_to_string(&self.token_file).await.map_err(|error| {
            provider::error::CredentialsError::provider_error(format!("read {}: {error}", self.token_file.display()))
        })?;
        let seconds = self.role.session_duration.and_then(|duration| i32::try_from(duration.as_secs()).ok());
        let answer = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(&self.role.role_arn)
            .role_session_name(self.role.session_name.as_deref().unwrap_or(SESSION_NAME))
            .web_identity_token(token.trim())
            .set_duration_seconds(seconds)
            .send()
            .await
            .map_err(provider::error::CredentialsError::provider_error)?;
        into_credentials(answer)
    }
}

fn into_credentials(answer: AssumeRoleWithWebIdentityOutput) -> provider::Result {
    let given = answer
        .credentials
        .ok_or_else(|| provider::error::CredentialsError::unhandled("the STS answer holds no credentials"))?;
    let expiry = SystemTime::try_from(given.expiration).map_err(provider::error::CredentialsError::unhandled)?;
    Ok(Credentials::new(
        given.access_key_id,
        given.secret_access_key,
        Some(given.session_token),
        Some(expiry),
        "orgtrail-web-identity",
    ))
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.exchange())
    }
}

/// One HTTP client, through the proxy of `HTTPS_PROXY` and `NO_PROXY` if there is one, for all stores of a process: the trusted certificates and the idle connections are its main memory,
/// and an agent has stores by the thousand. Idle connections belong to the runtime that made them, so another runtime
/// (every test has one) gets another client.
fn http_client() -> SharedHttpClient {
    static SHARED: Mutex<Option<(runtime::Id, SharedHttpClient)>> = Mutex::new(None);
    let here = runtime::Handle::current().id();
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*shared {
        Some((id, client)) if *id == here => client.clone(),
        _ => {
            let client = HttpClientBuilder::new().build_with_connector_fn(|settings, components| {
                let mut builder = Connector::builder().tls_provider(TlsProvider::Rustls(CryptoMode::Ring));
                builder.set_connector_settings(settings.cloned());
                builder.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
                builder.proxy_config(ProxyConfig::from_env()).build()
            });
            *shared = Some((here, client.clone()));
            client
        }
    }
}
