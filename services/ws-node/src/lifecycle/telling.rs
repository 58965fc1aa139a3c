//! The task of one watch: takes batches from its queue, one at a time, and sends each until it is taken or too old. So events
//! stay in order, whoever they are about.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use tracing::Instrument;
use wsmesh_adapter::{Adapter, PublishError, ServiceName, Target};

use super::happening::{Happening, Teller};
use super::metrics::Dropped;
use super::queue::Queue;
use super::settings::{Outlet, Watch};
use crate::backends::{Backend, Shared};
use crate::quiet::Quiet;
use crate::trace;

/// The shortest and the longest wait before a batch is sent again; doubled each time, with jitter.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The longest wait while this server ends.
const WAIT_AT_END: Duration = Duration::from_millis(200);

/// A batch ends with the event that makes it this large. Each is at most some ten kilobytes.
const LARGE_BATCH: usize = 1 << 20;

/// How often the consumer may refuse one event alone before it is dropped.
const MOST_REFUSALS: u32 = 3;

/// Tells one watch what happens.
pub(super) struct Telling {
    queue: Arc<Queue>,
    keep: Duration,
    to: To,
    teller: Teller,
    quiet: Quiet,
}

/// Who is told.
enum To {
    Backend(Backend, Duration),
    Service(Adapter, ServiceName),
}

/// What came of a batch.
#[derive(Default)]
struct Sent {
    /// Events, from its beginning, that were taken.
    events: usize,
    /// The event after these can never be sent.
    is_next_impossible: bool,
    /// Why the rest was not taken.
    trouble: Option<Trouble>,
}

/// Why events were not taken.
struct Trouble {
    text: String,
    /// How many events the consumer refused for what they are.
    refused: Option<usize>,
    /// When to try again at the earliest, if the consumer said so.
    retry_after: Option<Duration>,
}

impl Telling {
    /// The error says what to do.
    pub(super) fn new(
        number: usize,
        watch: &Watch,
        queue: Arc<Queue>,
        adapter: &Adapter,
        shared: &Shared,
    ) -> Result<Self, String> {
        let to = match watch.outlet() {
            Some(Outlet::Backend(destination)) => {
                let timeout = destination.timeout;
                To::Backend(Backend::new(&format!("watch {number}"), *destination, shared)?, timeout)
            }
            Some(Outlet::Service(service)) => To::Service(adapter.clone(), service),
            None => return Err("write either url or service, to say who is told".to_owned()),
        };
        Ok(Self {
            queue,
            keep: watch.keep(),
            to,
            teller: Teller {
                server: adapter.name().clone(),
                instance: adapter.instance(),
            },
            quiet: Quiet::default(),
        })
    }

    /// Runs until everything is told after the queue's end.
    pub(super) async fn run(self) {
        while let Some(batch) = self.queue.batch().await {
            self.deliver(batch).await;
        }
    }

    /// Sends a batch until nothing is left of it: what is not taken is sent again, until it is too old.
    async fn deliver(&self, mut batch: VecDeque<Arc<Happening>>) {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(WAITS.0)
            .with_max_delay(WAITS.1)
            .with_jitter()
            .without_max_times();
        let (mut waits, mut most, mut refusals) = (backoff.build(), usize::MAX, 0);
        loop {
            self.drop_old(&mut batch);
            if batch.is_empty() {
                return;
            }
            let span = trace::telling_span(batch.iter().filter_map(|happening| happening.context.as_deref()));
            let sent = self.send(&batch, most).instrument(span).await;
            batch.drain(..sent.events);
            self.queue.metrics.sent.inc_by(sent.events as u64);
            self.queue.done(sent.events);
            if sent.is_next_impossible {
                self.drop_first(&mut batch);
            }
            let Some(trouble) = sent.trouble else {
                (waits, most, refusals) = (backoff.build(), most.saturating_mul(2), 0);
                continue;
            };
            match trouble.refused {
                Some(1) if refusals + 1 >= MOST_REFUSALS => {
                    self.drop_first(&mut batch);
                    refusals = 0;
                    continue;
                }
                Some(1) => refusals += 1,
                Some(events) => most = events / 2,
                None => {}
            }
            let (watch, events) = (self.queue.name(), batch.len() as u64);
            if let Some(times) = self.quiet.count(1) {
                let text = trouble.text;
                tracing::warn!(
                    watch,
                    times,
                    "a watch cannot be told what happened; trying again: check its consumer: {text}"
                );
            }
            let wait = waits.next().unwrap_or(WAITS.1);
            let asked = trouble.retry_after.unwrap_or_default().min(WAITS.1);
            self.rest(wait.max(asked)).await;
            self.queue.metrics.repeated.inc_by(events);
        }
    }

