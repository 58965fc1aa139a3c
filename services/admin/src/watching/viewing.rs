//! The stream of one watch: what was seen, in order, until its time is up, admin ends or the viewer goes away.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{Stream, stream};
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::Watching;
use super::events::{self, End};
use super::queue::{Event, Queue};

/// One watch. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Viewing {
    watching: Watching,
    id: u64,
    until: Instant,
    queue: Arc<Queue>,
    due: VecDeque<Event>,
    has_ended: bool,
}

impl Viewing {
    pub(super) fn new(watching: Watching, id: u64, until: Instant, queue: Arc<Queue>) -> Self {
        Self {
            watching,
            id,
            until,
            queue,
            due: VecDeque::new(),
            has_ended: false,
        }
    }

    /// The first event comes before everything that was seen.
    pub(super) fn begin(&mut self, event: Event) {
        self.due.push_back(event);
    }

    /// The events, until the watch ends. It also ends when `left` resolves: the viewer's token does not count any more.
    pub(crate) fn events(self, left: impl Future<Output = ()> + Send) -> impl Stream<Item = Event> {
        let left = Box::pin(left);
        stream::unfold((self, left), async |(mut viewing, mut left)| {
            let event = viewing.next(left.as_mut()).await?;
            Some((event, (viewing, left)))
        })
    }

    async fn next(&mut self, mut left: std::pin::Pin<&mut (impl Future<Output = ()> + Send)>) -> Option<Event> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            let closing = self.watching.closing();
            let end = tokio::select! {
                biased;
                () = closing.cancelled() => End::ShuttingDown,
                () = &mut left => End::TokenEnded,
                () = sleep_until(self.until) => End::TimeIsUp,
                () = self.queue.ready() => {
                    self.take();
                    continue;
                }
            };
            self.has_ended = true;
            return Some(events::ended(end));
        }
    }

    fn take(&mut self) {
        let due = self.queue.due(Instant::now());
        if due.lost > 0 {
            let (_, event) = events::lost(None, due.lost, Timestamp::now().as_millisecond());
            self.due.push_back(event);
        }
        self.due.extend(due.events);
    }
}

impl Drop for Viewing {
    fn drop(&mut self) {
        self.watching.close(self.id);
    }
}
