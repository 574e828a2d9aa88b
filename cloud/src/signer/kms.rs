//! An asymmetric KMS key as signer.
//!
//! Owns: the two requests and the check of the key's kind. Does not own: key policies; AWS decides who may use a key.
//!
//! An alias or id is resolved once, with the public key, and the ARN is used from then on: an alias that is pointed at
//! another key later must not sign under a public key that was announced before. Each signature is verified before it
//! is given away, because a wrong one would stand in a chain of digests for ever.

use super::{Signer, check};
use crate::{Connection, Error, ErrorKind, kms};
use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::operation::get_public_key::GetPublicKeyOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use tokio::sync::OnceCell;

/// rsaEncryption: RFC 8017, appendix C.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A KMS key.
#[derive(Debug)]
pub struct KmsSigner {
    key_id: String,
    client: Client,
    resolved: OnceCell<Resolved>,
}

/// The key behind the id.
#[derive(Debug)]
struct Resolved {
    arn: String,
    /// PKCS#1 DER.
    public_key: Vec<u8>,
}

impl KmsSigner {
    /// The key with this ARN, id or alias, in the region of the ARN, else in the connection's. Calls nothing yet.
    pub async fn open(key_id: &str, connection: &Connection) -> Result<Self, Error> {
        let client = kms::client(key_id, connection).await?;
        Ok(Self { key_id: key_id.to_owned(), client, resolved: OnceCell::new() })
    }

    async fn resolved(&self) -> Result<&Resolved, Error> {
        // Boxed: it runs once, and would make every signature's future large.
        self.resolved.get_or_try_init(|| Box::pin(self.resolve())).await
    }

    async fn resolve(&self) -> Result<Resolved, Error> {
        let answer = self.client.get_public_key().key_id(&self.key_id).send().await;
        let answer = answer.map_err(|error| kms::failed("get the public key of", &self.key_id, error))?;
        let invalid = |why: String| {
            Error::new(ErrorKind::Invalid, "get the public key of", kms::subject(&self.key_id))
                .detail(why)
                .advice("make one with: aws kms create-key --key-spec RSA_2048 --key-usage SIGN_VERIFY")
        };
        let public_key = check_key(&answer).map_err(invalid)?;
        Ok(Resolved { arn: answer.key_id.unwrap_or_else(|| self.key_id.clone()), public_key })
    }
}

#[async_trait]
impl Signer for KmsSigner {
    async fn public_key(&self) -> Result<Vec<u8>, Error> {
        Ok(self.resolved().await?.public_key.clone())
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        check(&kms::subject(&self.key_id), message)?;
        let Resolved { arn, public_key } = self.resolved().await?;
        let answer = self
            .client
            .sign()
            .key_id(arn)
            .message(Blob::new(message))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::RsassaPkcs1V15Sha256)
            .send()
            .await
            .map_err(|error| kms::failed("sign with", arn, error))?;
        let signature = answer.signature.map(Blob::into_inner).unwrap_or_default();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key).verify(message, &signature).map_err(|_| {
            Error::new(ErrorKind::Unavailable, "sign with", kms::subject(arn))
                .detail("the signature does not verify with the key's own public key")
        })?;
        Ok(signature)
    }
}

/// The public key of a key that can sign, or what is wrong with the key. KMS lists the signing algorithms of keys for
/// signing only; RSASSA_PKCS1_V1_5_SHA_256 is every RSA key's, of 2048, 3072 or 4096 bits.
fn check_key(answer: &GetPublicKeyOutput) -> Result<Vec<u8>, String> {
    if !answer.signing_algorithms().contains(&SigningAlgorithmSpec::RsassaPkcs1V15Sha256) {
        let usage = answer.key_usage().map_or("unknown", KeyUsageType::as_str);
        let spec = answer.key_spec().map_or("unknown", KeySpec::as_str);
        return Err(format!(
            "it does not sign with RSASSA_PKCS1_V1_5_SHA_256: its key usage is {usage}, its key spec {spec}"
        ));
    }
    let spki = answer.public_key().map(Blob::as_ref).unwrap_or_default();
    let spki =
        SubjectPublicKeyInfoRef::try_from(spki).map_err(|error| format!("its public key is no SPKI: {error}"))?;
    if spki.algorithm.oid != RSA_ENCRYPTION {
        return Err(format!("its public key is of algorithm {}, not RSA", spki.algorithm.oid));
    }
    Ok(spki.subject_public_key.raw_bytes().to_vec())
}
