//! The behaviour that every SDK has: `tests/vectors/client-behaviour.json` defines the steps, this file runs them with a clock
//! that moves only in the steps for that.

mod client;
mod expected;
mod server;
mod traces;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use wsmesh_connector::{AutoReconnect, Client, Event, Lifecycle, Listener, Options, State};

use self::traces::{Traced, Tracing};
use crate::support::{Peer, Server, start};

/// A limit in real time, longer than any scenario takes.
const STUCK: Duration = Duration::from_secs(30);

/// The runtime's timers are late by at most this, because they are rounded up to whole milliseconds.
const TICK: Duration = Duration::from_nanos(999_999);

#[derive(Deserialize)]
struct Table {
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Scenario {
    name: String,
    servers: Option<usize>,
    #[serde(default)]
    options: Map<String, Value>,
    each: Option<Vec<Value>>,
    only: Option<Vec<String>>,
    traces: Option<Tracing>,
    steps: Vec<Map<String, Value>>,
}

#[tokio::test(start_paused = true)]
async fn the_client_behaves_like_the_table_of_all_sdks() {
    // While a thread of the runtime's pool is busy, a paused clock does not advance automatically. When this thread ends, the time
    // limits of the test expire at once and name what is stuck.
    let (_busy, idle) = mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || idle.recv_timeout(STUCK));

    let table: Table =
        serde_json::from_str(include_str!("../../../../tests/vectors/client-behaviour.json")).expect("the table");
    let mut ran = 0;
    for scenario in &table.scenarios {
        if scenario
            .only
            .as_ref()
            .is_some_and(|only| !only.iter().any(|sdk| sdk == "rust"))
        {
            continue;
        }
        for each in scenario.each.as_deref().unwrap_or(&[Value::Null]) {
            println!("{}: {each}", scenario.name);
            let mut stage = Stage::open(scenario).await;
            for step in &scenario.steps {
                println!("  {}", Value::Object(step.clone()));
                let step = fill(&Value::Object(step.clone()), "$each", each);
                stage.step(step.as_object().expect("a step")).await;
            }
            stage.task.abort();
            ran += 1;
        }
    }
    assert!(ran >= 75, "only {ran} ran");
}

/// Replaces `name` by `by` everywhere.
fn fill(value: &Value, name: &str, by: &Value) -> Value {
    match value {
        Value::String(text) if text == name => by.clone(),
        Value::Array(items) => items.iter().map(|item| fill(item, name, by)).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), fill(v, name, by))).collect(),
        other => other.clone(),
    }
}

fn ms(value: &Value) -> Duration {
    Duration::from_millis(value.as_u64().expect("milliseconds"))
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a number")).expect("a small one")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn options(servers: &[Server], table: &Map<String, Value>) -> Options {
    let mut options = Options::new(servers[0].url());
    options.urls = servers.iter().map(Server::url).collect();
    options.ping_interval = Duration::ZERO;
    for (name, value) in table {
        match name.as_str() {
            "pingMsg" => options.ping_message = text(value).to_owned(),
            "pongTimeout" => options.pong_timeout = ms(value),
            "repeatLimit" => options.repeat_limit = Some(u32::try_from(count(value)).expect("a small one")),
            "connectTimeout" => options.connect_timeout = ms(value),
            "callbackTimeout" => options.request_timeout = ms(value),
            "pendingTimeout" => options.pending_timeout = ms(value),
            "offlineQueue" => options.offline_queue = count(value),
            "maxPending" => options.max_pending = count(value),
            "autoReconnect" => {
                options.auto_reconnect = match text(value) {
                    "always" => AutoReconnect::Always,
                    "error" => AutoReconnect::AfterError,
                    "never" => AutoReconnect::Never,
                    other => panic!("{other} is not a way to reconnect"),
                }
            }
            other => panic!("the table has an option that this SDK does not have: {other}"),
        }
    }
    options
}

/// A running scenario.
struct Stage {
    servers: Vec<Server>,
    client: Client,
    task: JoinHandle<()>,
    peer: Option<Peer>,
    silent: Vec<TcpStream>,
    lifecycle: Listener<Lifecycle>,
    /// Events that were not expected yet.
    seen: VecDeque<Lifecycle>,
    events: Listener<Event>,
    ids: HashMap<String, Value>,
    requests: HashMap<String, JoinHandle<Result<Value, String>>>,
    /// The requests whose `on_pending` was called.
    pending: Arc<Mutex<Vec<String>>>,
    traces: Traced,
    listening: HashMap<String, JoinHandle<()>>,
    /// The name of a listener, each time that it gets an event.
    heard: (UnboundedSender<String>, UnboundedReceiver<String>),
    /// Whether events are kept without a connection.
    keeps: bool,
    wait: Duration,
}

impl Stage {
    async fn open(scenario: &Scenario) -> Self {
        let table = &scenario.options;
        let mut servers = Vec::new();
        for _ in 0..scenario.servers.unwrap_or(1) {
            servers.push(Server::start().await);
        }
        let traces = Traced::default();
        let mut options = options(&servers, table);
        if let Some(how) = scenario.traces {
            options = traces.given(how, options);
        }
        let (client, task) = start(options);
        Self {
            lifecycle: client.lifecycle(),
            events: client.on_any(),
            servers,
            client,
            task,
            peer: None,
            silent: Vec::new(),
            seen: VecDeque::new(),
            ids: HashMap::new(),
            requests: HashMap::new(),
            pending: Arc::default(),
            traces,
            listening: HashMap::new(),
            heard: unbounded_channel(),
            keeps: table.contains_key("offlineQueue"),
            wait: Duration::ZERO,
        }
    }

    /// The server of this step, which must be that of the client.
    fn server(&self, step: &Map<String, Value>) -> &Server {
        let server = &self.servers[step.get("at").map_or(0, |at| count(at) - 1)];
        assert_eq!(self.client.url(), server.url());
        server
    }

    fn peer(&mut self) -> &mut Peer {
        self.peer.as_mut().expect("a connection was accepted")
    }

    /// Finds a step's verb by name, because maps do not keep the order of the table.
    async fn step(&mut self, step: &Map<String, Value>) {
        const SERVER: [&str; 10] = [
            "accept",
            "refuse",
            "silence",
            "reads",
            "readsText",
            "readsAll",
            "says",
            "closes",
            "drops",
            "sees",
        ];
        const CLIENT: [&str; 12] = [
            "emit",
            "request",
            "once",
            "on",
            "off",
            "answer",
            "close",
            "connect",
            "reconnect",
            "joinRoom",
            "leaveRoom",
            "pingInterval",
        ];
        if let Some(what) = step.get("expect") {
            self.expect(text(what), step).await;
        } else if let Some(verb) = SERVER.into_iter().find(|verb| step.contains_key(*verb)) {
            self.serve(verb, &step[verb], step).await;
        } else if let Some(verb) = CLIENT.into_iter().find(|verb| step.contains_key(*verb)) {
            self.act(verb, &step[verb], step).await;
            self.settle().await;
        } else if let Some(after) = step.get("after") {
            tokio::time::advance(ms(after) + TICK).await;
            self.settle().await;
        } else if step.contains_key("waits") {
            let early = self.wait.saturating_sub(TICK);
            tokio::time::advance(early).await;
            self.settle().await;
            if !early.is_zero() {
                assert!(
                    matches!(*self.client.state().borrow(), State::Waiting { .. }),
                    "too early"
                );
            }
            tokio::time::advance(TICK * 2).await;
        } else {
            panic!("the table has a step that is not known here: {step:?}");
        }
    }

    /// Lets every task run until it waits.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}
