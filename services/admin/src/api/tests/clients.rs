//! Orders about clients and rooms, and questions to and about clients.

use std::time::Duration;

use serde_json::{Value, json};

use super::fixture::{Cluster, delete, get, post, put};
use super::openapi::check;

#[tokio::test]
async fn a_client_is_asked_and_its_answer_comes_back_as_written() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let _ann = edge.answering("ann", json!({"yes": [1, null]})).await;
    let open = cluster.open();
    let path = "/api/v1/clients/ann/requests";
    let answer = post(&open, path, r#"{"event":"ready?","timeoutMs":5000}"#).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({"answer": {"yes": [1, null]}}))
    );
    check("Answered", &answer.json());
    for wrong in ["0", "60001", "-1", "1.5", r#""1000""#] {
        let body = format!(r#"{{"event":"ready?","timeoutMs":{wrong}}}"#);
        post(&open, path, body).await.problem(400);
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_or_is_nowhere_is_told_apart() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let silent = edge.client("ann").await;
    let open = cluster.open();
    let begin = std::time::Instant::now();
    let late = post(
        &open,
        "/api/v1/clients/ann/requests",
        r#"{"event":"ready?","timeoutMs":50}"#,
    )
    .await;
    late.problem(504);
    assert_eq!(late.json()["code"], "no-answer");
    assert!(begin.elapsed() >= Duration::from_millis(50));
    drop(silent);
    for id in ["ann", "nobody"] {
        let path = format!("/api/v1/clients/{id}/requests");
        post(&open, &path, r#"{"event":"ready?"}"#).await.is_offline();
    }
}

#[tokio::test]
async fn a_client_joins_and_leaves_a_room_and_repeating_changes_nothing() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    edge.obeys_orders();
    let mut ann = edge.client("ann").await;
    let open = cluster.open();
    let path = "/api/v1/clients/ann/rooms/chat/x%2Fy";
    for _ in 0..2 {
        let joined = put(&open, path, "").await;
        assert_eq!((joined.status.as_u16(), joined.json()), (200, json!({"done": true})));
        check("Done", &joined.json());
    }
    let sent = post(&open, "/api/v1/rooms/chat/x%2Fy/messages", r#"{"event":"in"}"#).await;
    assert_eq!(sent.json()["servers"], 1);
    assert_eq!(ann.frame().await, r#"{"event":"in","payload":null}"#);
    for _ in 0..2 {
        assert_eq!(delete(&open, path).await.json(), json!({"done": true}));
    }
    let members = get(&open, "/api/v1/rooms/chat/x%2Fy").await.json();
    assert_eq!(members["count"], 0);
    put(&open, "/api/v1/clients/nobody/rooms/chat/a", "").await.is_offline();
    delete(&open, "/api/v1/clients/nobody/rooms/chat/a").await.is_offline();
    let long = "x".repeat(256);
    put(&open, &format!("/api/v1/clients/ann/rooms/chat/{long}"), "")
        .await
        .problem(400);
}

#[tokio::test]
async fn a_client_is_disconnected_with_a_code_that_says_whether_it_comes_back() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    edge.obeys_orders();
    let open = cluster.open();
    for (body, closed) in [
        ("", "closed 4010 "),
        (r#"{"comeBack":"never","reason":"banned"}"#, "closed 4010 banned"),
        (r#"{"comeBack":"now"}"#, "closed 1001 "),
        (r#"{"comeBack":1500}"#, "closed 1013 retry-after-ms=1500"),
    ] {
        let mut connections = [edge.client("ann").await, edge.client("ann").await];
        let done = post(&open, "/api/v1/clients/ann/disconnect", body).await;
        assert_eq!(done.json(), json!({"done": true}), "{body}");
        for connection in &mut connections {
            assert_eq!(connection.frame().await, closed);
        }
    }
    post(&open, "/api/v1/clients/nobody/disconnect", "{}")
        .await
        .is_offline();
    for wrong in [
        r#"{"code":1006}"#,
        r#"{"comeBack":"later"}"#,
        r#"{"code":4010,"comeBack":"now"}"#,
        "[]",
    ] {
        post(&open, "/api/v1/clients/nobody/disconnect", wrong)
            .await
            .problem(400);
    }
}

#[tokio::test]
async fn a_thousand_clients_are_found_in_one_gathering() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let _clients = (
        one.client("ann").await,
        two.client("bob").await,
        two.client("bob").await,
    );
    let open = cluster.open();
    let mut ids = vec!["bob".to_owned(), "ann".to_owned()];
    ids.extend((0..998).map(|number| format!("nobody-{number}")));
    let found = post(&open, "/api/v1/clients/query", json!({"ids": ids}).to_string()).await;
    assert_eq!(found.status, 200);
    let found = found.json();
    check("ClientsFound", &found);
    let clients = found["clients"].as_array().expect("a list");
    assert_eq!((clients.len(), &found["complete"]), (1000, &json!(true)));
    assert_eq!(
        (&clients[0]["client"], &clients[0]["state"]),
        (&json!("bob"), &json!("connected"))
    );
    assert_eq!(clients[0]["connections"].as_array().map(Vec::len), Some(2));
    assert_eq!(clients[1]["connections"][0]["server"], "ws-node-1");
    assert!(
        clients[1]["connections"][0]["since"]
            .as_str()
            .is_some_and(|since| since.ends_with('Z'))
    );
    assert_eq!(
        (&clients[999]["state"], &clients[999]["connections"]),
        (&json!("offline"), &json!([]))
    );
    let detailed = post(&open, "/api/v1/clients/query", r#"{"ids":["bob"],"detail":"contexts"}"#).await;
    check("ClientsFound", &detailed.json());
    assert_eq!(detailed.json()["clients"][0]["contexts"][1]["server"], "ws-node-2");
    for (count, detail) in [(0, "whereabouts"), (1001, "whereabouts"), (101, "contexts")] {
        let body = json!({"ids": vec!["ann"; count], "detail": detail}).to_string();
        let problem = post(&open, "/api/v1/clients/query", body).await.problem(400);
        assert!(problem.contains(&format!("{count} ids")), "{problem}");
    }
}

#[tokio::test]
async fn a_room_is_closed_after_a_last_message() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let mut members = [one.client("ann").await, two.client("bob").await];
    let open = cluster.open();
    let close = async |body: &'static str| {
        let request = axum::http::Request::delete("/api/v1/rooms/chat/a")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body));
        super::fixture::send(&open, request.expect("a request")).await
    };
    for last in [r#"{"event":"closed","payload":1}"#, ""] {
        one.join("ann", "chat", "a").await;
        two.join("bob", "chat", "a").await;
        let closed = close(last).await;
        assert_eq!(
            (closed.status.as_u16(), closed.json()),
            (202, json!({"accepted": true, "servers": 2}))
        );
        super::fixture::until("everyone has left", async || {
            get(&open, "/api/v1/rooms/chat/a").await.json()["count"] == 0
        })
        .await;
    }
    for member in &mut members {
        assert_eq!(member.frame().await, r#"{"event":"closed","payload":1}"#);
        assert!(member.frames.try_recv().is_err());
    }
    assert!(close(r#"{"payload":1}"#).await.problem(400).contains("name the event"));
}

#[tokio::test]
async fn data_is_attached_to_a_client_shown_and_removed() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let _ann = edge.client("ann").await;
    let open = cluster.open();
    let path = "/api/v1/clients/ann/data";
    let data = async || get(&open, path).await.json()["data"].clone();
    assert_eq!(data().await, Value::Null);
    assert_eq!(
        put(&open, path, r#"{"team":"red"}"#).await.json(),
        json!({"done": true})
    );
    assert_eq!(data().await, json!({"team": "red"}));
    check("Attached", &get(&open, path).await.json());
    let shown = get(&open, "/api/v1/clients/ann").await.json();
    assert_eq!(shown["connections"][0]["contexts"][0]["data"], json!({"team": "red"}));
    check("Client", &shown);
    let large = json!("x".repeat(4095)).to_string();
    assert!(put(&open, path, large).await.problem(413).contains("4097 bytes"));
    assert_eq!(data().await, json!({"team": "red"}), "it stays");
    assert_eq!(put(&open, path, json!("x".repeat(4094)).to_string()).await.status, 200);
    assert_eq!(delete(&open, path).await.json(), json!({"done": true}));
    assert_eq!(data().await, Value::Null);
    for answer in [
        put(&open, "/api/v1/clients/nobody/data", "1").await,
        get(&open, "/api/v1/clients/nobody/data").await,
        delete(&open, "/api/v1/clients/nobody/data").await,
    ] {
        answer.is_offline();
    }
}
