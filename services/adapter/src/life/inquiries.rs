//! Asks the nodes about themselves, over connections that are open only while somebody asks.
//!
//! Each node has a task of its own while it is asked, so a node that hangs delays nobody but those who ask about it. The
//! task opens the connection at the first question, and ends when nobody asked for a minute, or when the node is no longer
//! used. It never reconnects by itself: a lost connection is opened again by the next question. Those who ask while an
//! answer is under way share it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::preflights::FactsOfNode;
use super::topology::TopologyInUse;
use crate::flow::state::foundation::Foundation;
use crate::nodes::{Inquiry, LinkError, LinkErrorKind, Node, NodeFacts, SubscriberNumber, limited};
use crate::wire::ServerName;

/// A connection for questions is closed when it was not used for so long.
const UNUSED: Duration = Duration::from_secs(60);
/// The most questions that wait for one node's answer.
const WAITING: usize = 64;
/// How often a question is handed to a task that may be ending at that moment.
const TRIES: usize = 3;

/// A node's answer.
type Answer = Result<NodeFacts, LinkError>;
/// Somebody who waits for it.
type Asker = oneshot::Sender<Answer>;

/// The task that asks one node.
#[derive(Debug)]
struct Asked {
    node: Arc<Node>,
    askers: mpsc::Sender<Asker>,
}

/// Asks the nodes.
#[derive(Debug)]
pub(crate) struct Inquiries {
    on: Foundation,
    topology: Arc<TopologyInUse>,
    asked: Mutex<HashMap<usize, Asked>>,
}

impl Inquiries {
    pub(crate) fn new(foundation: &Foundation, topology: Arc<TopologyInUse>) -> Self {
        Self {
            on: foundation.clone(),
            topology,
            asked: Mutex::default(),
        }
    }

    /// The facts of every node, each as soon as it answers. The nodes are asked while this is polled.
    pub(crate) fn facts_each(self: &Arc<Self>) -> impl Stream<Item = FactsOfNode> + Send + Unpin + use<> {
        let ask = async |inquiries: Arc<Self>, node: Arc<Node>| FactsOfNode {
            id: node.id.clone(),
            facts: inquiries.facts_of(&node).await.map_err(|error| error.to_string()),
        };
        let nodes = self.topology.nodes();
        let asking = nodes.iter().map(|node| ask(self.clone(), node.clone()));
        asking.collect::<FuturesUnordered<_>>()
    }

    /// The facts of every node, sorted by id.
    pub(crate) async fn facts(self: &Arc<Self>) -> Vec<FactsOfNode> {
        let mut facts: Vec<_> = self.facts_each().collect().await;
        facts.sort_by(|a, b| a.id.cmp(&b.id));
        facts
    }

    /// The facts of one node.
    pub(crate) async fn facts_of(&self, node: &Arc<Node>) -> Answer {
        for _ in 0..TRIES {
            let (asker, answer) = oneshot::channel();
            let handed = self.task_of(node).try_send(asker);
            if let Err(mpsc::error::TrySendError::Full(_)) = handed {
                return Err(LinkError::new(
                    LinkErrorKind::Full,
                    "too many ask about this node already",
                ));
            }
            if let Ok(answer) = answer.await {
                return answer;
            }
        }
        Err(LinkError::new(LinkErrorKind::Closed, "this node is no longer used"))
    }

    /// The way to the task that asks this node, which is started if there is none.
    fn task_of(&self, node: &Arc<Node>) -> mpsc::Sender<Asker> {
        let mut asked = self.asked.lock();
        asked.retain(|_, task| !task.askers.is_closed());
        if let Some(task) = asked.get(&node.index)
            && Arc::ptr_eq(&task.node, node)
        {
            return task.askers.clone();
        }
        let (askers, waiting) = mpsc::channel(WAITING);
        let task = Asked {
            node: node.clone(),
            askers: askers.clone(),
        };
        asked.insert(node.index, task);
        self.on.tasks.spawn(ask(node.clone(), self.on.clone(), waiting));
        askers
    }
}

/// Asks one node, until nobody wants to know any more.
async fn ask(node: Arc<Node>, on: Foundation, mut waiting: mpsc::Receiver<Asker>) {
    let ended = ended(node.stop.clone(), on.tasks.stop().clone());
    let asking = async {
        let mut inquiry = None;
        while let Ok(Some(asker)) = timeout(UNUSED, waiting.recv()).await {
            let answer = answer(&node, &on, &mut inquiry).await;
            // First all that share it: who asks after that wants a new answer.
            let mut askers = vec![asker];
            askers.extend(std::iter::from_fn(|| waiting.try_recv().ok()));
            for asker in askers {
                // It may have given up.
                let _ = asker.send(answer.clone());
            }
        }
        inquiry
    };
    tokio::select! {
        () = ended => {}
        inquiry = asking => {
            waiting.close();
            if let Some(inquiry) = inquiry {
                inquiry.close().await;
            }
        }
    }
}

async fn ended(unused: CancellationToken, stop: CancellationToken) {
    tokio::select! {
        () = unused.cancelled() => {}
        () = stop.cancelled() => {}
    }
}

