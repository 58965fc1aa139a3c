//! Connections to a node of the embedded bus that carry messages: the traits of `link` over the node's state.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, sleep_until};

use super::Fault;
use super::link::Connected;
use super::node::{BUFFER, Found, Held, MemoryNode, State};
use crate::nodes::link::{
    Arrival, Boxed, Channel, LinkError, LinkErrorKind, Publisher, Publishing, Subscriber, SubscriberNumber,
};
use crate::wire::RunId;

/// The most arrivals that one `next` returns.
const BATCH: usize = 1024;

pub(super) fn closed() -> LinkError {
    LinkError::new(LinkErrorKind::Closed, "the embedded node ended the connection")
}

pub(super) fn refused() -> LinkError {
    LinkError::new(LinkErrorKind::Connect, "the embedded node is set to fail")
}

impl MemoryNode {
    /// Opens a connection: a dead node rejects it, and a paused one answers when it resumes.
    pub(super) async fn connect<T>(&self, make: impl FnOnce(&mut State) -> T) -> Result<T, LinkError> {
        let mut fault = self.fault.subscribe();
        // Cannot fail: the node itself holds the sender.
        let _ = fault.wait_for(|fault| *fault != Fault::Pause).await;
        let mut state = self.state();
        if *self.fault.borrow() == Fault::Fail {
            return Err(refused());
        }
        Ok(make(&mut state))
    }
}

/// Valid only in the life of the node in which it was created.
#[derive(Clone)]
pub(super) struct MemoryPublisher {
    pub(super) node: Arc<MemoryNode>,
    pub(super) link: Connected,
    pub(super) life: u64,
}

/// A message that a node has taken: the number of receivers and the delay of the answer, or where the number will
/// arrive.
enum Handed {
    Done(u64, Duration),
    Waiting(oneshot::Receiver<u64>),
}

impl MemoryPublisher {
    fn hand_over(&self, channel: &Channel, payload: Bytes) -> Result<Handed, LinkError> {
        let mut state = self.node.state();
        if state.life != self.life {
            return Err(closed());
        }
        match *self.node.fault.borrow() {
            Fault::Pause => {
                let (answer, count) = oneshot::channel();
                if !state.hold(Held::Publish(channel.clone(), payload, answer)) {
                    let text = "the embedded node is paused and accepts no more";
                    return Err(LinkError::new(LinkErrorKind::TimedOut, text));
                }
                Ok(Handed::Waiting(count))
            }
            fault => {
                let count = state.publish(channel, &payload, fault == Fault::Lose);
                Ok(Handed::Done(count, state.delay))
            }
        }
    }
}

impl Publisher for MemoryPublisher {
    fn publish(&self, channel: &Channel, payload: Bytes) -> Publishing {
        let (this, channel) = (self.clone(), channel.clone());
        Publishing::Polled(Box::pin(async move {
            if !this.link.passes().await {
                return Err(closed());
            }
            match this.hand_over(&channel, payload)? {
                Handed::Done(count, delay) if delay.is_zero() => Ok(count),
                Handed::Done(count, delay) => {
                    sleep(delay).await;
                    Ok(count)
                }
                Handed::Waiting(count) => count.await.map_err(|_| closed()),
            }
        }))
    }

    fn run(&self) -> Option<RunId> {
        self.node.run(self.life)
    }
}

pub(super) struct MemorySubscriber {
    pub(super) node: Arc<MemoryNode>,
    pub(super) link: Connected,
    pub(super) id: u64,
    pub(super) life: u64,
    pub(super) wake: Arc<Notify>,
}

impl MemorySubscriber {
    fn ask(
        &self,
        now: fn(&mut State, u64, &[Channel]),
        held: fn(u64, Vec<Channel>) -> Held,
        channels: &[Channel],
    ) -> Result<(), LinkError> {
        let mut state = self.node.state();
        if !state.is_attached(self.id) {
            return Err(closed());
        }
        if *self.node.fault.borrow() == Fault::Pause {
            state.hold(held(self.id, channels.to_vec()));
        } else {
            now(&mut state, self.id, channels);
        }
        Ok(())
    }
}

impl Subscriber for MemorySubscriber {
    fn holds(&self) -> Option<usize> {
        Some(BUFFER)
    }

    fn number(&self) -> Option<SubscriberNumber> {
        Some(self.id)
    }

    fn run(&self) -> Option<RunId> {
        self.node.run(self.life)
    }

    fn subscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>> {
        Box::pin(async move {
            if !self.link.passes().await {
                return Err(closed());
            }
            self.ask(State::subscribe, Held::Subscribe, channels)
        })
    }

    fn unsubscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>> {
        Box::pin(async move {
            if !self.link.passes().await {
                return Err(closed());
            }
            self.ask(State::unsubscribe, Held::Unsubscribe, channels)
        })
    }

    fn next(&mut self) -> Boxed<'_, Result<Vec<Arrival>, LinkError>> {
        Box::pin(async {
            loop {
                if !self.link.passes().await {
                    return Err(closed());
                }
                let found = self.node.state().take(self.id, BATCH);
                let due = match found.ok_or_else(closed)? {
                    Found::Arrivals(arrivals) => return Ok(arrivals),
                    Found::Later(due) => due,
                };
                let due = async {
                    match due {
                        Some(due) => sleep_until(due).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = due => {}
                    () = self.wake.notified() => {}
                    () = self.link.changed() => {}
                }
            }
        })
    }
}

impl Drop for MemorySubscriber {
    fn drop(&mut self) {
        self.node.state().forget(self.id);
    }
}
