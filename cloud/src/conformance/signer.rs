//! What every signer promises.

use crate::ErrorKind;
use crate::signer::{MESSAGE_BYTES_MAX, Signer};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

/// Runs every case.
pub async fn all(signer: &dyn Signer) {
    signatures_verify_over_the_message_itself(signer).await;
    the_same_message_has_the_same_signature(signer).await;
    messages_at_the_limits_are_signed_and_over_them_refused(signer).await;
}

/// With ring and the announced public key, and over no other message.
pub async fn signatures_verify_over_the_message_itself(signer: &dyn Signer) {
    let public_key = signer.public_key().await.unwrap();
    let public_key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key);
    for message in [&b"2026-03-01T11:00:00Z\nbucket/key\nhash\nnull"[..], "ü\n".as_bytes(), &[0, 255]] {
        let signature = signer.sign(message).await.unwrap();
        public_key.verify(message, &signature).unwrap();
        assert!(public_key.verify(b"another message", &signature).is_err());
    }
}

/// So that a digest that is made again after a crash is the same digest.
pub async fn the_same_message_has_the_same_signature(signer: &dyn Signer) {
    let first = signer.sign(b"message").await.unwrap();
    assert_eq!(first, signer.sign(b"message").await.unwrap());
    assert_ne!(first, signer.sign(b"other message").await.unwrap());
    assert_eq!(signer.public_key().await.unwrap(), signer.public_key().await.unwrap());
}

/// The limits are KMS's.
pub async fn messages_at_the_limits_are_signed_and_over_them_refused(signer: &dyn Signer) {
    for good in [1, MESSAGE_BYTES_MAX] {
        signer.sign(&vec![b'x'; good]).await.unwrap();
    }
    for bad in [0, MESSAGE_BYTES_MAX + 1] {
        let error = signer.sign(&vec![b'x'; bad]).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed, "{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::{FakeSigner, LocalSigner};
    use crate::{Connection, open_signer};
    use rsa::pkcs1::EncodeRsaPrivateKey as _;
    use rsa::pkcs8::{DecodePrivateKey as _, LineEnding};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn the_fake_conforms_and_fails_when_told() {
        let signer = FakeSigner::default();
        all(&signer).await;
        signer.set_failing(Some(ErrorKind::Throttled));
        assert_eq!(signer.sign(b"x").await.unwrap_err().kind(), &ErrorKind::Throttled);
        assert_eq!(signer.public_key().await.unwrap_err().kind(), &ErrorKind::Throttled);
        signer.set_failing(None);
        signer.sign(b"x").await.unwrap();
    }

    #[tokio::test]
    async fn a_key_file_conforms_as_pkcs8_and_as_pkcs1() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("key.pem"), dir.path().join("pkcs1.pem"));
        LocalSigner::create(&path).unwrap();
        let key_id = format!("file://{}", path.display());
        let signer = open_signer(&key_id, &Connection::default()).await.unwrap();
        all(&*signer).await;
        // 2048 bits, the size of CloudTrail's own keys.
        assert_eq!(signer.sign(b"x").await.unwrap().len(), 256);
        assert_eq!(signer.public_key().await.unwrap().len(), 270);

        let key = rsa::RsaPrivateKey::from_pkcs8_pem(&fs::read_to_string(&path).unwrap()).unwrap();
        crate::key_file::create(&other, key.to_pkcs1_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
        let same = LocalSigner::open(&other).unwrap();
        all(&same).await;
        assert_eq!(same.public_key().await.unwrap(), signer.public_key().await.unwrap());
    }

    #[test]
    fn a_key_file_that_others_can_read_or_that_is_no_key_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let absent = LocalSigner::open(&path).unwrap_err();
        assert!(absent.to_string().contains("orgtrail keys create --signing"), "{absent}");
        assert_eq!(absent.kind(), &ErrorKind::Invalid);
        LocalSigner::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(LocalSigner::create(&path).unwrap_err().kind(), &ErrorKind::AlreadyExists);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(LocalSigner::open(&path).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "c2hvcnQ=\n").unwrap();
        assert!(LocalSigner::open(&path).unwrap_err().to_string().contains("no private key as PEM"));
    }

    #[tokio::test]
    async fn what_holds_no_keys_is_refused_with_what_to_write() {
        let error = open_signer("s3://bucket/key", &Connection::default()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
        assert!(error.to_string().contains("file:///path.pem"), "{error}");
    }
}
