//! What traces cost a message, from publishing on one server until the outbox of a client on another one has it, and a client's request,
//! from its frame to the reply of another server: without a collector, and with one that nothing, or one trace in a hundred, is sampled
//! for, with the sampler, the processors and the exporter of a service. Each way runs in a process of its own, because tracing remembers for
//! a whole process that it was on; the ways take turns, round after round, so that what disturbs the machine disturbs all of them.
//! Only the ratios of one run mean something. `cargo bench -p wsmesh-bootstrap --bench traces -- --rounds 15`

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use futures_util::future;
use tokio::sync::mpsc;
use tracing::{Instrument, Span};
use wsmesh_adapter::{
    Adapter, Attachment, Bus, ClientId, Command, ConnectionId, Driver, Frame, MemoryBus, Options, Payload, Refusal,
    RequestOptions, Room, RoomOptions, ServerName, ServiceName, Shard, ShardInbox, Started, Target,
};

/// The ways, the first of which the others are compared with: how many traces are sampled, if there is a collector.
const WAYS: [(&str, Option<f64>); 3] = [("off", None), ("sampled 0", Some(0.0)), ("sampled 1 %", Some(0.01))];
/// What is measured.
#[derive(Clone, Copy)]
enum Kind {
    Message,
    Request,
}

/// The kinds, by the names that processes give each other.
const KINDS: [(&str, Kind); 2] = [("publish → deliver", Kind::Message), ("request → reply", Kind::Request)];
/// Messages or requests under way at once.
const WINDOW: usize = 32;
/// Windows that are measured, after as many as warm up.
const WINDOWS: u32 = 1_000;
const ROUNDS: usize = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    if let Some(way) = option("--way") {
        let (_, share) = WAYS.into_iter().find(|(name, _)| name == way).expect("a way");
        let name = option("--kind").expect("a kind");
        let (_, kind) = KINDS.into_iter().find(|(kind, _)| kind == name).expect("a kind");
        write(&format!("{}\n", measure(kind, share).as_nanos()));
        return;
    }
    // The filter of another benchmark.
    let filter = arguments.iter().find(|argument| !argument.starts_with("--"));
    if option("--rounds").is_none() && filter.is_some_and(|filter| !"traces".contains(filter.as_str())) {
        return;
    }
    let rounds = option("--rounds").map_or(ROUNDS, |rounds| rounds.parse().expect("--rounds N"));
    for (kind, _) in KINDS {
        compare(kind, rounds);
    }
}

fn write(text: &str) {
    io::stdout().write_all(text.as_bytes()).expect("somebody reads");
}

/// Runs the ways of one kind in turn and prints a table.
fn compare(kind: &str, rounds: usize) {
    let own = std::env::current_exe().expect("this program has a path");
    let mut times = WAYS.map(|_| Vec::with_capacity(rounds));
    for round in 0..rounds {
        for turn in 0..WAYS.len() {
            // Whoever is first in a round changes.
            let way = (round + turn) % WAYS.len();
            let output = Process::new(&own)
                .args(["--kind", kind, "--way", WAYS[way].0])
                .output()
                .expect("it runs");
            let text = String::from_utf8_lossy(&output.stdout);
            let ns: f64 = text
                .trim()
                .parse()
                .unwrap_or_else(|_| panic!("{}: {output:?}", WAYS[way].0));
            times[way].push(ns);
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    write(&format!("{kind}, medians of {rounds} rounds\n"));
    for ((name, _), ns) in WAYS.iter().zip(medians) {
        write(&format!("{name:<12} {ns:>8.0} ns   {:.3} of off\n", ns / medians[0]));
    }
}

/// The time of one message or request.
fn measure(kind: Kind, share: Option<f64>) -> Duration {
    let Some(share) = share else {
        return run(kind);
    };
    let share = share.to_string();
    let endpoint = format!("http://{}", collector());
    let traces = wsmesh_bootstrap::traced([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", &share),
    ]);
    tracing::dispatcher::with_default(&traces.expect("valid variables"), || run(kind))
}

/// Takes everything at once, on a thread of its own.
fn collector() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || take_all(stream));
        }
    });
    address
}

/// Answers each request of a connection, until it ends.
fn take_all(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        io::copy(&mut reader.by_ref().take(length), &mut io::sink()).ok()?;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        reader.get_mut().write_all(answer).ok()?;
    }
}

