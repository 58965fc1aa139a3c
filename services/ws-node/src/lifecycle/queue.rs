//! The events that wait for one watch, in order and bounded: when there are too many, the oldest are dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::happening::Happening;
use super::metrics::{Dropped, WatchMetrics};
use crate::quiet::Quiet;

/// Most events in one batch.
pub(super) const MOST: usize = 100;

/// How long a batch waits for more events, after its first one happened.
const GATHERING: Duration = Duration::from_millis(100);

/// The events that wait for one watch.
#[derive(Debug)]
pub(super) struct Queue {
    /// What the watch is called in the log.
    name: String,
    most: usize,
    state: Mutex<State>,
    /// An event was added.
    added: Notify,
    /// Nothing more happens: what waits is to be sent.
    ending: CancellationToken,
    pub(super) metrics: WatchMetrics,
    quiet: Quiet,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Happening>>,
    /// Events that were taken and are neither sent nor dropped.
    taken: usize,
    /// Nothing is taken any more.
    is_closed: bool,
}

impl Queue {
    /// For at most this many events.
    pub(super) fn new(name: String, most: usize, metrics: WatchMetrics) -> Self {
        Self {
            name,
            most,
            state: Mutex::default(),
            added: Notify::new(),
            ending: CancellationToken::new(),
            metrics,
            quiet: Quiet::default(),
        }
    }

    /// What the watch is called in the log.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Adds an event. If too many wait, the oldest one is dropped. Never waits.
    pub(super) fn push(&self, happening: Arc<Happening>) {
        let mut state = self.state.lock();
        if state.is_closed {
            drop(state);
            return self.metrics.dropped(Dropped::Ended, 1);
        }
        let is_full = state.waiting.len() >= self.most;
        if is_full {
            state.waiting.pop_front();
        }
        state.waiting.push_back(happening);
        self.show(&state);
        drop(state);
        self.added.notify_one();
        if is_full {
            self.dropped(Dropped::Full, 1);
        }
    }

    /// Takes the next batch, once there is one: events in order, which count as waiting until [`Queue::done`]. None when
    /// nothing waits and nothing more happens.
    pub(super) async fn batch(&self) -> Option<VecDeque<Arc<Happening>>> {
        let first = loop {
            if let Some(first) = self.state.lock().waiting.front() {
                break Arc::clone(first);
            }
            tokio::select! {
                () = self.added.notified() => {}
                () = self.ending.cancelled() => if self.state.lock().waiting.is_empty() { return None },
            }
        };
        let enough = async {
            while self.state.lock().waiting.len() < MOST {
                tokio::select! {
                    () = self.added.notified() => {}
                    () = self.ending.cancelled() => return,
                }
            }
        };
        let _time_is_up = timeout_at(Instant::from_std(first.happened + GATHERING), enough).await;
        let mut state = self.state.lock();
        let most = state.waiting.len().min(MOST);
        let batch: VecDeque<_> = state.waiting.drain(..most).collect();
        state.taken += batch.len();
        self.show(&state);
        Some(batch)
    }

    /// Events that were taken are sent or dropped.
    pub(super) fn done(&self, events: usize) {
        let mut state = self.state.lock();
        state.taken = state.taken.saturating_sub(events);
        self.show(&state);
    }

    /// Counts events that are dropped, and logs them once a minute.
    pub(super) fn dropped(&self, why: Dropped, events: u64) {
        self.metrics.dropped(why, events);
        if let Some(events) = self.quiet.count(events) {
            let watch = self.name();
            match why {
                Dropped::Full => tracing::error!(
                    watch,
                    events,
                    "too many lifecycle events wait, and the oldest were dropped: is the consumer fast enough?"
                ),
                Dropped::TooOld => tracing::error!(
                    watch,
                    events,
                    "lifecycle events could not be told for keep_ms and were dropped: check their consumer"
                ),
                Dropped::Refused => tracing::error!(
                    watch,
                    events,
                    "lifecycle events were refused by their consumer, or cannot be sent, and were dropped: correct the consumer or the \
                     [[watch]]"
                ),
                Dropped::Ended => tracing::error!(
                    watch,
                    events,
                    "lifecycle events could not be told before this server ended and are lost"
                ),
            }
        }
    }

    /// Has what waits sent without delay: nothing more happens.
    pub(super) fn end(&self) {
        self.ending.cancel();
    }

    /// Resolves when nothing more happens.
    pub(super) async fn ended(&self) {
        self.ending.cancelled().await;
    }

    /// Drops what was not sent, and everything that comes later.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let left = state.waiting.len() + state.taken;
        state.waiting.clear();
        state.taken = 0;
        self.show(&state);
        drop(state);
        if left > 0 {
            self.dropped(Dropped::Ended, left as u64);
        }
    }

    fn show(&self, state: &State) {
        self.metrics.waiting.set((state.waiting.len() + state.taken) as i64);
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::{Instance, LostServer};

    use super::super::happening::What;
    use super::super::metrics::LifecycleMetrics;
    use super::*;

    fn queue(most: usize) -> (Queue, prometheus::Registry) {
        let registry = prometheus::Registry::new();
        let metrics = LifecycleMetrics::register(&registry).expect("registers").of(1);
        (Queue::new("test".to_owned(), most, metrics), registry)
    }

    fn happening(number: u64) -> Arc<Happening> {
        let lost = LostServer {
            name: "a".try_into().expect("valid"),
            service: "ws-node".try_into().expect("valid"),
            instance: Instance(1),
            clients: 0,
        };
        Arc::new(Happening::now(number, What::ServerLost(lost)))
    }

    async fn taken(queue: &Queue) -> Option<Vec<u64>> {
        let batch = queue.batch().await?;
        Some(batch.iter().map(|happening| happening.number).collect())
    }

    #[tokio::test]
    async fn a_batch_has_a_hundred_events_or_those_of_a_tenth_of_a_second() {
        let (queue, _registry) = queue(1000);
        (0..250).for_each(|number| queue.push(happening(number)));
        assert_eq!(taken(&queue).await, Some((0..100).collect()));
        assert_eq!(taken(&queue).await, Some((100..200).collect()));
        // One more comes while the rest is gathered, or, on a busy machine, just after that.
        let rest = async {
            let first = taken(&queue).await.unwrap_or_default();
            let second = taken(&queue).await.unwrap_or_default();
            [first, second].concat()
        };
        let more = async {
            queue.push(happening(250));
            queue.end();
        };
        assert_eq!(tokio::join!(rest, more).0, (200..=250).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn when_too_many_wait_the_oldest_are_dropped_and_counted() {
        let (queue, _registry) = queue(3);
        (0..5).for_each(|number| queue.push(happening(number)));
        assert_eq!(queue.metrics.waiting.get(), 3);
        assert_eq!(taken(&queue).await, Some(vec![2, 3, 4]));
        // Those that are being sent are not dropped.
        (5..9).for_each(|number| queue.push(happening(number)));
        assert_eq!(queue.metrics.waiting.get(), 6);
        queue.done(3);
        assert_eq!(taken(&queue).await, Some(vec![6, 7, 8]));
    }

    #[tokio::test]
    async fn at_the_end_what_waits_is_taken_at_once_and_what_is_left_is_dropped() {
        let (queue, _registry) = queue(10);
        queue.end();
        queue.push(happening(1));
        assert_eq!(taken(&queue).await, Some(vec![1]));
        assert_eq!(taken(&queue).await, None);
        queue.close();
        queue.push(happening(2));
        assert_eq!(queue.metrics.waiting.get(), 0);
        assert_eq!(taken(&queue).await, None);
    }
}
