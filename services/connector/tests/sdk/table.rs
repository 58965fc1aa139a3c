//! The behaviour that every SDK has: `tests/vectors/client-behaviour.json` says what the steps mean, this file does them
//! with a clock that moves only when a step says so.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use wsmesh_connector::{
    AutoReconnect, Client, ConnectionError, EmitError, End, Event, Lifecycle, Listener, Options, State,
};

use crate::support::{Peer, Server, soon, start};

/// Of real time: longer than any scenario takes.
const STUCK: Duration = Duration::from_secs(30);

/// The runtime's timers are rounded up to this.
const TICK: Duration = Duration::from_millis(1);

#[derive(Deserialize)]
struct Table {
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Scenario {
    name: String,
    #[serde(default)]
    options: Map<String, Value>,
    each: Option<Vec<Value>>,
    only: Option<Vec<String>>,
    steps: Vec<Map<String, Value>>,
}

#[tokio::test(start_paused = true)]
async fn the_client_behaves_as_the_table_of_all_sdks_says() {
    // While a thread of the runtime's pool is busy, a paused clock does not run by itself. When it gives up, time limits of
    // the test pass at once, and what is stuck is named.
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
            let mut stage = Stage::open(&scenario.options).await;
            for step in &scenario.steps {
                println!("  {}", Value::Object(step.clone()));
                let step = fill(&Value::Object(step.clone()), "$each", each);
                stage.step(step.as_object().expect("a step")).await;
            }
            stage.task.abort();
            ran += 1;
        }
    }
    assert!(ran >= 50, "only {ran} ran");
}

/// Puts `by` in the place of `name`, wherever it is.
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

fn options(server: &Server, table: &Map<String, Value>) -> Options {
    let mut options = Options::new(server.options().url);
    options.ping_interval = Duration::ZERO;
    for (name, value) in table {
        match name.as_str() {
            "pingMsg" => options.ping_message = text(value).to_owned(),
            "pongTimeout" => options.pong_timeout = ms(value),
            "repeatLimit" => options.repeat_limit = Some(u32::try_from(count(value)).expect("a small one")),
            "connectTimeout" => options.connect_timeout = ms(value),
            "callbackTimeout" => options.request_timeout = ms(value),
            "maxPending" => options.max_pending = count(value),
            "autoReconnect" => {
                options.auto_reconnect = match text(value) {
                    "always" => AutoReconnect::Always,
                    "error" => AutoReconnect::AfterError,
                    "never" => AutoReconnect::Never,
                    other => panic!("{other} is no way to reconnect"),
                }
            }
            other => panic!("the table has an option that this SDK does not have: {other}"),
        }
    }
    options
}

/// One scenario under way.
struct Stage {
    server: Server,
    client: Client,
    task: JoinHandle<()>,
    peer: Option<Peer>,
    silent: Vec<TcpStream>,
    lifecycle: Listener<Lifecycle>,
    /// What happened and was not expected yet.
    seen: VecDeque<Lifecycle>,
    events: Listener<Event>,
    ids: HashMap<String, Value>,
    requests: HashMap<String, JoinHandle<Result<Value, String>>>,
    wait: Duration,
}

impl Stage {
    async fn open(table: &Map<String, Value>) -> Self {
        let server = Server::start().await;
        let (client, task) = start(options(&server, table));
        Self {
            lifecycle: client.lifecycle(),
            events: client.on_any(),
            server,
            client,
            task,
            peer: None,
            silent: Vec::new(),
            seen: VecDeque::new(),
            ids: HashMap::new(),
            requests: HashMap::new(),
            wait: Duration::ZERO,
        }
    }

    fn peer(&mut self) -> &mut Peer {
        self.peer.as_mut().expect("a connection was accepted")
    }

