//! What the spans of messages say, and which messages have none.

use std::collections::BTreeSet;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt, TraceId};
use serde_json::json;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wsmesh_adapter::{
    Bus, MemoryBus, NodeUrl, Payload, Refusal, RequestOptions, RoomOptions, Scope, Target, recorded, remote_context,
};

use crate::support::ground::text;
use crate::support::recorder::{Recorder, attribute, error, number};
use crate::support::redis::Redis;
use crate::support::*;

fn memory() -> Bus {
    Bus::Memory(MemoryBus::new(["a", "b", "c"]).expect("valid ids"))
}

/// The span of a client's request.
fn request() -> Span {
    info_span!("ws.receive", wsmesh.request = true)
}

/// A span of a trace with this id, which its caller samples.
fn sampled(trace: u128) -> Span {
    let span = info_span!("ws.receive");
    let trace = TraceId::from_bytes(trace.to_be_bytes());
    let parent = remote_context(&format!("00-{trace}-b7ad6b7169203331-01"), None).expect("valid");
    span.set_parent(Context::new().with_remote_span_context(parent))
        .expect("a layer");
    span
}

/// Has `two` answer `greet`, and asks it in this span.
async fn greet(one: &Server, two: &Server, span: Span) {
    two.adapter.on_request("greet", |_| async { Ok::<_, Refusal>("hello") });
    let asking = one.adapter.call(
        Target::Server(server("two")),
        "greet",
        text("hi"),
        RequestOptions::default(),
    );
    asking.instrument(span).await.expect("answered");
}

#[tokio::test]
async fn a_request_between_servers_and_its_reply_are_one_trace_with_the_attributes_of_messaging() {
    let (recorder, _guard) = Recorder::start(true);
    let redis = Redis::start(&[]);
    let bus = Bus::Redis(vec![NodeUrl::parse(&redis.url("redis-0")).expect("valid")]);
    let (one, two) = pair(&bus).await;
    greet(&one, &two, request()).await;
    until("all spans have ended", || recorder.spans().len() >= 5).await;
    let mut chain = vec![
        recorder.one("ws.receive"),
        recorder.one("process greet"),
        recorder.one("process reply"),
    ];
    let mut publishes = recorder.all("publish server");
    assert_eq!(publishes.len(), 2, "{:?}", recorder.names());
    let asks = publishes
        .iter()
        .position(|span| span.parent_span_id == chain[0].span_context.span_id());
    chain.insert(1, publishes.remove(asks.expect("below the request")));
    chain.insert(3, publishes.remove(0));
    for pair in chain.windows(2) {
        assert_eq!(pair[1].parent_span_id, pair[0].span_context.span_id(), "{pair:?}");
        assert_eq!(pair[1].span_context.trace_id(), pair[0].span_context.trace_id());
    }
    for (span, kind, name, operation, client) in [
        (&chain[1], SpanKind::Producer, "publish", "send", "one"),
        (&chain[2], SpanKind::Consumer, "process", "process", "two"),
        (&chain[3], SpanKind::Producer, "publish", "send", "two"),
        (&chain[4], SpanKind::Consumer, "process", "process", "one"),
    ] {
        let says = |key: &str| attribute(span, key).unwrap_or_default();
        assert_eq!((span.span_kind.clone(), error(span)), (kind, None));
        assert_eq!(says("messaging.system"), "redis");
        assert_eq!(says("messaging.operation.name"), name);
        assert_eq!(says("messaging.operation.type"), operation);
        assert_eq!(says("messaging.destination.template"), "server");
        assert_eq!(says("messaging.client.id"), client);
        assert_eq!(
            (says("wsmesh.node"), says("server.address")),
            ("redis-0".into(), "127.0.0.1".into())
        );
        assert_eq!(number(span, "server.port"), Some(redis.port.into()));
    }
    for (sent, taken) in [(&chain[1], &chain[2]), (&chain[3], &chain[4])] {
        let id = attribute(sent, "messaging.message.id");
        assert!(
            id.is_some() && id == attribute(taken, "messaging.message.id"),
            "{sent:?} {taken:?}"
        );
        assert_eq!(taken.links.links[0].span_context.span_id(), sent.span_context.span_id());
    }
    assert_eq!(attribute(&chain[2], "wsmesh.sender").as_deref(), Some("one"));
}

