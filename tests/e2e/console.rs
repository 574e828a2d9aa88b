//! The console among the other processes: the operator's verbs know it, and `orgtrail up` runs it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use orgtrail_cli::port::free_port;
use orgtrail_tests::process::{Process, run};
use orgtrail_tests::site::Site;

fn ask(port: u16, operation: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost:{port}\r\nX-Amz-Target: CloudTrail_20131101.{operation}\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn up_runs_the_console_beside_the_aggregator_and_every_verb_takes_its_file() {
    let site = Site::new();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    let port = free_port().unwrap();
    let config = format!(
        "[console]\nlisten = \"127.0.0.1:{port}\"\n[[console.trails]]\nname = \"org-trail\"\naccount_id = \"111122223333\"\n\
         home_region = \"us-east-1\"\nlocation = \"file://{}\"\npublic_keys = \"{}\"\n",
        site.trail_dir().display(),
        site.state("aggregator").join("public-keys.json").display()
    );
    let path = site.root().join("console.toml");
    std::fs::write(&path, config).unwrap();
    let path = path.display().to_string();

    let (code, output, _) = run("orgtrail", &["config", "check", &path]).unwrap();
    assert!(code == 0 && output.contains("for orgtrail-console, no problems"), "{output}");

    let root = site.root().display().to_string();
    let mut up = Process::start("orgtrail", &["up", "--config", &root], &[], site.root()).unwrap();
    up.wait_for("console is up").unwrap();
    up.wait_for("aggregator is up").unwrap();
    let answer = ask(port, "DescribeTrails");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"S3BucketName\":\"org-trail\""), "{answer}");
    let answer = ask(port, "ListPublicKeys");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("{\"PublicKeyList\":[]}"), "{answer}");
    assert!(up.stop().unwrap().success(), "{}", up.output());

    let (code, output, errors) = run("orgtrail", &["status", "--config", &path]).unwrap();
    assert!(code == 0 && output.contains("orgtrail-console") && output.contains("keeps no state"), "{output}{errors}");
    let (code, output, errors) = site.verb(&["status", "--json"]).unwrap();
    assert!(code == 2 && output.contains("orgtrail-aggregator"), "the aggregator doesn't run: {output}{errors}");
    let (code, output, errors) = site.verb(&["quarantine", "list"]).unwrap();
    assert_eq!(code, 0, "{output}{errors}");
}