    /// A step's verb is looked for by name: maps do not keep the table's order.
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
        const CLIENT: [&str; 7] = ["emit", "request", "on", "answer", "close", "connect", "pingInterval"];
        if let Some(what) = step.get("expect") {
            self.expect(text(what), step).await;
        } else if let Some(verb) = SERVER.into_iter().find(|verb| step.contains_key(*verb)) {
            self.serve(verb, &step[verb]).await;
        } else if let Some(verb) = CLIENT.into_iter().find(|verb| step.contains_key(*verb)) {
            self.act(verb, &step[verb], step).await;
            self.settle().await;
        } else if let Some(after) = step.get("after") {
            tokio::time::advance(ms(after) + TICK).await;
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

    /// Lets every task do what it can do now.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    async fn serve(&mut self, verb: &str, value: &Value) {
        match verb {
            "accept" => self.peer = Some(self.server.accept().await),
            "refuse" => drop(self.server.tcp().await),
            "silence" => {
                let tcp = self.server.tcp().await;
                self.silent.push(tcp);
            }
            "reads" if value.is_string() => assert_eq!(self.peer().read().await, text(value)),
            "reads" => {
                let frame = self.peer().json().await;
                self.same(&frame, value);
            }
            "readsText" => assert_eq!(self.peer().read().await, text(value)),
            "readsAll" => {
                let mut expected = value.as_array().expect("frames").clone();
                let mut frames = Vec::new();
                for _ in &expected {
                    frames.push(self.peer().json().await);
                }
                for list in [&mut expected, &mut frames] {
                    list.sort_by_key(|frame| frame["event"].to_string());
                }
                for (frame, expected) in frames.iter().zip(&expected) {
                    self.same(frame, expected);
                }
            }
            "says" if value.is_string() => self.peer().say(text(value)).await,
            "says" => {
                let name = value["callbackId"].as_str().unwrap_or_default();
                let frame = self.ids.get(name).map_or(value.clone(), |id| fill(value, name, id));
                self.peer().say(frame).await;
            }
            "closes" => {
                let code = u16::try_from(count(&value[0])).expect("a code");
                self.peer
                    .take()
                    .expect("a connection")
                    .close(code, text(&value[1]))
                    .await;
            }
            "drops" => self.peer = None,
            "sees" => {
                let mut peer = self.peer.take().expect("a connection");
                let (code, reason) = peer.closed().await;
                assert_eq!(json!(code), value[0]);
                if let Some(expected) = value[1].as_str() {
                    assert_eq!(reason, expected);
                }
                peer.end().await;
            }
            other => panic!("{other}"),
        }
    }

    /// Equal, where the `$NAME` of an id stands for any, and is known from then on.
    fn same(&mut self, frame: &Value, expected: &Value) {
        let Some(name) = expected["callbackId"].as_str() else {
            assert_eq!(frame, expected);
            return;
        };
        let id = &frame["callbackId"];
        assert!(id.as_str().is_some_and(|id| (1..=64).contains(&id.len())), "{frame}");
        assert_eq!(frame, &fill(expected, name, id));
        self.ids.insert(name.to_owned(), id.clone());
    }

    async fn act(&mut self, verb: &str, value: &Value, step: &Map<String, Value>) {
        let client = self.client.clone();
        let payload = step.get("payload").cloned().unwrap_or_default();
        match verb {
            "emit" => client.emit(text(value), &payload).await.expect("emitted"),
            "request" => {
                let mut request = client.request(text(value), &payload);
                if let Some(timeout) = step.get("callbackTimeout") {
                    request = request.timeout(ms(timeout));
                }
                if step.get("retry").is_some_and(|retry| retry == true) {
                    request = request.retry();
                }
                let reply = async move {
                    let reply = request.await.map_err(|error| error.code().to_owned())?;
                    Ok(reply.json().expect("JSON"))
                };
                self.requests.insert(text(&step["as"]).to_owned(), tokio::spawn(reply));
            }
            // Every event is heard anyway.
            "on" => {}
            "answer" => {
                let mut asked = client.on_request(text(value));
                tokio::spawn(async move {
                    while let Some(request) = asked.recv().await {
                        request.answer(&payload).await.expect("answered");
                    }
                });
            }
            "close" => drop(tokio::spawn(async move { client.close().await })),
            "connect" => client.reconnect().await,
            "pingInterval" => client.set_ping_interval(ms(value)),
            other => panic!("{other}"),
        }
    }

