//! The driver owns every task: one per node, the way in, and the clock that sends beacons and judges who lives.
//!
//! Its own end is one awaited future, bounded in time. A task that ends by itself is a defect, and is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::adapter::Inner;
use crate::choices::Choices;
use crate::cluster::{Beacon, Change, FORMAT, beacon_interval};
use crate::error::DriverError;
use crate::inbound;
use crate::nodes::{Batch, Surroundings, run_node};
use crate::views::ServerInfo;
use crate::wire::Instance;

/// How often time is looked at: silent nodes and servers, channels to give up.
const TICK: Duration = Duration::from_millis(250);
/// News within this time share one beacon.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// A server waits so long after its first beacon for others to answer: then its roster is filled.
const SETTLE: Duration = Duration::from_millis(150);
/// A starting server counts without hearing all nodes after this time, if it hears one.
const IMPATIENT: Duration = Duration::from_secs(10);
/// Batches that wait to be decoded. When full, subscribers stop reading and Redis holds the rest.
const INBOUND: usize = 256;
/// Longest wait for tasks that were told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Owns every task of the adapter.
#[derive(Debug)]
pub struct Driver {
    inner: Arc<Inner>,
    tasks: JoinSet<()>,
    fatal: watch::Receiver<Option<DriverError>>,
}

impl Driver {
    pub(crate) fn start(inner: Arc<Inner>, fatal: watch::Sender<Option<DriverError>>) -> Self {
        let mut tasks = JoinSet::new();
        let (sender, batches) = mpsc::channel::<(usize, Batch)>(INBOUND);
        for node in &inner.nodes {
            let around = Surroundings {
                interest: inner.interest.clone(),
                inbound: sender.clone(),
                changed: inner.changed.clone(),
                heard: inner.heard.clone(),
                probe_channel: inner.probe_channel.clone(),
                command_timeout: inner.options.command_timeout,
                probe_interval: inner.options.probe_interval,
                stop: inner.stop.clone(),
            };
            tasks.spawn(run_node(node.clone(), around));
        }
        let receiver = fatal.subscribe();
        let (way_in, stop) = (inner.clone(), inner.stop.clone());
        // The sender goes along, so that the way in ends only when told to, also without nodes.
        tasks.spawn(async move {
            let _open = sender;
            stop.run_until_cancelled_owned(inbound::run(way_in, batches)).await;
        });
        tasks.spawn(
            Clock {
                inner: inner.clone(),
                fatal,
                first_beacon: None,
                started: Instant::now(),
            }
            .run(),
        );
        Self {
            inner,
            tasks,
            fatal: receiver,
        }
    }

    /// Resolves when the server cannot go on, for example because another server has its name.
    pub async fn failed(&mut self) -> DriverError {
        tokio::select! {
            told = self.fatal.wait_for(Option::is_some) => match told.as_deref() {
                Ok(Some(error)) => error.clone(),
                _ => DriverError::TaskEnded("the clock ended".to_owned()),
            },
            Some(ended) = self.tasks.join_next() => {
                let why = ended.err().map_or_else(|| "without being told to".to_owned(), |error| error.to_string());
                DriverError::TaskEnded(why)
            }
        }
    }

    /// Says goodbye on the bus, ends every task and waits for them; at most a few seconds.
    pub async fn shutdown(mut self) {
        let goodbye = self.inner.beacon(true);
        if timeout(STOP_LIMIT, self.inner.publish_beacon(&goodbye)).await.is_err() {
            tracing::warn!("the goodbye was not sent in time: others notice in some seconds");
        }
        self.inner.stop.cancel();
        self.inner.tasks.close();
        let all = async {
            self.inner.tasks.wait().await;
            while self.tasks.join_next().await.is_some() {}
        };
        if timeout(STOP_LIMIT, all).await.is_err() {
            tracing::warn!("some tasks did not end in time and were dropped");
        }
    }
}

