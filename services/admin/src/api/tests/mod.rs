//! Every route and its errors, over a cluster on the embedded bus.

mod access;
mod assign;
mod audit;
mod batch;
mod callers;
mod clients;
mod docs;
mod fixture;
mod hostile;
mod jobs;
mod limits;
mod load;
mod log_level;
mod messages;
mod methods;
mod nodes;
mod once;
mod openapi;
mod outage;
mod preflight;
mod rejections;
mod requests;
mod scale;
mod scale_trouble;
mod servers;
mod stateful_set;
mod stats;
mod tokens;
mod traces;
mod watch;

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use fixture::{Cluster, get, post, timeout, until};

#[tokio::test]
async fn the_cluster_is_listed_by_service_with_loads_and_nodes() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let _ann = edge.client("ann").await;
    edge.join("ann", "chat", "lobby").await;
    let open = cluster.open();
    // An answer may be a second old, from before she joined.
    until("ann is counted", async || {
        let answer = get(&open, "/api/v1/cluster").await.json();
        answer["services"][1]["servers"][0]["rooms"] == 1
    })
    .await;
    let answer = get(&open, "/api/v1/cluster").await.json();
    assert_eq!(answer["complete"], true, "{answer}");
    assert_eq!(answer["missing"], json!([]));
    assert_eq!(answer["services"][0]["service"], "admin");
    let server = &answer["services"][1]["servers"][0];
    assert_eq!(server["name"], "ws-node-1");
    assert_eq!((&server["clients"], &server["rooms"]), (&json!(1), &json!(1)));
    assert_eq!(server["heard"], json!(["redis-1", "redis-2"]));
    assert_eq!(server["counted"], true);
    assert_eq!((&server["lapses"], &answer["differences"]), (&json!([]), &json!([])));
    openapi::check("Cluster", &answer);
}

#[tokio::test]
async fn settings_that_differ_between_servers_are_shown() {
    let cluster = Cluster::new().await;
    let _other = cluster
        .edge_with("ws-node-1", |options| options.replay_window = Duration::from_secs(9))
        .await;
    let answer = get(&cluster.open(), "/api/v1/cluster").await.json();
    assert_eq!(
        answer["differences"],
        json!([{"server": "ws-node-1", "setting": "replay_window_ms", "theirs": "9000", "ours": "600"}])
    );
    openapi::check("Cluster", &answer);
}

#[tokio::test]
async fn each_node_names_the_servers_that_hear_it() {
    let cluster = Cluster::new().await;
    let _edge = cluster.edge("ws-node-1").await;
    let answer = get(&cluster.open(), "/api/v1/nodes").await.json();
    assert_eq!(answer["nodes"][0]["id"], "redis-1", "{answer}");
    let hearing = answer["nodes"][0]["heardBy"].as_array().expect("a list");
    let servers: Vec<_> = hearing
        .iter()
        .map(|hearing| hearing["server"].as_str().expect("a name"))
        .collect();
    assert_eq!(servers, ["admin-1", "ws-node-1"]);
    assert_eq!(answer["warnings"], json!([]));
    assert_eq!(answer.get("kubernetes"), None);
    openapi::check("Nodes", &answer);
}

#[tokio::test]
async fn rooms_and_their_members_are_gathered_from_all_servers() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let _clients = (
        one.client("ann").await,
        two.client("bob").await,
        two.client("cid").await,
    );
    one.join("ann", "chat", "lobby").await;
    two.join("bob", "chat", "lobby").await;
    two.join("cid", "game", "x/y z").await;
    let open = cluster.open();

    let rooms = get(&open, "/api/v1/rooms").await.json();
    assert_eq!(
        rooms["rooms"],
        json!([
            {"namespace": "chat", "id": "lobby", "members": 2},
            {"namespace": "game", "id": "x/y z", "members": 1},
        ])
    );
    openapi::check("Rooms", &rooms);
    let games = get(&open, "/api/v1/rooms?namespace=game&prefix=x").await.json();
    assert_eq!(games["count"], 1);
    let first = get(&open, "/api/v1/rooms?limit=1").await.json();
    openapi::check("Rooms", &first);
    let next = first["next"].as_str().expect("a cursor");
    let second = get(&open, &format!("/api/v1/rooms?limit=1&cursor={next}")).await.json();
    assert_eq!(second["rooms"][0]["namespace"], "game");
    assert_eq!(second["next"], json!(null));

    let lobby = get(&open, "/api/v1/rooms/chat/lobby").await.json();
    let members = json!([{"client": "ann", "server": "ws-node-1"}, {"client": "bob", "server": "ws-node-2"}]);
    assert_eq!((&lobby["count"], &lobby["members"]), (&json!(2), &members));
    openapi::check("RoomMembers", &lobby);
    let page = get(&open, "/api/v1/rooms/chat/lobby?limit=1").await.json();
    assert_eq!(page["members"][0]["client"], "ann");
    let next = page["next"].as_str().expect("a cursor");
    let second = format!("/api/v1/rooms/chat/lobby?limit=1&cursor={next}");
    assert_eq!(get(&open, &second).await.json()["members"][0]["client"], "bob");
    let encoded = get(&open, "/api/v1/rooms/game/x%2Fy%20z").await.json();
    assert_eq!(encoded["count"], 1, "{encoded}");
    let nobody = get(&open, "/api/v1/rooms/chat/empty").await.json();
    assert_eq!((&nobody["count"], &nobody["complete"]), (&json!(0), &json!(true)));
}

