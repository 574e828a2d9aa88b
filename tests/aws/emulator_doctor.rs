//! `orgtrail doctor` on emulators: a healthy site of S3, KMS, SQS and CloudWatch Logs, and each fault of a broken one by its
//! name with what to do. Where no emulator refuses as AWS does, a proxy answers with AWS's own words.

use bytes::Bytes;
use orgtrail_cloud::log_sink::CloudWatchSink;
use orgtrail_cloud::object_store::PutOptions;
use orgtrail_cloud::{Connection, LogSink as _};
use orgtrail_event::gzip::Deflater;
use orgtrail_tests::emulator::{Account, Emulator, REGION, bucket_name};
use orgtrail_tests::fault_proxy::{FaultProxy, Mode};
use orgtrail_tests::process::Process;
use orgtrail_tests::site::Site;
use serde_json::{Value, json};

use crate::{Admin, new_bucket_in, start_aggregator, store};

const LOG_KEY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/\
                       111122223333_CloudTrail_us-east-1_20260301T1105Z_AbCdEf0123456789.json.gz";
/// What it takes to have room on the machines of tests.
const SMALL: &str = "[journal]\ncapacity = \"64MiB\"\n";

/// An account with everything that an agent and an aggregator need.
struct Aws {
    emulator: &'static Emulator,
    account: Account,
    connection: Connection,
    admin: Admin,
    source: String,
    trail: String,
    key: String,
    queue: String,
    group: String,
    site: Site,
}

impl Aws {
    async fn new() -> Option<Self> {
        let emulator = Emulator::ministack(false)?;
        let account = emulator.account();
        let connection = emulator.connection(&account);
        let admin = Admin::open(&connection).await;
        let (source, trail) = (new_bucket_in(&connection).await, new_bucket_in(&connection).await);
        deliver(&source, &connection).await;
        let (key, name, group) = (admin.create_key().await, bucket_name(), bucket_name());
        admin.create_queue(&name).await;
        let queue = format!("arn:aws:sqs:{REGION}:{}:{name}", account.id);
        CloudWatchSink::open(&connection).await.unwrap().ensure(&group, "other").await.unwrap();
        let site = Site::new();
        Some(Self { emulator, account, connection, admin, source, trail, key, queue, group, site })
    }

    fn source(&self) -> String {
        format!("[[sources]]\nlocation = \"s3://{}\"\nregion = \"{REGION}\"\n", self.source)
    }

    fn notifications(&self) -> String {
        format!("[sources.notifications]\nqueue = \"{}\"\n", self.queue)
    }

    /// The lines of a trail behind its name.
    fn trail(&self) -> String {
        format!("location = \"s3://{}\"\nregion = \"{REGION}\"\naccount_id = \"{}\"\n", self.trail, self.account.id)
    }

    /// The lines of a healthy site.
    async fn configure(&mut self) {
        let signing = self.admin.create_rsa_key(true).await;
        self.site.trail = format!(
            "{}kms_key_id = \"{}\"\nsigning_key_id = \"{signing}\"\n[trails.cloudwatch_logs]\nlog_group = \"{}\"\n\
             region = \"{REGION}\"\n",
            self.trail(),
            self.key,
            self.group
        );
        self.site.aggregator_more = format!("{SMALL}[seal]\nkey_id = \"{}\"\nregion = \"{REGION}\"\n", self.key);
        self.write(&(self.source() + &self.notifications()));
    }

    fn write(&self, sources: &str) {
        self.site.write_agent("agent.toml", "acme", sources).unwrap();
        self.site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    }

    fn aggregator(&self) -> Process {
        start_aggregator(self.emulator, &self.account, &self.site)
    }

    /// Runs the verb with the emulator, or what stands before it, as the endpoint of all services.
    fn doctor(&self, endpoint: &str) -> Report {
        Report::of(&self.site, &env(self.emulator, &self.account, endpoint))
    }
}

fn env(emulator: &Emulator, account: &Account, endpoint: &str) -> Vec<(&'static str, String)> {
    let mut env = emulator.child_env(account);
    env.push(("AWS_ENDPOINT_URL", endpoint.to_owned()));
    env
}

