//! AWS KMS as key service.
//!
//! Owns: the two requests. Does not own: key policies; AWS decides who may use a key.

use super::{DataKey, EncryptionContext, KeyService, Plaintext};
use crate::error::classify;
use crate::{Connection, Error, ErrorKind, kms};
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
        Ok(Self { client: kms::client(key_id, connection).await? })
    }
}

#[async_trait]
impl KeyService for KmsKeyService {
    async fn generate_data_key(&self, key_id: &str, context: &EncryptionContext) -> Result<DataKey, Error> {
        const VERB: &str = "generate a data key under";
        let answer = self
            .client
            .generate_data_key()
            .key_id(key_id)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| kms::failed(VERB, key_id, error))?;
        let empty = || Error::new(ErrorKind::Other, VERB, kms::subject(key_id)).detail("the answer has none");
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
