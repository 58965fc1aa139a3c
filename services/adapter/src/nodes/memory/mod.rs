//! The embedded bus: nodes in memory, for several servers in one process and for tests.
//!
//! Behaves like plain Redis pub/sub, including its faults: a node can be made to fail, to pause, to lose messages or to
//! be slow. A node handles everything in order, also after a pause, and disconnects a subscriber that reads too slowly.
//! Nothing here does I/O.

mod connection;
mod inquiry;
mod link;
mod node;
mod reach;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use self::link::Links;
use self::node::MemoryNode;
use self::reach::Reach;
use super::endpoint::Endpoint;
use crate::wire::{NameError, NodeId};

/// A fault of a node of the embedded bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// None: it works normally.
    #[default]
    None,
    /// It is dead: connections end, and new ones are rejected.
    Fail,
    /// It hangs: messages wait and are handled in order when it resumes, even if their senders have given up.
    Pause,
    /// It accepts every message but delivers none.
    Lose,
}

/// A fault of the network between one server and one node of the embedded bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkFault {
    /// None: it works normally.
    #[default]
    None,
    /// It is cut: connections end, and new ones are rejected.
    Cut,
    /// Nothing gets through, without any error. Messages on their way arrive when it works again.
    Hang,
}

/// A bus for several servers in one process, with nodes that can be made to fail. Cloning shares the bus.
#[derive(Clone, Default)]
pub struct MemoryBus {
    nodes: Arc<RwLock<Vec<Arc<MemoryNode>>>>,
    /// Nodes that are only reached by links that lead to them, see [`MemoryBus::lead`].
    hidden: Arc<RwLock<Vec<Arc<MemoryNode>>>>,
    links: Arc<Links>,
    /// The server whose links these are, see [`MemoryBus::seen_from`].
    from: Option<Arc<str>>,
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.nodes().iter().map(|node| &node.id))
            .finish()
    }
}