    /// The next of this kind that happened; others wait until they are expected.
    async fn next<T>(&mut self, what: &str, kind: impl Fn(&Lifecycle) -> Option<T>) -> T {
        if let Some(index) = self.seen.iter().position(|seen| kind(seen).is_some()) {
            return self.seen.remove(index).as_ref().and_then(kind).expect("just found");
        }
        loop {
            let happened = soon(what, self.lifecycle.recv()).await.expect("the task runs");
            match kind(&happened) {
                Some(found) => return found,
                None => self.seen.push_back(happened),
            }
        }
    }

    async fn expect(&mut self, what: &str, step: &Map<String, Value>) {
        match what {
            "open" => {
                self.next(what, |happened| matches!(happened, Lifecycle::Opened).then_some(()))
                    .await;
            }
            "pong" => {
                self.next(what, |happened| {
                    matches!(happened, Lifecycle::Pong { .. }).then_some(())
                })
                .await;
            }
            "ended" => {
                let code = self.next(what, ended).await;
                assert_eq!(json!(code), step["code"]);
            }
            "reconnect" => {
                let (repeat, delay) = self.next(what, reconnecting).await;
                assert_eq!(json!(repeat), step["repeat"]);
                let (least, most) = (ms(&step["wait"][0]), ms(&step["wait"][1]));
                assert!((least..=most).contains(&delay), "{delay:?}");
                self.wait = delay;
            }
            "rests" => {
                let mut state = self.client.state();
                let closed = state.wait_for(|state| matches!(state, State::Closed(_)));
                let closed = soon("closed for good", closed).await.expect("the client lives").clone();
                let because = text(&step["because"]);
                let fits = match closed {
                    State::Closed(End::ByHand) => because == "hand",
                    State::Closed(End::RepeatLimit { .. }) => because == "limit",
                    State::Closed(End::Failed(_)) => because == "stop" || because == "asked",
                    _ => false,
                };
                assert!(fits, "{closed} is not {because}");
            }
            "reply" | "error" => {
                let request = self.requests.remove(text(&step["of"])).expect("a request");
                match soon(what, request).await.expect("it ends") {
                    Ok(payload) => assert_eq!(Some(&payload), step.get("payload"), "{what}"),
                    Err(code) => {
                        assert_eq!(what, "error", "{code}");
                        assert!(step.get("code").is_none_or(|expected| *expected == code), "{code}");
                    }
                }
            }
            "event" => loop {
                let event = soon(what, self.events.recv()).await.expect("the task runs");
                if *event.name == *text(&step["event"]) {
                    assert_eq!(event.payload.json::<Value>().expect("JSON"), step["payload"]);
                    return;
                }
            },
            "notOpen" => {
                let sent = self.client.try_emit("probe", &1);
                assert!(matches!(sent, Err(EmitError::NotOpen)), "{sent:?}");
            }
            other => panic!("the table expects what is not known here: {other}"),
        }
    }
}

fn ended(happened: &Lifecycle) -> Option<u16> {
    match happened {
        Lifecycle::Ended(ConnectionError::Closed { code, .. }) => Some((*code).into()),
        Lifecycle::Ended(ConnectionError::PongTimeout) => Some(4002),
        Lifecycle::Ended(_) => Some(1006),
        _ => None,
    }
}

fn reconnecting(happened: &Lifecycle) -> Option<(u32, Duration)> {
    match happened {
        Lifecycle::Reconnecting { repeat, delay } => Some((*repeat, *delay)),
        _ => None,
    }
}