/// Asks once, within the time limit, with a new connection if there is none.
async fn answer(node: &Node, on: &Foundation, inquiry: &mut Option<Box<dyn Inquiry>>) -> Answer {
    let start = Instant::now();
    let asking = async {
        let subscribers = subscribers(node, on);
        if let Some(open) = &mut *inquiry {
            match open.facts(&subscribers).await {
                // It ended while nobody asked: the node may have been restarted.
                Err(error) if error.kind == LinkErrorKind::Closed => *inquiry = None,
                answer => return answer,
            }
        }
        let opened = node.endpoint().inquiry().await?;
        inquiry.insert(opened).facts(&subscribers).await
    };
    let mut answer = limited(on.options.command_timeout, asking).await;
    match &mut answer {
        Ok(facts) => facts.collected_ms = start.elapsed().as_millis() as u64,
        // Late answers on this connection would be taken for those of the next question.
        Err(_) => *inquiry = None,
    }
    answer
}

/// The connections with which servers subscribe to a node.
fn subscribers(node: &Node, on: &Foundation) -> Vec<(ServerName, SubscriberNumber)> {
    let roster = on.members.roster();
    let of = |(beacon, _)| {
        let beacon: &crate::cluster::Beacon = beacon;
        Some((beacon.name.clone(), *beacon.subscribers.get(&node.id)?))
    };
    let me = node.subscriber().map(|number| (on.members.name().clone(), number));
    roster.iter().filter_map(of).chain(me).collect()
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::life::driver::Driver;
    use crate::life::parts::Parts;
    use crate::nodes::{Fault, MemoryBus};
    use crate::options::{Bus, Options};
    use crate::wire::{NodeId, ServiceName};

    async fn server(bus: &MemoryBus) -> (Arc<Parts>, Driver) {
        let name = ServerName::new("one").expect("valid");
        let mut options = Options::new(name, ServiceName::new("test").expect("valid"));
        options.bus = Bus::Memory(bus.clone());
        let (parts, starts, preflights) = Parts::new(options, Vec::new()).expect("valid options");
        let driver = Driver::start(parts.clone(), starts, preflights);
        let mut counted = parts.foundation.members.counted();
        counted.wait_for(|counted| *counted).await.expect("it starts");
        (parts, driver)
    }

    /// How many nodes have a task that asks them.
    fn open(inquiries: &Inquiries) -> usize {
        let asked = inquiries.asked.lock();
        asked.values().filter(|task| !task.askers.is_closed()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_closed_when_nobody_asked_for_a_minute_and_opened_by_the_next_question() {
        let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
        let (parts, driver) = server(&bus).await;
        let inquiries = parts.inquiries.clone();
        assert_eq!(open(&inquiries), 0, "nothing is opened before somebody asks");
        for _ in 0..2 {
            assert!(inquiries.facts().await.iter().all(|node| node.facts.is_ok()));
            tokio::time::sleep(UNUSED - Duration::from_secs(1)).await;
            assert_eq!(open(&inquiries), 2);
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(open(&inquiries), 0);
        }
        driver.shutdown(Duration::from_secs(5)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_to_a_node_that_is_gone_is_closed_and_the_node_has_no_row() {
        let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
        let (parts, driver) = server(&bus).await;
        let inquiries = parts.inquiries.clone();
        inquiries.facts().await;
        let gone = NodeId::new("a").expect("valid");
        parts.topology.drain(&gone).expect("b is left");
        while parts.topology.nodes().index_of(&gone).is_some() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(open(&inquiries), 1);
        let rows: Vec<_> = inquiries
            .facts()
            .await
            .into_iter()
            .map(|row| row.id.to_string())
            .collect();
        assert_eq!(rows, ["b"]);
        driver.shutdown(Duration::from_secs(5)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_does_not_wait_for_a_node_that_hangs() {
        let bus = MemoryBus::new(["a"]).expect("valid ids");
        let (parts, driver) = server(&bus).await;
        bus.set_fault("a", Fault::Pause);
        let inquiries = parts.inquiries.clone();
        let asking = tokio::spawn(async move { inquiries.facts().await });
        tokio::task::yield_now().await;
        driver.shutdown(Duration::from_secs(5)).await;
        let rows = asking.await.expect("no panic");
        assert!(rows[0].facts.is_err(), "{rows:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_hangs_comes_last_and_delays_no_other() {
        let bus = MemoryBus::new(["a", "b", "c"]).expect("valid ids");
        let (parts, driver) = server(&bus).await;
        bus.set_fault("a", Fault::Pause);
        let start = Instant::now();
        let mut each = parts.inquiries.facts_each();
        for _ in 0..2 {
            let row = each.next().await.expect("three nodes");
            assert!(row.facts.is_ok() && row.id.as_str() != "a", "{row:?}");
            assert_eq!(start.elapsed(), Duration::ZERO, "the others do not wait");
        }
        let late = each.next().await.expect("three nodes");
        assert!(late.facts.is_err() && late.id.as_str() == "a", "{late:?}");
        assert!(each.next().await.is_none());
        driver.shutdown(Duration::from_secs(5)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn more_askers_than_may_wait_are_told_so_and_the_others_share_one_answer() {
        let bus = MemoryBus::new(["a"]).expect("valid ids");
        let (parts, driver) = server(&bus).await;
        bus.set_fault("a", Fault::Pause);
        let inquiries = parts.inquiries.clone();
        let start = Instant::now();
        let rows = join_all((0..WAITING * 2).map(|_| inquiries.facts())).await;
        assert!(
            start.elapsed() <= Duration::from_secs(4),
            "two answers at most: {:?}",
            start.elapsed()
        );
        let errors = rows
            .into_iter()
            .map(|rows| rows[0].facts.clone().expect_err("it hangs"));
        let (full, late): (Vec<_>, Vec<_>) = errors.partition(|error| error.contains("too many"));
        assert!(
            !full.is_empty() && late.iter().all(|error| error.contains("in time")),
            "{full:?} {late:?}"
        );
        driver.shutdown(Duration::from_secs(5)).await;
    }
}
