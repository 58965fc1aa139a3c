//! One login or many: which connections stay when one client id logs in several times, on one server or on several, at any
//! moment.

mod common;

use std::time::Duration;

use common::{Client, PATIENCE, Server, bus, demo, sees, until};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;
use ws_node::{EdgeSettings, LoginPolicy};
use wsmesh_adapter::{ClientId, Fault, Frame, MemoryBus};

fn settings(policy: LoginPolicy, most: usize) -> EdgeSettings {
    EdgeSettings {
        login_policy: policy,
        logins_per_client: most,
        ..demo()
    }
}

async fn servers(count: usize, bus: &MemoryBus, settings: EdgeSettings) -> Vec<Server> {
    let mut servers = Vec::new();
    for index in 0..count {
        servers.push(Server::start(&format!("ws-{index}"), bus, settings.clone()).await);
    }
    for server in &servers {
        sees(server.node.adapter(), count).await;
    }
    servers
}

fn id(text: &str) -> ClientId {
    ClientId::new(text).expect("valid")
}

fn connected(servers: &[Server], client: &str) -> usize {
    let client = id(client);
    let counts = servers
        .iter()
        .map(|server| server.node.adapter().connections(&client).len());
    counts.sum()
}

/// `each` logins of one id on every server at once, many times: exactly `most` stay, and stay to the end; the others are
/// closed with `code`.
async fn at_once(servers: &[Server], each: usize, most: usize, code: u16, rounds: usize) {
    let mut stayed = Vec::new();
    for round in 0..rounds {
        let name = format!("c{}-{round}", servers.len());
        let logins = servers.iter().flat_map(|server| std::iter::repeat_n(server, each));
        let clients = join_all(logins.map(|server| server.client(&name))).await;
        let total = clients.len();
        // A read returns on a closed connection, and waits on an open one.
        let (sender, mut closed) = tokio::sync::mpsc::unbounded_channel();
        let reading = clients.into_iter().map(|mut client| {
            let sender = sender.clone();
            tokio::spawn(async move {
                let code = close_code(&mut client).await;
                let _test_is_over = sender.send(code);
            })
        });
        let reading: Vec<_> = reading.collect();
        for _ in most..total {
            let got = timeout(PATIENCE, closed.recv()).await;
            assert_eq!(got.expect("one too many stays"), Some(Some(code)), "round {round}");
        }
        until("the others are gone", || connected(servers, &name) == most).await;
        stayed.push((name, closed, reading));
    }
    for (name, mut closed, reading) in stayed {
        assert!(closed.try_recv().is_err(), "{name}: one was closed too many");
        assert_eq!(connected(servers, &name), most, "{name}");
        reading.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// As [`Client::close_code`], without a time limit.
async fn close_code(client: &mut Client) -> Option<u16> {
    use futures_util::StreamExt;
    use tokio_tungstenite::tungstenite::Message;
    while let Some(Ok(message)) = client.socket.next().await {
        if let Message::Close(frame) = message {
            return frame.map(|frame| frame.code.into());
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn of_logins_at_the_same_moment_on_different_servers_exactly_one_stays() {
    for (count, rounds) in [(2, 150), (3, 100), (5, 50)] {
        let bus = bus();
        let servers = servers(count, &bus, settings(LoginPolicy::Newest, 1)).await;
        at_once(&servers, 1, 1, 4012, rounds).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_logins_at_the_same_moment_exactly_the_allowed_number_stays() {
    let bus = bus();
    let servers = servers(3, &bus, settings(LoginPolicy::Newest, 2)).await;
    at_once(&servers, 2, 2, 4012, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_logins_at_the_same_moment_the_oldest_stays_and_the_others_are_sent_away() {
    for (count, each, most, rounds) in [(2, 1, 1, 60), (3, 2, 2, 40)] {
        let bus = bus();
        let servers = servers(count, &bus, settings(LoginPolicy::Oldest, most)).await;
        at_once(&servers, each, most, 1013, rounds).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_login_stays_wherever_it_is_and_is_served_at_once() {
    let bus = bus();
    let servers = servers(2, &bus, settings(LoginPolicy::Newest, 1)).await;
    let mut former = servers[0].client("ann").await.settled().await;
    for turn in 1..20 {
        let newer = servers[turn / 2 % 2].client("ann").await.settled().await;
        assert_eq!(former.close_code().await, Some(4012), "turn {turn}");
        former = newer;
    }
    assert_eq!(former.request("echo", json!(1)).await, json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_returns_while_its_old_connection_is_half_dead_gets_what_is_sent_from_there() {
    let bus = bus();
    let mut slow = settings(LoginPolicy::Newest, 1);
    slow.close_timeout = Duration::from_secs(60);
    let servers = servers(2, &bus, slow).await;
    let half_dead = servers[0].client("ann").await.settled().await;
    let mut back = servers[1].client("ann").await.settled().await;
    let old_home = servers[0].node.adapter();
    until("the old one counts as gone", || !old_home.is_here(&id("ann"))).await;
    assert_eq!(servers[0].node.stats()()["connections"], 1, "its peer has not answered");
    let frame = Frame::new(r#"{"event":"say","payload":"hello"}"#);
    old_home.to_client(&id("ann"), frame).await.expect("sent");
    assert_eq!(back.frame().await["payload"], "hello");
    drop(half_dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_login_stays_until_it_goes() {
    let bus = bus();
    let servers = servers(2, &bus, settings(LoginPolicy::Oldest, 1)).await;
    let mut first = servers[0].client("ann").await.settled().await;
    for server in &servers {
        assert_eq!(server.client("ann").await.close_code().await, Some(1013));
    }
    assert_eq!(first.request("echo", json!(1)).await, json!({"ok": true}));
    drop(first);
    until("it has left", || connected(&servers, "ann") == 0).await;
    let mut second = servers[1].client("ann").await.settled().await;
    assert_eq!(second.request("echo", json!(1)).await, json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_policy_many_all_logins_stay_and_get_what_is_sent_to_the_client() {
    let bus = bus();
    let servers = servers(2, &bus, settings(LoginPolicy::Many, 1)).await;
    let mut clients = Vec::new();
    for server in [&servers[0], &servers[0], &servers[1]] {
        clients.push(server.client("ann").await.settled().await);
    }
    for (payload, server) in servers.iter().enumerate() {
        let frame = Frame::new(json!({"event": "say", "payload": payload}).to_string());
        server.node.adapter().to_client(&id("ann"), frame).await.expect("sent");
        for client in &mut clients {
            assert_eq!(client.frame().await["payload"], payload);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_during_an_outage_of_the_bus_are_claimed_when_it_is_back() {
    let bus = bus();
    let servers = servers(2, &bus, settings(LoginPolicy::Newest, 1)).await;
    for node in ["a", "b", "c"] {
        assert!(bus.set_fault(node, Fault::Fail));
    }
    let mut older = servers[0].client("ann").await;
    until("the older one is there first", || connected(&servers, "ann") == 1).await;
    let newer = servers[1].client("ann").await;
    for node in ["a", "b", "c"] {
        assert!(bus.set_fault(node, Fault::None));
    }
    assert_eq!(timeout(PATIENCE * 2, close_code(&mut older)).await, Ok(Some(4012)));
    let _newer = newer.settled().await;
    until("the newer one is left", || connected(&servers, "ann") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_of_one_client_during_an_outage_are_claimed_together() {
    let bus = bus();
    let servers = servers(2, &bus, settings(LoginPolicy::Newest, 1)).await;
    let mut elsewhere = servers[1].client("ann").await.settled().await;
    for node in ["a", "b", "c"] {
        assert!(bus.set_fault(node, Fault::Fail));
    }
    let clients = join_all((0..20).map(|_| servers[0].client("ann"))).await;
    let retried = || counted(&servers[0], "wsmesh_logins_total", "retried");
    until("a claim has failed", || retried() > 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(retried() <= 3, "{} tries", retried());
    for node in ["a", "b", "c"] {
        assert!(bus.set_fault(node, Fault::None));
    }
    assert_eq!(timeout(PATIENCE * 2, close_code(&mut elsewhere)).await, Ok(Some(4012)));
    until("one is left", || connected(&servers, "ann") == 1).await;
    drop(clients);
}

/// The value of a counter with this label.
fn counted(server: &Server, name: &str, label: &str) -> u64 {
    let families = server.registry.gather();
    let has_label = |pair: &prometheus::proto::LabelPair| pair.value() == label;
    let family = families.iter().find(|family| family.name() == name);
    let mut metrics = family.into_iter().flat_map(|family| family.get_metric());
    let found = metrics.find(|metric| metric.get_label().iter().any(has_label));
    found.map_or(0, |metric| metric.get_counter().get_value() as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_different_login_policies_log_it() {
    let bus = bus();
    let one = Server::start("ws-0", &bus, settings(LoginPolicy::Newest, 1)).await;
    let two = Server::start("ws-1", &bus, settings(LoginPolicy::Oldest, 1)).await;
    for server in [&one, &two] {
        sees(server.node.adapter(), 2).await;
    }
    let differences = one.node.adapter().differences();
    let [difference] = &differences[..] else {
        panic!("{differences:?}");
    };
    assert_eq!(
        (
            difference.setting.as_str(),
            difference.theirs.as_str(),
            difference.ours.as_str()
        ),
        ("login_policy", "oldest", "newest")
    );
}