#[tokio::test]
async fn a_client_is_found_with_its_rooms_or_known_to_be_offline() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let _ann = edge.client("ann").await;
    edge.join("ann", "chat", "lobby").await;
    let open = cluster.open();
    let ann = get(&open, "/api/v1/clients/ann").await.json();
    assert_eq!(ann["state"], "connected");
    let rooms = json!([{"namespace": "chat", "id": "lobby"}]);
    let connection = &ann["connections"][0];
    assert_eq!(
        (&connection["server"], &connection["rooms"]),
        (&json!("ws-node-1"), &rooms)
    );
    assert_eq!(connection["contexts"][0]["client"], "ann");
    openapi::check("Client", &ann);
    let bob = get(&open, "/api/v1/clients/bob").await.json();
    assert_eq!((&bob["state"], &bob["connections"]), (&json!("offline"), &json!([])));
    openapi::check("Client", &bob);
}

#[tokio::test]
async fn totals_are_given_by_service_and_server() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let _clients = (
        one.client("ann").await,
        two.client("bob").await,
        two.client("cid").await,
    );
    let open = cluster.open();
    until("a sample has all clients", async || {
        get(&open, "/api/v1/stats").await.json()["clients"] == 3
    })
    .await;
    let stats = get(&open, "/api/v1/stats").await.json();
    let service = &stats["services"][1];
    assert_eq!(
        (&service["service"], &service["servers"], &service["clients"]),
        (&json!("ws-node"), &json!(2), &json!(3))
    );
    assert_eq!(stats["servers"][2]["clients"], 2);
    openapi::check("Stats", &stats);
}

#[tokio::test]
async fn a_broadcast_reaches_everyone_a_room_or_some_clients() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    two.join("bob", "chat", "lobby").await;
    let open = cluster.open();

    let all = post(
        &open,
        "/api/v1/broadcast",
        r#"{"event":"say","payload":{"big":12345678901234567890}}"#,
    )
    .await;
    assert_eq!(all.json()["target"], "everyone", "{}", all.text);
    openapi::check("Sent", &all.json());
    for client in [&mut ann, &mut bob] {
        assert_eq!(
            client.frame().await,
            r#"{"event":"say","payload":{"big":12345678901234567890}}"#
        );
    }

    let room = r#"{"event":"room","room":{"namespace":"chat","id":"lobby"}}"#;
    assert_eq!(post(&open, "/api/v1/broadcast", room).await.json()["target"], "room");
    assert_eq!(bob.frame().await, r#"{"event":"room","payload":null}"#);

    let some = r#"{"event":"you","payload":1,"clients":["ann","nobody"]}"#;
    let some = post(&open, "/api/v1/broadcast", some).await.json();
    assert_eq!(
        (&some["target"], &some["offline"]),
        (&json!("clients"), &json!(["nobody"]))
    );
    // Ann's next frame is this one: the room's did not come to her.
    assert_eq!(ann.frame().await, r#"{"event":"you","payload":1}"#);
    assert!(bob.frames.try_recv().is_err());
}

#[tokio::test]
async fn an_answer_without_a_silent_server_names_that_server() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let _ann = one.client("ann").await;
    let open = cluster.open();
    two.crash();
    until("a sample misses it", async || {
        get(&open, "/api/v1/stats").await.json()["complete"] == false
    })
    .await;
    for path in ["cluster", "nodes", "stats", "rooms", "rooms/chat/lobby", "clients/bob"] {
        let answer = get(&open, &format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, 200, "{path}");
        let answer = answer.json();
        assert_eq!(answer["complete"], false, "{path}: {answer}");
        assert_eq!(answer["missing"][0]["server"], "ws-node-2", "{path}");
        assert!(
            answer["missing"][0]["why"].as_str().is_some_and(|why| !why.is_empty()),
            "{path}"
        );
    }
    assert_eq!(get(&open, "/api/v1/clients/bob").await.json()["state"], "unknown");
    assert_eq!(get(&open, "/api/v1/clients/ann").await.json()["state"], "connected");

    // Once the server has left the roster, nothing is missing any more.
    let mut roster = cluster.admin.roster();
    timeout(roster.wait_for(|servers| servers.iter().all(|server| server.name.as_str() != "ws-node-2")))
        .await
        .expect("admin lives");
    until("a sample misses nobody", async || {
        get(&open, "/api/v1/stats").await.json()["complete"] == true
    })
    .await;
}

