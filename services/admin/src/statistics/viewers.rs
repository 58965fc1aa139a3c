//! Those who watch the cluster: each gets the newest snapshot when it is ready to read, and the news in between. A viewer that reads
//! slowly skips snapshots; news that it is too late for are counted to it. Nothing is kept for one viewer alone, and nothing here limits
//! how many there are.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::event::{HEARTBEAT, event};
use super::snapshot::Snapshot;

/// How many news are kept for viewers that read slowly.
const NEWS: usize = 256;
/// How often a viewer gets something to read, if there is nothing new.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// All viewers.
#[derive(Debug)]
pub(super) struct Viewers {
    news: broadcast::Sender<Bytes>,
    /// When it is cancelled, all streams end.
    closing: CancellationToken,
}

/// What a viewer gets when news came too fast for it: it should ask for the lists that it shows again.
#[derive(Serialize)]
struct Missed {
    count: u64,
}

impl Viewers {
    pub(super) fn new(closing: CancellationToken) -> Self {
        Self {
            news: broadcast::Sender::new(NEWS),
            closing,
        }
    }

    /// Tells all viewers. Written once, and not at all if there are none.
    pub(super) fn tell(&self, name: &str, data: &impl Serialize) {
        if self.news.receiver_count() > 0 {
            // Fails only if the last viewer has just left.
            let _ = self.news.send(event(name, data));
        }
    }

    /// A stream for one more viewer.
    pub(super) fn view(&self, mut snapshots: watch::Receiver<Arc<Snapshot>>) -> impl Stream<Item = Bytes> + use<> {
        // The one that is there now comes first.
        snapshots.mark_changed();
        let mut heartbeat = interval_at(tokio::time::Instant::now() + HEARTBEAT_EVERY, HEARTBEAT_EVERY);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let viewer = Viewer {
            snapshots,
            news: self.news.subscribe(),
            heartbeat,
            closing: self.closing.clone(),
        };
        stream::unfold(viewer, async |mut viewer| {
            let event = viewer.next().await?;
            viewer.heartbeat.reset();
            Some((event, viewer))
        })
    }
}

/// One viewer. Its next event is chosen when it is ready for it.
struct Viewer {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    news: broadcast::Receiver<Bytes>,
    heartbeat: Interval,
    closing: CancellationToken,
}

impl Viewer {
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => None,
            // News are few, and older than the next snapshot.
            news = self.news.recv() => match news {
                Ok(event) => Some(event),
                Err(RecvError::Lagged(count)) => Some(event("missed", &Missed { count })),
                Err(RecvError::Closed) => None,
            },
            changed = self.snapshots.changed() => {
                changed.ok()?;
                let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
                Some(snapshot.event())
            }
            _ = self.heartbeat.tick() => Some(HEARTBEAT),
        }
    }
}
