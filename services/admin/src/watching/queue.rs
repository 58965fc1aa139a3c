//! What waits for one viewer of a client: in the order of time, as far as servers report in time, and bounded. What a slow viewer
//! does not get is counted.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Most events that wait.
const MOST: usize = 2000;
/// Most bytes that wait.
const MOST_BYTES: usize = 512 * 1024;
/// How long an event waits for earlier ones of other servers, which send five times a second.
pub(super) const HOLD: Duration = Duration::from_millis(300);

/// One event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    /// JSON, in one line.
    pub(crate) data: String,
}

/// What waits for one viewer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    bytes: usize,
    lost: u64,
}

#[derive(Debug)]
struct Waiting {
    at_ms: i64,
    came: Instant,
    event: Event,
}

/// What is due.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) events: VecDeque<Event>,
    /// How many the viewer was too slow for.
    pub(super) lost: u64,
}

impl Queue {
    /// Adds events, each with its time, that came now.
    pub(super) fn add(&self, events: impl IntoIterator<Item = (i64, Event)>, now: Instant) {
        let mut state = self.state.lock();
        for (at_ms, event) in events {
            let bytes = state.bytes + event.data.len();
            if state.waiting.len() >= MOST || bytes > MOST_BYTES {
                state.lost += 1;
                continue;
            }
            state.bytes = bytes;
            let came = now;
            state.waiting.push(Waiting { at_ms, came, event });
        }
        drop(state);
        self.added.notify_one();
    }

    /// Takes out what has waited long enough, and everything that happened before it.
    pub(super) fn due(&self, now: Instant) -> Due {
        let mut state = self.state.lock();
        state.waiting.sort_by_key(|waiting| waiting.at_ms);
        let is_due = |waiting: &Waiting| now.saturating_duration_since(waiting.came) >= HOLD;
        let end = state.waiting.iter().rposition(is_due).map_or(0, |last| last + 1);
        let events: VecDeque<_> = state.waiting.drain(..end).map(|waiting| waiting.event).collect();
        state.bytes -= events.iter().map(|event| event.data.len()).sum::<usize>();
        Due {
            events,
            lost: std::mem::take(&mut state.lost),
        }
    }

    /// Resolves when something is due; it may be nothing.
    pub(super) async fn ready(&self) {
        loop {
            let first = self.state.lock().waiting.iter().map(|waiting| waiting.came).min();
            match first {
                Some(came) => return tokio::time::sleep_until(came + HOLD).await,
                None => self.added.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> Event {
        Event {
            name: "in",
            data: data.to_owned(),
        }
    }

    fn taken(queue: &Queue, now: Instant) -> Vec<String> {
        queue.due(now).events.into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn an_event_that_comes_later_and_happened_earlier_is_told_first() {
        let (queue, start) = (Queue::default(), Instant::now());
        queue.add([(20, event("connected elsewhere")), (30, event("in"))], start);
        queue.add([(10, event("closed here")), (40, event("late"))], start + HOLD / 2);
        assert_eq!(taken(&queue, start + HOLD / 2), [""; 0]);
        assert_eq!(
            taken(&queue, start + HOLD),
            ["closed here", "connected elsewhere", "in"]
        );
        assert_eq!(taken(&queue, start + HOLD * 2), ["late"]);
    }

    #[test]
    fn a_viewer_that_does_not_read_loses_events_and_costs_no_more_memory() {
        let (queue, start) = (Queue::default(), Instant::now());
        for number in 0..10_000 {
            queue.add([(number, event("x"))], start);
        }
        let due = queue.due(start + HOLD);
        assert_eq!((due.events.len(), due.lost), (MOST, 8000));
        queue.add((0..1000).map(|number| (number, event(&"x".repeat(4096)))), start);
        let due = queue.due(start + HOLD);
        assert_eq!(due.events.len(), MOST_BYTES / 4096);
        assert_eq!(due.lost, 1000 - due.events.len() as u64);
        assert_eq!(queue.due(start + HOLD).lost, 0, "told once");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_first_event_has_waited_long_enough() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.add([(1, event("a"))], start);
        queue.ready().await;
        assert_eq!(taken(&queue, Instant::now()), ["a"]);
        let waiting = tokio::time::timeout(HOLD * 10, queue.ready()).await;
        assert!(waiting.is_err(), "nothing comes");
    }
}