impl MemoryBus {
    /// A bus with one node for each id.
    ///
    /// # Errors
    /// When an id is not a valid name.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        let bus = Self::default();
        for id in ids {
            bus.add_node(id)?;
        }
        Ok(bus)
    }

    /// Adds a node, for servers that start from now on; `false` if there is one with this id.
    ///
    /// # Errors
    /// When the id is not a valid name.
    pub fn add_node(&self, id: &str) -> Result<bool, NameError> {
        let id = NodeId::new(id)?;
        let mut nodes = self.nodes.write();
        if nodes.iter().any(|node| node.id == id) {
            return Ok(false);
        }
        nodes.push(Arc::new(MemoryNode::new(id)));
        Ok(true)
    }

    /// Sets a node's fault, or ends it; `false` if there is no such node.
    pub fn set_fault(&self, id: &str, fault: Fault) -> bool {
        self.node(id).map(|node| node.set_fault(fault)).is_some()
    }

    /// Delays every message and answer of a node; `false` if there is no such node.
    pub fn set_delay(&self, id: &str, delay: Duration) -> bool {
        self.node(id).map(|node| node.state().delay = delay).is_some()
    }

    /// Disconnects every subscriber of a node, as Redis does with one that reads too slowly; `false` if there is no
    /// such node.
    pub fn cut_subscribers(&self, id: &str) -> bool {
        self.node(id).map(|node| node.state().cut_subscribers()).is_some()
    }

    /// The same bus for one server, whose link to each node can be made to fail with [`MemoryBus::set_link`].
    #[must_use]
    pub fn seen_from(&self, server: &str) -> Self {
        Self {
            from: Some(server.into()),
            ..self.clone()
        }
    }

    /// Sets the fault of the link between a server (see [`MemoryBus::seen_from`]) and a node, or ends it.
    pub fn set_link(&self, server: &str, id: &str, fault: LinkFault) {
        self.links.between(server, id).set(fault);
    }

    /// Ends the connections between a server and a node; new ones can be opened at once.
    pub fn reset_link(&self, server: &str, id: &str) {
        self.links.between(server, id).reset();
    }

    /// Lets the link between a server and a node lead to another node, as a name does that stands for two of them. That may be a
    /// node that nobody else reaches; it is created if there is none with this id. Open connections stay as they are.
    ///
    /// # Errors
    /// When the other node's id is not a valid name.
    pub fn lead(&self, server: &str, id: &str, other: &str) -> Result<(), NameError> {
        let other = NodeId::new(other)?;
        let node = self.node(other.as_str()).unwrap_or_else(|| {
            let node = Arc::new(MemoryNode::new(other));
            self.hidden.write().push(node.clone());
            node
        });
        self.links.between(server, id).lead(node);
        Ok(())
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.nodes().into_iter().map(|node| node.id.clone())
    }

    /// The node with this id; it is created if there is none.
    pub(crate) fn endpoint(&self, id: &NodeId) -> Arc<dyn Endpoint> {
        let mut nodes = self.nodes.write();
        let node = nodes.iter().find(|node| node.id == *id).cloned();
        let node = node.unwrap_or_else(|| {
            let node = Arc::new(MemoryNode::new(id.clone()));
            nodes.push(node.clone());
            node
        });
        let link = self
            .links
            .between(self.from.as_deref().unwrap_or_default(), id.as_str());
        Arc::new(Reach { node, link })
    }

    /// The node with this id; if there is none, one like it that nobody else reaches.
    pub(crate) fn candidate(&self, id: &NodeId) -> Arc<dyn Endpoint> {
        let node = self.nodes().into_iter().find(|node| node.id == *id);
        let from = self.from.as_deref().unwrap_or_default();
        Arc::new(Reach {
            node: node.unwrap_or_else(|| Arc::new(MemoryNode::new(id.clone()))),
            link: self.links.between(from, id.as_str()),
        })
    }

    fn nodes(&self) -> Vec<Arc<MemoryNode>> {
        self.nodes.read().clone()
    }

    fn node(&self, id: &str) -> Option<Arc<MemoryNode>> {
        let mut nodes = self.nodes();
        nodes.extend(self.hidden.read().iter().cloned());
        nodes.into_iter().find(|node| node.id.as_str() == id)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::time::Instant;

    use super::*;
    use crate::nodes::link::{Arrival, Channel, Publisher, Subscriber};

    async fn both(bus: &MemoryBus) -> (Arc<dyn Publisher>, Box<dyn Subscriber>) {
        let id = bus.ids().next().expect("a node");
        let endpoint = bus.endpoint(&id);
        let publisher = endpoint.publisher().await.expect("connects");
        (publisher, endpoint.subscriber().await.expect("connects"))
    }

    async fn subscribe(subscriber: &mut dyn Subscriber) -> Channel {
        let channel = Channel::from("c");
        let channels = std::slice::from_ref(&channel);
        subscriber.subscribe(channels).await.expect("asked");
        channel
    }

    #[tokio::test]
    async fn clones_share_nodes_and_each_node_exists_once() {
        let bus = MemoryBus::new(["a", "a"]).expect("valid ids");
        assert_eq!(bus.clone().add_node("b"), Ok(true));
        assert_eq!(bus.add_node("b"), Ok(false));
        assert!(bus.add_node("").is_err());
        assert_eq!(format!("{bus:?}"), r#"["a", "b"]"#);
        assert!(bus.set_fault("b", Fault::Fail) && !bus.set_fault("c", Fault::Fail));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_node_delays_messages_and_answers_and_keeps_their_order() {
        let bus = MemoryBus::new(["a"]).expect("valid ids");
        let (publisher, mut subscriber) = both(&bus).await;
        let channel = subscribe(&mut *subscriber).await;
        assert_eq!(subscriber.next().await.expect("connected"), [Arrival::Confirmed]);
        assert!(bus.set_delay("a", Duration::from_millis(200)));
        let start = Instant::now();
        let (count, arrivals) = tokio::join!(publisher.publish(&channel, Bytes::from("1")), subscriber.next());
        assert_eq!((count.ok(), arrivals.expect("connected").len()), (Some(1), 1));
        assert_eq!(start.elapsed().as_millis(), 200);
        let (_, arrivals) = tokio::join!(biased; publisher.publish(&channel, Bytes::from("2")), async {
            assert!(bus.set_delay("a", Duration::ZERO));
            publisher.publish(&channel, Bytes::from("3")).await.expect("published");
            subscriber.next().await.expect("connected")
        });
        assert_eq!(arrivals.len(), 2, "the later message waits behind the earlier one");
    }

    #[tokio::test]
    async fn a_subscriber_may_have_more_channels_than_messages_may_wait() {
        let bus = MemoryBus::new(["a"]).expect("valid ids");
        let (_, mut subscriber) = both(&bus).await;
        let channels: Vec<Channel> = (0..200_000).map(|n| Channel::from(n.to_string())).collect();
        subscriber.subscribe(&channels).await.expect("asked");
        let mut confirmed = 0;
        while confirmed < channels.len() {
            confirmed += subscriber.next().await.expect("connected").len();
        }
    }

    #[tokio::test]
    async fn a_publisher_does_not_notice_that_a_node_loses_messages() {
        let bus = MemoryBus::new(["a"]).expect("valid ids");
        let (publisher, mut subscriber) = both(&bus).await;
        let channel = subscribe(&mut *subscriber).await;
        bus.set_fault("a", Fault::Lose);
        assert_eq!(publisher.publish(&channel, Bytes::new()).await.ok(), Some(1));
        bus.set_fault("a", Fault::None);
        assert_eq!(subscriber.next().await.expect("connected"), [Arrival::Confirmed]);
    }
}