    /// Waits, and not for long once this server ends.
    async fn rest(&self, wait: Duration) {
        let short = async {
            self.queue.ended().await;
            tokio::time::sleep(WAIT_AT_END).await;
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = short => {}
        }
    }

    fn drop_old(&self, batch: &mut VecDeque<Arc<Happening>>) {
        let before = batch.len();
        batch.retain(|happening| happening.happened.elapsed() <= self.keep);
        let dropped = before - batch.len();
        if dropped > 0 {
            self.queue.dropped(Dropped::TooOld, dropped as u64);
            self.queue.done(dropped);
        }
    }

    /// The first event of the batch is not told.
    fn drop_first(&self, batch: &mut VecDeque<Arc<Happening>>) {
        if batch.pop_front().is_some() {
            self.queue.dropped(Dropped::Refused, 1);
            self.queue.done(1);
        }
    }

    /// Sends a batch; to a backend at most this many events of it.
    async fn send(&self, batch: &VecDeque<Arc<Happening>>, most: usize) -> Sent {
        match &self.to {
            To::Backend(backend, timeout) => self.post(backend, *timeout, batch, most).await,
            To::Service(adapter, service) => self.emit(adapter, service, batch).await,
        }
    }

    /// Sends a batch, or the part of it that is not too large for one.
    async fn post(&self, backend: &Backend, timeout: Duration, batch: &VecDeque<Arc<Happening>>, most: usize) -> Sent {
        let (mut body, mut events) = (b"[".to_vec(), 0);
        for happening in batch.iter().take(most) {
            let Ok(event) = happening.cloud_event(&self.teller) else {
                // Of texts and numbers only: cannot happen, and must not hold up the others.
                break;
            };
            if events > 0 {
                body.push(b',');
            }
            body.extend(event);
            events += 1;
            if body.len() >= LARGE_BATCH {
                break;
            }
        }
        body.push(b']');
        if events == 0 {
            return Sent {
                is_next_impossible: true,
                ..Sent::default()
            };
        }
        let first = batch
            .front()
            .map_or_else(String::new, |happening| happening.id(&self.teller));
        let trouble = match backend.post_batch(first, Bytes::from(body), timeout).await {
            Ok(answer) if answer.status.is_success() => {
                return Sent {
                    events,
                    ..Sent::default()
                };
            }
            Ok(answer) => Trouble {
                text: format!("it answered {}", answer.status.as_u16()),
                refused: matches!(answer.status.as_u16(), 400 | 413 | 422).then_some(events),
                retry_after: answer.retry_after,
            },
            Err(failure) => Trouble {
                text: failure.to_string(),
                refused: None,
                retry_after: None,
            },
        };
        Sent {
            trouble: Some(trouble),
            ..Sent::default()
        }
    }

    /// Tells every server of a service, one event after the other.
    async fn emit(&self, adapter: &Adapter, service: &ServiceName, batch: &VecDeque<Arc<Happening>>) -> Sent {
        for (events, happening) in batch.iter().enumerate() {
            let told = match happening.server_event(&self.teller) {
                Ok((name, payload)) => adapter.emit(Target::Service(service.clone()), name, payload).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = told {
                let is_impossible = matches!(error, PublishError::Payload(_) | PublishError::TooLarge { .. });
                let trouble = Trouble {
                    text: error.to_string(),
                    refused: None,
                    retry_after: None,
                };
                return Sent {
                    events,
                    is_next_impossible: is_impossible,
                    trouble: (!is_impossible).then_some(trouble),
                };
            }
        }
        Sent {
            events: batch.len(),
            ..Sent::default()
        }
    }
}
