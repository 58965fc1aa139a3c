//! The statistics of the cluster: sampled once a second by one gathering that everyone who looks shares, kept for an hour.
//!
//! The sampler never waits for a server longer than [`ANSWER_TIME`], and its gatherings never overlap. A server that does not answer
//! is named as missing; its load is that of its last beacon, and nothing else of it is counted. Nothing here changes the cluster.

mod changes;
mod event;
mod history;
mod meter;
mod sight;
mod slow_commands;
mod snapshot;
mod viewers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Adapter, FactsOfNode, Gathered, NodeFacts, NodeId, ServerName, StatsPart};

use crate::gather::{
    self, Answer, ClusterView, EdgeReports, Facts, Measured, NodesView, RecentRoundTrips, RoundTrips, Said, rfc3339,
};
use crate::metrics::Known;
use history::History;
pub(crate) use history::{HISTORY_SECONDS, HistoryView};
use meter::Meter;
pub(crate) use sight::Outside;
use sight::Sight;
use slow_commands::SlowCommands;
pub(crate) use snapshot::Snapshot;
use viewers::Viewers;

/// How often the cluster is sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// How long the servers have for an answer. Less than [`SAMPLE_EVERY`]: a server that hangs delays no sample.
const ANSWER_TIME: Duration = Duration::from_millis(800);
/// How often the nodes are asked.
const FACTS_EVERY: Duration = Duration::from_secs(5);

/// The statistics. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    adapter: Adapter,
    outside: Outside,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Whether a sample was taken.
    sampled: watch::Sender<bool>,
    history: Mutex<History>,
    facts: Mutex<BTreeMap<NodeId, KnownFacts>>,
    /// Of the last samples.
    recent_round_trips: Mutex<RecentRoundTrips>,
    /// The last reports of ws-nodes.
    reports: Mutex<EdgeReports>,
    /// When this admin had a server change last.
    changed: Mutex<Option<Instant>>,
    viewers: Viewers,
}

/// What a node said last, and when.
#[derive(Debug)]
struct KnownFacts {
    facts: Result<NodeFacts, String>,
    slow_commands: Option<u64>,
    at: Instant,
}

/// A change of the cluster, for viewers.
#[derive(Serialize)]
struct Change<'a> {
    #[serde(serialize_with = "rfc3339")]
    at: Timestamp,
    text: &'a str,
}

impl Statistics {
    /// Nothing is sampled before [`Statistics::run`]. All streams of viewers end with `closing`.
    pub(crate) fn new(adapter: Adapter, outside: Outside, closing: CancellationToken) -> Self {
        let nobody = Gathered {
            servers: Vec::new(),
            missing: vec![(adapter.name().clone(), "has not sampled the cluster yet".to_owned())],
            complete: false,
        };
        let sight = Sight::new(&adapter, nobody, &EdgeReports::default());
        let nothing = (&BTreeMap::new(), &Facts::default(), &RoundTrips::default());
        let first = snapshot_of(&adapter, &outside, &sight, nothing);
        Self {
            shared: Arc::new(Shared {
                adapter,
                outside,
                snapshot: watch::Sender::new(Arc::new(first)),
                sampled: watch::Sender::new(false),
                history: Mutex::default(),
                facts: Mutex::default(),
                recent_round_trips: Mutex::default(),
                reports: Mutex::default(),
                changed: Mutex::default(),
                viewers: Viewers::new(closing),
            }),
        }
    }

    /// Samples until it is stopped.
    pub(crate) async fn run(self, ended: CancellationToken) {
        let asking = self.clone();
        tokio::select! {
            () = self.sample() => {}
            () = asking.ask_nodes() => {}
            () = ended.cancelled() => {}
        }
    }

