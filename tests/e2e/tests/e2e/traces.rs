//! Traces from clients through ws-nodes, game-logic and admin, as a collector gets them.

use std::collections::{BTreeSet, HashSet};

use e2e::{Client, Cluster, Collector, Process, Redis, Span, until};
use serde_json::json;

const ANN: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
const BOB: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");

/// The clients of these tests answer pings only while they read.
const PATIENT: [&str; 1] = ["--ping-interval=600s"];

/// The context of a client's own span, which is sampled.
fn traceparent((trace, span): (&str, &str)) -> String {
    format!("00-{trace}-{span}-01")
}

/// The spans of this name, and the servers that sent them.
fn named<'a>(spans: &'a [Span], name: &str) -> (Vec<&'a Span>, BTreeSet<&'a str>) {
    let spans: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let servers = spans.iter().map(|span| span.server()).collect();
    (spans, servers)
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = named(spans, name).0;
    assert_eq!(found.len(), 1, "{name} in {:#?}", names(spans));
    found[0]
}

fn names(spans: &[Span]) -> Vec<String> {
    spans
        .iter()
        .map(|span| format!("{} at {}", span.name, span.server()))
        .collect()
}

/// Every span is below another one of the trace, or below the client's.
fn is_one_tree(spans: &[Span], client: &str) {
    let ids: HashSet<&str> = spans.iter().map(|span| span.id.as_str()).chain([client]).collect();
    for span in spans {
        assert!(
            ids.contains(&*span.parent),
            "{} at {} has no parent",
            span.name,
            span.server()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_match_request_is_one_trace_through_game_logic_to_both_ws_nodes_and_links_the_other_player() {
    let collector = Collector::start().await;
    let variables = collector.variables("parentbased_always_off");
    let cluster = Cluster::start_with(&variables, &["--trust-client-traces"], [2, 2, 2]).await;
    let (mut ann, mut bob) = (cluster.client(0, "ann").await, cluster.client(1, "bob").await);
    for (client, own) in [(&mut ann, ANN), (&mut bob, BOB)] {
        let place = client
            .traced_request("matchRequest", json!({}), &traceparent(own))
            .await;
        assert!(place["ticket"].is_string(), "{place}");
    }
    for client in [&mut ann, &mut bob] {
        client.push("matchFound").await;
        for _ in 0..5 {
            client.push("matchState").await;
        }
    }
    until("the trace is complete", || async {
        let trace = collector.trace(BOB.0);
        let of = |name: &str| named(&trace, name).1.len();
        of("process room") == 2
            && of("process client") == 2
            && of("form match") == 1
            && of("ws.receive matchRequest") == 1
    })
    .await;
    reaches_game_logic_and_both_ws_nodes(&collector.trace(BOB.0));
    links_the_other_player(&collector.trace(BOB.0), &collector.trace(ANN.0));
    assert!(
        collector
            .spans()
            .iter()
            .all(|span| [ANN.0, BOB.0].contains(&&*span.trace))
    );
}

/// The trace of Bob's request, which completed the match, is one tree through all servers.
fn reaches_game_logic_and_both_ws_nodes(trace: &[Span]) {
    is_one_tree(trace, BOB.1);
    let received = one(trace, "ws.receive matchRequest");
    assert_eq!((received.server(), received.parent.as_str()), ("ws-1", BOB.1));
    assert_eq!(
        (received.says("wsmesh.event"), received.says("wsmesh.request")),
        ("matchRequest", "true")
    );
    assert_eq!(
        (received.says("error.type"), received.says("wsmesh.server")),
        ("", "ws-1")
    );
    // It lasts until the reply is sent.
    let (replies, _) = named(trace, "process reply");
    let reply = replies
        .iter()
        .find(|span| span.server() == "ws-1")
        .expect("the reply of game-logic");
    assert!(received.lasted.1 >= reply.lasted.0, "{received:?} {reply:?}");
    let both = BTreeSet::from(["ws-0", "ws-1"]);
    for name in ["process client", "process room", "process wsmesh.clientJoin"] {
        let (spans, servers) = named(trace, name);
        assert_eq!((spans.len(), &servers), (2, &both), "{name}: {:#?}", names(trace));
        assert!(
            spans.iter().all(|span| span.says("server.address") == "127.0.0.1"),
            "{spans:?}"
        );
    }
    assert!(!named(trace, "process matchRequest").0.is_empty());
    // Redis is a service of its own below each publish.
    let (of_redis, _) = named(trace, "PUBLISH");
    assert!(!of_redis.is_empty() && of_redis.iter().all(|span| span.resource["service.name"] == "redis"));
    assert!(of_redis.iter().any(|span| span.says("wsmesh.measured_by") == "ws-1"));
    // The states after the first belong to no trace.
    one(trace, "push matchState");
    one(trace, "publish room");
}

/// What Bob's request did for Ann links to hers, which has a trace of its own.
fn links_the_other_player(trace: &[Span], of_ann: &[Span]) {
    is_one_tree(of_ann, ANN.1);
    let asked: HashSet<&str> = of_ann.iter().map(|span| span.id.as_str()).collect();
    let links_ann = |span: &Span| {
        let mut links = span.links.iter();
        links.any(|(trace, span)| trace == ANN.0 && asked.contains(&**span))
    };
    assert!(links_ann(one(trace, "form match")) && links_ann(one(trace, "push matchState")));
    let (found, _) = named(trace, "push matchFound");
    // Bob's is below his request; Ann's links to hers.
    assert_eq!(
        found.iter().map(|span| span.links.len()).collect::<BTreeSet<_>>(),
        BTreeSet::from([0, 1])
    );
    assert_eq!(found.iter().filter(|span| links_ann(span)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_client_that_is_not_trusted_decides_nothing() {
    let collector = Collector::start().await;
    let redis = Redis::start(&[]);
    let redis = format!("--redis={}", redis.url("redis-0"));
    let hostile = |flags: &str| format!("00-{}-{}-{flags}", ANN.0, ANN.1);
    let says = [
        hostile("01"),
        hostile("00"),
        hostile("ff"),
        "00-zz".into(),
        "x".repeat(5_000),
    ];
    for (sampler, name) in [("parentbased_always_on", "all"), ("parentbased_always_off", "none")] {
        let name = format!("--name={name}");
        let arguments = [redis.as_str(), "--profile=demo", &name];
        let mut node = Process::start_in(&collector.variables(sampler), "ws-node", &arguments);
        node.ready().await;
        let mut eve = Client::connect(&format!("{}?id=eve", node.ws())).await;
        for text in &says {
            assert_eq!(eve.traced_request("echo", json!({}), text).await, json!({"ok": true}));
        }
        // Its end sends the rest.
        node.signal("-TERM");
        node.ended().await;
    }
    let spans = collector.spans();
    let (echoes, servers) = named(&spans, "ws.receive echo");
    assert_eq!(
        (echoes.len(), servers),
        (says.len(), BTreeSet::from(["all"])),
        "{:#?}",
        names(&spans)
    );
    let traces: HashSet<&str> = echoes.iter().map(|span| span.trace.as_str()).collect();
    assert!(traces.len() == says.len() && !traces.contains(ANN.0), "{traces:?}");
    assert!(echoes.iter().all(|span| span.parent.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traced_message_to_a_room_is_one_span_on_each_ws_node_with_members() {
    let collector = Collector::start().await;
    let cluster = Cluster::start_with(&collector.variables("parentbased_always_off"), &PATIENT, [2, 3, 0]).await;
    let mut members = Vec::new();
    for (node, number) in [(0, 3), (1, 12)] {
        for index in 0..number {
            let mut client = cluster.client(node, &format!("c{node}-{index}")).await;
            let room = json!({"namespace": "chat", "roomId": "1"});
            let joined = client.request("joinRoom", room).await;
            assert_eq!(joined, json!({"msg": "joined"}));
            members.push(client);
        }
    }
    let url = format!("http://127.0.0.1:{}/api/v1/rooms/chat/1/messages", cluster.admin.port);
    let body = json!({"event": "news", "payload": 7}).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("traceparent", &*traceparent(ANN)),
    ];
    let answer = e2e::post_text(&url, &headers, body).await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    for member in &mut members {
        member.push("news").await;
    }
    until("both ws-nodes have told", || async {
        named(&collector.trace(ANN.0), "process room").0.len() >= 2
    })
    .await;
    let trace = collector.trace(ANN.0);
    is_one_tree(&trace, ANN.1);
    let (taken, _) = named(&trace, "process room");
    let told: BTreeSet<_> = taken
        .iter()
        .map(|span| (span.server(), span.says("wsmesh.local_clients")))
        .collect();
    assert_eq!(
        told,
        BTreeSet::from([("ws-0", "3"), ("ws-1", "12")]),
        "{:#?}",
        names(&trace)
    );
    let sent = one(&trace, "publish room");
    assert!(sent.says("wsmesh.node").starts_with("redis-"), "{sent:?}");
    assert!(
        taken
            .iter()
            .all(|span| span.says("messaging.message.id") == sent.says("messaging.message.id"))
    );
    let request = one(&trace, "POST /api/v1/rooms/{namespace}/{id}/messages");
    assert_eq!(
        (request.server(), request.says("http.response.status_code")),
        ("admin-0", "202")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_is_kept_though_it_is_not_sampled_and_what_a_client_makes_up_is_not() {
    let collector = Collector::start().await;
    let redis = Redis::start(&[]);
    let redis = format!("--redis={}", redis.url("redis-0"));
    for (sampler, name) in [("parentbased_always_on", "all"), ("parentbased_always_off", "none")] {
        let name = format!("--name={name}");
        let arguments = [redis.as_str(), "--profile=demo", &name];
        let mut node = Process::start_in(&collector.variables(sampler), "ws-node", &arguments);
        node.ready().await;
        let mut eve = Client::connect(&format!("{}?id=eve", node.ws())).await;
        for (event, code) in [
            ("echo", ""),
            ("secret-event", "UNKNOWN_EVENT"),
            ("matchRequest", "UNAVAILABLE"),
            ("joinRoom", "BAD_PAYLOAD"),
        ] {
            let reply = eve.request(event, json!({"secret": 1})).await;
            assert_eq!(reply["errorCode"].as_str().unwrap_or_default(), code, "{reply}");
        }
        node.signal("-TERM");
        node.ended().await;
    }
    let spans = collector.spans();
    let errors = |server: &str| -> BTreeSet<(String, String)> {
        let frames = spans
            .iter()
            .filter(|span| span.server() == server && span.name.starts_with("ws.receive"));
        frames
            .map(|span| (span.says("wsmesh.event").to_owned(), span.says("error.type").to_owned()))
            .collect()
    };
    let failed = [("joinRoom", "BAD_PAYLOAD"), ("matchRequest", "UNAVAILABLE")];
    let failed = failed.map(|(event, code)| (event.to_owned(), code.to_owned()));
    assert_eq!(errors("none"), BTreeSet::from(failed.clone()), "{:#?}", names(&spans));
    let others = [("echo", ""), ("other", "UNKNOWN_EVENT")].map(|(event, code)| (event.to_owned(), code.to_owned()));
    assert_eq!(errors("all"), failed.into_iter().chain(others).collect());
    assert!(!format!("{spans:?}").contains("secret"));
}
