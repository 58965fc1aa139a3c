//! The log level of servers, changed for a while. What servers do with it is tested in bootstrap.

use serde_json::{Value, json};
use wsmesh_adapter::{Adapter, Refusal};

use super::fixture::{Cluster, get, post};
use super::openapi::check;
use super::servers::obeys;

/// A server that refuses every level.
fn refuses(server: &Adapter) {
    server.on_request("wsmesh.logLevel", async |_| {
        Err::<Value, _>(Refusal::new("UNAVAILABLE", "its logs were not set up by wsmesh"))
    });
}

#[tokio::test]
async fn one_server_logs_at_another_level_until_a_stated_time() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("edge-1").await;
    obeys(&edge.adapter);
    let open = cluster.open();
    let path = "/api/v1/servers/edge-1/log-level";
    let before = jiff::Timestamp::now();
    for (body, seconds) in [
        (json!({"level": "debug", "forMs": 60_000}), 60),
        (json!({"level": "info,wsmesh_adapter=debug"}), 600),
    ] {
        let answer = post(&open, path, body.to_string()).await.json();
        check("LogLevelAtServer", &answer);
        assert_eq!(
            (&answer["server"], &answer["level"]),
            (&json!("edge-1"), &body["level"])
        );
        let until: jiff::Timestamp = answer["until"].as_str().expect("a time").parse().expect("a time");
        let length = until.duration_since(before).as_secs();
        assert!((seconds - 1..seconds + 30).contains(&length), "{answer}");
    }
}

#[tokio::test]
async fn all_servers_change_their_level_and_those_that_cannot_are_named_with_the_reason() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("edge-1").await, cluster.edge("edge-2").await);
    let _older = cluster.edge("edge-3").await;
    obeys(&one.adapter);
    refuses(&two.adapter);
    wsmesh_bootstrap::answer_log_level(&cluster.admin);
    let answer = post(&cluster.open(), "/api/v1/log-level", r#"{"level":"debug"}"#)
        .await
        .json();
    check("LogLevelOfAll", &answer);
    assert_eq!(
        (&answer["servers"], &answer["complete"]),
        (&json!(["edge-1"]), &json!(false))
    );
    let why = |at: usize| answer["missing"][at]["why"].as_str().expect("a reason");
    let servers = answer["missing"].as_array().expect("a list").iter();
    let servers: Vec<_> = servers
        .map(|missing| missing["server"].as_str().expect("a name"))
        .collect();
    assert_eq!(servers, ["admin-1", "edge-2", "edge-3"]);
    assert!(why(0).contains("not set up by wsmesh"), "this process is a test");
    assert!(
        why(1).contains("not set up by wsmesh") && why(2).contains("another version"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_servers_of_one_service_change_their_level_and_no_others() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("edge-1").await, cluster.edge("edge-2").await);
    obeys(&one.adapter);
    obeys(&two.adapter);
    let open = cluster.open();
    let service = one.adapter.service();
    let body = json!({"level": "debug", "service": service}).to_string();
    let answer = post(&open, "/api/v1/log-level", body).await.json();
    check("LogLevelOfAll", &answer);
    assert_eq!(
        (&answer["servers"], &answer["complete"]),
        (&json!(["edge-1", "edge-2"]), &json!(true)),
        "admin is of another service"
    );
    let body = json!({"level": "debug", "service": "nothing"}).to_string();
    post(&open, "/api/v1/log-level", body).await.problem(404);
    let body = json!({"level": "debug", "service": ""}).to_string();
    post(&open, "/api/v1/log-level", body).await.problem(400);
}

#[tokio::test]
async fn a_level_is_ended_early_and_the_audit_says_which_level_where_and_for_how_long() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("edge-1").await;
    obeys(&edge.adapter);
    let open = cluster.open();
    let service = edge.adapter.service();
    for (path, body) in [
        ("servers/edge-1/log-level", json!({"level": "debug", "forMs": 60_000})),
        ("servers/edge-1/log-level", json!({"level": "default"})),
        (
            "log-level",
            json!({"level": "info,wsmesh_adapter=debug", "service": service}),
        ),
        ("log-level", json!({"level": "default", "forMs": 1000})),
    ] {
        let before = jiff::Timestamp::now();
        let answer = post(&open, &format!("/api/v1/{path}"), body.to_string()).await.json();
        check(
            if path == "log-level" {
                "LogLevelOfAll"
            } else {
                "LogLevelAtServer"
            },
            &answer,
        );
        if body["level"] == "default" {
            let until: jiff::Timestamp = answer["until"].as_str().expect("a time").parse().expect("a time");
            assert!(until.duration_since(before).as_secs() < 30, "{answer}");
        }
    }
    post(&open, "/api/v1/servers/edge-1/log-level", r#"{"level":"loud"}"#)
        .await
        .problem(400);
    let answer = get(&open, "/api/v1/audit").await.json();
    let records = answer["records"].as_array().expect("records").iter();
    let told: Vec<_> = records
        .map(|record| {
            [&record["action"], &record["target"], &record["result"]].map(|text| text.as_str().expect("text"))
        })
        .collect();
    let of_service = format!("service {service}, level info,wsmesh_adapter=debug for 600 s");
    assert_eq!(
        told,
        [
            ["set log level", "server edge-1", "rejected"],
            ["set log level", "every server, level as configured", "done"],
            ["set log level", &of_service, "done"],
            ["set log level", "server edge-1, level as configured", "done"],
            ["set log level", "server edge-1, level debug for 60 s", "done"],
        ]
    );
}

#[tokio::test]
async fn a_level_that_is_none_and_a_server_that_cannot_are_rejected_and_nobody_is_asked() {
    let cluster = Cluster::new().await;
    let (edge, _older) = (cluster.edge("edge-1").await, cluster.edge("edge-2").await);
    refuses(&edge.adapter);
    let open = cluster.open();
    for body in [
        json!({"level": "loud"}),
        json!({"level": ""}),
        json!({"level": "a=info,".repeat(40)}),
        json!({"level": "debug", "forMs": 0}),
        json!({"level": "debug", "forMs": 86_400_001}),
        json!({"level": "debug", "forMs": -1}),
        json!({"level": 7}),
        json!({}),
        json!({"level": "debug", "for": 1000}),
    ] {
        for path in ["/api/v1/log-level", "/api/v1/servers/edge-1/log-level"] {
            post(&open, path, body.to_string()).await.problem(400);
        }
    }
    let debug = r#"{"level":"debug"}"#;
    for (server, status, why) in [
        ("edge-1", 409, "not set up by wsmesh"),
        ("edge-2", 409, "another version"),
        ("nobody", 404, "nobody"),
    ] {
        let detail = post(&open, &format!("/api/v1/servers/{server}/log-level"), debug)
            .await
            .problem(status);
        assert!(detail.contains(why), "{detail}");
    }
}
