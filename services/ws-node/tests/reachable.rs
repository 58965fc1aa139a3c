//! A connected client can be reached by other servers from the moment of the 101 answer on.

mod common;

use std::time::{Duration, Instant};

use common::{Client, PATIENCE, Server, bus, demo, sees, until};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use ws_node::EdgeSettings;
use wsmesh_adapter::{ClientId, Fault, Frame, LinkFault, MemoryBus, Presence, Scope};

const NODES: [&str; 3] = ["a", "b", "c"];

fn all(bus: &MemoryBus, fault: Fault) {
    for node in NODES {
        bus.set_fault(node, fault);
    }
}

fn id(id: &str) -> ClientId {
    ClientId::new(id).expect("valid")
}

fn say(text: &str) -> Frame {
    Frame::new(json!({"event": "say", "payload": text}).to_string())
}

fn upgrade(id: &str) -> String {
    format!(
        "GET /?id={id} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_answered_once_the_other_servers_can_reach_it() {
    let bus = bus();
    let edge = Server::start("edge", &bus.seen_from("edge"), demo()).await;
    let other = Server::start("other", &bus, demo()).await;
    sees(other.node.adapter(), 2).await;
    let hang = |fault| NODES.iter().for_each(|node| bus.set_link("edge", node, fault));
    let mut tried = 0;
    loop {
        let name = format!("client-{tried}");
        let url = format!("ws://{}/?id={name}", edge.address);
        let begun = Instant::now();
        // The nodes confirm nothing for a moment.
        hang(LinkFault::Hang);
        let connecting = tokio::spawn(async move { Client::connect(&url).await });
        until("the client is attached", || edge.node.adapter().is_here(&id(&name))).await;
        let early = connecting.is_finished();
        hang(LinkFault::None);
        let mut client = connecting.await.expect("no panic").expect("upgrades");
        // A server waits for half a second only: on a busy machine the moment may have been longer.
        tried += 1;
        if begun.elapsed() > Duration::from_millis(450) && tried < 50 {
            continue;
        }
        assert!(!early, "it was answered before");
        let sent = other.node.adapter().to_client(&id(&name), say("at once")).await;
        assert_eq!(sent.expect("sent"), Presence::Elsewhere);
        assert_eq!(client.frame().await["payload"], "at once");
        return;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_for_a_client_that_is_not_answered_yet_follow_the_answer_in_order() {
    for shards in [1, 2] {
        let bus = bus();
        let settings = EdgeSettings { shards, ..demo() };
        let edge = Server::start("edge", &bus, settings).await;
        all(&bus, Fault::Pause);
        let mut stream = edge.raw().await;
        stream.write_all(upgrade("ann").as_bytes()).await.expect("sends");
        let adapter = edge.node.adapter();
        until("the client is attached", || adapter.is_here(&id("ann"))).await;
        let presence = adapter.to_client(&id("ann"), say("one")).await.expect("sent");
        assert_eq!(presence, Presence::Here);
        adapter.to_everyone(say("two"), Scope::Local).await.expect("sent");
        all(&bus, Fault::None);
        let mut heard = Vec::new();
        let reading = async {
            while !heard.ends_with(br#""two"}"#) {
                assert_ne!(stream.read_buf(&mut heard).await.expect("reads"), 0, "closed");
            }
        };
        timeout(PATIENCE, reading).await.expect("all of it comes");
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(heard.starts_with("HTTP/1.1 101 "), "{heard}");
        let (_, frames) = heard.split_once("\r\n\r\n").expect("a head");
        assert!(frames.find("one") < frames.find("two"), "{frames}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_its_upgrade_answer_is_detached_again() {
    let bus = bus();
    let edge = Server::start("edge", &bus, demo()).await;
    for _ in 0..5 {
        all(&bus, Fault::Pause);
        let mut stream = edge.raw().await;
        stream.write_all(upgrade("ann").as_bytes()).await.expect("sends");
        let adapter = edge.node.adapter();
        until("the client is attached", || adapter.is_here(&id("ann"))).await;
        // The connection is reset: nobody is there to read an answer.
        stream.set_zero_linger().expect("a socket");
        drop(stream);
        all(&bus, Fault::None);
        until("it is detached", || !adapter.is_here(&id("ann"))).await;
        until("nobody is connected", || edge.node.stats()()["connections"] == 0).await;
    }
    let mut client = edge.client("ann").await;
    assert_eq!(client.request("echo", json!(1)).await, json!({"ok": true}));
}
