//! Whether this server hears nodes, and for how long it has heard none. Judged by the clock, read wherever a message waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::choices::CurrentChoices;
use crate::nodes::Mask;
use crate::wire::NodeId;

/// What this server hears.
#[derive(Debug)]
pub(crate) struct Hearing {
    choices: Arc<CurrentChoices>,
    /// After this time without any node, messages are rejected.
    replay_window: Duration,
    started: Instant,
    /// Whether this server hears no node.
    deaf: watch::Sender<bool>,
    /// When a node was heard last, in milliseconds after the start.
    heard_ms: AtomicU64,
    /// Wakes everyone who waits for a node to be heard.
    heard: Arc<Notify>,
    /// Wakes the clock: there is news for other servers.
    changed: Arc<Notify>,
}

impl Hearing {
    pub(crate) fn new(choices: Arc<CurrentChoices>, replay_window: Duration) -> Self {
        Self {
            choices,
            replay_window,
            started: Instant::now(),
            deaf: watch::Sender::new(true),
            heard_ms: AtomicU64::new(0),
            heard: Arc::default(),
            changed: Arc::default(),
        }
    }

    /// When this server started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The nodes that this server hears now.
    pub(crate) fn mask(&self, now: Instant) -> Mask {
        self.choices.load().heard(now)
    }

    /// The nodes that this server hears now, by id.
    pub(crate) fn node_ids(&self, now: Instant) -> Vec<NodeId> {
        let choices = self.choices.load();
        let mask = choices.heard(now);
        let heard = choices.nodes.iter().filter(|node| mask & 1 << node.index != 0);
        heard.map(|node| node.id.clone()).collect()
    }

    /// Whether a connection to some node stands, whether that node is heard or not.
    pub(crate) fn is_connected(&self) -> bool {
        self.choices.load().nodes.iter().any(|node| node.health.can_probe())
    }

    /// Whether this server hears no node; the receiver is notified when that changes.
    pub(crate) fn deaf(&self) -> watch::Receiver<bool> {
        self.deaf.subscribe()
    }

    /// Wakes everyone who waits for a node to be heard.
    pub(crate) fn heard(&self) -> &Arc<Notify> {
        &self.heard
    }

    /// Wakes the clock: there is news for other servers.
    pub(crate) fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    /// Judges whether no node is heard. If so, each is as good as any other, whatever happened to it before.
    pub(crate) fn judge(&self, now: Instant) -> bool {
        let choices = self.choices.load();
        let deaf = choices.heard(now) == 0;
        if deaf {
            choices.nodes.iter().for_each(|node| node.health.forgive());
        } else {
            let heard = now.saturating_duration_since(self.started);
            self.heard_ms.store(heard.as_millis() as u64, Ordering::Relaxed);
        }
        self.deaf
            .send_if_modified(|before| std::mem::replace(before, deaf) != deaf);
        deaf
    }

    /// For how long this server has heard no node.
    pub(crate) fn deaf_for(&self, now: Instant) -> Duration {
        let heard = self.started + Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(heard)
    }

    /// Whether no node was heard for longer than the window. While a connection stands that is not certain: this process may
    /// have been stopped.
    pub(crate) fn outage_is_long(&self, now: Instant) -> bool {
        self.deaf_for(now) > self.replay_window && self.mask(now) == 0 && !self.is_connected()
    }
}
