//! The other end of the test: a server that visits the bus, and asks the client through a node of its choice. Which node carried
//! the question is read from this server's own counters, not guessed.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::Registry;
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio::time::{Instant, timeout_at};
use wsmesh_adapter::{Adapter, Bus, ClientId, Driver, Frame, NodeId, NodeState, NodeView, Options, Started};
use wsmesh_protocol::frame;

use super::socket::QUESTION;

/// Longest wait for nodes that every server hears, but a third of the time at most: a restarted Redis is heard within seconds.
const SETTLE: Duration = Duration::from_secs(10);
/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(4);
/// How often a node is tried, as other messages may be counted at the same time and the client may have moved.
const ATTEMPTS: u32 = 4;
/// Longest time for the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// This server's own counter of messages by node.
const PUBLISHED: &str = "wsmesh_publish_total";

/// A visit of the bus.
pub(super) struct Visit {
    adapter: Adapter,
    driver: Driver,
    registry: Registry,
}

impl Visit {
    /// Joins the bus, and waits until every server hears every node, if that is soon.
    ///
    /// # Errors
    /// When no node is heard in time.
    pub(super) async fn join(options: Options, deadline: Instant) -> Result<Self, String> {
        let registry = options.registry.clone();
        debug_assert!(!matches!(options.bus, Bus::Alone));
        let Started { adapter, driver, .. } = Adapter::start(options).map_err(|error| error.to_string())?;
        let visit = Self {
            adapter,
            driver,
            registry,
        };
        let now = Instant::now();
        let limit = now + SETTLE.min(deadline.saturating_duration_since(now) / 3);
        if timeout_at(limit, visit.adapter.ready()).await.is_err() {
            let nodes = visit.adapter.nodes();
            let why: Vec<String> = nodes.borrow().iter().map(said).collect();
            visit.leave().await;
            return Err(format!("no Redis node is heard ({})", why.join("; ")));
        }
        // What has not settled by then is told node by node.
        let _ = timeout_at(limit, visit.settled()).await;
        Ok(visit)
    }

    /// Says goodbye.
    pub(super) async fn leave(self) {
        self.driver.shutdown(GOODBYE).await;
    }

    /// Asks the client once, and says what came.
    pub(super) async fn through_any_node(&self, client: &ClientId, deadline: Instant) -> Result<String, String> {
        let took = self.ask(&self.adapter, client, "any", deadline).await?;
        Ok(format!("a message came back after {}", shown(took)))
    }

