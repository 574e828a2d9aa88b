//! CloudTrail's and Organizations' rules for names and ids that people write: trails, accounts, organizations.
//!
//! Owns the rules and their wording. Does not own where a name stands (configuration, requests, keys).

/// CloudTrail's rule for a trail's name (CloudTrail user guide, "Naming requirements").
///
/// # Errors
/// Says what the rule is.
pub fn check_trail_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("missing; CloudTrail's trail name, such as org-trail".to_owned());
    }
    let punctuation = |byte: &u8| matches!(byte, b'.' | b'_' | b'-');
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()].into_iter().flatten().all(u8::is_ascii_alphanumeric);
    let allowed = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || punctuation(byte));
    let apart = bytes.windows(2).all(|pair| !(punctuation(&pair[0]) && punctuation(&pair[1])));
    let address = name.parse::<core::net::Ipv4Addr>().is_ok();
    if (3..=128).contains(&bytes.len()) && ends && allowed && apart && !address {
        return Ok(());
    }
    Err(format!(
        "\"{name}\" is no trail name: 3 to 128 ASCII letters, digits, '.', '_', '-', beginning and ending with a letter or \
         digit, no two of '.', '_', '-' in a row, not an IP address"
    ))
}

/// Whether it is an account id: 12 digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is an organization's id: `o-` and 10 to 32 lower-case letters and digits (Organizations API reference,
/// "Organization").
pub fn is_organization_id(text: &str) -> bool {
    let ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.strip_prefix("o-").is_some_and(|id| (10..=32).contains(&id.len()) && id.bytes().all(ok))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trail_names_follow_cloudtrails_rule() {
        for good in ["org-trail", "a.b_c-1", "abc"] {
            assert_eq!(check_trail_name(good), Ok(()), "{good}");
        }
        for bad in ["", "ab", "-abc", "abc-", "a..b", "192.168.5.4", "a b c", "é-trail"] {
            assert!(check_trail_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_have_their_length_and_letters() {
        assert!(is_account("012345678901"));
        assert!(!is_account("12345678901") && !is_account("12345678901x") && !is_account("١٢٣٤٥٦٧٨٩٠١٢"));
        assert!(is_organization_id("o-exampleorgid") && is_organization_id("o-a1b2c3d4e5"));
        assert!(
            !is_organization_id("exampleorgid")
                && !is_organization_id("o-short")
                && !is_organization_id("o-EXAMPLEORG")
        );
    }
}
