//! Shared routing: wsmesh servers among themselves, and in one cluster with a server of the JavaScript package, which
//! is imitated with plain Redis commands and recorded messages.

use std::time::Duration;

use serde_json::json;
use wsmesh_adapter::{
    Adapter, Bus, Fault, MemoryBus, NodeUrl, Options, Payload, RequestOptions, RoomOptions, Routing, Scope, StartError,
    Target,
};

use crate::support::ground::{Ground, suite, text, value};
use crate::support::raw::Stranger;
use crate::support::redis::Redis;
use crate::support::*;

suite!(wsmesh_servers_understand_each_other_on_shared_channels);

fn shared() -> Routing {
    Routing::Shared {
        bridge_prefix: "csbp:".into(),
        ws_prefix: "ws:".into(),
    }
}

fn of(bus: Bus, name: &str) -> Options {
    Options {
        routing: shared(),
        ..options(name, "ws-node", bus)
    }
}

async fn wsmesh_servers_understand_each_other_on_shared_channels(ground: Ground) {
    let one = Server::ready(of(ground.bus.clone(), "one")).await;
    let two = Server::ready(of(ground.bus.clone(), "two")).await;
    let three = Server::ready(of(ground.bus.clone(), "three")).await;
    acquainted(&[&one, &two, &three]).await;
    let (mut ann, mut bob, mut eve) = (
        one.client("ann").await,
        two.client("bob").await,
        three.client("eve").await,
    );
    for (server, id) in [(&one, "ann"), (&two, "bob")] {
        server.adapter.join(&client(id), room("1")).await.expect("joined");
    }
    let mut asked = two.adapter.listen("who");
    let bob_id = client("bob");
    let holders = one.adapter.emit_to_holders(&bob_id, "who", Payload::null());
    assert_eq!(
        holders.await.expect("sent"),
        2,
        "every server is asked, whichever has the client"
    );
    assert!(soon("the event", asked.next()).await.is_some());
    three.adapter.join(&client("eve"), room("2")).await.expect("joined");
    one.adapter
        .to_client(&client("bob"), frame("to bob"))
        .await
        .expect("sent");
    assert_eq!(bob.frame().await, "to bob");
    one.adapter
        .to_room(&room("1"), frame("room"), RoomOptions::default())
        .await
        .expect("sent");
    one.adapter
        .to_everyone(frame("all"), Scope::Cluster)
        .await
        .expect("sent");
    for client in [&mut ann, &mut bob] {
        let mut got = [client.frame().await, client.frame().await];
        got.sort();
        assert_eq!(got, ["all", "room"]);
    }
    assert_eq!(eve.frame().await, "all", "the other room's message was not for it");
    two.adapter.on("greet", |event| async move {
        let _ = event.reply(text("hello")).await;
    });
    let asked = one.adapter.call(
        Target::Server(server("two")),
        "greet",
        Payload::null(),
        RequestOptions::default(),
    );
    assert_eq!(value(&asked.await.expect("answered").payload), json!("hello"));
    one.adapter.remove_room(&room("1")).await.expect("sent");
    until("the room is empty", || two.adapter.room_members(&room("1")).is_empty()).await;
    for client in [&mut ann, &mut bob, &mut eve] {
        client.nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_messages_are_sent_again_on_wsmesh_channels_only() {
    let memory = MemoryBus::new(["a", "b"]).expect("valid");
    let bus = Bus::Memory(memory.clone());
    let (one, two) = (
        Server::ready(of(bus.clone(), "one")).await,
        Server::ready(of(bus, "two")).await,
    );
    acquainted(&[&one, &two]).await;
    let mut bob = two.client("bob").await;
    for id in ["a", "b"] {
        memory.set_fault(id, Fault::Lose);
    }
    for n in 0..20 {
        one.adapter
            .to_client(&client("bob"), frame(&n.to_string()))
            .await
            .expect("the nodes took it");
    }
    // Long enough to lose a probe, too: a loss of messages without a probe cannot be noticed.
    until("nothing is heard", || {
        !two.adapter.is_ready() && !one.adapter.is_ready()
    })
    .await;
    for id in ["a", "b"] {
        memory.set_fault(id, Fault::None);
    }
    let mut got = Vec::new();
    for _ in 0..20 {
        got.push(bob.frame().await.parse::<u32>().expect("a number"));
    }
    got.sort_unstable();
    assert_eq!(got, (0..20).collect::<Vec<_>>());
    bob.nothing().await;
}

struct Mixed {
    ours: Server,
    original: Stranger,
    _redis: Redis,
}

/// One Redis, a wsmesh server, and a server of the JavaScript package called serverA.
async fn mixed() -> Mixed {
    let redis = Redis::start(&[]);
    let url = NodeUrl::parse(&redis.url("redis-0")).expect("valid");
    let ours = Server::ready(of(Bus::Redis(vec![url]), "ours")).await;
    let channels = ["csbp:server_bridge", "ws:private_socket", "ws:broadcast", "ws:chat"];
    Mixed {
        ours,
        original: Stranger::connect(redis.port, &channels).await,
        _redis: redis,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_requests_work_both_ways_with_a_server_of_the_javascript_package() {
    let Mixed {
        ours,
        mut original,
        _redis,
    } = mixed().await;
    ours.adapter.on("say", |event| async move {
        let _ = event.reply(Payload::from_json(r#"{"msg":"hi from ours"}"#)).await;
    });
    let asked = json!({"data": {"event": "say", "senderServer": "serverA", "payload": {"msg": "hello"},
        "targetServer": ["ours"], "callbackId": "verA-mws3w9qa-5n2e-1"}});
    original
        .publish("csbp:server_bridge", asked.to_string().as_bytes())
        .await;
    let (channel, reply) = original.next("serverA").await;
    assert_eq!(channel, "csbp:server_bridge");
    let data = &reply["data"];
    assert_eq!(data["event"], "_Cs_Cb_");
    assert_eq!(
        (&data["callbackId"], &data["isCallback"]),
        (&json!("verA-mws3w9qa-5n2e-1"), &json!(true))
    );
    assert_eq!(data["payload"], json!({"msg": "hi from ours"}));

    // The wsmesh server asks servers that it does not know: a live one, and one that does not exist.
    for (target, expected) in [(Target::Server(server("serverA")), None), (Target::Everyone, Some(2))] {
        ours.adapter.on("count", |event| async move {
            let _ = event.reply(text("ours")).await;
        });
        let options = RequestOptions {
            expected,
            ..RequestOptions::default()
        };
        let asking = ours.adapter.ask(target, "count", text("x"), options);
        let answering = async {
            let (_, asked) = original.next("serverA").await;
            let answer = json!({"data": {"event": "_Cs_Cb_", "senderServer": "serverA", "targetServer": [],
                "callbackId": asked["data"]["callbackId"], "isCallback": true, "payload": "theirs"}});
            original
                .publish("csbp:server_bridge", answer.to_string().as_bytes())
                .await;
        };
        let (outcome, ()) = tokio::join!(asking, answering);
        let outcome = outcome.expect("asked");
        let found = outcome
            .replies
            .iter()
            .find(|reply| reply.server.as_str() == "serverA")
            .expect("answered");
        assert_eq!(value(&found.payload), json!("theirs"));
    }
    let options = RequestOptions {
        timeout: Some(Duration::from_millis(300)),
        ..RequestOptions::default()
    };
    let nobody = ours
        .adapter
        .call(Target::Server(server("nobody")), "count", text("x"), options)
        .await;
    assert!(
        nobody
            .expect_err("there is none")
            .to_string()
            .contains("did not answer in time")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn client_messages_work_both_ways_with_a_server_of_the_javascript_package() {
    let Mixed {
        ours,
        mut original,
        _redis,
    } = mixed().await;
    let (mut ann, mut bob) = (ours.client("ann").await, ours.client("bob").await);
    ours.adapter.join(&client("ann"), room("1")).await.expect("joined");
    for (channel, envelope) in [
        (
            "ws:private_socket",
            json!({"data": "to ann", "socketId": "ann", "senderServer": "serverA"}),
        ),
        (
            "ws:private_socket",
            json!({"data": "to both", "socketIds": ["ann", "bob", "x"], "senderServer": "serverA"}),
        ),
        ("ws:broadcast", json!({"data": "to all", "senderServer": "serverA"})),
        (
            "ws:chat",
            json!({"data": "to room", "roomNamespace": "chat", "roomId": "1", "excludeSocketIds": [], "senderServer": "serverA"}),
        ),
        (
            "ws:chat",
            json!({"data": "other room", "roomNamespace": "chat", "roomId": "2", "excludeSocketIds": [], "senderServer": "serverA"}),
        ),
    ] {
        original.publish(channel, envelope.to_string().as_bytes()).await;
    }
    for expected in ["to ann", "to both", "to all", "to room"] {
        assert_eq!(ann.frame().await, expected);
    }
    for expected in ["to both", "to all"] {
        assert_eq!(bob.frame().await, expected);
    }
    ann.nothing().await;
    bob.nothing().await;

    ours.adapter.to_client(&client("far"), frame("f1")).await.expect("sent");
    ours.adapter
        .to_everyone(frame("f2"), Scope::Cluster)
        .await
        .expect("sent");
    ours.adapter
        .to_room(&room("1"), frame("f3"), RoomOptions::default())
        .await
        .expect("sent");
    let mut got = Vec::new();
    for _ in 0..3 {
        let (channel, mut envelope) = original.next("serverA").await;
        envelope
            .as_object_mut()
            .expect("a map")
            .remove("wm")
            .expect("wsmesh adds its identity");
        got.push((channel, envelope));
    }
    got.sort_by_key(|(channel, _)| channel.clone());
    let room =
        json!({"data": "f3", "roomNamespace": "chat", "roomId": "1", "excludeSocketIds": [], "senderServer": "ours"});
    assert_eq!(
        got,
        [
            ("ws:broadcast".to_owned(), json!({"data": "f2", "senderServer": "ours"})),
            ("ws:chat".to_owned(), room),
            (
                "ws:private_socket".to_owned(),
                json!({"data": "f1", "socketId": "far", "senderServer": "ours"})
            ),
        ]
    );
}

#[tokio::test]
async fn overlapping_prefixes_and_compression_are_rejected_at_the_start() {
    let start = |routing: Routing, compress_above| {
        let options = Options {
            routing,
            compress_above,
            ..options("one", "ws-node", Bus::Alone)
        };
        Adapter::start(options).map(drop)
    };
    let equal = Routing::Shared {
        bridge_prefix: "x:".into(),
        ws_prefix: "x:".into(),
    };
    assert!(matches!(start(equal, None), Err(StartError::Routing(_))));
    assert!(matches!(start(shared(), Some(1024)), Err(StartError::Routing(_))));
    assert!(start(shared(), None).is_ok());
}
