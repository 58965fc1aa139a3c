use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Bus, Fault, MemoryBus};
use wsmesh_bootstrap::{CommonConfig, Problems, Profile, Secret, SecretFile, configure};
use wsmesh_test_support::until;

use super::*;
use crate::auth::AuthSettings;
use crate::settings::EdgeSettings;
use crate::{WsNode, WsNodeService};

const PATIENCE: Duration = Duration::from_secs(20);
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn bus() -> MemoryBus {
    MemoryBus::new(["redis-0", "redis-1", "redis-2"]).expect("valid")
}

/// A configuration with this secret for tokens; the demo profile without one.
fn config(bus: &MemoryBus, secret: Option<&'static str>) -> Config {
    let common = CommonConfig {
        profile: if secret.is_some() {
            Profile::Production
        } else {
            Profile::Demo
        },
        listen: Some("127.0.0.1:0".parse().expect("an address")),
        bus: Bus::Memory(bus.clone()),
        ..CommonConfig::new("edge")
    };
    let settings = EdgeSettings {
        shards: 1,
        auth: AuthSettings {
            jwt_key: secret.map(|secret| SecretFile::from_secret(Secret::new(secret))),
            ..AuthSettings::default()
        },
        ..EdgeSettings::default()
    };
    configure::<WsNodeService>(common, settings, &mut Problems::default()).expect("valid")
}

/// A ws-node that serves for as long as the test runs.
async fn serve(config: &Config) -> (WsNode, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let options = config.common.adapter_options("ws-node", prometheus::Registry::new());
    let node = WsNode::start(options, config.settings.clone()).expect("starts");
    tokio::spawn(node.serve(listener, CancellationToken::new()));
    tokio::time::timeout(PATIENCE, node.adapter().ready())
        .await
        .expect("ready");
    (node, address)
}

fn plan(address: SocketAddr, config: &Config, more: &[&str]) -> anyhow::Result<Plan> {
    let url = format!("ws://{address}/");
    let arguments = [SELFTEST, "--url", &url].into_iter().chain(more.iter().copied());
    let arguments = command().try_get_matches_from(arguments).expect("arguments");
    Plan::read(&arguments, config)
}

/// What is printed, and whether all went well.
async fn tried(plan: Plan) -> (Vec<String>, bool) {
    let mut lines = Vec::new();
    let tell = |line: Line| {
        lines.push(line.to_string());
        Ok(())
    };
    let worked = tokio::time::timeout(2 * PATIENCE, carry_out(plan, tell)).await;
    let worked = worked.expect("in time").expect("told");
    (lines, worked)
}

