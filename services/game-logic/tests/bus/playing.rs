//! Players ask, are matched and play.

use game_logic::rules::game::{Game, Progress, Seat, Setup};
use serde_json::{Value, json};
use wsmesh_adapter::{Adapter, Options, ServerName, ServiceName, Started, Target};

use crate::support::{Client, Cluster, PATIENCE, Server, until};
use crate::{found, quick};

/// Runs to the first target until the match ends; its end.
async fn play(client: &mut Client, id: &str, game: &Value) -> Value {
    loop {
        let (event, payload) = client.any_push(&["matchState", "matchEnd"]).await;
        assert_eq!(payload["match"], *game);
        if event == "matchEnd" {
            return payload;
        }
        let players = payload["state"]["players"].as_array().expect("a list");
        let me = players.iter().find(|player| player["id"] == id).expect("still there");
        let target = &payload["state"]["targets"][0];
        let to = |axis: &str| target[axis].as_i64().expect("a number") - me[axis].as_i64().expect("a number");
        client
            .emit(
                "matchInput",
                json!({"match": game, "direction": {"x": to("x"), "y": to("y")}}),
            )
            .await;
    }
}

#[tokio::test]
async fn players_of_different_ws_nodes_play_a_match_to_its_end() {
    let cluster = Cluster::new();
    let (_one, _two) = (
        cluster.game_logic("game-1", quick()).await,
        cluster.game_logic("game-2", quick()).await,
    );
    let (west, east) = (cluster.ws_node("ws-1").await, cluster.ws_node("ws-2").await);
    let (mut ann, mut bob) = (west.client("ann").await, east.client("bob").await);
    let place = ann.wait_for_match(json!({"mode": "duel", "rating": 1_010})).await;
    assert_eq!((&place["mode"], &place["players"]), (&json!("duel"), &json!(2)));
    bob.wait_for_match(Value::Null).await;
    let game = found(&mut ann, &mut bob).await;
    let refused = bob.request("matchRequest", json!({})).await;
    assert_eq!(refused["errorCode"], "NOT_ALLOWED", "{refused}");
    let end = play(&mut ann, "ann", &game).await;
    assert_eq!(
        (&end["reason"], &end["result"]["winner"]),
        (&json!("finished"), &json!("ann"))
    );
    assert_eq!(bob.push("matchEnd").await, end);
    bob.wait_for_match(json!({})).await;
}

#[tokio::test]
async fn a_ping_is_answered_at_once_with_the_servers_name() {
    let cluster = Cluster::new();
    let _server = cluster.game_logic("game-1", quick()).await;
    let ws = cluster.ws_node("ws-1").await;
    let ann = ws.client("ann").await;
    assert_eq!(
        ann.request("gamePing", json!({"msg": "hi"})).await,
        json!({"ok": true, "server": "game-1"})
    );
}

#[tokio::test]
async fn every_server_gives_the_same_ticket_again_and_can_cancel_it() {
    let cluster = Cluster::new();
    let servers = [
        cluster.game_logic("game-1", quick()).await,
        cluster.game_logic("game-2", quick()).await,
    ];
    let ws = cluster.ws_node("ws-1").await;
    let ann = ws.client("ann").await;
    for server in &servers {
        server.sees(3).await;
    }
    let of = |server: &Server| Target::Server(ServerName::new(server.name()).expect("valid"));
    let first = ann.request_of(of(&servers[0]), "matchRequest", json!({})).await;
    let again = ann.request_of(of(&servers[1]), "matchRequest", json!({})).await;
    assert!(first["ticket"].is_string());
    assert_eq!(first["ticket"], again["ticket"]);
    assert_eq!(
        ann.request_of(of(&servers[0]), "matchCancel", json!({})).await,
        json!({"cancelled": 1})
    );
    assert_eq!(
        ann.request_of(of(&servers[1]), "matchCancel", Value::Null).await,
        json!({"cancelled": 0})
    );
}

#[tokio::test]
async fn wrong_payloads_get_an_error_that_says_what_is_wrong() {
    let cluster = Cluster::new();
    let _server = cluster.game_logic("game-1", quick()).await;
    let ws = cluster.ws_node("ws-1").await;
    let ann = ws.client("ann").await;
    let wrong = [
        ("matchRequest", json!("duel"), "BAD_PAYLOAD"),
        ("matchRequest", json!({"mode": "chess"}), "BAD_PAYLOAD"),
        ("matchRequest", json!({"rating": "good"}), "BAD_PAYLOAD"),
        ("matchRequest", json!({"rating": 1e9}), "BAD_PAYLOAD"),
        ("matchRequest", json!({"party": {"id": "p", "size": 3}}), "BAD_PAYLOAD"),
        ("matchCancel", json!({"mode": "chess"}), "BAD_PAYLOAD"),
        ("matchInput", json!([1]), "BAD_PAYLOAD"),
        ("matchInput", json!({"match": 5}), "BAD_PAYLOAD"),
        (
            "matchInput",
            json!({"match": "1-1", "direction": {"x": 1, "y": 0}}),
            "NOT_FOUND",
        ),
        ("matchInput", json!({"direction": {"x": 1, "y": 0}}), "NOT_FOUND"),
    ];
    for (event, payload, code) in wrong {
        let answer = ann.request(event, payload.clone()).await;
        assert_eq!(answer["errorCode"], code, "{event} {payload} was answered {answer}");
        assert!(answer["error"].as_str().is_some_and(|text| !text.is_empty()));
    }
    assert_eq!(
        ann.request("matchLeave", json!({})).await,
        json!({"ok": true, "left": false})
    );
}

