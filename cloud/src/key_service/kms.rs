//! AWS KMS as key service.
//!
//! Owns: the two requests. Does not own: key policies; AWS decides who may use a key.

use super::{DataKey, EncryptionContext, KeyService, Plaintext};
use crate::error::classify;
use crate::{Connection, Error, ErrorKind, credentials};
use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;

/// KMS in one region.
#[derive(Debug)]
pub struct KmsKeyService {
    client: Client,
}

impl KmsKeyService {
    /// KMS in the region of this key, or in the connection's where the key is given by id or alias. Calls nothing yet.
    pub async fn open(key_id: &str, connection: &Connection) -> Result<Self, Error> {
        // arn:aws:kms:REGION:ACCOUNT:key/…
        let region = key_id.starts_with("arn:").then(|| key_id.split(':').nth(3)).flatten();
        let config = credentials::regional_config(connection, region, &format!("key {key_id}")).await?;
        Ok(Self { client: Client::new(&config) })
    }
}

#[async_trait]
impl KeyService for KmsKeyService {
    async fn generate_data_key(&self, key_id: &str, context: &EncryptionContext) -> Result<DataKey, Error> {
        let subject = || format!("key {key_id}");
        let answer = self
            .client
            .generate_data_key()
            .key_id(key_id)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| classify::sdk("generate a data key under", subject(), error))?;
        let empty =
            || Error::new(ErrorKind::Other, "generate a data key under", subject()).detail("the answer has none");
        let plaintext = answer.plaintext.ok_or_else(empty)?;
        let ciphertext = answer.ciphertext_blob.ok_or_else(empty)?;
        Ok(DataKey { plaintext: Plaintext::new(plaintext.into_inner()), ciphertext: ciphertext.into_inner() })
    }

    async fn decrypt(&self, ciphertext: &[u8], context: &EncryptionContext) -> Result<Plaintext, Error> {
        let answer = self
            .client
            .decrypt()
            .ciphertext_blob(Blob::new(ciphertext))
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| classify::sdk("decrypt", "a data key", error))?;
        let plaintext = answer.plaintext.ok_or_else(|| Error::new(ErrorKind::Other, "decrypt", "a data key"))?;
        Ok(Plaintext::new(plaintext.into_inner()))
    }
}
