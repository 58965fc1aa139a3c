//! Whatever a caller sends, it gets an answer that says what is wrong, and never one that blames the server.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use super::fixture::{Cluster, batch, post, send};

/// Every path that takes a body.
const WRITES: [(&str, &str); 10] = [
    ("POST", "/api/v1/rooms/chat/a/messages"),
    ("DELETE", "/api/v1/rooms/chat/a"),
    ("POST", "/api/v1/clients/ann/messages"),
    ("POST", "/api/v1/clients/messages"),
    ("POST", "/api/v1/clients/query"),
    ("POST", "/api/v1/clients/ann/requests"),
    ("POST", "/api/v1/clients/ann/disconnect"),
    ("PUT", "/api/v1/clients/ann/data"),
    ("POST", "/api/v1/broadcast"),
    ("POST", "/api/v1/batch"),
];

#[tokio::test]
async fn no_body_that_is_broken_gives_an_error_of_the_server() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let deep = format!(
        r#"{{"event":"a","payload":{}{}}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let bodies: [&[u8]; 14] = [
        b"{",
        b"null",
        b"\"text\"",
        b"[1,2]",
        b"{\"event\":null}",
        b"{\"event\":\"a\",\"event\":\"b\"}",
        b"{\"event\":\"a\",\"payload\":1e999}",
        b"{\"event\":\"\\ud800\"}",
        b"{\"event\":\"a\xff\"}",
        b"\xef\xbb\xbf{\"event\":\"a\"}",
        "{\"event\":\"a\"}".as_bytes(),
        b"\0\0\0\0",
        b"{\"ids\":[\"\"],\"event\":\"a\"}",
        deep.as_bytes(),
    ];
    for (method, path) in WRITES {
        for body in bodies {
            for kind in [
                "application/json",
                "application/x-ndjson",
                "text/plain",
                "application/json; charset=utf-16",
            ] {
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header("content-type", kind)
                    .body(Body::from(body.to_vec()));
                let answer = send(&open, request.expect("a request")).await;
                let about = format!(
                    "{method} {path} {kind} {}: {}",
                    String::from_utf8_lossy(&body[..body.len().min(40)]),
                    answer.text
                );
                assert!(answer.status.as_u16() < 500, "{about}");
                if !answer.status.is_success() {
                    assert!(answer.problem(answer.status.as_u16()).len() > 10, "{about}");
                }
            }
        }
    }
}

