//! Clients of websocket-cross-server-adapter, and others in use, work here unchanged.

mod common;

use common::{Client, Other, Received, Server, bus, demo, sees};
use futures_util::SinkExt;
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use ws_node::{AuthSettings, EdgeSettings, Rule};
use wsmesh_adapter::{Frame, Payload};
use wsmesh_protocol::forward::Forwarded;
use wsmesh_protocol::frame;

/// The next text frame as it is.
async fn raw(client: &mut Client) -> String {
    use futures_util::StreamExt;
    loop {
        let message = tokio::time::timeout(common::PATIENCE, client.socket.next()).await;
        match message.expect("something comes").expect("open").expect("whole") {
            Message::Text(text) => return text.to_string(),
            Message::Close(why) => panic!("closed: {why:?}"),
            _ => {}
        }
    }
}

/// The answer to these offered subprotocols.
async fn answered(server: &Server, offers: &'static str) -> Option<String> {
    let mut request = format!("ws://{}/?id=ann", server.address)
        .into_client_request()
        .expect("a URL");
    let header = HeaderValue::from_static(offers);
    request.headers_mut().insert("sec-websocket-protocol", header);
    match connect_async(request).await {
        Ok((_, response)) => {
            let name = response.headers().get("sec-websocket-protocol").expect("answered");
            Some(name.to_str().expect("text").to_owned())
        }
        // Browsers do that, too, when the answer names none of their offers.
        Err(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_subprotocol_that_a_client_offers_is_answered_but_never_a_token() {
    let server = Server::alone(demo()).await;
    for (offers, expected) in [
        ("chat", Some("chat")),
        ("v2.chat, chat", Some("v2.chat")),
        ("bearer.eyJ, chat", Some("chat")),
        ("wsmesh, bearer.eyJ", Some("wsmesh")),
        ("bearer.eyJ", None),
    ] {
        assert_eq!(answered(&server, offers).await.as_deref(), expected, "{offers}");
    }
    let auth = AuthSettings {
        subprotocols: vec!["v2.chat".to_owned()],
        ..AuthSettings::default()
    };
    let strict = Server::alone(EdgeSettings { auth, ..demo() }).await;
    for (offers, expected) in [
        ("chat, v2.chat", Some("v2.chat")),
        ("chat, wsmesh", Some("wsmesh")),
        ("chat", None),
    ] {
        assert_eq!(answered(&strict, offers).await.as_deref(), expected, "{offers}");
    }
}

const IDS: [&str; 8] = [r#""c1""#, r#""""#, r#""\u00e9 \/ é""#, "7", "0", "-0", "1.0", "1e2"];

fn request(event: &str, id: &str) -> String {
    format!("{{\"event\":\"{event}\",\"payload\":1,\"callbackId\":{id}}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_id_comes_back_byte_for_byte_whichever_server_replies() {
    let bus = bus();
    let mut settings = demo();
    for reply in ["relay", "direct"] {
        let rule = json!({"event": reply, "service": "shop", "reply": reply});
        settings
            .rules
            .push(serde_json::from_value::<Rule>(rule).expect("a rule"));
    }
    let edge = Server::start("edge", &bus, settings).await;
    let shop = Other::start("shop-1", "shop", &bus).await;
    sees(edge.node.adapter(), 2).await;
    shop.adapter.on("relay", |event| async move {
        event.reply(Payload::new(&"sold").expect("JSON")).await.expect("sent");
    });
    let adapter = shop.adapter.clone();
    shop.adapter.on("direct", move |event| {
        let adapter = adapter.clone();
        async move {
            let json = event.payload.to_json().expect("JSON");
            let asked: Forwarded = serde_json::from_slice(&json).expect("as agreed");
            let reply = frame::reply(
                asked.callback_id.expect("wanted"),
                &*to_raw_value("sold").expect("JSON"),
            );
            let client = asked.client.try_into().expect("valid");
            adapter.to_client(&client, Frame::new(reply)).await.expect("sent");
        }
    });
    let mut client = edge.client("ann").await.settled().await;
    for id in IDS {
        for (event, payload) in [
            ("echo", r#"{"ok":true}"#),
            ("relay", "\"sold\""),
            ("direct", "\"sold\""),
        ] {
            client.send(request(event, id)).await;
            let expected = format!("{{\"payload\":{payload},\"callbackId\":{id}}}");
            assert_eq!(raw(&mut client).await, expected, "{event}");
        }
        client.send(request("nobody handles this", id)).await;
        let refused = raw(&mut client).await;
        assert!(
            refused.starts_with(&format!("{{\"callbackId\":{id},\"payload\":{{\"error\"")),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_handled_whatever_its_ids_are_and_a_client_that_cannot_be_answered_is_told() {
    let server = Server::alone(demo()).await;
    let mut client = server.client("ann").await.settled().await;
    let pushed = json!({"event": "say", "payload": 1});
    for request_id in ["7", "[]", "\"r\"", "null"] {
        client
            .send(format!(r#"{{"event":"say","payload":1,"requestId":{request_id}}}"#))
            .await;
        assert_eq!(client.frame().await, pushed, "{request_id}");
    }
    client.send(request("say", "null")).await;
    assert_eq!(client.frame().await, pushed, "null is not an id");
    let long = format!("\"{}\"", "x".repeat(2000));
    for id in ["true", "{}", "[1]", &long] {
        client.send(request("say", id)).await;
        assert_eq!(client.frame().await, pushed, "{id:.40}");
        let told = client.frame().await;
        assert_eq!(
            (&told["event"], &told["payload"]["errorCode"]),
            (&json!("wsmesh.error"), &json!("BAD_FRAME")),
            "{id:.40}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_in_binary_messages_is_read_unless_the_settings_forbid_it() {
    let server = Server::alone(demo()).await;
    let mut client = server.client("ann").await.settled().await;
    let binary = |text: &str| Message::binary(text.as_bytes().to_vec());
    client.socket.send(binary(&request("echo", "1"))).await.expect("sends");
    assert_eq!(client.frame().await, json!({"payload": {"ok": true}, "callbackId": 1}));
    client.socket.send(binary("")).await.expect("sends");
    assert_eq!(client.next().await, Received::Text(String::new()), "the heartbeat");
    client
        .socket
        .send(Message::binary(vec![b'{', 0xff]))
        .await
        .expect("sends");
    assert_eq!(client.close_code().await, Some(1003));

    let strict = Server::alone(EdgeSettings {
        text_frames_only: true,
        ..demo()
    })
    .await;
    let mut client = strict.client("ann").await.settled().await;
    client.socket.send(binary(&request("echo", "1"))).await.expect("sends");
    assert_eq!(client.close_code().await, Some(1003));
}
