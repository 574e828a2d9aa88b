//! Organizations for tests: made, filled and changed.

#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use super::Admin;
use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::Tag;

impl Admin {
    fn organizations(&self) -> Client {
        Client::new(&self.config)
    }

    /// Makes an organization of this account. Returns its root's id.
    pub async fn create_organization(&self) -> String {
        self.organizations().create_organization().send().await.unwrap();
        let roots = self.organizations().list_roots().send().await.unwrap();
        roots.roots.unwrap()[0].id.clone().unwrap()
    }

    /// Makes an organizational unit below a root or another unit. Returns its id.
    pub async fn create_unit(&self, parent: &str, name: &str) -> String {
        let create = self.organizations().create_organizational_unit().parent_id(parent).name(name);
        create.send().await.unwrap().organizational_unit.unwrap().id.unwrap()
    }

    /// Makes an account, below the root. Returns its id.
    pub async fn create_account(&self, name: &str) -> String {
        let create = self.organizations().create_account().account_name(name).email(format!("{name}@example.com"));
        create.send().await.unwrap().create_account_status.unwrap().account_id.unwrap()
    }

    /// Moves an account from one root or unit to another.
    pub async fn move_account(&self, account: &str, from: &str, to: &str) {
        let move_account = self.organizations().move_account().account_id(account);
        move_account.source_parent_id(from).destination_parent_id(to).send().await.unwrap();
    }

    /// Puts a tag on an account.
    pub async fn tag_account(&self, account: &str, key: &str, value: &str) {
        let tag = Tag::builder().key(key).value(value).build().unwrap();
        self.organizations().tag_resource().resource_id(account).tags(tag).send().await.unwrap();
    }

    /// Closes an account.
    pub async fn close_account(&self, account: &str) {
        self.organizations().close_account().account_id(account).send().await.unwrap();
    }
}
