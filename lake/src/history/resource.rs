//! What a resource goes by: the id, the name or the ARN that was given, and what the others follow from it.
//!
//! Owns which texts in a record mean the resource. Pure.

/// A resource, as somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// What was given.
    pub(super) given: String,
    /// Texts that mean it where they are a whole value: what was given, and the end of an ARN.
    pub(super) names: Vec<String>,
    /// The account that its ARN names.
    pub(super) account: Option<String>,
}

impl Resource {
    pub(super) fn new(given: &str) -> Self {
        let mut names = vec![given.to_owned()];
        let mut account = None;
        // arn:partition:service:region:account:resource, where resource is `name`, `type/path/name` or `type:name`.
        let parts: Vec<_> = given.splitn(6, ':').collect();
        if let ["arn", _, service, _, owner, resource] = parts[..] {
            account = Some(owner).filter(|owner| !owner.is_empty()).map(str::to_owned);
            // Of an object in a bucket the key alone says too little, and so does the bucket.
            let is_object = service == "s3" && resource.contains('/');
            let name = resource.rsplit(['/', ':']).next().unwrap_or(resource);
            if !is_object && !name.is_empty() && name != "*" {
                names.push(name.to_owned());
            }
        }
        Self { given: given.to_owned(), names, account }
    }

    /// Adds what else it was seen to go by.
    pub(super) fn also(&mut self, name: &str) {
        if !name.is_empty() && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_ends_in_the_resources_name() {
        for (given, name, account) in [
            ("arn:aws:ec2:us-east-1:111122223333:security-group/sg-1", Some("sg-1"), Some("111122223333")),
            ("arn:aws:iam::111122223333:role/path/Deployer", Some("Deployer"), Some("111122223333")),
            ("arn:aws:lambda:us-east-1:111122223333:function:orders", Some("orders"), Some("111122223333")),
            ("arn:aws:s3:::logs", Some("logs"), None),
            ("arn:aws:s3:::logs/a/b", None, None),
            ("sg-1", None, None),
            ("a:b:c", None, None),
        ] {
            let resource = Resource::new(given);
            assert_eq!(resource.names[0], given);
            assert_eq!(resource.names.get(1).map(String::as_str), name, "{given}");
            assert_eq!(resource.account.as_deref(), account, "{given}");
        }
    }

    #[test]
    fn what_is_known_is_not_added_twice() {
        let mut resource = Resource::new("sg-1");
        for name in ["sg-1", "", "web", "web"] {
            resource.also(name);
        }
        assert_eq!(resource.names, ["sg-1", "web"]);
    }
}
