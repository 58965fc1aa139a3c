//! The embedded bus: named nodes in memory, for several servers in one process and for tests.
//!
//! Behaves like plain Redis pub/sub, faults included: a node can be told to fail, to pause and to lose. Delivery is in
//! order; a subscriber that has too much waiting is cut off, as Redis does. Nothing here does I/O.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::link::{Arrival, Boxed, Channel, Endpoint, LinkError, LinkErrorKind, Publisher, Subscriber};
use crate::wire::NodeId;

/// Arrivals that wait for one subscriber; more, and it is cut off.
const BUFFER: usize = 65_536;
/// Most arrivals that one `next` returns.
const BATCH: usize = 1024;

/// What a node of the embedded bus does with what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// None: it works.
    #[default]
    None,
    /// It is dead: connections end, new ones are refused.
    Fail,
    /// It hangs: nothing is answered or delivered until it goes on; then everything is.
    Pause,
    /// It accepts every message and delivers none.
    Lose,
}

/// Several servers in one process, with nodes that can be told to fail. Cloning shares the bus.
#[derive(Clone, Default)]
pub struct MemoryBus {
    nodes: Vec<Arc<MemoryNode>>,
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.nodes.iter().map(|node| &node.id)).finish()
    }
}

impl MemoryBus {
    /// A bus with one node for each id.
    ///
    /// # Errors
    /// When an id is no valid name.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<Self, crate::wire::NameError> {
        let node = |id| {
            let id = NodeId::new(id)?;
            Ok(Arc::new(MemoryNode {
                id,
                fault: watch::Sender::default(),
                subscribers: Mutex::default(),
            }))
        };
        Ok(Self {
            nodes: ids.into_iter().map(node).collect::<Result<_, _>>()?,
        })
    }

    /// Makes a node misbehave, or work again; `false` if there is no such node.
    pub fn set_fault(&self, id: &str, fault: Fault) -> bool {
        let Some(node) = self.nodes.iter().find(|node| node.id.as_str() == id) else {
            return false;
        };
        node.fault.send_replace(fault);
        if fault == Fault::Fail {
            node.subscribers().clear();
        }
        true
    }

    /// Cuts every subscriber of a node off, as Redis does with one that reads too slowly.
    pub fn cut_subscribers(&self, id: &str) -> bool {
        let node = self.nodes.iter().find(|node| node.id.as_str() == id);
        node.map(|node| node.subscribers().clear()).is_some()
    }

    pub(crate) fn endpoints(&self) -> Vec<(NodeId, Arc<dyn Endpoint>)> {
        let endpoint = |node: &Arc<MemoryNode>| (node.id.clone(), Arc::new(node.clone()) as Arc<dyn Endpoint>);
        self.nodes.iter().map(endpoint).collect()
    }
}

struct MemoryNode {
    id: NodeId,
    fault: watch::Sender<Fault>,
    subscribers: Mutex<Subscribers>,
}

#[derive(Default)]
struct Subscribers {
    next: u64,
    queues: HashMap<u64, mpsc::Sender<Arrival>>,
    channels: HashMap<Bytes, HashSet<u64>>,
}

impl Subscribers {
    fn clear(&mut self) {
        self.queues.clear();
        self.channels.clear();
    }

    fn send(&mut self, subscriber: u64, arrival: Arrival) -> bool {
        let sent = self
            .queues
            .get(&subscriber)
            .is_some_and(|queue| queue.try_send(arrival).is_ok());
        if !sent {
            self.queues.remove(&subscriber);
        }
        sent
    }

    fn publish(&mut self, channel: &Bytes, payload: &Bytes) -> u64 {
        let subscribed: Vec<u64> = self.channels.get(channel).into_iter().flatten().copied().collect();
        let message = || Arrival::Message {
            channel: channel.clone(),
            payload: payload.clone(),
        };
        subscribed
            .into_iter()
            .filter(|&subscriber| self.send(subscriber, message()))
            .count() as u64
    }

