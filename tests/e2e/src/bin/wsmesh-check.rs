//! Proves that a running cluster works: one client per ws-node given, who talk to each other and to game-logic.
//!
//! `make up-test` and `make cluster-test` run it. It speaks the plain client protocol, so that it does not depend on what
//! it is there to check. It needs the demo profile; it ends with exit code 0, or 1 and the sentence that was not true.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const USAGE: &str = "wsmesh-check --node ws://HOST:PORT/ --node … [--admin http://HOST:PORT] [--ws-nodes N] \
    [--game-logics N] [--jaeger http://HOST:PORT] [--attempt-for-seconds N]";
/// Longest wait for one answer or push.
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
            // The exit code remains, whoever reads.
            let _ = writeln!(io::stderr(), "wsmesh-check: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Checks once, or again until it holds or the time given for that is over.
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

/// One attempt; `tag` is the beginning of all ids that it uses.
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
    writeln!(io::stdout(), "all good")?;
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

/// The clients are where they were meant to be: each on another server.
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

/// ws-node answers by itself, and passes a request on to game-logic and its answer back.
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

/// From each client to each other one, and from one to all: exactly once.
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

/// A room that spans the ws-nodes: members get what is sent to it, others do not.
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
    // Whatever the first one got by mistake would be in front of this answer.
    players[0].request("echo", json!({})).await?;
    ensure!(
        players[0].pushed.is_empty(),
        "the client outside of the room got {:?}",
        players[0].pushed
    );
    writeln!(
        io::stdout(),
        "a room over the ws-nodes reaches its members, and nobody else"
    )?;
    Ok(())
}

/// game-logic matches the first two, and both see the same match run.
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
        "two matches in place of one: {found:?}"
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

/// Asks again until it holds; says what was wrong in the end.
async fn eventually(what: &str, attempt: impl AsyncFn() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    loop {
        match attempt().await {
            Ok(()) => break,
            Err(problem) if started.elapsed() > 2 * PATIENCE => return Err(problem.context(format!("not so: {what}"))),
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

/// One client.
struct Player {
    id: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests: u64,
    /// Came while something else was waited for: (event, payload), oldest first. Only `matchState` repeats, so it is not kept.
    pushed: Vec<(String, Value)>,
}

impl Player {
    async fn connect(url: &str, id: &str) -> Result<Self> {
        let connecting = tokio_tungstenite::connect_async(format!("{url}?id={id}"));
        let (socket, _) = timeout(PATIENCE, connecting)
            .await
            .with_context(|| format!("{url}: no answer"))?
            .with_context(|| format!("connecting to {url}"))?;
        Ok(Self {
            id: id.to_owned(),
            socket,
            requests: 0,
            pushed: Vec::new(),
        })
    }

    /// Sends a request and returns the payload of its reply; an error reply is an error.
    async fn request(&mut self, event: &str, payload: Value) -> Result<Value> {
        self.requests += 1;
        let callback = self.requests.to_string();
        let frame = json!({"event": event, "payload": payload, "callbackId": callback});
        self.socket.send(Message::text(frame.to_string())).await?;
        let what = format!("the reply to {event}");
        loop {
            let frame = self.frame(&what).await?;
            if frame["callbackId"] == callback.as_str() {
                let payload = frame["payload"].clone();
                ensure!(
                    payload.get("errorCode").is_none(),
                    "{}: {event} was refused: {payload}",
                    self.id
                );
                return Ok(payload);
            }
            self.keep(frame);
        }
    }

    /// The payload of the next push of this event.
    async fn push(&mut self, event: &str) -> Result<Value> {
        if let Some(index) = self.pushed.iter().position(|(name, _)| name == event) {
            return Ok(self.pushed.remove(index).1);
        }
        let what = format!("a push of {event}");
        loop {
            let mut frame = self.frame(&what).await?;
            if frame["event"] == event {
                return Ok(frame["payload"].take());
            }
            self.keep(frame);
        }
    }

    fn keep(&mut self, mut frame: Value) {
        if let Some(event) = frame["event"]
            .as_str()
            .filter(|event| *event != "matchState")
            .map(str::to_owned)
        {
            self.pushed.push((event, frame["payload"].take()));
        }
    }

    async fn frame(&mut self, what: &str) -> Result<Value> {
        let next = async {
            while let Some(message) = self.socket.next().await {
                match message? {
                    Message::Text(text) if !text.is_empty() => return Ok(serde_json::from_str(&text)?),
                    Message::Close(close) => bail!("the server closed the connection: {close:?}"),
                    _ => {}
                }
            }
            bail!("the connection ended")
        };
        let waited = timeout(PATIENCE, next).await.context("nothing came").flatten();
        waited.with_context(|| format!("{} waits for {what}", self.id))
    }

    async fn leave(mut self) {
        // It is over; how the other side takes it does not matter.
        let _ = timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }
}
