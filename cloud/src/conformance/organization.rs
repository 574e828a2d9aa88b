//! What every organization promises.

use crate::organization::{Account, Organization, Wanted};

/// Every case, on an organization that has exactly these accounts, in the order of ids, with tags and paths.
pub async fn all(organization: &dyn Organization, accounts: &[Account]) {
    every_account_comes_once_in_the_order_of_ids(organization, accounts).await;
    only_what_was_asked_for_is_told(organization, accounts).await;
}

/// However many pages it takes.
pub async fn every_account_comes_once_in_the_order_of_ids(organization: &dyn Organization, accounts: &[Account]) {
    let listed = organization.accounts(Wanted { tags: true, parents: true }).await.unwrap();
    let about = |accounts: &[Account]| -> Vec<_> {
        let one = |a: &Account| (a.id.clone(), a.name.clone(), a.status.clone(), a.ou_path.clone(), a.tags.clone());
        accounts.iter().map(one).collect()
    };
    assert_eq!(about(&listed), about(accounts));
}

/// Tags and parents cost requests.
pub async fn only_what_was_asked_for_is_told(organization: &dyn Organization, accounts: &[Account]) {
    let listed = organization.accounts(Wanted::default()).await.unwrap();
    assert_eq!(listed.len(), accounts.len());
    assert!(listed.iter().all(|account| account.tags.is_empty() && account.ou_path.is_empty()));
}
