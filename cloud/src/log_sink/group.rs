//! Names of log groups and streams as configuration gives them, checked offline.

/// A log group by its name or ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGroup {
    /// Its name: 1 to 512 letters, digits, and `_-/.#` (CloudWatch Logs API reference, CreateLogGroup).
    pub name: String,
    /// The region, where an ARN was given.
    pub region: Option<String>,
    /// The account, where an ARN was given.
    pub account: Option<String>,
}

impl LogGroup {
    /// Reads a name, or an ARN `arn:<partition>:logs:<region>:<account>:log-group:<name>`, with or without the `:*` that
    /// CloudWatch Logs itself puts behind it.
    ///
    /// # Errors
    /// What is wrong, for an operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let group = if text.starts_with("arn:") {
            let no_arn = || {
                format!(
                    "\"{text}\" is no log group's ARN: arn:aws:logs:<region>:<account>:log-group:<name>, with or without :*"
                )
            };
            let mut parts = text.splitn(7, ':').skip(2);
            let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or_else(no_arn);
            let (service, region, account, kind, name) = (next()?, next()?, next()?, next()?, next()?);
            if service != "logs" || kind != "log-group" {
                return Err(no_arn());
            }
            let name = name.strip_suffix(":*").unwrap_or(name);
            Self { name: name.to_owned(), region: Some(region.to_owned()), account: Some(account.to_owned()) }
        } else {
            Self { name: text.to_owned(), region: None, account: None }
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/.#".contains(&byte);
        if (1..=512).contains(&group.name.len()) && group.name.bytes().all(allowed) {
            return Ok(group);
        }
        Err(format!("\"{}\" is no log group's name: 1 to 512 of letters, digits and _-/.#", group.name))
    }
}

/// Checks a stream's name: 1 to 512 characters without `:` and `*` (CloudWatch Logs API reference, CreateLogStream).
///
/// # Errors
/// What is wrong, for an operator.
pub fn check_stream_name(name: &str) -> Result<(), String> {
    if (1..=512).contains(&name.chars().count()) && !name.contains([':', '*']) {
        return Ok(());
    }
    Err(format!("\"{name}\" is no log stream's name: 1 to 512 characters without ':' and '*'"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_known_by_its_name_or_by_its_arn() {
        let by_name = LogGroup { name: "/org/CloudTrail".into(), region: None, account: None };
        assert_eq!(LogGroup::parse("/org/CloudTrail").unwrap(), by_name);
        for end in ["", ":*"] {
            let arn = format!("arn:aws-cn:logs:cn-north-1:111122223333:log-group:/org/CloudTrail{end}");
            let group = LogGroup::parse(&arn).unwrap();
            let (region, account) = (Some("cn-north-1".into()), Some("111122223333".into()));
            assert_eq!(group, LogGroup { region, account, ..by_name.clone() });
        }
    }

    #[test]
    fn what_names_no_group_is_told() {
        for text in [
            "",
            "a:b",
            "a*",
            "arn:aws:s3:::bucket",
            "arn:aws:logs:eu-west-1:1:log-group",
            "arn:aws:logs::1:log-group:g",
        ] {
            assert!(LogGroup::parse(text).is_err(), "{text}");
        }
        assert!(check_stream_name("o-exampleorg1_111122223333_CloudTrail_us-east-1").is_ok());
        assert!(check_stream_name("").is_err() && check_stream_name("a:b").is_err());
    }
}
