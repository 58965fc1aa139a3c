//! Connections to a node of the embedded bus: the traits of `link` over the node's state.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, sleep_until};

use super::Fault;
use super::inquiry::MemoryInquiry;
use super::link::{Connected, Link};
use super::node::{BUFFER, Found, Held, MemoryNode, State};
use crate::nodes::inquiry::{Inquiry, SubscriberNumber};
use crate::nodes::link::{
    Arrival, Boxed, Channel, Endpoint, LinkError, LinkErrorKind, Publisher, Publishing, Subscriber,
};

/// The most arrivals that one `next` returns.
const BATCH: usize = 1024;

pub(super) fn closed() -> LinkError {
    LinkError::new(LinkErrorKind::Closed, "the embedded node ended the connection")
}

fn refused() -> LinkError {
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

/// A node, reached over one server's link.
pub(super) struct Reach {
    pub(super) node: Arc<MemoryNode>,
    pub(super) link: Arc<Link>,
}

impl Reach {
    async fn connect(&self) -> Result<Connected, LinkError> {
        self.link.connect().await.ok_or_else(refused)
    }
}

impl Endpoint for Reach {
    fn address(&self) -> String {
        format!("memory:{}", self.node.id)
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>> {
        Box::pin(async {
            let link = self.connect().await?;
            let life = self.node.connect(|state| state.life).await?;
            let node = self.node.clone();
            Ok(Arc::new(MemoryPublisher { node, link, life }) as Arc<dyn Publisher>)
        })
    }

    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>> {
        Box::pin(async {
            let link = self.connect().await?;
            let (id, wake) = self.node.connect(State::attach).await?;
            let node = self.node.clone();
            Ok(Box::new(MemorySubscriber { node, link, id, wake }) as Box<dyn Subscriber>)
        })
    }

    fn is_encrypted(&self) -> bool {
        false
    }

    fn reach(&self) -> Boxed<'_, Result<(), LinkError>> {
        Box::pin(async { self.connect().await.map(drop) })
    }

    fn inquiry(&self) -> Boxed<'_, Result<Box<dyn Inquiry>, LinkError>> {
        Box::pin(async {
            let link = self.connect().await?;
            self.node.connect(|_| ()).await?;
            Ok(Box::new(MemoryInquiry::new(self.node.clone(), link)) as Box<dyn Inquiry>)
        })
    }
}

/// Valid only in the life of the node in which it was created.
#[derive(Clone)]
struct MemoryPublisher {
    node: Arc<MemoryNode>,
    link: Connected,
    life: u64,
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
}

struct MemorySubscriber {
    node: Arc<MemoryNode>,
    link: Connected,
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
    fn holds(&self) -> Option<usize> {
        Some(BUFFER)
    }

    fn number(&self) -> Option<SubscriberNumber> {
        Some(self.id)
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
