//! Pages, throttles and states, as Organizations answers them.

use super::*;
use crate::stub::Stub;

async fn organization(stub: &Stub) -> AwsOrganization {
    AwsOrganization::open(&stub.connection()).await.with_first_wait(Duration::from_millis(1))
}

fn ids(accounts: &[Account]) -> Vec<&str> {
    accounts.iter().map(|account| account.id.as_str()).collect()
}

#[tokio::test]
async fn an_empty_page_with_a_token_is_not_the_end_and_state_outranks_status() {
    let stub = Stub::answering(&[
        (200, r#"{"Accounts":[{"Id":"222222222222","Status":"ACTIVE"}],"NextToken":"a"}"#),
        (200, r#"{"Accounts":[],"NextToken":"b"}"#),
        (200, r#"{"NextToken":"c"}"#),
        (
            200,
            r#"{"Accounts":[{"Id":"111111111111","Status":"ACTIVE","State":"PENDING_CLOSURE","Name":"n","Email":"e@x",
            "Arn":"arn:aws:organizations::999999999999:account/o-abcdefghij/111111111111","JoinedTimestamp":1500000000.5,
            "Paths":["o-abcdefghij/r-ab12/ou-ab12-11111111/111111111111/"]}],"NextToken":""}"#,
        ),
    ]);
    let accounts = organization(&stub).await.accounts(Wanted::default()).await.unwrap();
    assert_eq!(ids(&accounts), ["111111111111", "222222222222"]);
    assert_eq!(accounts[0].status, AccountStatus::PendingClosure);
    assert_eq!(accounts[0].joined.unwrap().as_second(), 1_500_000_000);
    assert!(accounts[0].ou_path.is_empty() && accounts[0].tags.is_empty(), "what nobody asked for is not told");
    let requests = stub.requests();
    assert_eq!(requests.len(), 4);
    assert!(
        requests[0].contains("AWSOrganizationsV20161128.ListAccounts") && requests[0].contains(r#""MaxResults":20"#)
    );
    assert!(requests[0].contains("/us-east-1/organizations/"), "signed for the partition's global region");
    assert!(requests[2].contains(r#""NextToken":"b""#), "{}", requests[2]);
}

#[tokio::test]
async fn a_path_in_the_listing_saves_requests_and_one_that_is_missing_is_asked_for_once_a_unit() {
    let stub = Stub::answering(&[
        (200, r#"{"Accounts":[{"Id":"1","Paths":["o-abcdefghij/r-ab12/ou-ab12-11111111/1/"]},{"Id":"2"},{"Id":"3"}]}"#),
        (200, r#"{"Parents":[{"Id":"ou-ab12-22222222","Type":"ORGANIZATIONAL_UNIT"}]}"#),
        (200, r#"{"Parents":[{"Id":"r-ab12","Type":"ROOT"}]}"#),
        (200, r#"{"Parents":[{"Id":"ou-ab12-22222222","Type":"ORGANIZATIONAL_UNIT"}]}"#),
    ]);
    let wanted = Wanted { parents: true, tags: false };
    let accounts = organization(&stub).await.accounts(wanted).await.unwrap();
    assert_eq!(accounts[0].ou_path, ["r-ab12", "ou-ab12-11111111"]);
    assert_eq!(accounts[1].ou_path, ["r-ab12", "ou-ab12-22222222"]);
    assert_eq!(accounts[2].ou_path, ["r-ab12", "ou-ab12-22222222"]);
    assert_eq!(stub.requests().len(), 4);
}

#[tokio::test]
async fn tags_are_read_over_pages_and_an_account_that_left_meanwhile_is_left_out() {
    let stub = Stub::answering(&[
        (200, r#"{"Accounts":[{"Id":"1"},{"Id":"2"}]}"#),
        (200, r#"{"Tags":[{"Key":"env","Value":"prod"}],"NextToken":"x"}"#),
        (200, r#"{"Tags":[{"Key":"team","Value":""}]}"#),
        (400, r#"{"__type":"TargetNotFoundException","Message":"gone"}"#),
    ]);
    let wanted = Wanted { parents: false, tags: true };
    let accounts = organization(&stub).await.accounts(wanted).await.unwrap();
    assert_eq!(ids(&accounts), ["1"]);
    assert_eq!(
        accounts[0].tags.clone().into_iter().collect::<Vec<_>>(),
        [("env".into(), "prod".into()), ("team".into(), String::new())]
    );
}

#[tokio::test]
async fn throttling_is_waited_out_beyond_the_attempts_of_the_sdk() {
    const SLOWER: (u16, &str) = (400, r#"{"__type":"TooManyRequestsException","Message":"slower"}"#);
    let stub = Stub::answering(&[SLOWER, SLOWER, SLOWER, SLOWER, (200, r#"{"Accounts":[{"Id":"1"}]}"#)]);
    let accounts = organization(&stub).await.accounts(Wanted::default()).await.unwrap();
    assert_eq!(ids(&accounts), ["1"]);
}

#[tokio::test]
async fn refusals_say_who_may_ask() {
    let stub = Stub::answering(&[
        (
            400,
            r#"{"__type":"AWSOrganizationsNotInUseException","Message":"Your account is not a member of an organization."}"#,
        ),
        (400, r#"{"__type":"AccessDeniedException","Message":"You don't have permissions to access this resource."}"#),
    ]);
    let organization = organization(&stub).await;
    let error = organization.accounts(Wanted::default()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ContainerMissing);
    assert!(error.to_string().contains("in no organization"), "{error}");
    let error = organization.accounts(Wanted::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.service_code()), (&ErrorKind::Denied, Some("AccessDeniedException")));
    assert!(
        error.to_string().contains("delegated administrators") && error.to_string().contains("ListAccounts"),
        "{error}"
    );
}
