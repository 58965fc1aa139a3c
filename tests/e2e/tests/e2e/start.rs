//! Starting: errors say what to do, and the exit code tells the kind of error.

use std::io::Write;

use e2e::{Client, Ended, Process, Redis, free_port};
use serde_json::json;

async fn ends(service: &str, arguments: &[&str]) -> Ended {
    Process::start(service, arguments).ended().await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_wrong_is_listed_at_once_with_exit_code_64() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(file, "shardz = 3\nprofile = \"maybe\"").expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let wrong = [
        "--redis=http://nowhere",
        "--redis=redis://a#x",
        "--name=",
        "--config",
        path,
    ];
    for service in ["ws-node", "game-logic", "admin"] {
        let Ended { code, log } = ends(service, &wrong).await;
        assert_eq!(code, Some(64), "{log}");
        for expected in ["shardz", "maybe", "http:// is not a Redis URL", "server name is empty"] {
            assert!(log.contains(expected), "{service} does not say {expected:?}:\n{log}");
        }
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn production_refuses_to_start_without_authentication() {
    for service in ["ws-node", "admin"] {
        let Ended { code, log } = ends(service, &[]).await;
        assert_eq!(code, Some(64), "{log}");
        assert!(log.contains("file") && log.contains("production"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_the_flag_that_changes_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let listen = format!("--listen=127.0.0.1:{port}");
    let ops = format!("--ops-listen=127.0.0.1:{}", free_port());
    let process = Process::start_bare("ws-node", [&*listen, &*ops, "--profile=demo"]);
    let Ended { code, log } = process.ended().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&port.to_string()) && log.contains("--listen"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_logged_and_the_server_is_not_ready() {
    let redis = Redis::start(&["--requirepass", "right"]);
    let url = format!("--redis=redis://:wr0ng@127.0.0.1:{}#a", redis.port);
    let node = Process::start("ws-node", &[&url, "--profile=demo"]);
    node.logs("WRONGPASS").await;
    assert!(!node.log().contains("wr0ng"), "{}", node.log());
    let ready = e2e::get(&format!("http://127.0.0.1:{}/readyz", node.ops_port))
        .await
        .expect("an answer");
    assert_eq!(ready.status(), 503);
    let mut password = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(password, "right").expect("written");
    let url = format!("--redis={}", redis.url("a"));
    let file = format!("--redis-password-file={}", password.path().display());
    Process::start("ws-node", &[&url, &file, "--profile=demo"])
        .ready()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_of_the_same_name_ends_and_logs_why() {
    let redis = Redis::start(&[]);
    let url = format!("--redis={}", redis.url("a"));
    let arguments = ["--name=same", &*url, "--profile=demo"];
    let mut first = Process::start("ws-node", &arguments);
    first.ready().await;
    let mut client = Client::connect(&format!("{}?id=1", first.ws())).await;
    let Ended { code, log } = ends("ws-node", &arguments).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("another live server is called same"), "{log}");
    assert!(client.is_served().await, "the first one goes on");
    first.signal("-TERM");
    assert_eq!(first.ended().await.code, Some(0));
    Process::start("ws-node", &arguments).ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_alone_logs_that_and_serves() {
    let mut node = Process::start("ws-node", &["--profile=demo"]);
    node.ready().await;
    let mut client = Client::connect(&format!("{}?id=1", node.ws())).await;
    assert!(client.is_served().await);
    assert_eq!(client.request("gamePing", json!({})).await["errorCode"], "UNAVAILABLE");
    let log = node.log();
    assert!(log.contains("alone") || log.contains("single"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tokens_let_clients_in_in_production() {
    let mut key = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(key, "a key for this test that is long enough to be one").expect("written");
    let key = format!("--jwt-key-file={}", key.path().display());
    let mut node = Process::start("ws-node", &[&key]);
    node.ready().await;
    let minted = Process::start_bare("ws-node", ["token", "--id=888", &*key])
        .ended()
        .await;
    assert_eq!(minted.code, Some(0), "{}", minted.log);
    let token = minted.log.trim();
    let refused = Client::try_connect(&format!("{}?id=888", node.ws()))
        .await
        .expect_err("no token");
    assert!(refused.starts_with("401"), "{refused}");
    let broken = Client::try_connect(&format!("{}?token={token}x", node.ws()))
        .await
        .expect_err("a broken token");
    assert!(broken.starts_with("401"), "{broken}");
    let mut client = Client::connect(&format!("{}?token={token}", node.ws())).await;
    assert_eq!(
        client.request("command", json!({"action": "broadcast"})).await["errorCode"],
        "UNKNOWN_EVENT"
    );
    assert!(!node.log().contains(token), "tokens do not reach the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_in_force_is_printed_without_secrets() {
    let url = "--redis=redis://me:hush@10.0.0.1:6379#a";
    let arguments = ["--print-config", "--profile=demo", url, "--name=n1"];
    for service in ["ws-node", "game-logic", "admin"] {
        let printed = Process::start_bare(service, arguments).ended().await;
        assert_eq!(printed.code, Some(0), "{}", printed.log);
        assert!(
            printed.log.contains("n1") && printed.log.contains("10.0.0.1:6379"),
            "{}",
            printed.log
        );
        assert!(!printed.log.contains("hush"), "{}", printed.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_a_subcommand() {
    let mut node = Process::start("ws-node", &["--profile=demo"]);
    node.ready().await;
    let ops = format!("--ops-listen=127.0.0.1:{}", node.ops_port);
    assert_eq!(
        Process::start_bare("ws-node", ["healthcheck", &*ops])
            .ended()
            .await
            .code,
        Some(0)
    );
    let dead = format!("--ops-listen=127.0.0.1:{}", free_port());
    assert_eq!(
        Process::start_bare("ws-node", ["healthcheck", &*dead])
            .ended()
            .await
            .code,
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_is_in_the_readme_of_its_service_or_of_bootstrap() {
    let common = include_str!("../../../../services/bootstrap/README.md");
    for (service, own) in [
        ("ws-node", include_str!("../../../../services/ws-node/README.md")),
        ("game-logic", include_str!("../../../../services/game-logic/README.md")),
        ("admin", include_str!("../../../../services/admin/README.md")),
    ] {
        let help = Process::start_bare(service, ["--help"]).ended().await.log;
        let flags: Vec<&str> = help
            .split_whitespace()
            .filter(|word| word.starts_with("--"))
            .map(|word| {
                word.split(['[', '=', '.', ',', ';', ':', '"', ')'])
                    .next()
                    .unwrap_or(word)
            })
            .filter(|flag| !["--help", "--version"].contains(flag))
            .collect();
        assert!(flags.len() > 15, "{help}");
        for flag in flags {
            let written = [format!("`{flag}`"), format!("`{flag} ")];
            let documented = |readme: &&str| written.iter().any(|written| readme.contains(written));
            assert!(
                [own, common].iter().any(documented),
                "{service} {flag} is missing in services/{service}/README.md"
            );
        }
    }
}

#[test]
fn every_member_of_the_workspace_is_in_the_context_of_the_images() {
    let (manifest, ignored, dockerfile) = (
        include_str!("../../../../Cargo.toml"),
        include_str!("../../../../.dockerignore"),
        include_str!("../../../../services/Dockerfile"),
    );
    let members = manifest
        .split("members = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next());
    for member in members.expect("members").split(',') {
        let member = member.trim().trim_matches('"');
        let top = member.split('/').next().expect("a folder");
        assert!(
            ignored.lines().any(|line| line == format!("!{top}")),
            "{member}: .dockerignore"
        );
        assert!(!ignored.lines().any(|line| line == member), "{member}: .dockerignore");
        let copy = format!("COPY {top} {top}");
        assert!(
            dockerfile.lines().any(|line| line == copy),
            "{member}: services/Dockerfile"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_start_is_ten_lines_at_most_and_says_version_and_addresses() {
    let redis: Vec<_> = (0..3).map(|_| Redis::start(&[])).collect();
    let urls = redis.iter().enumerate();
    let urls: Vec<_> = urls.map(|(n, redis)| redis.url(&format!("redis-{n}"))).collect();
    let nodes = format!("--redis={}", urls.join(","));
    let mut running = Vec::new();
    for service in ["game-logic", "game-logic", "admin", "ws-node", "ws-node"] {
        let mut process = Process::start(service, &[&nodes, "--profile=demo", "--log-format=json"]);
        process.ready().await.logs("this server takes part").await;
        let log = process.log();
        let lines = log.lines().count();
        assert!(lines <= 10, "{service} starts with {lines} lines:\n{log}");
        let first = log
            .lines()
            .find(|line| line.contains("starting "))
            .expect("the first line");
        for part in ["version", &process.ops_port.to_string(), &process.port.to_string()] {
            assert!(first.contains(part), "{part} in {first}");
        }
        let last = log
            .lines()
            .find(|line| line.contains("takes part"))
            .expect("the last line");
        assert!(last.contains(r#""nodes":"#) && last.contains(r#""servers":"#), "{last}");
        running.push(process);
    }
}
