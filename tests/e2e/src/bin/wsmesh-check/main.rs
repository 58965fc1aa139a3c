//! Checks that a running cluster works: one client per given ws-node; they talk to each other and to game-logic.
//!
//! `make up-test` and `make cluster-test` run it. It uses the plain client protocol and no SDK, so that it does not depend on
//! what it checks. It needs the demo profile. It ends with exit code 0, or with 1 and the sentence that was not true.

mod player;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::player::Player;

const USAGE: &str = "wsmesh-check --node ws://HOST:PORT/ --node … [--admin http://HOST:PORT] [--ws-nodes N] \
    [--game-logics N] [--jaeger http://HOST:PORT] [--attempt-for-seconds N]";
/// Time limit for one answer or push.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the command line says.
#[derive(Default)]
struct Options {
    nodes: Vec<String>,
    admin: Option<String>,
    jaeger: Option<String>,
    ws_nodes: usize,
    game_logics: usize,
    attempt_for: Duration,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        while let Some(flag) = args.next() {
            let value = args.next().with_context(|| format!("{flag} needs a value\n{USAGE}"))?;
            match flag.as_str() {
                "--node" => options.nodes.push(value),
                "--admin" => options.admin = Some(value.trim_end_matches('/').to_owned()),
                "--jaeger" => options.jaeger = Some(value.trim_end_matches('/').to_owned()),
                "--ws-nodes" => options.ws_nodes = value.parse().context("--ws-nodes: a number")?,
                "--game-logics" => options.game_logics = value.parse().context("--game-logics: a number")?,
                "--attempt-for-seconds" => {
                    options.attempt_for =
                        Duration::from_secs(value.parse().context("--attempt-for-seconds: a number")?);
                }
                _ => bail!("unknown flag {flag}\n{USAGE}"),
            }
        }
        ensure!(options.nodes.len() >= 2, "name at least two ws-nodes\n{USAGE}");
        Ok(options)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => check_until(&options).await,
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // The exit code says the same if stderr cannot be written.
            let _ = writeln!(io::stderr(), "wsmesh-check: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Checks once, or again and again until it succeeds or `attempt_for` is over.
async fn check_until(options: &Options) -> Result<()> {
    let started = Instant::now();
    for attempt in 0_u32.. {
        match check(options, &format!("check-{}-{attempt}", std::process::id())).await {
            Err(problem) if started.elapsed() < options.attempt_for => {
                writeln!(io::stdout(), "not yet: {problem:#}")?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            outcome => return outcome,
        }
    }
    Ok(())
}

/// One attempt. All ids that it uses begin with `tag`.
async fn check(options: &Options, tag: &str) -> Result<()> {
    if let Some(admin) = &options.admin {
        roster(admin, options).await?;
    }
    let mut players = Vec::new();
    for (index, url) in options.nodes.iter().enumerate() {
        players.push(Player::connect(url, &format!("{tag}-{index}")).await?);
    }
    writeln!(
        io::stdout(),
        "{} clients connected, each to its own ws-node",
        players.len()
    )?;
    if let Some(admin) = &options.admin {
        on_different_servers(admin, &players).await?;
    }
    requests(&mut players).await?;
    messages(&mut players).await?;
    room(&mut players, tag).await?;
    play(&mut players).await?;
    for player in players {
        player.leave().await;
    }
    if let Some(jaeger) = &options.jaeger {
        trace(jaeger).await?;
    }
    writeln!(io::stdout(), "everything works")?;
    Ok(())
}

/// Admin sees every server, and all of them answer it.
async fn roster(admin: &str, options: &Options) -> Result<()> {
    let wanted = [
        ("ws-node", options.ws_nodes),
        ("game-logic", options.game_logics),
        ("admin", 1),
    ];
    eventually("admin sees the whole cluster", async || {
        let cluster = fetch(&format!("{admin}/api/v1/cluster")).await?;
        ensure!(
            cluster["complete"] == true,
            "not complete; missing: {}",
            cluster["missing"]
        );
        for (service, least) in wanted {
            let entry = list(&cluster["services"])
                .iter()
                .find(|entry| entry["service"] == service);
            let count = entry.map_or(0, |entry| list(&entry["servers"]).len());
            ensure!(count >= least, "{count} {service} instead of {least}: {cluster}");
        }
        Ok(())
    })
    .await
}

/// Each client is on another server.
async fn on_different_servers(admin: &str, players: &[Player]) -> Result<()> {
    eventually("admin finds each client on another ws-node", async || {
        let mut servers = Vec::new();
        for player in players {
            let view = fetch(&format!("{admin}/api/v1/clients/{}", player.id)).await?;
            let connections = list(&view["connections"]);
            ensure!(
                connections.len() == 1,
                "client {} is connected {} times: {view}",
                player.id,
                connections.len()
            );
            servers.push(connections[0]["server"].to_string());
        }
        let found = servers.join(", ");
        servers.sort();
        servers.dedup();
        ensure!(servers.len() == players.len(), "they are on {found}");
        Ok(())
    })
    .await
}

/// ws-node answers a request itself, and forwards another one to game-logic.
async fn requests(players: &mut [Player]) -> Result<()> {
    for player in players.iter_mut() {
        let reply = player.request("echo", json!({"n": 1})).await?;
        ensure!(reply == json!({"ok": true}), "echo answered {reply}");
        let reply = player.request("gamePing", json!({})).await?;
        ensure!(reply.get("error").is_none(), "gamePing answered {reply}");
    }
    writeln!(io::stdout(), "ws-node answers echo, game-logic answers gamePing")?;
    Ok(())
}

/// Messages from each client to each other one, and from one to all, arrive exactly once.
async fn messages(players: &mut [Player]) -> Result<()> {
    for from in 0..players.len() {
        for to in (0..players.len()).filter(|to| *to != from) {
            let (target, msg) = (players[to].id.clone(), format!("{from} to {to}"));
            let command = json!({"action": "toPlayer", "toPlayerId": target, "msg": msg});
            players[from].request("command", command).await?;
            let said = players[to].push("say").await?;
            ensure!(
                said == json!({"action": "toPlayer", "msg": msg}),
                "client {to} got {said} instead of {msg:?}"
            );
        }
        let msg = format!("{from} to all");
        players[from]
            .request("command", json!({"action": "broadcast", "msg": msg}))
            .await?;
        for player in players.iter_mut() {
            let said = player.push("say").await?;
            ensure!(
                said == json!({"action": "broadcast", "msg": msg}),
                "{} got {said} instead of {msg:?}",
                player.id
            );
        }
    }
    writeln!(io::stdout(), "messages to one client and to everyone arrive, once")?;
    Ok(())
}

/// A room that spans the ws-nodes: its members get what is sent to it, others do not.
async fn room(players: &mut [Player], name: &str) -> Result<()> {
    for player in players.iter_mut().skip(1) {
        player.request("joinRoom", json!({"roomId": name})).await?;
    }
    let sent = json!({"action": "toRoom", "roomId": name, "msg": "to the room"});
    players[0].request("command", sent).await?;
    for player in players.iter_mut().skip(1) {
        let said = player.push("say").await?;
        ensure!(said["msg"] == "to the room", "{} got {said}", player.id);
        player.request("leaveRoom", json!({"roomId": name})).await?;
    }
    // A message that the first client got by mistake would come before this answer.
    players[0].request("echo", json!({})).await?;
    ensure!(
        players[0].pushed.is_empty(),
        "the client outside of the room got {:?}",
        players[0].pushed
    );
    writeln!(
        io::stdout(),
        "a room over the ws-nodes reaches its members and nobody else"
    )?;
    Ok(())
}

/// game-logic matches the first two clients, and both see the same match.
async fn play(players: &mut [Player]) -> Result<()> {
    for player in players.iter_mut().take(2) {
        let ticket = player.request("matchRequest", json!({"rating": 1000})).await?;
        ensure!(ticket["ticket"].is_string(), "matchRequest answered {ticket}");
    }
    let mut found = Vec::new();
    for player in players.iter_mut().take(2) {
        let id = player.push("matchFound").await?["match"].clone();
        let state = player.push("matchState").await?;
        ensure!(
            state["match"] == id,
            "{} sees {state} of another match than {id}",
            player.id
        );
        found.push(id);
    }
    ensure!(
        found[0].is_string() && found[0] == found[1],
        "two matches instead of one: {found:?}"
    );
    for player in players.iter_mut().take(2) {
        player.request("matchLeave", json!({"match": found[0]})).await?;
    }
    writeln!(
        io::stdout(),
        "game-logic matched two clients of different ws-nodes, and both saw the match run"
    )?;
    Ok(())
}

/// One gamePing is one trace, from the ws-node that read it to the game-logic that answered.
async fn trace(jaeger: &str) -> Result<()> {
    eventually("Jaeger shows a gamePing from ws-node to game-logic", async || {
        let traces = fetch(&format!("{jaeger}/api/traces?service=ws-node&lookback=1h&limit=200")).await?;
        let seen = list(&traces["data"]);
        let whole = seen.iter().find(|trace| {
            let services: Vec<_> = trace["processes"]
                .as_object()
                .map(|processes| processes.values().map(|process| &process["serviceName"]).collect())
                .unwrap_or_default();
            let pings = list(&trace["spans"])
                .iter()
                .any(|span| span["operationName"] == "ws.receive gamePing");
            pings
                && services.iter().any(|name| **name == "ws-node")
                && services.iter().any(|name| **name == "game-logic")
        });
        let whole = whole.with_context(|| format!("none among {} traces", seen.len()))?;
        writeln!(
            io::stdout(),
            "trace {} has {} spans",
            whole["traceID"],
            list(&whole["spans"]).len()
        )?;
        Ok(())
    })
    .await
}

/// Repeats an attempt until it succeeds, and prints `what`; returns its last error when the time is over.
async fn eventually(what: &str, attempt: impl AsyncFn() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    loop {
        match attempt().await {
            Ok(()) => break,
            Err(problem) if started.elapsed() > 2 * PATIENCE => {
                return Err(problem.context(format!("not true: {what}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    writeln!(io::stdout(), "{what}")?;
    Ok(())
}

async fn fetch(url: &str) -> Result<Value> {
    let answer = timeout(PATIENCE, e2e::get(url))
        .await
        .with_context(|| format!("{url}: no answer"))??;
    let status = answer.status();
    ensure!(status.is_success(), "{url} answered {status}");
    Ok(answer.json().await?)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
