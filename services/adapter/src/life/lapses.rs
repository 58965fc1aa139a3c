//! Lapses: spans of time for which the promise did not hold, as this server noticed them. Loss is never silent.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::adapter::{Adapter, Inner};
use crate::flow::outbound::now_ms;
use crate::wire::NodeId;

/// How many are remembered.
const REMEMBERED: usize = 100;

/// Why the promise did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LapseReason {
    /// This server heard no node for longer than the replay window: what others sent meanwhile may be missing here.
    Isolated,
    /// This process was stopped for longer than the replay window: what others sent meanwhile may be missing here.
    Stalled,
    /// The replay window ran out of bytes before its time: what this server sent may be missing at others.
    WindowTooSmall,
    /// Copies found no node that their receivers hear in time: what this server sent may be missing at others.
    Expired,
}

impl LapseReason {
    /// The reason's name, from a fixed set: safe as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Stalled => "stalled",
            Self::WindowTooSmall => "window-too-small",
            Self::Expired => "expired",
        }
    }
}

/// A span of time for which the promise did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lapse {
    /// Why.
    pub reason: LapseReason,
    /// The node concerned, if it is one.
    pub node: Option<NodeId>,
    /// How long before it was noticed it began, in milliseconds.
    pub started_ms_ago: u64,
    /// How long it lasted, in milliseconds.
    pub length_ms: u64,
    /// When it was noticed, in milliseconds since the Unix epoch, on this server's clock.
    pub noticed_ms: u64,
}

impl Adapter {
    /// Spans of time for which the promise did not hold, as this server noticed them: the last 100, oldest first. They are
    /// logged and counted (`wsmesh_lapses_total`), too.
    pub fn lapses(&self) -> watch::Receiver<Arc<Vec<Lapse>>> {
        self.inner.lapses.subscribe()
    }
}

impl Inner {
    /// As [`Inner::lapse`], but the same lapse is told once in a while, not for each message.
    pub(crate) fn lapse_once(&self, reason: LapseReason, length: Duration) {
        let now = Instant::now();
        let told = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let before = told.insert(reason, now);
            before.is_some_and(|before| now.saturating_duration_since(before) < self.options.replay_window)
        };
        if !told {
            self.lapse(reason, length);
        }
    }

    /// The promise did not hold for so long, until now.
    pub(crate) fn lapse(&self, reason: LapseReason, length: Duration) {
        let length_ms = length.as_millis() as u64;
        self.metrics.lapses.with_label_values(&[reason.label()]).inc();
        let lapse = Lapse {
            reason,
            node: None,
            started_ms_ago: length_ms,
            length_ms,
            noticed_ms: now_ms(),
        };
        self.lapses.send_modify(|lapses| {
            let lapses = Arc::make_mut(lapses);
            if lapses.len() == REMEMBERED {
                lapses.remove(0);
            }
            lapses.push(lapse);
        });
        match reason {
            LapseReason::Isolated => tracing::error!(
                length_ms,
                "this server heard no Redis node for longer than the replay window: messages of others may be missing here"
            ),
            LapseReason::Stalled => tracing::error!(
                length_ms,
                "this process was stopped for longer than the replay window: messages of others may be missing here"
            ),
            LapseReason::WindowTooSmall => tracing::error!(
                length_ms,
                "the replay window ran out of bytes: messages of this server may be missing at others; raise replay_bytes"
            ),
            LapseReason::Expired => tracing::error!(
                length_ms,
                "copies found no Redis node that their receivers hear in time: messages of this server may be missing there"
            ),
        }
    }
}