struct Clock {
    inner: Arc<Inner>,
    fatal: watch::Sender<Option<DriverError>>,
    first_beacon: Option<Instant>,
    started: Instant,
}

impl Clock {
    async fn run(mut self) {
        let stop = self.inner.stop.clone();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_beacon = Instant::now();
        loop {
            let changed = self.inner.changed.clone();
            let news = tokio::select! {
                () = stop.cancelled() => return,
                () = changed.notified() => { sleep(DEBOUNCE).await; true }
                _ = tick.tick() => false,
            };
            let now = Instant::now();
            self.inner.judge(now);
            self.count_in(now);
            if self.inner.is_refused() {
                let name = self.inner.options.name.clone();
                self.fatal.send_replace(Some(DriverError::DuplicateName { name }));
            }
            if news || now >= next_beacon {
                let servers = self.inner.roster().len() + 1;
                next_beacon = now + beacon_interval(servers);
                let beacon = self.inner.beacon(false);
                if self.inner.heard_mask(now) != 0 && self.first_beacon.is_none() {
                    self.first_beacon = Some(now);
                }
                self.inner.publish_beacon(&beacon).await;
                self.inner.refresh(now);
            }
        }
    }

    /// A starting server counts once it hears every node (or one, after a while) and others had time to answer.
    fn count_in(&self, now: Instant) {
        if *self.inner.counted.borrow() {
            return;
        }
        let heard = self.inner.heard_mask(now).count_ones() as usize;
        let all = heard == self.inner.nodes.len();
        let settled = self
            .first_beacon
            .is_some_and(|first| now.saturating_duration_since(first) >= SETTLE);
        let patient = now.saturating_duration_since(self.started) < IMPATIENT;
        if self.inner.nodes.is_empty() || settled && (all || heard > 0 && !patient) {
            self.inner.counted.send_replace(true);
            self.inner.changed.notify_one();
        }
    }
}

impl Inner {
    /// What this server says about itself now.
    fn beacon(&self, leaving: bool) -> Beacon {
        let heard = self.heard_mask(Instant::now());
        let heard_nodes = self.nodes.iter().filter(|node| heard & 1 << node.index != 0);
        Beacon {
            format: FORMAT,
            name: self.options.name.clone(),
            service: self.options.service.clone(),
            instance: self.instance,
            version: self.options.version.clone(),
            number: self.beacons.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            counted: *self.counted.borrow(),
            heard: heard_nodes.map(|node| node.id.clone()).collect(),
            clients: self.hub.client_count() as u64,
            rooms: self.hub.room_count() as u64,
            leaving,
            rival: self.namesakes().rival,
        }
    }

    /// Through every node, whatever its health: a node that some hear carries it to them.
    async fn publish_beacon(&self, beacon: &Beacon) {
        let bytes = bytes::Bytes::from(beacon.encode());
        let sending = self.nodes.iter().map(|node| {
            node.publish(
                &self.beacon_channel,
                bytes.clone(),
                self.options.command_timeout.min(DEBOUNCE * 25),
            )
        });
        for result in futures_util::future::join_all(sending).await {
            if let Err(error) = result {
                tracing::trace!("a beacon was not published: {error}");
            }
        }
    }

    /// Another server said something about itself.
    pub(crate) fn on_beacon(&self, beacon: Beacon) {
        let changes = self.roster().on_beacon(beacon, Instant::now());
        self.apply(changes);
    }

    /// Looks at the time: which nodes are heard, which servers live, which channels are to be given up.
    fn judge(&self, now: Instant) {
        for node in &self.nodes {
            self.interest.heard(node.index, node.health.heard(now));
        }
        self.interest.sweep(now);
        let changes = self.roster().expire(now);
        self.apply(changes);
    }