#[tokio::test]
async fn the_match_rejects_inputs_of_strangers_and_invalid_inputs() {
    let cluster = Cluster::new();
    let servers = [
        cluster.game_logic("game-1", quick()).await,
        cluster.game_logic("game-2", quick()).await,
    ];
    let ws = cluster.ws_node("ws-1").await;
    let (mut ann, mut bob, eve) = (ws.client("ann").await, ws.client("bob").await, ws.client("eve").await);
    ann.wait_for_match(json!({})).await;
    bob.wait_for_match(json!({})).await;
    let game = found(&mut ann, &mut bob).await;
    let good = json!({"match": game, "direction": {"x": 1, "y": 0}});
    for server in &servers {
        let of = Target::Server(ServerName::new(server.name()).expect("valid"));
        assert_eq!(
            ann.request_of(of.clone(), "matchInput", good.clone()).await,
            json!({"ok": true})
        );
        let stranger = eve.request_of(of.clone(), "matchInput", good.clone()).await;
        assert_eq!(stranger["errorCode"], "NOT_ALLOWED", "{stranger}");
        let nonsense = bob
            .request_of(of, "matchInput", json!({"match": game, "direction": "up"}))
            .await;
        assert_eq!(nonsense["errorCode"], "BAD_PAYLOAD", "{nonsense}");
    }
}

#[tokio::test]
async fn a_party_plays_together_once_all_its_members_have_asked() {
    let cluster = Cluster::new();
    let server = cluster.game_logic("game-1", quick()).await;
    let ws = cluster.ws_node("ws-1").await;
    let (mut ann, mut bob, cid) = (ws.client("ann").await, ws.client("bob").await, ws.client("cid").await);
    let party = json!({"party": {"id": "red", "size": 2}});
    ann.wait_for_match(party.clone()).await;
    cid.wait_for_match(json!({})).await;
    bob.wait_for_match(party).await;
    found(&mut ann, &mut bob).await;
    assert_eq!((server.stats)()["waiting"]["duel"], 1, "cid waits on");
}

/// A game that fails at its third tick.
struct Broken(u32);

impl Game for Broken {
    type Input = Value;
    type State = u32;
    type Result = ();

    fn start(_: &Setup) -> Self {
        Self(0)
    }

    fn input(&mut self, _: Seat, _: Value) -> Result<(), String> {
        Ok(())
    }

    fn leave(&mut self, _: Seat) {}

    fn tick(&mut self) -> Progress {
        self.0 += 1;
        if self.0 == 3 {
            // As a panic, but without a backtrace: printing one stops this process for seconds, and it misses its probes meanwhile.
            std::panic::resume_unwind(Box::new("this game is broken"));
        }
        Progress::Running
    }

    fn state(&self) -> u32 {
        self.0
    }

    fn result(&self) {}
}

#[tokio::test]
async fn a_game_that_panics_ends_its_own_match_only() {
    let cluster = Cluster::new();
    let server = cluster.game_logic_with::<Broken>("game-1", quick()).await;
    let ws = cluster.ws_node("ws-1").await;
    let (mut ann, mut bob) = (ws.client("ann").await, ws.client("bob").await);
    for _ in 0..2 {
        ann.wait_for_match(json!({})).await;
        bob.wait_for_match(json!({})).await;
        found(&mut ann, &mut bob).await;
        assert_eq!(ann.push("matchEnd").await["reason"], "internal-error");
        until("the match is forgotten", || (server.stats)()["matches"] == 0).await;
    }
}

#[tokio::test]
async fn every_metric_has_the_prefix_and_is_exported() {
    let cluster = Cluster::new();
    let server = cluster.game_logic("game-1", quick()).await;
    let ws = cluster.ws_node("ws-1").await;
    let (mut ann, mut bob) = (ws.client("ann").await, ws.client("bob").await);
    ann.wait_for_match(json!({})).await;
    bob.wait_for_match(json!({})).await;
    let game = found(&mut ann, &mut bob).await;
    ann.request("matchLeave", json!({"match": game})).await;
    bob.push("matchEnd").await;
    let exported = || {
        server
            .registry
            .gather()
            .iter()
            .map(|family| family.name().to_owned())
            .collect::<Vec<_>>()
    };
    let wanted = [
        "wsmesh_matches",
        "wsmesh_queue_length",
        "wsmesh_match_wait_seconds",
        "wsmesh_tick_seconds",
        "wsmesh_matches_adopted_total",
        "wsmesh_matches_ended_total",
    ];
    until("all metrics are there", || {
        wanted.iter().all(|name| exported().iter().any(|other| other == name))
    })
    .await;
    assert!(
        exported().iter().all(|name| name.starts_with("wsmesh_")),
        "{:?}",
        exported()
    );
}

#[tokio::test]
async fn a_server_that_runs_alone_owns_its_queues() {
    let started = Adapter::start(Options::new(
        ServerName::new("game-1").expect("valid"),
        ServiceName::new("game-logic").expect("valid"),
    ));
    let Started { adapter, driver, .. } = started.expect("the adapter starts");
    adapter.ready().await;
    let roster = adapter.roster().borrow().clone();
    assert!(matches!(&roster[..], [alone] if alone.counted), "{roster:?}");
    driver.shutdown(PATIENCE).await;
}
