//! What a client gets for a backend's answer.

use serde_json::json;

use crate::common::{Server, demo};
use crate::server::{Act, Backend, answer, answer_of};

/// Answers with the status that the payload names, and with its body.
async fn obedient() -> Backend {
    Backend::start(|request| {
        let wish: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
        let status = wish["status"].as_u64().expect("a status") as u16;
        let kind = wish["kind"].as_str().unwrap_or("application/json");
        Act::Send(answer_of(status, kind, wish["body"].as_str().unwrap_or_default()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_has_the_code_that_is_documented() {
    let backend = obedient().await;
    let mut settings = demo();
    // Failures are wanted here.
    settings.rules.push(ws_node::Rule {
        breaker_failures: Some(0),
        ..backend.rule("ask")
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    for (status, code) in [
        (400, "BAD_PAYLOAD"),
        (422, "BAD_PAYLOAD"),
        (401, "NOT_ALLOWED"),
        (403, "NOT_ALLOWED"),
        (404, "NOT_FOUND"),
        (409, "CONFLICT"),
        (413, "TOO_BIG"),
        (429, "OVERLOADED"),
        (500, "UNAVAILABLE"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "UNAVAILABLE"),
        (302, "INTERNAL"),
        (405, "INTERNAL"),
    ] {
        let reply = ann
            .request("ask", json!({"status": status, "body": "{\"secret\":1}"}))
            .await;
        assert_eq!(reply["errorCode"], code, "{status}");
        assert!(!reply.to_string().contains("secret"), "{reply}");
    }
    for (status, body, expected) in [
        (200, "{\"a\":1}", json!({"a": 1})),
        (201, "[1]", json!([1])),
        (200, "null", json!(null)),
        (200, "", json!({"ok": true})),
    ] {
        assert_eq!(
            ann.request("ask", json!({"status": status, "body": body})).await,
            expected
        );
    }
    for body in ["<html>", "{", "{}{}"] {
        let reply = ann.request("ask", json!({"status": 200, "body": body})).await;
        assert_eq!(reply["errorCode"], "INTERNAL", "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_gives_the_errors_text_and_code() {
    let backend = obedient().await;
    let mut settings = demo();
    settings.rules.push(backend.rule("ask"));
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    let problem = r#"{"detail":"bid more than 7","code":"BID_TOO_LOW","instance":"/secret"}"#;
    let kind = "Application/Problem+JSON; charset=utf-8";
    let reply = ann
        .request("ask", json!({"status": 409, "kind": kind, "body": problem}))
        .await;
    assert_eq!(reply, json!({"error": "bid more than 7", "errorCode": "BID_TOO_LOW"}));
    let other = r#"{"detail":"bid more than 7","code":"bid_too_low"}"#;
    let reply = ann
        .request("ask", json!({"status": 409, "kind": kind, "body": other}))
        .await;
    assert_eq!(reply, json!({"error": "bid more than 7", "errorCode": "CONFLICT"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_chunks_is_read_and_one_that_is_too_large_is_not() {
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n";
    let backend = Backend::start(move |request| match &*request.body {
        "\"chunks\"" => Act::Send(chunks.into()),
        "\"just\"" => Act::Send(answer(200, &format!("\"{}\"", "x".repeat(98)))),
        "\"large\"" => Act::Send(answer(200, &format!("\"{}\"", "x".repeat(99)))),
        // An error says enough by its status, however large its page is.
        _ => Act::Send(answer(404, &"x".repeat(1000))),
    })
    .await;
    let mut settings = demo();
    settings.rules.push(ws_node::Rule {
        max_reply_bytes: Some(100),
        ..backend.rule("ask")
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    assert_eq!(ann.request("ask", json!("chunks")).await, json!({"a": 1}));
    assert_eq!(ann.request("ask", json!("just")).await, json!("x".repeat(98)));
    assert_eq!(ann.request("ask", json!("large")).await["errorCode"], "INTERNAL");
    assert_eq!(ann.request("ask", json!("page")).await["errorCode"], "NOT_FOUND");
}