#[tokio::test]
async fn the_pages_are_open_and_may_load_nothing_from_elsewhere() {
    let cluster = Cluster::new().await;
    let guarded = cluster.guarded();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard/style.css", "text/css; charset=utf-8"),
        ("/dashboard/main.js", "text/javascript; charset=utf-8"),
        ("/dashboard/icon.svg", "image/svg+xml"),
        ("/dashboard/access.json", "application/json"),
        ("/openapi.json", "application/json"),
    ] {
        let answer = get(&guarded, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), kind);
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'")
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.text.contains("https://"), "{path} refers to elsewhere");
    }
    for path in [
        "/dashboard",
        "/dashboard/",
        "/dashboard/none.js",
        "/dashboard/../Cargo.toml",
        "/style.css",
    ] {
        assert_eq!(get(&guarded, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_dashboard_is_told_whether_it_needs_a_token_and_may_run_only_its_own_scripts() {
    let (guarded, open) = (Cluster::new().await.guarded(), Cluster::new().await.open());
    let asked = "/dashboard/access.json";
    assert_eq!(get(&guarded, asked).await.json()["login"], true);
    assert_eq!(get(&open, asked).await.json()["login"], false);
    let policy = get(&guarded, "/").await.header("content-security-policy").to_owned();
    assert!(policy.contains("script-src 'self'; style-src 'self';"), "{policy}");
    assert!(policy.contains("require-trusted-types-for 'script'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn a_caller_is_told_its_name_and_role() {
    let cluster = Cluster::new().await;
    let demo = get(&cluster.open(), "/api/v1/caller").await;
    assert_eq!(
        demo.json(),
        json!({"name": "demo", "role": "operator", "clients": true})
    );
    let guarded = Cluster::new().await.guarded();
    assert_eq!(get(&guarded, "/api/v1/caller").await.status, 401);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_id() {
    let cluster = Cluster::new().await;
    let guarded = cluster.guarded();
    get(&guarded, "/api/v1/clients/secret-id").await;
    get(&guarded, "/api/v1/secret-path").await;
    get(&guarded, "/secret-path").await;
    let odd = Request::builder()
        .method("ODDSECRET")
        .uri("/api/v1/stats")
        .body(Body::empty())
        .expect("a request");
    fixture::send(&guarded, odd).await;
    let mut series = Vec::new();
    for family in cluster.registry.gather() {
        for metric in family.get_metric() {
            let labels = metric
                .get_label()
                .iter()
                .map(|label| label.value().to_owned())
                .collect::<Vec<_>>();
            series.push(format!("{} {}", family.name(), labels.join(" ")));
        }
    }
    let text = series.join("\n");
    assert!(
        text.contains("wsmesh_http_requests_total GET /api/v1/clients/{id} 401"),
        "{text}"
    );
    assert!(text.contains("wsmesh_http_requests_total GET none 401"), "{text}");
    assert!(text.contains("wsmesh_http_requests_total GET none 404"), "{text}");
    assert!(
        text.contains("wsmesh_http_requests_total other /api/v1/stats 401"),
        "{text}"
    );
    assert!(
        text.contains("wsmesh_http_request_duration_seconds GET /api/v1/clients/{id}"),
        "{text}"
    );
    assert!(!text.to_lowercase().contains("secret"), "{text}");
}