/// A log file, as CloudTrail delivers it.
async fn deliver(bucket: &str, connection: &Connection) {
    let file = Bytes::from(Deflater::new(6).deflate(br#"{"Records":[]}"#));
    store(bucket, "", connection).await.put(LOG_KEY, file, &PutOptions::default()).await.unwrap();
}

/// What the doctor said, to machines and to people.
struct Report {
    code: i32,
    checks: Vec<Value>,
    text: String,
}

impl Report {
    fn of(site: &Site, env: &[(&'static str, String)]) -> Self {
        let (code, output, errors) = site.verb_with(&["doctor", "--json"], env).unwrap();
        let report: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}{errors}"));
        let files = report["files"].as_array().unwrap().iter();
        let checks = files.flat_map(|file| file["checks"].as_array().unwrap().clone()).collect();
        let (again, text, errors) = site.verb_with(&["doctor"], env).unwrap();
        assert_eq!((again, errors.as_str()), (code, ""), "{text}");
        Self { code, checks, text }
    }

    /// `subject hop`, of what ended so.
    fn with(&self, outcome: &str) -> Vec<String> {
        let some = self.checks.iter().filter(|check| check["outcome"] == outcome);
        let name = |check: &Value| format!("{} {}", check["subject"].as_str().unwrap(), check["hop"].as_str().unwrap());
        some.map(name).collect()
    }

    fn failed(&self, subject: &str, hop: &str) -> &Value {
        let is_it = |check: &&Value| {
            check["subject"].as_str().unwrap().contains(subject) && check["hop"] == hop && check["outcome"] == "failed"
        };
        self.checks.iter().find(is_it).unwrap_or_else(|| panic!("{subject} {hop} did not fail:\n{}", self.text))
    }
}

/// The statements that a check advises.
fn statements(check: &Value) -> Vec<&Value> {
    check["advice"].as_array().into_iter().flatten().filter_map(|advice| advice.get("statement")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_site_on_an_emulator_is_walked_hop_by_hop_and_left_as_it_was() {
    let Some(mut aws) = Aws::new().await else { return };
    aws.configure().await;
    let mut aggregator = aws.aggregator();
    let report = aws.doctor(&aws.emulator.url());
    println!("{}", report.text);
    assert_eq!((report.code, report.with("failed")), (0, vec![]), "{}", report.text);
    assert!(aggregator.stop().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_missing_on_the_emulator_is_named_with_what_to_do() {
    let Some(mut aws) = Aws::new().await else { return };
    aws.configure().await;
    let away = Connection { region: Some("eu-west-1".to_owned()), ..aws.connection.clone() };
    let elsewhere = new_bucket_in(&away).await;
    deliver(&elsewhere, &away).await;
    aws.admin.disable_key(&aws.key).await;
    let absent = "aaaabbbb-0000-0000-0000-000000000000";
    aws.site.trail = format!(
        "location = \"s3://no-trail-here\"\nregion = \"{REGION}\"\naccount_id = \"{0}\"\n\
         signing_key_id = \"arn:aws:kms:{REGION}:{0}:key/{absent}\"\n\
         [trails.cloudwatch_logs]\nlog_group = \"no-group-here\"\nregion = \"{REGION}\"\n",
        aws.account.id
    );
    let sources = [
        format!(
            "[[sources]]\nlocation = \"s3://no-bucket-here\"\nregion = \"{REGION}\"\n[sources.notifications]\n\
             queue = \"arn:aws:sqs:{REGION}:{}:no-queue-here\"\n",
            aws.account.id
        ),
        format!("[[sources]]\nlocation = \"s3://{elsewhere}\"\nregion = \"{REGION}\"\n"),
    ];
    aws.write(&sources.concat());
    let report = aws.doctor(&aws.emulator.url());
    println!("{}", report.text);
    assert_eq!(report.code, 2, "{}", report.text);
    assert_eq!(report.with("failed").len(), 8, "{:#?}", report.with("failed"));
    for (subject, hop, says) in [
        ("aggregator http", "tcp", "start the aggregator"),
        (
            "source s3://no-bucket-here",
            "bucket",
            "look at the name, or make it. This looked in partition aws (us-east-1)",
        ),
        (&elsewhere, "bucket", "write region = \\\"eu-west-1\\\""),
        ("no-queue-here", "queue", "look at account, region and name in `queue`"),
        ("seal", "seal key", &format!("aws kms enable-key --key-id {}", aws.key)),
        ("trail org-trail", "bucket", "no-trail-here"),
        ("trail org-trail", "signing key", &format!("key/{absent} is not there")),
        ("log group", "log group", "aws logs create-log-group --region us-east-1 --log-group-name no-group-here"),
    ] {
        let check = report.failed(subject, hop).to_string();
        assert!(check.contains(says), "{subject} {hop}: {check}");
    }
    // The bucket of another region is read where it is.
    assert!(
        report.with("ok").contains(&format!("source s3://{elsewhere} 111122223333/us-east-1 get")),
        "{}",
        report.text
    );
    let skipped = report.with("skipped");
    assert!(skipped.iter().any(|name| name == "source s3://no-bucket-here get"), "{skipped:?}");
    assert!(skipped.iter().any(|name| name == "trail org-trail put"), "{skipped:?}");
    let group = statements(report.failed("log group", "log group"))[0];
    let arn = format!("arn:aws:logs:us-east-1:{}:log-group:no-group-here", aws.account.id);
    assert_eq!((&group["Action"], &group["Resource"]), (&json!("logs:CreateLogGroup"), &json!(arn)));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_the_emulator_refuses_are_told_with_the_statements_that_they_lack() {
    let Some(emulator) = Emulator::ministack(true) else { return };
    let (owner, collector) = (emulator.account(), emulator.account());
    let bucket = new_bucket_in(&emulator.connection(&owner)).await;
    deliver(&bucket, &emulator.connection(&owner)).await;
    let list = json!({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"});
    let read = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
    let role =
        |name: &str, id: Option<&str>, may: &Value| emulator.create_role(&owner, name, &collector, id, may.clone());
    let reader = role("reader", None, &json!([list, read])).unwrap();
    let lister = role("lister", None, &json!([list])).unwrap();
    let guarded = role("guarded", Some("right-7f2e"), &json!([list, read])).unwrap();
    let absent = format!("arn:aws:iam::{}:role/absent", owner.id);

    let mut site = Site::new();
    let (accounts, stranger) = (site.root().join("accounts.json"), emulator.account());
    let account =
        |id: &str| json!({"Id": id, "Arn": format!("arn:aws:organizations::1:account/o-a/{id}"), "Status": "ACTIVE"});
    let listed = json!({"Accounts": [account(&owner.id), account(&stranger.id)]});
    std::fs::write(&accounts, listed.to_string()).unwrap();
    let source = |name: &str, role: &str, more: &str| {
        // Each below another prefix: sources must not overlap.
        format!(
            "[[sources]]\nname = \"{name}\"\nlocation = \"s3://{bucket}/{name}\"\nregion = \"{REGION}\"\nrole_arn = \"{role}\"\n{more}"
        )
    };
    let organization = format!(
        "[[organizations]]\nname = \"acme\"\naccounts_file = \"file://{}\"\n[organizations.source]\n\
         location = \"s3://{bucket}/of-{{account}}\"\nregion = \"{REGION}\"\n\
         role_name = \"reader\"\n",
        accounts.display()
    );
    let own = store(&bucket, "lister", &emulator.connection(&owner)).await;
    own.put(LOG_KEY, Bytes::from_static(b"x"), &PutOptions::default()).await.unwrap();
    let sources = [
        source("reader", &reader, ""),
        source("lister", &lister, ""),
        source("guarded", &guarded, "external_id = \"wrong-0000\"\n"),
        source("absent", &absent, ""),
        organization,
    ];
    site.trail = format!(
        "location = \"s3://{bucket}/trail\"\nregion = \"{REGION}\"\naccount_id = \"{}\"\nrole_arn = \"{lister}\"\n",
        owner.id
    );
    site.aggregator_more = SMALL.to_owned();
    site.write_agent("agent.toml", "acme", &sources.concat()).unwrap();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    let report = Report::of(&site, &env(emulator, &collector, &emulator.url()));
    println!("{}", report.text);
    assert_eq!(report.code, 2, "{}", report.text);

    let get = statements(report.failed("source lister", "get"))[0];
    assert_eq!(
        (&get["Action"], &get["Resource"]),
        (&json!("s3:GetObject"), &json!(format!("arn:aws:s3:::{bucket}/lister/*")))
    );
    let put = statements(report.failed("trail org-trail", "put"))[0];
    assert_eq!(put["Resource"], format!("arn:aws:s3:::{bucket}/trail/AWSLogs/*"));
    let wrong = report.failed("source guarded", "assume role");
    let trust = statements(wrong)[0];
    assert_eq!(trust["Condition"]["StringEquals"]["sts:ExternalId"], "wrong-0000");
    assert!(wrong.to_string().contains("that must be \\\"wrong-0000\\\" to the letter"), "{wrong}");
    assert!(report.failed("source absent", "assume role").to_string().contains("a role that does not exist"));
    // Of an organization: the account with the role is let in, the other is named.
    let failed = report.with("failed");
    assert!(failed.iter().any(|name| name.contains(&stranger.id) && name.ends_with(" assume role")), "{failed:?}");
    assert!(!failed.iter().any(|name| name.contains(&format!("of-{}", owner.id))), "{failed:?}");
    assert!(!failed.iter().any(|name| name.starts_with("source reader")), "{failed:?}");
}

/// Answers in the words that AWS's services have, with the status lines that they send them under.
fn refuse(proxy: &FaultProxy, request: &str, status: &'static str, body: String) {
    proxy.fail(request, Mode::Answer(status, body), u32::MAX);
}

fn s3(message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>{message}</Message>\
         <RequestId>TX2D</RequestId><HostId>h</HostId></Error>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_that_a_recorded_refusal_asks_for_is_shown_whole_emulator() {
    let Some(mut aws) = Aws::new().await else { return };
    aws.configure().await;
    let mut aggregator = aws.aggregator();
    let proxy = FaultProxy::start(aws.emulator.address()).await.unwrap();
    let who = "arn:aws:sts::111122223333:assumed-role/orgtrail/orgtrail";
    let denied = |action: &str, resource: &str, why: &str| {
        format!("User: {who} is not authorized to perform: {action} on resource: {resource} {why}")
    };
    let own = |action: &str, resource: &str| {
        denied(action, resource, &format!("because no identity-based policy allows the {action} action"))
    };
    let json_of = |code: &str, message: &str| json!({"__type": code, "message": message}).to_string();
    let key = |account: &str| format!("arn:aws:kms:us-east-1:{account}:key/1234abcd");
    let their_policy = "because the resource does not exist in this Region, no resource-based policies allow access, or a \
                        resource-based policy explicitly denies access";
    refuse(
        &proxy,
        &format!("GET /{}/AWSLogs", aws.source),
        "403 Forbidden",
        s3(&own("kms:Decrypt", &key("111122223333"))),
    );
    let message = denied("kms:GenerateDataKey", &key("444455556666"), their_policy);
    refuse(&proxy, &format!("PUT /{}/AWSLogs/orgtrail-doctor", aws.trail), "403 Forbidden", s3(&message));
    let message = own("kms:Decrypt", &key("111122223333"));
    refuse(
        &proxy,
        "AmazonSQS.ReceiveMessage",
        "400 Bad Request",
        json_of("com.amazonaws.sqs#KmsAccessDenied", &message),
    );
    let message = own("kms:GenerateDataKey", &key("111122223333"));
    refuse(&proxy, "TrentService.GenerateDataKey", "400 Bad Request", json_of("AccessDeniedException", &message));
    let message = denied("kms:Sign", &key("111122223333"), "with an explicit deny in a service control policy");
    refuse(&proxy, "TrentService.Sign", "400 Bad Request", json_of("AccessDeniedException", &message));
    let group = format!("arn:aws:logs:us-east-1:{}:log-group:{}", aws.account.id, aws.group);
    let message = own("logs:PutLogEvents", &format!("{group}:log-stream:s"));
    refuse(&proxy, "Logs_20140328.PutLogEvents", "400 Bad Request", json_of("AccessDeniedException", &message));
    let report = aws.doctor(&proxy.url());
    println!("{}", report.text);
    assert_eq!(report.code, 2, "{}", report.text);
    assert_eq!(report.with("failed").len(), 6, "{:#?}", report.with("failed"));

    let via = |check: &Value| statements(check)[0]["Condition"]["StringEquals"]["kms:ViaService"].clone();
    let get = report.failed("111122223333/us-east-1", "get");
    assert_eq!((via(get), statements(get).len()), (json!("s3.us-east-1.amazonaws.com"), 1), "{get}");
    let put = report.failed("trail org-trail", "put");
    let policy = statements(put)[0];
    assert_eq!(
        (via(put), &policy["Action"]),
        (json!("s3.us-east-1.amazonaws.com"), &json!(["kms:GenerateDataKey", "kms:Decrypt"]))
    );
    assert_eq!(policy["Principal"]["AWS"], "arn:aws:iam::111122223333:role/orgtrail");
    let receive = report.failed("queue arn:", "receive");
    assert_eq!(via(receive), "sqs.us-east-1.amazonaws.com", "{receive}");
    // A seal asks KMS itself.
    let seal = statements(report.failed("seal", "seal key"))[0];
    assert_eq!(seal["Condition"], json!({"Null": {"kms:EncryptionContext:orgtrail:state-dir": "false"}}));
    let sign = report.failed("trail org-trail", "signing key");
    assert!(statements(sign).is_empty() && sign.to_string().contains("a service control policy"), "{sign}");
    let logs = statements(report.failed("log group", "log group"))[0];
    assert_eq!(logs["Resource"], format!("{group}:*"));
    assert!(report.text.contains("\"kms:ViaService\": \"sqs.us-east-1.amazonaws.com\""), "{}", report.text);
    assert!(aggregator.stop().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_that_of_the_emulator_is_told_in_seconds() {
    let Some(mut aws) = Aws::new().await else { return };
    aws.configure().await;
    let mut aggregator = aws.aggregator();
    for (seconds, code, outcome, side) in [(420, 2, "failed", "behind"), (-90, 0, "warning", "ahead of")] {
        let proxy = FaultProxy::start(aws.emulator.address()).await.unwrap();
        proxy.fail(" sts", Mode::Date(seconds), u32::MAX);
        let report = aws.doctor(&proxy.url());
        assert_eq!(
            (report.code, report.with(outcome)),
            (code, vec!["this machine clock".to_owned(); 2]),
            "{}",
            report.text
        );
        let clock = report.checks.iter().find(|check| check["subject"] == "this machine").unwrap();
        let detail = clock["detail"].as_str().unwrap();
        let about =
            [seconds - 1, seconds, seconds + 1].map(|seconds: i64| format!("clock is {} s {side}", seconds.abs()));
        assert!(about.iter().any(|about| detail.contains(about)), "{detail}");
    }
    assert!(aggregator.stop().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_on_the_emulator_is_listed_and_each_of_its_accounts_is_walked() {
    let Some(emulator) = Emulator::moto() else { return };
    let (account, buckets) = (emulator.account(), bucket_name());
    let management = rand::random_range(100_000_000_000_u64..1_000_000_000_000).to_string();
    // moto takes any role, and gives it its account.
    let role = |id: &str| format!("arn:aws:iam::{id}:role/reader");
    let of = |id: &str| Connection { role_arn: Some(role(id)), ..emulator.connection(&account) };
    let admin = Admin::open(&of(&management)).await;
    admin.create_organization().await;
    let (with, without) = (admin.create_account("with").await, admin.create_account("without").await);
    Admin::open(&of(&with)).await.create_bucket(&format!("{buckets}-{with}")).await;
    let own = store(&format!("{buckets}-{with}"), "", &of(&with)).await;
    let file = Bytes::from(Deflater::new(6).deflate(br#"{"Records":[]}"#));
    own.put(&LOG_KEY.replace("111122223333", &with), file, &PutOptions::default()).await.unwrap();
    let organization = format!(
        "[[organizations]]\nname = \"acme\"\nregion = \"{REGION}\"\nrole_arn = \"{}\"\n[organizations.include]\n\
         accounts = [\"{with}\", \"{without}\"]\n[organizations.source]\nlocation = \"s3://{buckets}-{{account}}\"\n\
         region = \"{REGION}\"\nrole_name = \"reader\"\n",
        role(&management)
    );
    let mut site = Site::new();
    site.aggregator_more = SMALL.to_owned();
    site.write_agent("agent.toml", "acme", &organization).unwrap();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    let report = Report::of(&site, &env(emulator, &account, &emulator.url()));
    let accounts =
        report.checks.iter().find(|check| check["subject"] == "organization acme" && check["hop"] == "accounts");
    assert_eq!(accounts.unwrap()["detail"], "2 sources of 2 accounts", "{}", report.text);
    let read = format!("source acme/{with} {with}/us-east-1 get");
    assert!(report.with("ok").contains(&read), "{}", report.text);
    assert!(report.failed(&format!("source acme/{without}"), "bucket").to_string().contains("no such bucket"));
    // The aggregator doesn't run.
    assert_eq!((report.code, report.with("failed").len()), (2, 2), "{}", report.text);
}
