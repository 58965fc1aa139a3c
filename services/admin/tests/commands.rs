//! `admin doctor` and `admin top` as processes, on real Redis.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use wsmesh_adapter::{Adapter, Bus, Driver, NodeUrl, Options, ServerName, ServiceName, Started};
use wsmesh_test_support::redis::Redis;

fn admin(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_admin"));
    command.args(arguments).env_clear();
    command
}

async fn run(arguments: &[&str]) -> Output {
    let mut command = admin(arguments);
    let running = tokio::task::spawn_blocking(move || command.output());
    running.await.expect("no panic").expect("it starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// What `admin doctor --json` says about these nodes, and its exit code.
async fn diagnosis(nodes: &str) -> (Option<i32>, Value) {
    let output = run(&["doctor", "--json", "--profile", "demo", "--redis", nodes]).await;
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), document)
}

/// `about: what` of the findings of a part.
fn findings(diagnosis: &Value, part: &str) -> Vec<String> {
    let parts = diagnosis["parts"].as_array().expect("parts");
    let part = parts.iter().find(|other| other["part"] == part).expect("the part");
    let findings = part["findings"].as_array().expect("findings").iter();
    findings
        .map(|finding| {
            for field in ["severity", "about", "what"] {
                assert_ne!(finding[field], "", "{finding}");
            }
            format!(
                "{}: {}",
                finding["about"].as_str().expect("text"),
                finding["what"].as_str().expect("text")
            )
        })
        .collect()
}

async fn server(name: &str, urls: &[String]) -> (Adapter, Driver) {
    let service = ServiceName::new("ws-node").expect("a name");
    let mut options = Options::new(ServerName::new(name).expect("a name"), service);
    let urls = urls.iter().map(|url| NodeUrl::parse(url).expect("valid"));
    options.bus = Bus::Redis(urls.collect());
    options.version = wsmesh_bootstrap::VERSION.to_owned();
    let Started { adapter, driver, .. } = Adapter::start(options).expect("valid");
    let ready = tokio::time::timeout(Duration::from_secs(15), adapter.ready());
    ready.await.expect("ready in time");
    (adapter, driver)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_finds_nothing_wrong_with_a_healthy_cluster_and_the_dead_node_of_another() {
    let mut redis = [Redis::start(&[]), Redis::start(&[])];
    let urls = [redis[0].url("redis-0"), redis[1].url("redis-1")];
    let (one, _driver) = server("ws-0", &urls).await;
    let (code, healthy) = diagnosis(&urls.join(",")).await;
    assert_eq!((code, &healthy["problems"]), (Some(0), &Value::from(0)), "{healthy:#}");
    assert_eq!(findings(&healthy, "topology"), [""; 0]);
    assert_eq!(healthy["parts"][2]["lookedAt"], "1 ws-node");
    assert_eq!(one.differences(), []);

    redis[1].kill();
    let (code, ill) = diagnosis(&urls.join(",")).await;
    assert_eq!((code, &ill["verdict"]), (Some(1), &Value::from("problem")), "{ill:#}");
    let found = findings(&ill, "redis");
    assert!(
        found.len() == 1 && found[0].starts_with("redis-1: cannot connect"),
        "{found:?}"
    );
    assert_eq!(findings(&ill, "topology"), [""; 0], "one fault is one finding");
    assert_eq!(ill["parts"][1]["lookedAt"], "1 of 2 nodes in use, 1 server");
    assert_eq!(findings(&ill, "servers"), [""; 0]);
    let nodes: Vec<_> = one.topology().into_iter().map(|node| node.id.to_string()).collect();
    assert_eq!(nodes, ["redis-0", "redis-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_is_named_and_the_others_are_looked_at() {
    let redis = [Redis::start(&[]), Redis::start(&[])];
    let urls = [redis[0].url("redis-0"), redis[1].url("redis-1")];
    redis[1].pause().expect("paused");
    let start = Instant::now();
    let (code, diagnosis) = diagnosis(&urls.join(",")).await;
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(code, Some(1), "{diagnosis:#}");
    let found = findings(&diagnosis, "redis");
    assert!(found[0].starts_with("redis-1: "), "the problem comes first: {found:?}");
    // That they are not the same Redis cannot be known.
    let is_note = |finding: &String| finding.contains("cannot be compared with node redis-1");
    let others: Vec<_> = found
        .iter()
        .filter(|finding| finding.starts_with("redis-0: "))
        .collect();
    assert!(others.into_iter().all(is_note), "{found:?}");
    assert!(findings(&diagnosis, "servers")[0].starts_with("servers: no other server runs"));
    redis[1].resume().expect("resumed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_without_a_redis_says_what_to_set_and_bad_settings_end_with_64() {
    let output = run(&["doctor", "--profile", "demo"]).await;
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(printed.contains("problem --redis: no Redis node is set"), "{printed}");
    assert!(printed.contains("fix  export WSMESH_REDIS="), "{printed}");
    assert!(
        printed.ends_with("something is wrong: 1 problem; 4 parts not checked\n"),
        "{printed}"
    );
    assert_eq!(text(&output.stderr), "");
    let output = run(&["doctor", "--redis", "nonsense://"]).await;
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("--redis") && text(&output.stderr).contains("--token-file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_top_that_is_not_at_a_terminal_says_what_to_use() {
    let output = run(&["top", "--url", "http://127.0.0.1:1/admin/"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "admin: this is no terminal: use admin top --once for a table, or curl http://127.0.0.1:1/admin/api/v1/stats for the \
         numbers\n"
    );
    let output = run(&["top", "--once", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    assert!(
        text(&output.stderr).starts_with("admin: http://127.0.0.1:1/api/v1/events: "),
        "{output:?}"
    );
    assert_eq!(run(&["top", "--redis", "a:1"]).await.status.code(), Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_have_a_help() {
    for (command, words) in [
        ("doctor", ["--json", "deploy/wsmesh-admin", "--redis-password-file"]),
        ("top", ["--once", "--token-file", "WSMESH_TOKEN_FILE"]),
    ] {
        let output = run(&[command, "--help"]).await;
        let help = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0));
        assert!(words.iter().all(|word| help.contains(word)), "{help}");
    }
    let output = run(&["top", "--help"]).await;
    assert!(!text(&output.stdout).contains("--redis"));
}