#[tokio::test]
async fn each_mistake_is_told_with_what_to_do() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let many = json!(vec!["ann"; 1001]);
    let long = "x".repeat(256);
    for (path, body, status, reason) in [
        (
            "rooms/chat/a/messages",
            r#"{"event":""}"#.to_owned(),
            400,
            "event is empty",
        ),
        ("rooms/chat/a/messages", "{}".to_owned(), 400, "missing field `event`"),
        (
            "rooms/chat/a/messages",
            r#"{"event":"a","exept":[]}"#.to_owned(),
            400,
            "unknown field `exept`",
        ),
        (
            "rooms/chat/a/messages",
            json!({"event": "a", "except": vec!["ann"; 101]}).to_string(),
            400,
            "101 ids",
        ),
        (
            "clients/ann/messages",
            r#"{"event":7}"#.to_owned(),
            400,
            "expected a string",
        ),
        (
            "clients/ann/messages",
            r#"{"event":"a","except":[]}"#.to_owned(),
            400,
            "unknown field `except`",
        ),
        (
            "clients/messages",
            json!({"event": "a", "ids": many}).to_string(),
            400,
            "1001 ids are given: send 1 to 1000",
        ),
        ("clients/messages", r#"{"event":"a","ids":[]}"#.to_owned(), 400, "0 ids"),
        (
            "clients/messages",
            r#"{"event":"a","ids":["a\u0000"]}"#.to_owned(),
            400,
            "control character",
        ),
        ("clients/query", json!({"ids": [long]}).to_string(), 400, "256 bytes"),
        (
            "clients/query",
            json!({"ids": ["a"], "detail": "all"}).to_string(),
            400,
            "unknown variant `all`",
        ),
        (
            "clients/messages",
            format!(r#"{{"ids":["a"],"event":"{}"}}"#, "x".repeat(1024 * 1024)),
            413,
            "1048576 bytes",
        ),
    ] {
        let detail = post(&open, &format!("/api/v1/{path}"), body.clone())
            .await
            .problem(status);
        assert!(
            detail.contains(reason),
            "{path} {}: {detail}",
            &body[..body.len().min(80)]
        );
    }
}

#[tokio::test]
async fn a_body_of_another_shape_is_told_in_words_of_json_what_to_send() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    for (path, body, reason) in [
        (
            "rooms/chat/a/messages",
            r#"["say"]"#,
            "the body cannot be read: invalid type: array: send a JSON object",
        ),
        ("clients/ann/messages", "null", "send a JSON object"),
        ("clients/ann/disconnect", "[4010]", "send a JSON object"),
        ("servers/a/drain", "[1]", "send a JSON object"),
        ("nodes", r#"["redis://a:1"]"#, "send a JSON object"),
        (
            "broadcast",
            r#"{"event":"a","room":["chat","a"]}"#,
            "room: invalid type: array: send a JSON object",
        ),
        (
            "clients/ann/requests",
            r#"{"event":"a","timeoutMs":"1"}"#,
            "timeoutMs: invalid type: string \"1\", expected a whole number from 0",
        ),
        (
            "clients/query",
            r#"{"ids":"ann"}"#,
            "ids: invalid type: string \"ann\", expected an array",
        ),
    ] {
        let detail = post(&open, &format!("/api/v1/{path}"), body).await.problem(400);
        assert!(detail.contains(reason), "{path} {body}: {detail}");
    }
}

#[tokio::test]
async fn bodies_in_other_encodings_are_rejected_and_utf_8_may_be_named() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let with = async |headers: &[(&str, &str)]| {
        let mut request = Request::post("/api/v1/broadcast");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(&open, request.body(Body::from(r#"{"event":"a"}"#)).expect("a request")).await
    };
    for kind in [
        "application/json; charset=utf-8",
        "application/json; charset=\"UTF-8\"",
        "application/vnd.shop+json",
    ] {
        assert_eq!(with(&[("content-type", kind)]).await.status, 200, "{kind}");
    }
    for kind in [
        "",
        "text/json",
        "application/jsonp",
        "application/json; charset=iso-8859-1",
    ] {
        with(&[("content-type", kind)]).await.problem(415);
    }
    let gzip = with(&[("content-type", "application/json"), ("content-encoding", "gzip")]).await;
    assert!(gzip.problem(415).contains("not compressed"));
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_say_so() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    for (method, path, status) in [
        ("GET", "/api/v1/clients/a/messages", 405),
        ("POST", "/api/v1/clients/a/rooms/chat/x", 405),
        ("PUT", "/api/v1/clients/a/rooms/chat", 404),
        ("PATCH", "/api/v1/batch", 405),
        ("POST", "/api/v1/clients//messages", 400),
        ("POST", "/api/v1/clients/%FF/messages", 400),
        ("POST", "/api/v1/clients/a%00b/requests", 400),
        ("DELETE", "/api/v1/rooms/chat/%0A", 400),
        ("PUT", "/api/v1/clients/a/rooms/%20/%E2%80%AE", 404),
        ("POST", "/api/v1/rooms/a/b/c/messages", 404),
    ] {
        let method: Method = method.parse().expect("a method");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(r#"{"event":"a"}"#));
        let answer = send(&open, request.expect("a request")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        answer.problem(status);
    }
}

#[tokio::test]
async fn what_clients_are_called_cannot_break_out_of_an_answer() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let nasty = "a\\\"},{\\\"status\\\":200";
    let line = format!(r#"{{"sendToClient":{{"client":"{nasty}","event":"x"}}}}"#);
    let results = batch(&open, line).await.lines();
    assert_eq!((results.len(), &results[0]["status"]), (1, &json!(404)));
}