#[tokio::test]
async fn a_request_that_is_not_sampled_is_recorded_on_both_servers_and_says_so_with_flags_of_zero() {
    let (recorder, _guard) = Recorder::start(false);
    let (one, two) = pair(&memory()).await;
    let span = request();
    let context = recorded(&span).expect("recorded");
    assert!(!context.is_sampled());
    greet(&one, &two, span).await;
    until("all spans have ended", || recorder.spans().len() >= 5).await;
    for span in recorder.spans() {
        assert_eq!(span.span_context.trace_id(), context.trace_id(), "{}", span.name);
        assert!(!span.span_context.is_sampled(), "{}", span.name);
        assert_eq!(
            attribute(&span, "wsmesh.request").as_deref(),
            Some("true"),
            "{}",
            span.name
        );
    }
    let remote = recorder.one("process greet");
    assert!(remote.parent_span_is_remote && !remote.links.links[0].span_context.is_sampled());
}

#[tokio::test]
async fn a_message_that_is_neither_sampled_nor_of_a_request_has_no_span_anywhere() {
    let (recorder, _guard) = Recorder::start(false);
    let (one, two) = pair(&memory()).await;
    greet(&one, &two, info_span!("ws.receive")).await;
    greet(&one, &two, Span::none()).await;
    assert_eq!(recorder.names(), [""; 0]);
}

#[tokio::test]
async fn what_a_request_sends_to_many_is_recorded_where_it_is_sent_and_nowhere_else() {
    let (recorder, _guard) = Recorder::start(false);
    let (one, two) = pair(&memory()).await;
    let mut bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let lounge = room("1");
    let saying = one.adapter.to_room(&lounge, frame("hi"), RoomOptions::default());
    saying.instrument(request()).await.expect("sent");
    assert_eq!(bob.frame().await, "hi");
    assert_eq!(recorder.names(), ["publish room", "ws.receive"]);
}

#[tokio::test]
async fn a_fan_out_has_one_span_on_each_server_with_receivers_and_none_elsewhere() {
    let (recorder, _guard) = Recorder::start(true);
    let bus = memory();
    let (one, two) = pair(&bus).await;
    let three = Server::ready(options("three", "ws-node", bus)).await;
    acquainted(&[&one, &two, &three]).await;
    let mut clients = Vec::new();
    for (server, number) in [(&two, 60), (&three, 1)] {
        for index in 0..number {
            let id = format!("{}-{index}", server.adapter.name());
            clients.push(server.client(&id).await);
            server.adapter.join(&client(&id), room("1")).await.expect("joined");
        }
    }
    // Subscribed to the room's channel, and without a member that is to get it.
    let _alone = one.client("one-0").await;
    one.adapter.join(&client("one-0"), room("1")).await.expect("joined");
    let without = RoomOptions {
        except: vec![client("two-0"), client("one-0"), client("three-0")],
        ..RoomOptions::default()
    };
    let lounge = room("1");
    let saying = one.adapter.to_room(&lounge, frame("hi"), without);
    saying.instrument(request()).await.expect("sent");
    assert_eq!(clients[59].frame().await, "hi");
    until("the spans have ended", || recorder.spans().len() >= 3).await;
    let taken = recorder.one("process room");
    assert_eq!(attribute(&taken, "messaging.client.id").as_deref(), Some("two"));
    assert_eq!(number(&taken, "wsmesh.local_clients"), Some(59));
    assert_eq!(
        attribute(&taken, "messaging.destination.template").as_deref(),
        Some("room")
    );
    assert!(
        recorder.all("ws.receive").len() == 1 && recorder.spans().len() == 3,
        "{:?}",
        recorder.names()
    );
}