    fn forget(&mut self, subscriber: u64) {
        self.queues.remove(&subscriber);
        self.channels.retain(|_, subscribed| {
            subscribed.remove(&subscriber);
            !subscribed.is_empty()
        });
    }
}

impl MemoryNode {
    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the node is paused; fails when it is dead.
    async fn works(&self) -> Result<Fault, LinkError> {
        if *self.fault.borrow() == Fault::None {
            return Ok(Fault::None);
        }
        let mut fault = self.fault.subscribe();
        // The sender lives in this node, so waiting cannot fail.
        match fault.wait_for(|fault| *fault != Fault::Pause).await.as_deref() {
            Ok(Fault::Fail) => Err(LinkError::new(
                LinkErrorKind::Connect,
                "the embedded node was told to fail",
            )),
            Ok(fault) => Ok(*fault),
            Err(_) => Ok(Fault::None),
        }
    }
}

impl Endpoint for Arc<MemoryNode> {
    fn address(&self) -> String {
        format!("memory:{}", self.id)
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>> {
        Box::pin(async {
            self.works().await?;
            Ok(Arc::new(self.clone()) as Arc<dyn Publisher>)
        })
    }

    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>> {
        Box::pin(async {
            self.works().await?;
            let (queue, arrivals) = mpsc::channel(BUFFER);
            let mut subscribers = self.subscribers();
            subscribers.next += 1;
            let id = subscribers.next;
            subscribers.queues.insert(id, queue);
            drop(subscribers);
            Ok(Box::new(MemorySubscriber {
                node: self.clone(),
                id,
                arrivals,
            }) as Box<dyn Subscriber>)
        })
    }
}

impl Publisher for Arc<MemoryNode> {
    fn publish<'a>(&'a self, channel: &'a Channel, payload: Bytes) -> Boxed<'a, Result<u64, LinkError>> {
        Box::pin(async move {
            let fault = self.works().await?;
            let channel = Bytes::copy_from_slice(channel.as_bytes());
            let mut subscribers = self.subscribers();
            if fault == Fault::Lose {
                return Ok(subscribers.channels.get(&channel).map_or(0, HashSet::len) as u64);
            }
            Ok(subscribers.publish(&channel, &payload))
        })
    }
}

struct MemorySubscriber {
    node: Arc<MemoryNode>,
    id: u64,
    arrivals: mpsc::Receiver<Arrival>,
}

impl MemorySubscriber {
    fn closed() -> LinkError {
        LinkError::new(LinkErrorKind::Closed, "the embedded node ended the connection")
    }
}

impl Subscriber for MemorySubscriber {
    fn subscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>> {
        Box::pin(async move {
            self.node.works().await?;
            let mut subscribers = self.node.subscribers();
            for channel in channels {
                let name = Bytes::copy_from_slice(channel.as_bytes());
                subscribers.channels.entry(name).or_default().insert(self.id);
                if !subscribers.send(self.id, Arrival::Confirmed) {
                    return Err(Self::closed());
                }
            }
            Ok(())
        })
    }

    fn unsubscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>> {
        Box::pin(async move {
            self.node.works().await?;
            let mut subscribers = self.node.subscribers();
            for channel in channels {
                let name = Bytes::copy_from_slice(channel.as_bytes());
                if let Some(subscribed) = subscribers.channels.get_mut(&name) {
                    subscribed.remove(&self.id);
                }
                if !subscribers.send(self.id, Arrival::Confirmed) {
                    return Err(Self::closed());
                }
            }
            Ok(())
        })
    }

    fn next(&mut self) -> Boxed<'_, Result<Vec<Arrival>, LinkError>> {
        Box::pin(async {
            self.node.works().await?;
            let mut arrived = Vec::new();
            match self.arrivals.recv_many(&mut arrived, BATCH).await {
                0 => Err(Self::closed()),
                _ => Ok(arrived),
            }
        })
    }
}

impl Drop for MemorySubscriber {
    fn drop(&mut self) {
        self.node.subscribers().forget(self.id);
    }
}