    fn apply(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let mut membership = false;
        for change in changes {
            match change {
                Change::Joined(name) => {
                    tracing::info!(server = %name, "server joined");
                    // It knows nobody yet: tell it at once.
                    self.changed.notify_one();
                    membership = true;
                }
                Change::Left(name, instance) => {
                    tracing::info!(server = %name, "server left");
                    self.requests.on_gone(&name, instance);
                    membership = true;
                }
                Change::Hearing => membership = true,
                Change::Namesake(instance) => self.on_namesake(instance),
                Change::Refused => {
                    self.namesakes().refused = true;
                    self.changed.notify_one();
                }
            }
        }
        let choices = Choices::new(&self.roster(), |id| self.node_indexes.get(id).copied());
        self.choices.store(Arc::new(choices));
        if membership {
            self.roster_view.send_replace(Arc::new(self.servers(Instant::now())));
        }
    }

    fn on_namesake(&self, instance: Instance) {
        if self.namesakes().rival.replace(instance) != Some(instance) {
            tracing::error!(
                server = %self.options.name,
                "another process was started with this server's name; it is told to step back. Give it its own name"
            );
        }
        self.changed.notify_one();
    }

    fn is_refused(&self) -> bool {
        self.namesakes().refused
    }

    /// Every live server, this one included, sorted by name.
    pub(crate) fn servers(&self, now: Instant) -> Vec<ServerInfo> {
        let me = self.beacon_view(now);
        let mut servers: Vec<ServerInfo> = self
            .roster()
            .iter()
            .map(|(beacon, last)| ServerInfo {
                name: beacon.name.clone(),
                service: beacon.service.clone(),
                instance: beacon.instance,
                version: beacon.version.clone(),
                clients: beacon.clients,
                rooms: beacon.rooms,
                heard: beacon.heard.clone(),
                counted: beacon.counted,
                age_ms: now.saturating_duration_since(last).as_millis() as u64,
            })
            .chain([me])
            .collect();
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        servers
    }

    fn beacon_view(&self, now: Instant) -> ServerInfo {
        let heard = self.nodes.iter().filter(|node| node.health.heard(now));
        ServerInfo {
            name: self.options.name.clone(),
            service: self.options.service.clone(),
            instance: self.instance,
            version: self.options.version.clone(),
            clients: self.hub.client_count() as u64,
            rooms: self.hub.room_count() as u64,
            heard: heard.map(|node| node.id.clone()).collect(),
            counted: *self.counted.borrow(),
            age_ms: 0,
        }
    }

    /// Brings the views and gauges up to date, without telling anyone who waits for a change unless there is one.
    pub(crate) fn refresh(&self, now: Instant) {
        let statuses: Vec<_> = self.nodes.iter().map(|node| node.status(now)).collect();
        for status in &statuses {
            let labels = [status.id.as_str()];
            self.metrics
                .node_up
                .with_label_values(&labels)
                .set(i64::from(status.heard));
            self.metrics
                .node_ping
                .with_label_values(&labels)
                .set(status.rtt_ms.unwrap_or(0.0) / 1000.0);
            self.metrics
                .node_gaps
                .with_label_values(&labels)
                .set(status.gaps as i64);
            self.metrics
                .node_reconnects
                .with_label_values(&labels)
                .set(status.reconnects as i64);
        }
        self.nodes_view.send_if_modified(|view| {
            let news = view.len() != statuses.len() || view.iter().zip(&statuses).any(|(old, new)| old.differs(new));
            *view = Arc::new(statuses);
            news
        });
        let servers = self.servers(now);
        self.metrics
            .count_servers(servers.iter().map(|server| server.service.as_str()));
        self.metrics.rooms.set(self.hub.room_count() as f64);
        self.metrics.topics.set(self.interest.len() as f64);
        self.roster_view.send_if_modified(|view| {
            // Others' news come by `apply`; what is left is this server's own: that it counts, and what it hears.
            let news = view.len() != servers.len() || view.iter().zip(&servers).any(|(old, new)| old.differs(new));
            *view = Arc::new(servers);
            news
        });
    }
}
