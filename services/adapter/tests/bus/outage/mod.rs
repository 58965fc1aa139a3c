//! No node at all for a while: messages sent meanwhile wait, in order, and go out when a node is heard again.

mod limits;
mod messages;
mod requests;

use wsmesh_adapter::{Bus, ChannelListener, Fault, Listener, MemoryBus, Payload, RoomOptions, Target};

use crate::support::*;

const NODES: [&str; 2] = ["a", "b"];

fn memory() -> (MemoryBus, Bus) {
    let memory = MemoryBus::new(NODES).expect("valid ids");
    (memory.clone(), Bus::Memory(memory))
}

fn all(memory: &MemoryBus, fault: Fault) {
    NODES.iter().for_each(|node| assert!(memory.set_fault(node, fault)));
}

async fn isolated(servers: &[&Server]) {
    until("nobody hears a node", || {
        servers.iter().all(|server| !server.adapter.is_ready())
    })
    .await;
}

/// One receiver of each kind, on one server.
struct Receivers {
    bob: Client,
    news: ChannelListener,
    listener: Listener,
}

impl Receivers {
    async fn of(server: &Server) -> Self {
        let bob = server.client("bob").await;
        server.adapter.join(&client("bob"), room("1")).await.expect("joined");
        let news = server.adapter.listen_channel("news").await.expect("confirmed");
        let listener = server.adapter.listen("say");
        Self { bob, news, listener }
    }
}

/// Sends one message of each kind; all are accepted.
async fn send_each(one: &Server, n: usize) {
    let number = frame(&n.to_string());
    one.adapter
        .to_client(&client("bob"), number)
        .await
        .expect("to a client");
    let in_room = frame(&format!("room {n}"));
    one.adapter
        .to_room(&room("1"), in_room, RoomOptions::default())
        .await
        .expect("to a room");
    let map = serde_json::json!({"n": n}).as_object().expect("a map").clone();
    one.adapter.publish_channel("news", map).await.expect("to a channel");
    let payload = Payload::new(&n).expect("a number");
    one.adapter
        .emit(Target::Server(server("two")), "say", payload)
        .await
        .expect("to a server");
}

/// Each message arrives once, in the order of sending.
async fn each_arrives_in_order(receivers: &mut Receivers, count: usize) {
    each_arrives(receivers, count, |_| {}).await;
}

/// Each message arrives once. `arrange` may sort what arrived before the order is checked.
async fn each_arrives(receivers: &mut Receivers, count: usize, arrange: impl Fn(&mut Vec<usize>)) {
    let [mut numbers, mut in_room, mut events, mut news] = [const { Vec::new() }; 4];
    let number = |text: &str| text.parse::<usize>().expect("a number");
    for _ in 0..2 * count {
        let text = receivers.bob.frame().await;
        match text.strip_prefix("room ") {
            Some(text) => in_room.push(number(text)),
            None => numbers.push(number(&text)),
        }
    }
    for _ in 0..count {
        let event = soon("an event", receivers.listener.next()).await.expect("listening");
        events.push(event.payload.parse().expect("a number"));
        let message = soon("a message", receivers.news.next()).await.expect("listening");
        let map: serde_json::Value = message.payload.parse().expect("JSON");
        assert_eq!(map["senderServer"].as_str(), Some("one"));
        news.push(map["n"].as_u64().expect("a number") as usize);
    }
    for (what, mut came) in [
        ("client", numbers),
        ("room", in_room),
        ("event", events),
        ("channel", news),
    ] {
        arrange(&mut came);
        let misplaced = came.iter().enumerate().find(|(place, number)| place != *number);
        assert_eq!(misplaced, None, "of messages to the {what}");
    }
    receivers.bob.nothing().await;
}