#[tokio::test]
async fn of_many_fan_outs_to_a_thousand_clients_a_tenth_is_traced_the_same_on_every_server() {
    let (recorder, _guard) = Recorder::start(true);
    let bus = memory();
    let (one, two) = pair(&bus).await;
    let three = Server::ready(options("three", "ws-node", bus)).await;
    acquainted(&[&one, &two, &three]).await;
    let mut clients = Vec::new();
    for server in [&two, &three] {
        for index in 0..1_000 {
            clients.push(server.client(&format!("{}-{index}", server.adapter.name())).await);
        }
    }
    for trace in 1..=60_u128 {
        let saying = one.adapter.to_everyone(frame(&trace.to_string()), Scope::Cluster);
        saying.instrument(sampled(trace)).await.expect("sent");
    }
    for last in [999, 1_999] {
        while clients[last].frame().await != "60" {}
    }
    let traced = |server: &str| -> BTreeSet<String> {
        let spans = recorder.all("process everyone").into_iter();
        let here = spans.filter(|span| attribute(span, "messaging.client.id").as_deref() == Some(server));
        let ids: Vec<_> = here.map(|span| span.span_context.trace_id().to_string()).collect();
        assert_eq!(
            ids.iter().collect::<BTreeSet<_>>().len(),
            ids.len(),
            "one span per server"
        );
        ids.into_iter().collect()
    };
    assert_eq!(recorder.all("publish clients").len(), 60);
    assert_eq!(traced("two"), traced("three"));
    assert!((1..20).contains(&traced("two").len()), "{:?}", traced("two"));
}

#[tokio::test]
async fn failures_and_refusals_are_errors_of_their_spans_by_a_name_from_a_bounded_set() {
    let (recorder, _guard) = Recorder::start(true);
    let (one, two) = pair(&memory()).await;
    two.adapter.on_request("sold", |_| async {
        Err::<(), _>(Refusal::new("SOLD_OUT", "there is none left of the secret thing"))
    });
    for event in ["sold", "secret-event"] {
        let asking = one.adapter.call(
            Target::Server(server("two")),
            event,
            text("hi"),
            RequestOptions::default(),
        );
        let _answer = asking.instrument(request()).await;
    }
    let large = Payload::new(&"x".repeat(32 << 20)).expect("JSON");
    let emitting = one.adapter.emit(Target::Server(server("two")), "sold", large);
    emitting.instrument(request()).await.expect_err("too large");
    let secret = room("secret-room");
    let nobody = one.adapter.to_room(&secret, frame("x"), RoomOptions::default());
    nobody.instrument(request()).await.expect("sent to nobody");
    until("all spans have ended", || recorder.all("process reply").len() == 2).await;
    assert_eq!(
        error(&recorder.one("process sold")).as_deref(),
        Some("other"),
        "a code of an application"
    );
    assert_eq!(error(&recorder.one("process other")).as_deref(), Some("unhandled"));
    let replies: Vec<_> = recorder.all("process reply").iter().map(error).collect();
    assert_eq!(replies, [None, Some("unhandled".to_owned())]);
    let publishes = recorder.all("publish server");
    let failed: Vec<_> = publishes.iter().filter_map(error).collect();
    assert_eq!(failed, ["too-large"]);
    assert!(!format!("{:?}", recorder.spans()).contains("secret"));
}

#[tokio::test]
async fn a_message_of_a_custom_channel_is_one_span_where_somebody_listens() {
    let (recorder, _guard) = Recorder::start(true);
    let (one, two) = pair(&memory()).await;
    let mut news = two.adapter.listen_channel("news").await.expect("listening");
    let map = json!({"a": 1}).as_object().expect("a map").clone();
    let publishing = one.adapter.publish_channel("news", map);
    publishing.instrument(request()).await.expect("sent");
    let message = soon("the message", news.next()).await.expect("one");
    let context: SpanContext = recorded(&message.span).expect("recorded");
    drop(message);
    let taken = recorder.one("process custom");
    assert_eq!(taken.span_context.span_id(), context.span_id());
    assert_eq!(
        taken.parent_span_id,
        recorder.one("publish custom").span_context.span_id()
    );
}
