//! Many commands in one body: results in order, and a line that fails fails alone.

use std::fmt::Write;

use serde_json::{Value, json};

use axum::body::Bytes;
use tokio::time::Instant;

use super::fixture::{Cluster, batch, post};
use super::openapi::check;

fn statuses(lines: &[Value]) -> Vec<u64> {
    lines
        .iter()
        .map(|line| line["status"].as_u64().expect("a number"))
        .collect()
}

#[tokio::test]
async fn each_command_has_the_result_of_its_request_in_the_order_of_the_lines() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    edge.obeys_orders();
    let mut ann = edge.client("ann").await;
    let _bob = edge.answering("bob", json!(7)).await;
    let lines = [
        r#"{"join":{"client":"ann","room":{"namespace":"chat","id":"a"}}}"#,
        r#"{"sendToRoom":{"room":{"namespace":"chat","id":"a"},"event":"1","payload":{"big":12345678901234567890}}}"#,
        r#"{"sendToClient":{"client":"ann","event":"2"}}"#,
        r#"{"sendToClient":{"client":"nobody","event":"2"}}"#,
        r#"{"broadcast":{"event":"3","except":["bob"]}}"#,
        r#"{"sendToClients":{"ids":["ann","nobody"],"event":"4"}}"#,
        r#"{"ask":{"client":"bob","event":"5"}}"#,
        r#"{"setData":{"client":"ann","data":[1]}}"#,
        r#"{"query":{"ids":["ann"]}}"#,
        r#"{"leave":{"client":"ann","room":{"namespace":"chat","id":"a"}}}"#,
        r#"{"sendToRoom":{"room":{"namespace":"chat","id":"a"},"event":"6"}}"#,
        r#"{"closeRoom":{"room":{"namespace":"chat","id":"a"},"event":"7"}}"#,
        r#"{"disconnect":{"client":"ann","comeBack":"now"}}"#,
    ];
    let results = batch(&cluster.open(), lines.join("\n")).await.lines();
    assert_eq!(
        statuses(&results),
        [200, 202, 202, 404, 202, 202, 200, 200, 200, 200, 202, 202, 200],
        "{results:#?}"
    );
    results.iter().for_each(|result| check("LineResult", result));
    assert_eq!(results[3]["body"]["code"], "offline");
    assert_eq!(results[6]["body"], json!({"answer": 7}));
    assert_eq!(results[8]["body"]["clients"][0]["state"], "connected");
    assert_eq!(
        ann.frame().await,
        r#"{"event":"1","payload":{"big":12345678901234567890}}"#
    );
    for event in ["2", "3", "4"] {
        assert_eq!(ann.frame().await, format!(r#"{{"event":"{event}","payload":null}}"#));
    }
    assert_eq!(ann.frame().await, "closed 1001 ");
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_a_problem_of_that_line_only() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let good = |event: &str| format!(r#"{{"sendToClient":{{"client":"ann","event":"{event}"}}}}"#).into_bytes();
    let long = format!(
        r#"{{"broadcast":{{"event":"a","payload":"{}"}}}}"#,
        "x".repeat(1024 * 1024)
    );
    let lines: [&[u8]; 12] = [
        &good("1"),
        b"not JSON",
        b"",
        b"{\"broadcast\":{\"event\":\"\xff\"}}",
        b"\xff\xfe{\0}\0",
        br#"{"shout":{"event":"a"}}"#,
        br#"{"broadcast":{"event":""}}"#,
        br#"{"query":{"ids":[]}}"#,
        br#"{"sendToRoom":{"room":{"namespace":"","id":"a"},"event":"a"}}"#,
        br#"[]"#,
        long.as_bytes(),
        &good("2"),
    ];
    let results = batch(&cluster.open(), lines.join(&b"\r\n"[..])).await.lines();
    assert_eq!(
        statuses(&results),
        [202, 400, 400, 400, 400, 400, 400, 400, 400, 400, 413, 202],
        "{results:#?}"
    );
    results.iter().for_each(|result| check("LineResult", result));
    for event in ["1", "2"] {
        assert_eq!(ann.frame().await, format!(r#"{{"event":"{event}","payload":null}}"#));
    }
}

#[tokio::test]
async fn a_batch_of_a_thousand_messages_keeps_their_order() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let mut members = [one.client("ann").await, two.client("bob").await];
    one.join("ann", "chat", "a").await;
    two.join("bob", "chat", "a").await;
    let open = cluster.open();
    let mut lines = String::new();
    for number in 0..1000 {
        let line =
            format!(r#"{{"sendToRoom":{{"room":{{"namespace":"chat","id":"a"}},"event":"n","payload":{number}}}}}"#);
        writeln!(lines, "{line}").expect("a text takes everything");
    }
    let begin = std::time::Instant::now();
    let results = batch(&open, lines.clone()).await.lines();
    let took = begin.elapsed();
    assert_eq!(results.len(), 1000);
    assert!(
        results.iter().all(|result| result["body"]["servers"] == 2),
        "{:?}",
        results[0]
    );
    for member in &mut members {
        for number in 0..1000 {
            assert_eq!(member.frame().await, format!(r#"{{"event":"n","payload":{number}}}"#));
        }
    }
    // Much more than it takes: this build is not optimised, and the machine may be busy.
    assert!(took.as_secs() < 5, "{took:?}");

    lines.push_str(r#"{"broadcast":{"event":"one too many"}}"#);
    let problem = batch(&open, lines).await.problem(400);
    assert!(problem.contains("1001 lines, and nothing was done"), "{problem}");
    assert!(members[0].frames.try_recv().is_err());
}

#[tokio::test]
async fn messages_to_several_clients_keep_their_order_for_each_client() {
    let cluster = Cluster::new().await;
    let edges = [cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await];
    let mut clients = Vec::new();
    for number in 0..60 {
        clients.push(edges[number % 2].client(&format!("c{number}")).await);
    }
    let everyone: Vec<_> = (0..60).map(|number| format!("c{number}")).collect();
    let mut lines = String::new();
    // Where one client is, is known sooner than where many are.
    for number in 0..100 {
        let ids = if number % 2 == 0 {
            &everyone[..]
        } else {
            &everyone[59..]
        };
        let line = json!({"sendToClients": {"ids": ids, "event": "n", "payload": number}});
        writeln!(lines, "{line}").expect("a text takes everything");
    }
    let results = batch(&cluster.open(), lines).await.lines();
    assert!(statuses(&results).iter().all(|status| *status == 202), "{results:#?}");
    for (index, client) in clients.iter_mut().enumerate() {
        for number in (0..100).step_by(if index == 59 { 1 } else { 2 }) {
            assert_eq!(client.frame().await, format!(r#"{{"event":"n","payload":{number}}}"#));
        }
    }
}

#[tokio::test]
async fn messages_to_a_thousand_clients_ask_once_where_they_are() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let line = |id: &str| format!("{{\"sendToClient\":{{\"client\":\"{id}\",\"event\":\"x\"}}}}\n");
    let mut lines: String = (0..999).map(|number| line(&format!("nobody-{number}"))).collect();
    lines.push_str(&line("ann"));
    let results = batch(&cluster.open(), lines).await.lines();
    let offline = results
        .iter()
        .filter(|result| result["body"]["code"] == "offline")
        .count();
    assert_eq!((offline, &results[999]["status"]), (999, &json!(202)));
    assert_eq!(ann.frame().await, r#"{"event":"x","payload":null}"#);
}

#[tokio::test]
async fn a_body_that_is_no_batch_is_rejected_as_a_whole() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    for empty in ["", "\n", " \r\n"] {
        assert!(batch(&open, empty).await.problem(400).contains("the batch is empty"));
    }
    let typed = post(&open, "/api/v1/batch", r#"{"broadcast":{"event":"a"}}"#).await;
    assert!(typed.problem(415).contains("application/x-ndjson"));
    let large = format!(
        "{{\"broadcast\":{{\"event\":\"a\",\"payload\":\"{}\"}}}}",
        "x".repeat(4 * 1024 * 1024)
    );
    let detail = batch(&open, large).await.problem(413);
    assert!(detail.contains("4194304 bytes"), "{detail}");
}

#[tokio::test]
async fn results_are_bounded_and_the_lines_that_are_left_are_not_begun() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    edge.obeys_orders();
    let mut ann = edge.client("ann").await;
    let _bob = edge.answering("bob", json!("x".repeat(900_000))).await;
    let mut lines = "{\"ask\":{\"client\":\"bob\",\"event\":\"long\",\"timeoutMs\":15000}}\n".repeat(12);
    lines.push_str("no command\n");
    lines.push_str("{\"sendToClient\":{\"client\":\"ann\",\"event\":\"late\"}}\n");
    let open = cluster.open();
    let answer = batch(&open, lines).await;
    assert!(answer.text.len() < 9 * 1024 * 1024, "{}", answer.text.len());
    let results = answer.lines();
    let left_out = |result: &Value| result["body"]["code"] == "answer-forgotten";
    assert_eq!(results.iter().filter(|result| result["status"] == 200).count(), 9);
    assert_eq!(results[..12].iter().filter(|result| left_out(result)).count(), 3);
    for result in &results[12..] {
        check("LineResult", result);
        assert_eq!(
            (&result["status"], &result["body"]["code"]),
            (&json!(413), &json!("answer-too-large"))
        );
        assert!(result["body"]["detail"].to_string().contains("was not carried out"));
    }
    post(&open, "/api/v1/broadcast", r#"{"event":"end"}"#).await.json();
    assert_eq!(ann.frame().await, r#"{"event":"end","payload":null}"#);
}

#[tokio::test]
async fn lines_after_the_end_of_the_time_are_not_begun() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let lines = [
        r#"{"sendToClient":{"client":"ann","event":"late"}}"#,
        r#"{"broadcast":{"event":"late"}}"#,
        r#"{"sendToClients":{"ids":["ann"],"event":"late"}}"#,
    ];
    let body = Bytes::from(lines.join("\n"));
    let caller = crate::access::Caller::demo();
    let results = crate::commands::batch::run(&cluster.admin, &caller, &body, Instant::now(), &<_>::default()).await;
    let results = String::from_utf8(results.expect("lines")).expect("text");
    assert_eq!(results.lines().count(), 3);
    for result in results.lines() {
        assert!(
            result.contains(r#""code":"overdue""#) && result.contains("was not carried out"),
            "{result}"
        );
    }
    post(&cluster.open(), "/api/v1/broadcast", r#"{"event":"end"}"#)
        .await
        .json();
    assert_eq!(ann.frame().await, r#"{"event":"end","payload":null}"#);
}
