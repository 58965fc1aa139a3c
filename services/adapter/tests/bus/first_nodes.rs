//! Servers that are told no node, and find the first ones: nothing yet, errors, nodes that appear, are replaced, or were drained.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wsmesh_adapter::{Bus, FirstNodes, FoundNodes, NodeId, NodeState, NodeUrl, Options};

use crate::support::redis::Redis;
use crate::support::{Server, acquainted, bob_is_reached, options, soon, until};

/// What is found, as a test sets it.
#[derive(Debug, Clone)]
struct Found {
    login: NodeUrl,
    now: Arc<Mutex<FoundNodes>>,
    looks: Arc<Mutex<u32>>,
}

impl Found {
    fn new(now: FoundNodes) -> Self {
        Self {
            login: url("redis://:secret@redis#redis"),
            now: Arc::new(Mutex::new(now)),
            looks: Arc::default(),
        }
    }

    fn set(&self, now: FoundNodes) {
        *self.now.lock() = now;
    }

    fn options(&self, name: &str) -> Options {
        Options {
            first_nodes: Some(Arc::new(self.clone())),
            ..options(name, "ws-node", Bus::Redis(Vec::new()))
        }
    }
}

impl FirstNodes for Found {
    fn login(&self) -> &NodeUrl {
        &self.login
    }

    fn find(&self) -> Pin<Box<dyn Future<Output = FoundNodes> + Send + '_>> {
        *self.looks.lock() += 1;
        let now = self.now.lock().clone();
        Box::pin(async { now })
    }
}

fn url(text: &str) -> NodeUrl {
    NodeUrl::parse(text).expect("valid")
}

fn locked() -> Redis {
    Redis::start(&["--requirepass", "secret"])
}

fn nodes(redis: &[(&Redis, &str)]) -> FoundNodes {
    Ok(redis.iter().map(|(redis, id)| url(&redis.url(id))).collect())
}

fn ids(server: &Server) -> Vec<String> {
    server
        .adapter
        .topology()
        .iter()
        .map(|node| node.id.to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_its_first_nodes_whatever_goes_wrong_and_uses_them_with_the_login_of_the_service() {
    let found = Found::new(Err("DNS says nothing".to_owned()));
    let one = Server::start(found.options("one"));
    until("it looks again", || *found.looks.lock() > 1).await;
    assert!(!one.adapter.is_ready() && one.adapter.topology().is_empty());
    found.set(Ok(Vec::new()));
    let before = *found.looks.lock();
    until("it looks again", || *found.looks.lock() > before + 1).await;
    let redis = [locked(), locked()];
    found.set(nodes(&[(&redis[0], "redis-0"), (&redis[1], "redis-1")]));
    soon("ready", one.adapter.ready()).await;
    // Another one is told its nodes: they meet.
    let told = |(index, redis): (usize, &Redis)| url(&redis.url(&format!("redis-{index}"))).with_password("secret");
    let bus = Bus::Redis(redis.iter().enumerate().map(told).collect());
    let two = Server::ready(options("two", "ws-node", bus)).await;
    acquainted(&[&one, &two]).await;
    let mut bob = two.client("bob").await;
    bob_is_reached(&one, &mut bob).await;
    assert!(one.adapter.differences().is_empty(), "{:?}", one.adapter.differences());
    assert!(!format!("{:?}", one.adapter.topology()).contains("secret"));
}

fn hears(server: &Server, id: &str) -> bool {
    let nodes = server.adapter.nodes();
    nodes.borrow().iter().any(|node| node.heard && node.id.as_str() == id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hears_none_finds_those_that_replaced_them() {
    let mut old = locked();
    let found = Found::new(nodes(&[(&old, "redis-0")]));
    let one = Server::ready(found.options("one")).await;
    assert_eq!(ids(&one), ["redis-0"]);
    old.kill();
    until("it hears none", || !hears(&one, "redis-0")).await;
    let new = locked();
    found.set(nodes(&[(&old, "redis-0"), (&new, "redis-1")]));
    until("the new one is heard", || hears(&one, "redis-1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_found_different_nodes_meet_once_both_are_found() {
    let redis = [locked(), locked()];
    let of_one = Found::new(nodes(&[(&redis[0], "redis-0")]));
    let of_two = Found::new(nodes(&[(&redis[1], "redis-1")]));
    let one = Server::ready(of_one.options("one")).await;
    let two = Server::ready(of_two.options("two")).await;
    assert_eq!(
        (ids(&one), ids(&two)),
        (vec!["redis-0".to_owned()], vec!["redis-1".to_owned()])
    );
    let both = nodes(&[(&redis[0], "redis-0"), (&redis[1], "redis-1")]);
    of_one.set(both.clone());
    of_two.set(both);
    acquainted(&[&one, &two]).await;
    until("both are heard", || hears(&one, "redis-1") && hears(&two, "redis-0")).await;
    let mut bob = two.client("bob").await;
    bob_is_reached(&one, &mut bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_drained_stays_gone_although_it_is_still_found() {
    let redis = [locked(), locked()];
    let both = nodes(&[(&redis[0], "redis-0"), (&redis[1], "redis-1")]);
    let found = Found::new(both);
    let mut options = found.options("one");
    options.replay_window = Duration::from_millis(500);
    let one = Server::ready(options).await;
    let id = NodeId::new("redis-1").expect("valid");
    soon("drained", async {
        while one.adapter.drain_node(&id).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let is_gone = |server: &Server| {
        let topology = server.adapter.topology();
        topology
            .iter()
            .any(|node| node.id == id && node.state == NodeState::Gone)
    };
    until("gone", || is_gone(&one)).await;
    let late = Found::new(nodes(&[(&redis[0], "redis-0"), (&redis[1], "redis-1")]));
    let mut options = late.options("late");
    options.replay_window = Duration::from_millis(500);
    let two = Server::ready(options).await;
    acquainted(&[&one, &two]).await;
    until("the late one learns it", || is_gone(&two)).await;
    assert!(is_gone(&one), "a suggestion is older than any change");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_for_its_first_node_ends_at_once() {
    let found = Found::new(Ok(Vec::new()));
    let one = Server::start(found.options("one"));
    until("it looks", || *found.looks.lock() > 0).await;
    soon("the end", one.stop()).await;
}