    /// Asks the client through each node that messages may take, and tells each outcome.
    pub(super) async fn through_each_node(
        &self,
        client: &ClientId,
        deadline: Instant,
        tell: &mut impl FnMut(&str, Result<String, String>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let topology = self.adapter.topology();
        let used = |node: &&NodeView| matches!(node.state, NodeState::Active | NodeState::Joining);
        for node in topology.iter().filter(used) {
            let outcome = self.through(&node.id, client, deadline).await;
            let outcome = outcome.map(|took| format!("a message came back through it after {}", shown(took)));
            tell(node.id.as_str(), outcome)?;
        }
        Ok(())
    }

    /// Asks the client through one node, and makes sure that this node alone carried the question.
    async fn through(&self, node: &NodeId, client: &ClientId, deadline: Instant) -> Result<Duration, String> {
        let mut problem = "there was no time left".to_owned();
        for _ in 0..ATTEMPTS {
            if Instant::now() >= deadline {
                break;
            }
            self.heard_by_all(node)?;
            let key = self.adapter.key_through(node).ok_or("it is not active any more")?;
            let before = self.published();
            let answer = self
                .ask(&self.adapter.with_order_key(&key), client, node.as_str(), deadline)
                .await;
            let after = self.published();
            match (carried(&before, &after).as_slice(), answer) {
                ([by], Ok(took)) if *by == node.as_str() => return Ok(took),
                (_, Err(error)) => problem = error,
                (others, Ok(_)) => {
                    problem = format!("the message was not carried by it alone, but by {}", others.join(", "))
                }
            }
        }
        Err(problem)
    }

    /// The question and its answer, once.
    async fn ask(
        &self,
        adapter: &Adapter,
        client: &ClientId,
        node: &str,
        deadline: Instant,
    ) -> Result<Duration, String> {
        let started = Instant::now();
        let limit = ANSWER.min(deadline.saturating_duration_since(started));
        let payload = json!({"through": node});
        let raw = to_raw_value(&payload).map_err(|error| error.to_string())?;
        let question = |id: &str| Frame::new(frame::request(QUESTION, &*raw, id));
        let answer = adapter.ask_client(client, question, Some(limit)).await;
        let answer: serde_json::Value = answer
            .map_err(|error| error.to_string())?
            .parse()
            .map_err(|error| format!("the answer is not JSON: {error}"))?;
        match answer == payload {
            true => Ok(started.elapsed()),
            false => Err(format!("another answer came than the client gave: {answer}")),
        }
    }

    /// Whether messages may take this node.
    fn heard_by_all(&self, node: &NodeId) -> Result<(), String> {
        let topology = self.adapter.topology();
        let view = topology
            .iter()
            .find(|view| view.id == *node)
            .ok_or("it is not a node any more")?;
        let deaf: Vec<&str> = deaf(view).collect();
        if deaf.is_empty() {
            return Ok(());
        }
        let mut problem = format!("not heard by {}", deaf.join(", "));
        let nodes = self.adapter.nodes();
        if let Some(error) = nodes
            .borrow()
            .iter()
            .find(|status| status.id == *node)
            .and_then(|status| status.error.clone())
        {
            problem.push_str(&format!(" ({error})"));
        }
        Err(problem)
    }

    /// Resolves when another server has told what it knows, and every server hears every node.
    async fn settled(&self) {
        let (mut roster, mut nodes) = (self.adapter.roster(), self.adapter.nodes());
        loop {
            roster.mark_unchanged();
            nodes.mark_unchanged();
            let is_heard = |node: &NodeView| deaf(node).next().is_none();
            if self.adapter.servers().len() > 1 && self.adapter.topology().iter().all(is_heard) {
                return;
            }
            tokio::select! {
                Ok(()) = roster.changed() => {}
                Ok(()) = nodes.changed() => {}
                else => return,
            }
        }
    }

    /// How many messages of this server each node has carried.
    fn published(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        let families = self.registry.gather();
        for family in families.iter().filter(|family| family.name() == PUBLISHED) {
            for metric in family.get_metric() {
                let label = |name: &str| {
                    metric
                        .get_label()
                        .iter()
                        .find(|pair| pair.name() == name)
                        .map(|pair| pair.value())
                };
                if let (Some(node), Some("ok")) = (label("node"), label("result")) {
                    found.insert(node.to_owned(), metric.get_counter().get_value() as u64);
                }
            }
        }
        found
    }
}

/// The nodes that carried something meanwhile.
fn carried<'a>(before: &BTreeMap<String, u64>, after: &'a BTreeMap<String, u64>) -> Vec<&'a str> {
    let more = after
        .iter()
        .filter(|(node, count)| before.get(*node).copied().unwrap_or(0) < **count);
    more.map(|(node, _)| node.as_str()).collect()
}

/// The servers that do not hear a node that is in use there.
fn deaf(node: &NodeView) -> impl Iterator<Item = &str> {
    let in_use = matches!(node.state, NodeState::Active | NodeState::Joining);
    let deaf = node.servers.iter().filter(move |at| in_use && !at.hears);
    deaf.map(|at| at.server.as_str())
}

fn said(status: &wsmesh_adapter::NodeStatus) -> String {
    let error = status.error.as_deref().unwrap_or("its probes do not come back");
    format!("{}: {error}", status.id)
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
