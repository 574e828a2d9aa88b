//! What all uses of KMS share: the client of a key's region, and what to do about KMS's refusals.
//!
//! Does not own: the requests (`key_service::kms`, `signer::kms`), nor key policies; AWS decides who may use a key.

use crate::error::classify;
use crate::{Connection, Error, credentials};
use aws_sdk_kms::Client;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// KMS in the region of this key, or in the connection's where the key is given by id or alias. Calls nothing yet.
pub(crate) async fn client(key_id: &str, connection: &Connection) -> Result<Client, Error> {
    // arn:aws:kms:REGION:ACCOUNT:key/…
    let region = key_id.starts_with("arn:").then(|| key_id.split(':').nth(3)).flatten();
    let config = credentials::regional_config(connection, region, &subject(key_id)).await?;
    Ok(Client::new(&config))
}

/// The error of a failed call with a key.
pub(crate) fn failed<E>(verb: &'static str, key_id: &str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let advice = advice(error.code().unwrap_or_default(), key_id);
    let error = classify::sdk(verb, subject(key_id), error);
    match advice {
        Some(advice) => error.advice(advice),
        None => error,
    }
}

/// What an operator can do. KMS's own messages say only what is the matter. Source: KMS developer guide, "Key states of
/// AWS KMS keys".
fn advice(code: &str, key_id: &str) -> Option<String> {
    Some(match code {
        "DisabledException" => format!("switch it on: aws kms enable-key --key-id {key_id}"),
        "KMSInvalidStateException" => format!(
            "if it is to be deleted, keep it: aws kms cancel-key-deletion --key-id {key_id}, then aws kms enable-key --key-id {key_id}"
        ),
        "NotFoundException" => "is it in this account and region? Write the key's whole ARN".to_owned(),
        _ => return None,
    })
}

/// A key's name in messages.
pub(crate) fn subject(key_id: &str) -> String {
    format!("key {key_id}")
}
