//! On both emulators: SQS queues, by URL and by ARN.

use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::conformance::queue;
use orgtrail_cloud::{Connection, open_queue};
use orgtrail_tests::emulator::{Emulator, bucket_name};

/// Each has mistakes of its own. Empty: skip the test.
fn both() -> Vec<&'static Emulator> {
    [Emulator::ministack(false), Emulator::moto()].into_iter().flatten().collect()
}

#[tokio::test]
async fn a_queue_lends_messages_and_deletes_what_is_done() {
    let mut judges = tokio::task::JoinSet::new();
    for emulator in both() {
        judges.spawn(judge(emulator));
    }
    judges.join_all().await;
}

async fn judge(emulator: &'static Emulator) {
    let account = emulator.account();
    let connection = emulator.connection(&account);
    let admin = Admin::open(&connection).await;
    let url = admin.create_queue(&bucket_name()).await;
    // The URL says where to call.
    let by_url = open_queue(&url, &Connection { endpoint_url: None, ..connection.clone() }).await.unwrap();
    queue::all(&*by_url, &admin.sender(&url)).await;

    let name = url.rsplit('/').next().unwrap();
    let arn = format!("arn:aws:sqs:us-east-1:{}:{name}", account.id);
    let by_arn = open_queue(&arn, &connection).await.unwrap();
    queue::messages_arrive_as_they_were_sent(&*by_arn, &admin.sender(&url)).await;
    let absent = open_queue(&format!("{url}-absent"), &connection).await.unwrap();
    queue::an_absent_queue_is_missing(&*absent).await;
}
