//! On moto: an organization of more accounts than a page holds, in a tree, with tags, and with one that is closed.

use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::organization::{Account, AccountStatus, AwsOrganization, Organization as _, Wanted};
use orgtrail_cloud::{Connection, conformance};
use orgtrail_tests::emulator::Emulator;

/// Accounts that are made beside the management account.
const MADE: usize = 45;

/// A management account of its own: moto takes any role, and gives it its account.
fn management(emulator: &Emulator) -> (String, Connection) {
    let id = rand::random_range(100_000_000_000_u64..1_000_000_000_000).to_string();
    let role_arn = Some(format!("arn:aws:iam::{id}:role/orgtrail"));
    (id, Connection { role_arn, ..emulator.connection(&emulator.account()) })
}

fn find<'a>(accounts: &'a [Account], id: &str) -> &'a Account {
    accounts.iter().find(|account| account.id == id).unwrap()
}

#[tokio::test]
async fn an_organization_over_many_pages_on_the_emulator_is_listed_whole() {
    let Some(emulator) = Emulator::moto() else { return };
    let (management, connection) = management(emulator);
    let admin = Admin::open(&connection).await;
    let root = admin.create_organization().await;
    let unit = admin.create_unit(&root, "workloads").await;
    let inner = admin.create_unit(&unit, "prod").await;
    let mut made = Vec::new();
    for n in 0..MADE {
        made.push(admin.create_account(&format!("a{n}")).await);
    }
    admin.move_account(&made[3], &root, &inner).await;
    admin.tag_account(&made[3], "env", "prod").await;
    admin.close_account(&made[5]).await;

    // moto gives everything on one page unless it is asked for less; AWS never more than 20.
    let organization = AwsOrganization::open(&connection).await.with_page_accounts(20);
    let listed = organization.accounts(Wanted { tags: true, parents: true }).await.unwrap();
    let mut ids: Vec<&String> = made.iter().chain([&management]).collect();
    ids.sort();
    assert_eq!(listed.iter().map(|account| &account.id).collect::<Vec<_>>(), ids);
    let moved = find(&listed, &made[3]);
    assert_eq!((moved.name.as_str(), moved.email.as_str()), ("a3", "a3@example.com"));
    assert_eq!(moved.ou_path, [root.clone(), unit, inner]);
    assert_eq!(moved.tags["env"], "prod");
    assert!(moved.arn.contains(&management) && moved.joined.is_some(), "{moved:?}");
    assert_eq!(find(&listed, &made[4]).ou_path, [root]);
    assert_eq!(find(&listed, &made[4]).status, AccountStatus::Active);
    assert_eq!(find(&listed, &made[5]).status, AccountStatus::Suspended);

    conformance::organization::all(&organization, &listed).await;
}
