//! Redis users whose ACL does not allow every channel.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::redis::Redis;
use crate::support::*;
use wsmesh_adapter::{Bus, NodeUrl};

/// Gives the user `app` these rules on each Redis.
async fn allow(redis: &[Redis], rules: &str) {
    for redis in redis {
        let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).await.expect("connects");
        let command = format!("ACL SETUSER app {rules}\r\nQUIT\r\n");
        stream.write_all(command.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        assert!(answer.starts_with("+OK"), "{answer}");
    }
}

/// Whether each Redis has a subscriber of this channel.
async fn all_subscribed(redis: &[Redis], channel: &str) -> bool {
    for redis in redis {
        let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).await.expect("connects");
        let command = format!("PUBSUB NUMSUB {channel}\r\nQUIT\r\n");
        stream.write_all(command.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        if answer.contains("\r\n:0\r\n") {
            return false;
        }
    }
    true
}

fn bus(redis: &[Redis]) -> Bus {
    let url = |(index, redis): (usize, &Redis)| {
        let url = redis.url(&format!("redis-{index}")).replace("://", "://app:pw@");
        NodeUrl::parse(&url).expect("valid")
    };
    Bus::Redis(redis.iter().enumerate().map(url).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_forbids_a_needed_channel_is_not_heard_and_the_error_names_the_rule() {
    let redis = [Redis::start(&[])];
    let rights = "on >pw resetchannels &wsmesh:probe:* -@all +publish +subscribe +unsubscribe +ping";
    allow(&redis, rights).await;
    let one = Server::start(options("one", "ws-node", bus(&redis)));
    let nodes = one.adapter.nodes();
    let names_rule = |text: &str| text.contains("forbids the channel") && text.contains("the rule &wsmesh:*");
    until("the rule is named", || {
        nodes
            .borrow()
            .iter()
            .any(|node| node.error.as_deref().is_some_and(names_rule))
    })
    .await;
    assert!(!one.adapter.is_ready());
    allow(&redis, "&wsmesh:*").await;
    until("it is heard", || one.adapter.is_ready()).await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_channel_does_not_affect_other_channels_of_the_node() {
    let redis = [Redis::start(&[]), Redis::start(&[])];
    let rights = "on >pw resetchannels &wsmesh:* -@all +publish +subscribe +unsubscribe +ping";
    allow(&redis, rights).await;
    let bus = bus(&redis);
    let one = Server::ready(options("one", "ws-node", bus.clone())).await;
    let two = Server::ready(options("two", "ws-node", bus)).await;
    acquainted(&[&one, &two]).await;
    let undisturbed = |server: &Server| {
        let nodes = server.adapter.nodes();
        let nodes = nodes.borrow();
        nodes
            .iter()
            .all(|node| node.heard && node.reconnects == 0 && node.gaps == 0)
    };
    // At the same time, so that all channels are requested together.
    let listening = two.adapter.listen_channel("news");
    let clients = async {
        let mut clients = Vec::new();
        for n in 0..20 {
            clients.push(two.client(&format!("client-{n}")).await);
        }
        clients
    };
    let (refused, mut clients) = tokio::join!(listening, clients);
    assert!(refused.is_err(), "no node confirms it");
    let map = || serde_json::json!({"n": 1}).as_object().expect("a map").clone();
    let error = one.adapter.publish_channel("news", map()).await.expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("\"news\"") && text.contains("&news"), "{text}");
    for (n, client) in clients.iter_mut().enumerate() {
        let id = crate::support::client(&format!("client-{n}"));
        one.adapter.to_client(&id, frame("hello")).await.expect("sent");
        assert_eq!(client.frame().await, "hello");
    }
    assert!(undisturbed(&one) && undisturbed(&two));
    // With the rule, the channel works without any reconnect. Each node's task retries on its own, and a listener does
    // not wait for a node that still forbids the channel.
    allow(&redis, "&news").await;
    let start = Instant::now();
    let mut news = two.adapter.listen_channel("news").await;
    while news.is_err() || !all_subscribed(&redis, "news").await {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "confirmed once it is allowed"
        );
        if news.is_err() {
            news = two.adapter.listen_channel("news").await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut news = news.expect("confirmed");
    one.adapter.publish_channel("news", map()).await.expect("sent");
    soon("the message", news.next()).await.expect("listening");
    assert!(undisturbed(&one) && undisturbed(&two));
    one.stop().await;
    two.stop().await;
}
