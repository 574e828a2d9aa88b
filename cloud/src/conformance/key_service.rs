//! What every key service promises.

use crate::ErrorKind;
use crate::key_service::{EncryptionContext, KeyService};

/// Runs every case with a key that the service holds.
pub async fn all(service: &dyn KeyService, key_id: &str) {
    data_keys_are_new_and_come_back(service, key_id).await;
    another_context_is_refused(service, key_id).await;
    a_damaged_ciphertext_is_refused(service, key_id).await;
    what_is_no_ciphertext_is_refused(service).await;
}

fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// 256 bits each, no two alike, and readable again.
pub async fn data_keys_are_new_and_come_back(service: &dyn KeyService, key_id: &str) {
    for bound in [context(&[]), context(&[("orgtrail:journal", "ä"), ("part", "7")])] {
        let first = service.generate_data_key(key_id, &bound).await.unwrap();
        let second = service.generate_data_key(key_id, &bound).await.unwrap();
        assert_eq!(first.plaintext.bytes().len(), 32);
        assert_ne!(first.plaintext.bytes(), second.plaintext.bytes());
        assert_ne!(first.ciphertext, second.ciphertext);
        let again = service.decrypt(&first.ciphertext, &bound).await.unwrap();
        assert_eq!(again.bytes(), first.plaintext.bytes());
        assert!(!format!("{first:?}").contains(&format!("{:?}", first.plaintext.bytes())), "a secret was shown");
    }
}

/// More, fewer, or other pairs.
pub async fn another_context_is_refused(service: &dyn KeyService, key_id: &str) {
    let key = service.generate_data_key(key_id, &context(&[("a", "1"), ("b", "2")])).await.unwrap();
    for other in [&[("a", "1")][..], &[("a", "1"), ("b", "3")], &[("a", "1"), ("b", "2"), ("c", "3")], &[]] {
        let error = service.decrypt(&key.ciphertext, &context(other)).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed, "{error}");
    }
}

/// Cut off, or changed in one byte.
pub async fn a_damaged_ciphertext_is_refused(service: &dyn KeyService, key_id: &str) {
    let bound = context(&[("a", "1")]);
    let good = service.generate_data_key(key_id, &bound).await.unwrap().ciphertext;
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 0xff;
    for bad in [&good[..good.len() / 2], &changed] {
        let error = service.decrypt(bad, &bound).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed, "{error}");
    }
}

/// Anything else that was stored in its place.
pub async fn what_is_no_ciphertext_is_refused(service: &dyn KeyService) {
    let error = service.decrypt(b"nonsense", &context(&[])).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Malformed, "{error}");
}

/// A key can be absent for now: it is worth another attempt once somebody made it.
pub async fn an_absent_key_is_missing(service: &dyn KeyService, absent_key_id: &str) {
    let error = service.generate_data_key(absent_key_id, &context(&[])).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_service::{FakeKeyService, LocalKeyService};
    use crate::{Connection, open_key_service};
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn the_fake_conforms() {
        let service = FakeKeyService::new("key");
        all(&service, "key").await;
        an_absent_key_is_missing(&service, "other").await;
    }

    #[tokio::test]
    async fn a_key_file_conforms() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        LocalKeyService::create(&path).unwrap();
        let key_id = format!("file://{}", path.display());
        let service = open_key_service(&key_id, &Connection::default()).await.unwrap();
        all(&*service, &key_id).await;
        an_absent_key_is_missing(&*service, "file:///elsewhere").await;
    }

    #[tokio::test]
    async fn what_one_key_file_sealed_another_refuses_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| {
            let path = dir.path().join(name);
            LocalKeyService::create(&path).unwrap();
            LocalKeyService::open(&path).unwrap()
        });
        let key = one.generate_data_key(&one.key_id(), &context(&[])).await.unwrap();
        let error = other.decrypt(&key.ciphertext, &context(&[])).await.unwrap_err();
        assert!(error.to_string().contains("another key file"), "{error}");
    }

    #[test]
    fn a_key_file_that_others_can_read_or_that_is_no_key_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let absent = LocalKeyService::open(&path).unwrap_err();
        assert!(absent.to_string().contains("openssl rand -base64 32"), "{absent}");
        assert_eq!(absent.kind(), &ErrorKind::Invalid);
        LocalKeyService::create(&path).unwrap();
        assert_eq!(LocalKeyService::create(&path).unwrap_err().kind(), &ErrorKind::AlreadyExists);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(LocalKeyService::open(&path).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "c2hvcnQ=\n").unwrap();
        assert!(LocalKeyService::open(&path).unwrap_err().to_string().contains("no base64 of 32 bytes"));
    }
}
