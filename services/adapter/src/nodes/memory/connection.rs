//! Connections to a node of the embedded bus: the seam's traits over its state.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, sleep_until};

use super::Fault;
use super::node::{Found, Held, MemoryNode, State};
use crate::nodes::link::{Arrival, Boxed, Channel, Endpoint, LinkError, LinkErrorKind, Publisher, Subscriber};

/// Most arrivals that one `next` returns.
const BATCH: usize = 1024;

fn closed() -> LinkError {
    LinkError::new(LinkErrorKind::Closed, "the embedded node ended the connection")
}

fn refused() -> LinkError {
    LinkError::new(LinkErrorKind::Connect, "the embedded node was told to fail")
}

impl MemoryNode {
    /// A new connection: refused by a dead node, answered by a paused one when it goes on.
    async fn connect<T>(&self, make: impl FnOnce(&mut State) -> T) -> Result<T, LinkError> {
        let mut fault = self.fault.subscribe();
        // Fails only when the node is no more, and this is the node.
        let _ = fault.wait_for(|fault| *fault != Fault::Pause).await;
        let mut state = self.state();
        if *self.fault.borrow() == Fault::Fail {
            return Err(refused());
        }
        Ok(make(&mut state))
    }
}

impl Endpoint for Arc<MemoryNode> {
    fn address(&self) -> String {
        format!("memory:{}", self.id)
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>> {
        Box::pin(async {
            let life = self.connect(|state| state.life).await?;
            let node = self.clone();
            Ok(Arc::new(MemoryPublisher { node, life }) as Arc<dyn Publisher>)
        })
    }

    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>> {
        Box::pin(async {
            let (id, wake) = self.connect(State::attach).await?;
            let node = self.clone();
            Ok(Box::new(MemorySubscriber { node, id, wake }) as Box<dyn Subscriber>)
        })
    }
}

/// Ends with the life of the node in which it was made.
struct MemoryPublisher {
    node: Arc<MemoryNode>,
    life: u64,
}

/// A message that a node has taken: the count of receivers, and when to tell it; or whence it will come.
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
                    let text = "the embedded node is paused and takes no more";
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
    fn publish<'a>(&'a self, channel: &'a Channel, payload: Bytes) -> Boxed<'a, Result<u64, LinkError>> {
        Box::pin(async move {
            match self.hand_over(channel, payload)? {
                Handed::Done(count, delay) if delay.is_zero() => Ok(count),
                Handed::Done(count, delay) => {
                    sleep(delay).await;
                    Ok(count)
                }
                Handed::Waiting(count) => count.await.map_err(|_| closed()),
            }
        })
    }
}

struct MemorySubscriber {
    node: Arc<MemoryNode>,
    id: u64,
    wake: Arc<Notify>,
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
    fn subscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>> {
        Box::pin(async move { self.ask(State::subscribe, Held::Subscribe, channels) })
    }

    fn unsubscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>> {
        Box::pin(async move { self.ask(State::unsubscribe, Held::Unsubscribe, channels) })
    }

    fn next(&mut self) -> Boxed<'_, Result<Vec<Arrival>, LinkError>> {
        Box::pin(async {
            loop {
                let found = self.node.state().take(self.id, BATCH);
                match found.ok_or_else(closed)? {
                    Found::Arrivals(arrivals) => return Ok(arrivals),
                    Found::Later(None) => self.wake.notified().await,
                    Found::Later(Some(due)) => tokio::select! {
                        () = sleep_until(due) => {}
                        () = self.wake.notified() => {}
                    },
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