const EACH: &[&str] = &["--through-each-node"];

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_back_through_each_node_with_a_token_of_the_key_and_in_the_demo_without() {
    for secret in [None, Some(KEY)] {
        let bus = bus();
        let config = config(&bus, secret);
        let (_node, address) = serve(&config).await;
        let (lines, worked) = tried(plan(address, &config, EACH).expect("a plan")).await;
        assert!(worked && lines.len() == 4, "{lines:#?}");
        for (line, what) in lines.iter().zip(["websocket", "redis-0", "redis-1", "redis-2"]) {
            assert!(line.starts_with(what) && line.contains(" ok: "), "{lines:#?}");
        }
        let (lines, worked) = tried(plan(address, &config, &[]).expect("a plan")).await;
        assert!(worked && lines.len() == 2 && lines[1].starts_with("bus "), "{lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_dead_silent_or_loses_messages_fails_by_name_and_the_others_do_not() {
    for fault in [Fault::Fail, Fault::Pause, Fault::Lose] {
        let bus = bus();
        let config = config(&bus, None);
        let (node, address) = serve(&config).await;
        bus.set_fault("redis-1", fault);
        until("the ws-node has noticed", || {
            let nodes = node.adapter().nodes();
            nodes
                .borrow()
                .iter()
                .any(|node| node.id.as_str() == "redis-1" && !node.heard)
        })
        .await;
        let arguments = [EACH, &["--within", "9s"]].concat();
        let (lines, worked) = tried(plan(address, &config, &arguments).expect("a plan")).await;
        assert!(!worked && lines.len() == 4, "{fault:?}: {lines:#?}");
        assert!(
            lines[2].starts_with("redis-1") && lines[2].contains("FAILED: not heard by "),
            "{lines:#?}"
        );
        assert!(lines[1].contains(" ok: ") && lines[3].contains(" ok: "), "{lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_on_which_nothing_is_heard_is_said_and_the_websocket_is_not_blamed() {
    let (bus, dead) = (bus(), bus());
    let config = config(&bus, None);
    let (_node, address) = serve(&config).await;
    for id in ["redis-0", "redis-1", "redis-2"] {
        dead.set_fault(id, Fault::Fail);
    }
    let elsewhere = self::config(&dead, None);
    let (lines, worked) = tried(plan(address, &elsewhere, &["--within", "3s"]).expect("a plan")).await;
    assert!(!worked && lines[0].contains(" ok: "), "{lines:#?}");
    assert!(
        lines[1].contains("FAILED: no Redis node is heard (redis-0: "),
        "{lines:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_cluster_is_not_found_by_this_one() {
    let (bus, other) = (bus(), bus());
    let config = config(&bus, None);
    let (_node, address) = serve(&config).await;
    let elsewhere = self::config(&other, None);
    let (lines, worked) = tried(plan(address, &elsewhere, &["--within", "6s"]).expect("a plan")).await;
    assert!(!worked && lines[1].contains("is not connected anywhere"), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_key_is_refused_at_once_and_nothing_more_is_tried() {
    let bus = bus();
    let (config, other) = (
        config(&bus, Some(KEY)),
        config(&bus, Some("another-key-of-thirty-two-bytes-x")),
    );
    let (_node, address) = serve(&config).await;
    let (lines, worked) = tried(plan(address, &other, EACH).expect("a plan")).await;
    assert!(!worked && lines.len() == 1, "{lines:#?}");
    assert!(
        lines[0].starts_with("websocket") && lines[0].contains("HTTP 401"),
        "{lines:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_file_is_used_and_its_id_is_the_clients() {
    let bus = bus();
    let config = config(&bus, Some(KEY));
    let (_node, address) = serve(&config).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    let token = config.settings.auth.mint("ann", PATIENCE).expect("a token");
    std::fs::write(file.path(), format!("{token}\n")).expect("written");
    let path = file.path().display().to_string();
    let (lines, worked) = tried(plan(address, &config, &["--token-file", &path]).expect("a plan")).await;
    assert!(worked && lines[0].contains("client ann connected"), "{lines:#?}");
    std::fs::write(file.path(), "no token").expect("written");
    let problem = plan(address, &config, &["--token-file", &path])
        .err()
        .expect("no token");
    assert!(problem.to_string().contains("holds no token"), "{problem:#}");
    let problem = plan(address, &config, &["--token-file", "/does/not/exist"])
        .err()
        .expect("no file");
    assert!(
        problem.to_string().contains("/does/not/exist cannot be read"),
        "{problem:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_listens_is_said_within_the_time_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let config = config(&bus(), None);
    let (lines, worked) = tried(plan(address, &config, &["--within", "1s"]).expect("a plan")).await;
    assert!(!worked && lines.len() == 1, "{lines:#?}");
    assert!(lines[0].contains("FAILED: no connection in time: "), "{lines:#?}");
    assert!(lines[0].contains("refused"), "{lines:#?}");
}

#[test]
fn without_a_token_or_without_redis_there_is_no_plan_and_the_sentence_says_what_is_missing() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut without = config(&bus(), Some(KEY));
    without.settings.auth.jwt_key = None;
    let problem = plan(address, &without, &[]).err().expect("no token");
    assert!(problem.to_string().contains("--token-file"), "{problem:#}");
    let mut alone = config(&bus(), None);
    alone.common.bus = Bus::Alone;
    let problem = plan(address, &alone, &[]).err().expect("no bus");
    assert!(problem.to_string().contains("no Redis node is set"), "{problem:#}");
}
