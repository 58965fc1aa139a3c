//! Frames, URL and close equal those recorded from the client of websocket-cross-server-adapter, byte for byte.

use std::future::IntoFuture;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Server, connected, soon};

fn recorded() -> Vec<Value> {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/recorded.json")).expect("the vectors");
    vectors["client"].as_array().expect("cases").clone()
}

/// The texts recorded for this case.
fn texts(case: &str) -> Vec<String> {
    let cases = recorded().into_iter().filter(|entry| entry["case"] == case);
    let texts: Vec<String> = cases
        .map(|entry| entry["text"].as_str().expect("a text").to_owned())
        .collect();
    assert!(!texts.is_empty(), "{case} was recorded");
    texts
}

#[tokio::test]
async fn the_client_sends_what_the_javascript_package_sends() {
    let server = Server::start().await;
    let mut options = server.options().param("id", "888").param("name", "sam & co");
    // The default: another limit is sent along.
    options.request_timeout = Duration::from_secs(5);
    let (client, mut peer, _task) = connected(&server, options).await;
    assert_eq!([peer.path.clone()], *texts("connect url"));

    let frames = texts("text frame");
    let (event, request) = (&frames[0], &frames[1]);
    let payload = serde_json::from_str::<Value>(event).expect("JSON")["payload"].take();
    client.emit("say", &payload).await.expect("open");
    assert_eq!(peer.read().await, *event);

    let original: Value = serde_json::from_str(request).expect("JSON");
    let original_id = original["callbackId"].as_str().expect("an id");
    let reply = texts("reply").swap_remove(0);
    let script = async {
        let frame = peer.read().await;
        let said: Value = serde_json::from_str(&frame).expect("JSON");
        let id = said["callbackId"].as_str().expect("an id");
        assert_eq!(frame.replace(id, original_id), *request);
        peer.say(reply.replace(original_id, id)).await;
    };
    let (replied, ()) = tokio::join!(client.request("say", &payload).into_future(), script);
    assert_eq!(replied.expect("replied").as_str(), json!({"ok": true}).to_string());

    client.set_ping_interval_now(Duration::from_millis(1));
    assert_eq!([peer.read().await], *texts("heartbeat echo"));

    let close = recorded().into_iter().find(|entry| entry["case"] == "close");
    let close = close.expect("a close was recorded");
    let (code, reason) = tokio::join!(client.close(), async {
        let close = soon("the close", peer.closed()).await;
        peer.end().await;
        close
    })
    .1;
    assert_eq!(
        (json!(code), json!(reason)),
        (close["code"].clone(), close["reason"].clone())
    );
}
