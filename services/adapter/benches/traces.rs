//! What traces cost a message, from publishing on one server until the outbox of a client on another one has it: without a collector, and
//! with one that nothing, or one trace in a hundred, is sampled for. Each way runs in a process of its own, because tracing remembers for
//! a whole process that it was on; the ways take turns, round after round, so that what disturbs the machine disturbs all of them.
//! Only the ratios of one run mean something. `cargo bench -p wsmesh-adapter --bench traces -- --rounds 15`

use std::io::{self, Write};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tokio::sync::mpsc;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;
use wsmesh_adapter::{
    Adapter, Attachment, Bus, ClientId, Command, ConnectionId, Driver, Frame, MemoryBus, Options, Room, RoomOptions,
    ServerName, ServiceName, Shard, ShardInbox, Started,
};

/// The ways, the first of which the others are compared with: how many traces are sampled, if there is a collector.
const WAYS: [(&str, Option<f64>); 3] = [("off", None), ("sampled 0", Some(0.0)), ("sampled 1 %", Some(0.01))];
/// Messages under way at once.
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
        write(&format!("{}\n", measure(share).as_nanos()));
        return;
    }
    // The filter of another benchmark.
    let filter = arguments.iter().find(|argument| !argument.starts_with("--"));
    if option("--rounds").is_none() && filter.is_some_and(|filter| !"traces".contains(filter.as_str())) {
        return;
    }
    let rounds = option("--rounds").map_or(ROUNDS, |rounds| rounds.parse().expect("--rounds N"));
    compare(rounds);
}

fn write(text: &str) {
    io::stdout().write_all(text.as_bytes()).expect("somebody reads");
}

/// Runs the ways in turn and prints a table.
fn compare(rounds: usize) {
    let own = std::env::current_exe().expect("this program has a path");
    let mut times = WAYS.map(|_| Vec::with_capacity(rounds));
    for round in 0..rounds {
        for turn in 0..WAYS.len() {
            // Whoever is first in a round changes.
            let way = (round + turn) % WAYS.len();
            let output = Process::new(&own)
                .args(["--way", WAYS[way].0])
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
    write(&format!("publish → deliver, medians of {rounds} rounds\n"));
    for ((name, _), ns) in WAYS.iter().zip(medians) {
        write(&format!("{name:<12} {ns:>8.0} ns   {:.3} of off\n", ns / medians[0]));
    }
}

/// The time of one message.
fn measure(share: Option<f64>) -> Duration {
    let Some(share) = share else {
        return run();
    };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(Nowhere).build())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bench"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, run)
}

/// Takes everything at once.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// Everything runs on this thread, so the time is that of the work.
fn run() -> Duration {
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
        exchange(&from.adapter, &room, &mut member.delivered).await;
        let started = Instant::now();
        exchange(&from.adapter, &room, &mut member.delivered).await;
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
            let span = tracing::info_span!("ws.receive", otel.name = "ws.receive say", otel.kind = "internal");
            let publishing = from.to_room(room, frame.clone(), RoomOptions::default());
            publishing.instrument(span).await.expect("a node takes it");
        }
        let mut missing = WINDOW;
        while missing > 0 {
            missing -= delivered.recv().await.expect("its shard runs");
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
