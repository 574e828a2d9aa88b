//! Sources that share a queue, and what configuration says of it.

use super::*;

#[tokio::test]
async fn sources_that_share_a_queue_have_one_consumer() {
    let dir = tempfile::tempdir().unwrap();
    let queue = format!("file://{}", dir.path().display());
    let source = |name: &str, queue: &str| crate::config::Source {
        name: Some(name.into()),
        notifications: Some(Config { queue: queue.into(), ..Config::default() }),
        ..Default::default()
    };
    let sources = vec![source("a", &queue), source("b", "file:///other"), source("c", &queue), Default::default()];
    let template = json!({"location": "s3://trail-{account}", "notifications": {"queue": queue}});
    let organization = crate::config::Organization {
        name: "org".into(),
        source: template.as_object().unwrap().clone(),
        ..Default::default()
    };
    let config = crate::Config { sources, organizations: vec![organization], ..Default::default() };
    let opened = open(&config, &crate::outside::World).await.unwrap();
    let names: Vec<_> = opened.iter().map(|opened| opened.sources.join(" ")).collect();
    assert_eq!(names, ["a c org", "b"]);
}

#[tokio::test(start_paused = true)]
async fn messages_of_an_organization_wait_for_its_accounts_and_find_the_one_they_belong_to() {
    let mut bench = Bench::unready().await;
    let key = key(ACCOUNT, "eu-west-1", 1);
    bench.queue.send(&s3("trail-444455556666", &format!("deep/down/{key}")));
    bench.pass().await;
    assert_eq!(bench.queue.bodies().len(), 1, "nobody knows yet whose it is");
    let trail = |location: &str| {
        let location: Location = location.parse().unwrap();
        let config = crate::config::Source { location: Some(location.clone()), ..Default::default() };
        Arc::new(Source::new(&config, &location, bench.store.clone()))
    };
    for location in ["s3://trail-444455556666/deep/do", "s3://trail-444455556666/deep/down", "s3://trail-444455556667"]
    {
        bench.context.folders.add_source(&trail(location));
    }
    bench.context.folders.are_known();
    let object = bench.next().await;
    assert_eq!((&object.key, object.folder.source.location.as_str()), (&key, "s3://trail-444455556666/deep/down"));
    bench.acknowledge(object);
    bench.emptied().await;
    assert_eq!((bench.count("taken"), bench.count("foreign")), (1, 0));
    bench.end().await;
}

fn problems(text: &str) -> String {
    let head = "name = \"acme\"\nstate_dir = \"/x\"\n[aggregator]\nendpoint = \"http://127.0.0.1:1\"\n";
    let parsed = orgtrail_service::config::parse::<crate::Config>(Path::new("agent.toml"), &format!("{head}{text}"));
    parsed.map_or_else(|invalid| invalid.to_string(), |_| String::new())
}

#[test]
fn the_table_is_read_with_a_connection_of_its_own() {
    let text = "[[sources]]\nlocation = \"s3://bucket\"\nrole_arn = \"arn:aws:iam::111122223333:role/reader\"\n\
        [sources.notifications]\nqueue = \"arn:aws:sqs:eu-west-1:444455556666:logs\"\ndelete_when = \"delivered\"\n\
        visibility_timeout = \"2m\"\nforeign = \"park\"\nmessages_max = 50\n\
        role_arn = \"arn:aws:iam::444455556666:role/queue\"\n";
    assert_eq!(problems(text), "");
}

#[test]
fn what_is_wrong_with_the_table_is_told_with_what_to_write() {
    let source =
        |table: &str| problems(&format!("[[sources]]\nlocation = \"s3://bucket\"\n[sources.notifications]\n{table}"));
    for (table, said) in [
        ("", "sources[0].notifications.queue: missing"),
        ("queue = \"logs\"", "https://sqs.REGION.amazonaws.com"),
        ("queue = \"file:///q\"\nvisibility_timeout = \"5s\"", "from 10s to 1h"),
        ("queue = \"file:///q\"\nmessages_max = 0", "from 1 to 100000"),
        ("queue = \"file:///q\"\nregion = \"eu-west-1\"", "needs no role"),
        ("queue = \"file:///q\"\nrole_arn = \"reader\"", "no role"),
        ("queue = \"file:///q\"\ndelete_when = \"never\"", "acknowledged"),
        ("queue = \"file:///q\"\nvisibility = \"5m\"", "visibility"),
    ] {
        let problems = source(table);
        assert!(problems.contains(said), "`{said}` is missing: {problems}");
    }
    let history = problems("[[sources]]\nkind = \"lookup_events\"\n[sources.notifications]\nqueue = \"file:///q\"");
    assert!(history.contains("only buckets tell"), "{history}");
    let two = |visibility: &str| {
        format!(
            "[[sources]]\nlocation = \"s3://aaa\"\n[sources.notifications]\nqueue = \"file:///q\"\n\
             [[sources]]\nlocation = \"s3://bbb\"\n[sources.notifications]\nqueue = \"file:///q\"\nvisibility_timeout = \"{visibility}\"\n"
        )
    };
    assert_eq!(problems(&two("5m")), "");
    assert!(problems(&two("6m")).contains("write the same in both"), "{}", problems(&two("6m")));
    let template = |queue: &str| {
        problems(&format!(
            "[[sources]]\nlocation = \"s3://aaa\"\n[sources.notifications]\nqueue = \"file:///q\"\n\
             [[organizations]]\nname = \"acme\"\n[organizations.source]\nlocation = \"s3://trail-{{account}}\"\n\
             [organizations.source.notifications]\n{queue}\n"
        ))
    };
    assert_eq!(template("queue = \"file:///q\""), "");
    for (queue, said) in [
        ("queue = \"file:///q/{account}\"", "organizations[0].source.notifications: one queue tells of all accounts"),
        ("queue = \"logs\"", "organizations[0].source.notifications.queue: no queue"),
        ("queue = \"file:///q\"\nfor = 1", "unknown field `for`"),
        ("queue = \"file:///q\"\nforeign = \"park\"", "sources[0] reads the same queue in another way"),
    ] {
        let problems = template(queue);
        assert!(problems.contains(said), "`{said}` is missing: {problems}");
    }
}