/// Everything runs on this thread, so the time is that of the work.
fn run(kind: Kind) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let bus = MemoryBus::new(["a"]).expect("valid ids");
        let (from, to) = (server("one", &bus), server("two", &bus));
        for adapter in [&from.adapter, &to.adapter] {
            adapter.ready().await;
            while adapter.servers().iter().filter(|other| other.counted).count() < 2 {
                tokio::task::yield_now().await;
            }
        }
        let room = Room::new("chat", "1").expect("valid");
        let mut member = to.member(&room).await;
        to.adapter.on_request("bid", |_| async { Ok::<_, Refusal>("taken") });
        // Once to warm up.
        let mut started = Instant::now();
        for _ in 0..2 {
            started = Instant::now();
            match kind {
                Kind::Message => exchange(&from.adapter, &room, &mut member.delivered).await,
                Kind::Request => ask(&from.adapter, to.adapter.name()).await,
            }
        }
        let time = started.elapsed() / (WINDOWS * WINDOW as u32);
        for server in [from, to] {
            server.driver.shutdown(Duration::from_secs(5)).await;
        }
        time
    })
}

/// Publishes windows of messages, each within the span that a ws-node has for a client's frame, and waits until they are delivered.
async fn exchange(from: &Adapter, room: &Room, delivered: &mut mpsc::UnboundedReceiver<usize>) {
    let frame = Frame::new(format!(
        r#"{{"event":"say","payload":{{"msg":"{}"}}}}"#,
        "x".repeat(200)
    ));
    for _ in 0..WINDOWS {
        for _ in 0..WINDOW {
            let span = if wsmesh_bootstrap::begins_trace() {
                tracing::info_span!("ws.receive", otel.kind = "internal", wsmesh.message = true)
            } else {
                Span::none()
            };
            let publishing = from.to_room(room, frame.clone(), RoomOptions::default());
            publishing.instrument(span).await.expect("a node takes it");
        }
        let mut missing = WINDOW;
        while missing > 0 {
            missing -= delivered.recv().await.expect("its shard runs");
        }
    }
}

/// Sends windows of requests, each within the span that a ws-node has for a client's request, and waits for the replies.
async fn ask(from: &Adapter, server: &ServerName) {
    let question = Payload::from_json(format!(r#"{{"amount":7,"note":"{}"}}"#, "x".repeat(200)));
    for _ in 0..WINDOWS {
        let asked = (0..WINDOW).map(|_| {
            let span = tracing::info_span!("ws.receive", otel.kind = "internal", wsmesh.request = true);
            let target = Target::Server(server.clone());
            let asking = from.call(target, "bid", question.clone(), RequestOptions::default());
            asking.instrument(span)
        });
        for reply in future::join_all(asked).await {
            reply.expect("a reply");
        }
    }
}

struct Server {
    adapter: Adapter,
    driver: Driver,
    attach: mpsc::UnboundedSender<Attached>,
}

/// A connection, its client, and where the number of delivered frames goes.
type Attached = (ConnectionId, ClientId, mpsc::UnboundedSender<usize>);

struct Member {
    delivered: mpsc::UnboundedReceiver<usize>,
    _attachment: Attachment,
}

fn server(name: &str, bus: &MemoryBus) -> Server {
    let name = ServerName::new(name).expect("valid");
    let mut options = Options::new(name, ServiceName::new("ws-node").expect("valid"));
    options.bus = Bus::Memory(bus.clone());
    options.shards = 1;
    let started = Adapter::start(options).expect("valid options");
    let Started {
        adapter,
        driver,
        mut shards,
    } = started;
    let (attach, attached) = mpsc::unbounded_channel();
    tokio::spawn(deliver(shards.pop().expect("one"), attached));
    Server {
        adapter,
        driver,
        attach,
    }
}

impl Server {
    async fn member(&self, room: &Room) -> Member {
        let id = ClientId::new("member").expect("valid");
        let attachment = self.adapter.attach(id.clone(), 0).expect("one shard");
        let (sender, delivered) = mpsc::unbounded_channel();
        let attached = (attachment.connection(), id.clone(), sender);
        self.attach.send(attached).expect("its shard runs");
        attachment.confirmed().await.expect("confirmed");
        self.adapter.join(&id, room.clone()).await.expect("joined");
        Member {
            delivered,
            _attachment: attachment,
        }
    }
}

/// The work of a ws-node's shard, with counting in place of a socket.
async fn deliver(mut inbox: ShardInbox, mut attached: mpsc::UnboundedReceiver<Attached>) {
    let mut shard: Shard<mpsc::UnboundedSender<usize>> = inbox.shard();
    let mut batch: Vec<Command> = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some((connection, client, sender)) = attached.recv() => shard.insert(connection, client, sender),
            count = inbox.recv(&mut batch) => {
                if count == 0 {
                    return;
                }
                batch.drain(..).for_each(|command| shard.apply(command));
            }
        }
        shard.drain_dirty(|_, sender, outbox| {
            let mut frames = 0;
            while outbox.pop().is_some() {
                frames += 1;
            }
            let _ = sender.send(frames);
        });
    }
}