    /// The newest snapshot; one without answers before the first sample.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.snapshot.borrow())
    }

    /// As [`Statistics::snapshot`], but waits for the first sample if there is none.
    pub(crate) async fn current(&self) -> Arc<Snapshot> {
        let mut sampled = self.shared.sampled.subscribe();
        // The sender lives as long as this handle. A sample takes less than this.
        let _ = tokio::time::timeout(2 * SAMPLE_EVERY, sampled.wait_for(|sampled| *sampled)).await;
        self.snapshot()
    }

    /// Each new snapshot.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.shared.snapshot.subscribe()
    }

    /// The numbers of the last seconds.
    pub(crate) fn history(&self, seconds: u64) -> HistoryView {
        self.shared.history.lock().last(seconds, Timestamp::now())
    }

    /// The servers as they answered less than a second ago, or else as they answer now. A gathering waits for the slowest of all
    /// servers, so those who look do not each begin one.
    pub(crate) async fn cluster_now(&self) -> Answer<ClusterView> {
        let processes = Sight::processes(&self.shared.adapter);
        let changed = *self.shared.changed.lock();
        if let Some(recent) = self.snapshot().recent_cluster(&processes, SAMPLE_EVERY, changed) {
            return recent;
        }
        let sight = self.look(self.shared.adapter.cluster_stats().await);
        Answer::new(Timestamp::now(), &sight.gathered, sight.cluster(&self.shared.adapter))
    }

    /// This admin had a server change: what was answered before is not shown as new any more.
    pub(crate) fn note_change(&self) {
        *self.shared.changed.lock() = Some(Instant::now());
    }

    /// The nodes as the servers answer now, not as they were sampled; with what the nodes said last.
    pub(crate) async fn nodes_now(&self) -> Answer<NodesView> {
        let sight = self.look(self.shared.adapter.cluster_stats().await);
        let round_trips = self.shared.recent_round_trips.lock().median();
        let nodes = sight.nodes(&self.shared.outside, &self.facts(), &round_trips);
        Answer::new(Timestamp::now(), &sight.gathered, nodes)
    }

    fn look(&self, gathered: Gathered<StatsPart>) -> Sight {
        let reports = self.shared.reports.lock().clone();
        Sight::new(&self.shared.adapter, gathered, &reports)
    }

    /// What the nodes said about themselves.
    pub(crate) fn facts(&self) -> Facts {
        self.shared.facts()
    }

    /// Tells what is known about the nodes, as long as there are statistics.
    pub(crate) fn known_nodes(&self) -> impl Fn() -> Option<Known> + Send + Sync + use<> {
        let shared = Arc::downgrade(&self.shared);
        move || {
            let shared = shared.upgrade()?;
            let snapshot = Arc::clone(&shared.snapshot.borrow());
            Some(Known {
                facts: shared.facts(),
                nodes: snapshot.nodes.body.clone(),
            })
        }
    }

    /// Tells everyone who watches: `job`, `audit`, `topology`.
    pub(crate) fn tell(&self, name: &str, data: &impl Serialize) {
        self.shared.viewers.tell(name, data);
    }

    /// Tells everyone who watches what these news are, as events with this name, until they end.
    pub(crate) async fn tell_all<T: Serialize>(self, name: &'static str, news: impl Stream<Item = T>) {
        let mut news = std::pin::pin!(news);
        while let Some(one) = news.next().await {
            self.tell(name, &one);
        }
    }

    /// The events for one more viewer.
    pub(crate) fn view(&self) -> impl Stream<Item = Bytes> + use<> {
        self.shared.viewers.view(self.subscribe())
    }

    async fn sample(&self) {
        let (mut every, mut meter) = (interval(SAMPLE_EVERY), Meter::default());
        // After a delay the next sample is a second later: two in a row would only cost.
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let (adapter, asked) = (&self.shared.adapter, Instant::now());
            let sight = self.look(adapter.cluster_stats_within(ANSWER_TIME).await);
            let measured = meter.measure(&sight.roster, &sight.gathered, Instant::now());
            self.take(&sight, &measured, asked);
        }
    }

    fn take(&self, sight: &Sight, measured: &BTreeMap<ServerName, Measured>, asked: Instant) {
        *self.shared.reports.lock() = sight.reports.clone();
        let facts = self.facts();
        let round_trips = {
            let mut recent = self.shared.recent_round_trips.lock();
            // If most servers are late, those that answered say little: a busy admin would be the only judge.
            if sight.most_answered() {
                recent.note(&sight.round_trips());
            }
            recent.median()
        };
        let (adapter, outside) = (&self.shared.adapter, &self.shared.outside);
        let snapshot = snapshot_of(adapter, outside, sight, (measured, &facts, &round_trips)).asked_at(asked);
        let snapshot = Arc::new(snapshot);
        let mut history = self.shared.history.lock();
        history.push(snapshot.at, &snapshot.stats.body, &facts);
        drop(history);
        let before = self.shared.snapshot.send_replace(Arc::clone(&snapshot));
        // Before the first sample nothing was known, so nothing changed.
        if self.shared.sampled.send_replace(true) {
            for text in changes::changes(&before, &snapshot) {
                let at = snapshot.at;
                self.tell("topology", &Change { at, text: &text });
            }
        }
    }

    async fn ask_nodes(&self) {
        let (mut every, mut slow_commands) = (interval(FACTS_EVERY), SlowCommands::default());
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let mut asked = BTreeSet::new();
            let mut said = self.shared.adapter.node_facts_each();
            // Each as it comes: one that hangs delays its own row only.
            while let Some(FactsOfNode { id, facts }) = said.next().await {
                asked.insert(id.clone());
                let known = KnownFacts {
                    slow_commands: facts.as_ref().ok().and_then(|facts| slow_commands.count(&id, facts)),
                    facts,
                    at: Instant::now(),
                };
                self.shared.facts.lock().insert(id, known);
            }
            self.shared.facts.lock().retain(|id, _| asked.contains(id));
            slow_commands.keep(&asked);
        }
    }
}

impl Shared {
    fn facts(&self) -> Facts {
        let known = self.facts.lock();
        let said = |known: &KnownFacts| Said {
            facts: known.facts.clone(),
            slow_commands: known.slow_commands,
            age_ms: u64::try_from(known.at.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        Facts {
            of_nodes: known.iter().map(|(id, known)| (id.clone(), said(known))).collect(),
        }
    }
}

/// The bodies of all answers, from one gathering, and from what is known of earlier ones.
fn snapshot_of(
    adapter: &Adapter,
    outside: &Outside,
    sight: &Sight,
    (measured, facts, round_trips): (&BTreeMap<ServerName, Measured>, &Facts, &RoundTrips),
) -> Snapshot {
    let (at, gathered) = (Timestamp::now(), &sight.gathered);
    Snapshot::new(
        at,
        Answer::new(at, gathered, sight.cluster(adapter)),
        Answer::new(at, gathered, sight.nodes(outside, facts, round_trips)),
        Answer::new(at, gathered, sight.stats(measured)),
        sight.edges(),
        gather::loads(&sight.gathered),
        sight.processes_seen(),
    )
}
