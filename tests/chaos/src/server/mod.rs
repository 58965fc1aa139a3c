//! A server process of the harness: the adapter under test, clients that are only outboxes, load on demand.
//!
//! It records what it sent and what arrived, and judges nothing.

mod clients;
mod load;
mod topology;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use wsmesh_adapter::{Adapter, Bus, NodeUrl, Options, Payload, ServerName, ServiceName, Started};

use crate::clock::now_us;
use crate::message::Message;
use crate::record::{Event, Log, SERVER};
use crate::talk::{Order, Say, Setup};
use load::Load;

/// The service whose servers handle requests.
pub const LOGIC: &str = "logic";
/// The event that is sent to servers.
const NEWS: &str = "news";
/// The request that the service `logic` handles.
const WORK: &str = "work";
/// How long the handling of a request takes, so that some are always in flight.
const WORK_TIME: Duration = Duration::from_millis(20);
/// Longest wait for the adapter to end.
const END: Duration = Duration::from_secs(10);
/// The time of which a killed process may lose records.
const FLUSH: Duration = Duration::from_millis(200);

/// Runs a server process until it is told to quit, or its output is closed.
///
/// # Errors
/// When the adapter does not start, or gives up.
pub async fn run() -> anyhow::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let first = lines.next_line().await?.context("no setup on stdin")?;
    let setup: Arc<Setup> = Arc::new(serde_json::from_str(&first)?);
    let log = Arc::new(Log::create(&setup.log)?);
    let Started {
        adapter,
        mut driver,
        mut shards,
    } = Adapter::start(options(&setup)?)?;
    let mut background = JoinSet::new();
    background.spawn(keep_flushing(log.clone()));
    background.spawn(topology::tell_lapses(adapter.clone()));
    listen(&adapter, &setup, &log);
    let (insert, inserted) = mpsc::unbounded_channel();
    if let Some(inbox) = shards.pop() {
        background.spawn(clients::own_shard(inbox, inserted, log.clone()));
    }
    background.spawn(settle(adapter.clone(), setup.clone(), insert));
    let mut load = Load::new(adapter.clone(), log.clone(), setup.clone());
    let result = tokio::select! {
        error = driver.failed() => Err(error.into()),
        result = obey(&mut lines, &adapter, &mut load) => result,
    };
    load.stop();
    driver.shutdown(END).await;
    log.flush();
    result
}

fn options(setup: &Setup) -> anyhow::Result<Options> {
    let mut options = Options::new(ServerName::new(&setup.name)?, ServiceName::new(&setup.service)?);
    let urls = setup.urls.iter().map(|url| NodeUrl::parse(url));
    options.bus = Bus::Redis(urls.collect::<Result<_, _>>()?);
    options.shards = usize::from(!setup.clients.is_empty());
    options.probe_interval = Duration::from_millis(setup.probe_ms);
    options.request_timeout = Duration::from_millis(setup.request_ms);
    topology::set_window(&mut options, Duration::from_millis(setup.window_ms));
    Ok(options)
}

/// Reports something to the harness.
fn say(what: &Say) {
    let line = serde_json::to_string(what).map_err(io::Error::other);
    if let Err(error) = line.and_then(|line| writeln!(io::stdout(), "{line}")) {
        tracing::error!("{what:?} cannot be reported: {error}");
    }
}

async fn keep_flushing(log: Arc<Log>) {
    let mut tick = interval(FLUSH);
    loop {
        tick.tick().await;
        log.flush();
    }
}

/// Events of servers, and requests if this is a server that handles them.
fn listen(adapter: &Adapter, setup: &Setup, log: &Arc<Log>) {
    let news = log.clone();
    adapter.on(NEWS, move |event| {
        if let Some(message) = message_in(&event.payload) {
            news.note(Event::Received(SERVER), message.key());
        }
        std::future::ready(())
    });
    if setup.service == LOGIC {
        let work = log.clone();
        adapter.on(WORK, move |event| {
            if let Some(message) = message_in(&event.payload) {
                work.note(Event::Handled, message.key());
                // This record must survive even if the process is killed at once.
                work.flush();
            }
            tokio::spawn(async move {
                sleep(WORK_TIME).await;
                let sender = event.sender.clone();
                if let Err(error) = event.reply(Payload::null()).await {
                    tracing::warn!(%sender, "an answer was refused: {error}");
                }
            });
            std::future::ready(())
        });
    }
}

fn message_in(payload: &Payload) -> Option<Message> {
    payload.parse::<String>().ok().and_then(|text| Message::parse(&text))
}

/// Reports when this server counts, when its clients are in place, and when it knows every other server.
async fn settle(adapter: Adapter, setup: Arc<Setup>, insert: clients::Insert) {
    adapter.ready().await;
    say(&Say::Ready { at_us: now_us() });
    let _attachments = clients::place(&adapter, &setup, insert).await;
    let mut roster = adapter.roster();
    let all = roster.wait_for(|servers| {
        let counted = servers.iter().filter(|server| server.counted);
        counted.count() >= setup.audience.servers.len()
    });
    if all.await.is_ok() {
        say(&Say::Settled);
    }
    // The attachments end with the process, not with this task.
    std::future::pending::<()>().await;
}

async fn obey(lines: &mut Lines<BufReader<Stdin>>, adapter: &Adapter, load: &mut Load) -> anyhow::Result<()> {
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Order::Load { rate } => load.start(rate),
            Order::Rest => {
                let stuck = load.rest().await;
                say(&Say::Rested { stuck });
            }
            Order::AddNode { url } => say(&Say::Done {
                error: topology::add_node(adapter, &url).err(),
            }),
            Order::DrainNode { id } => say(&Say::Done {
                error: topology::drain_node(adapter, &id).err(),
            }),
            Order::Topology => say(&Say::Topology {
                nodes: topology::nodes(adapter),
            }),
            Order::Quit => break,
        }
    }
    Ok(())
}
