//! Who a request says it is from: the region it was signed for and the account of its access key.
//!
//! Owns reading the `Authorization` header. The signature itself is not checked, so this is what the client claims: it
//! picks what is shown and protects nothing.

use axum::http::{HeaderMap, header};
use orgtrail_event::identifier::is_account;

/// What a request says of its sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The region of the signature's credential scope.
    pub(crate) region: Option<String>,
    /// The account that the access key belongs to.
    pub(crate) account: Option<String>,
}

impl Caller {
    /// Reads `AWS4-HMAC-SHA256 Credential=<key id>/<date>/<region>/<service>/aws4_request, …` (IAM user guide, "Create a
    /// signed AWS API request"). A request that isn't signed says nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self::read(headers).unwrap_or_default()
    }

    fn read(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (_, rest) = value.split_once("Credential=")?;
        let credential = rest.split([',', ' ']).next()?;
        let mut parts = credential.split('/');
        let (key_id, _date, region) = (parts.next()?, parts.next()?, parts.next()?);
        let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let region = ((1..=32).contains(&region.len()) && region.bytes().all(is_region)).then(|| region.to_owned());
        Some(Self { region, account: account_of(key_id) })
    }
}

/// The account of an access key id: 40 bits behind the four letters and one bit of its base32 text. AWS documents only the
/// call that answers it (STS, GetAccessKeyInfo), which cannot be asked from here; keys made before 2019 answer nonsense.
/// Emulators use the account id itself.
fn account_of(key_id: &str) -> Option<String> {
    if is_account(key_id) {
        return Some(key_id.to_owned());
    }
    let mut bits: u64 = 0;
    // Ten letters of five bits hold what is wanted: 1 + 40, and nine more.
    for letter in key_id.get(4..14)?.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u64::from(value);
    }
    let account = (bits >> 9) & ((1 << 40) - 1);
    (account < 1_000_000_000_000).then(|| format!("{account:012}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(authorization: &'static str) -> Caller {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        Caller::of(&headers)
    }

    #[test]
    fn the_credential_scope_names_region_and_account() {
        let signed = caller(
            "AWS4-HMAC-SHA256 Credential=111122223333/20260301/eu-west-1/cloudtrail/aws4_request, SignedHeaders=host, Signature=ab",
        );
        assert_eq!(signed.region.as_deref(), Some("eu-west-1"));
        assert_eq!(signed.account.as_deref(), Some("111122223333"));
    }

    #[test]
    fn an_access_key_id_holds_its_account() {
        assert_eq!(account_of("ASIAQNZGKIQY56JQ7WML").as_deref(), Some("029608264753"));
        assert_eq!(account_of("ASIAY34FZKBOKMUTVV7A").as_deref(), Some("609629065308"));
        assert_eq!(account_of("AKIA"), None);
        assert_eq!(account_of("AKIAé234567890123456"), None);
    }

    #[test]
    fn what_is_no_signature_says_nothing() {
        assert_eq!(Caller::of(&HeaderMap::new()), Caller::default());
        for odd in ["Basic YTpi", "AWS4-HMAC-SHA256 Credential=a", "Credential=a/b/UP PER/c", "Credential="] {
            assert_eq!(caller(odd).region, None, "{odd}");
        }
    }
}
