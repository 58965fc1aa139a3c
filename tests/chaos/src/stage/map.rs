//! The steps of scripts that change the map of nodes, and wait until every server has the same.

use anyhow::{Context, bail};
use tokio::time::{Duration, Instant, sleep};

use super::{PATIENCE, Stage};
use crate::process::Process;
use crate::talk::{NodeEntry, Order, Say};

impl Stage {
    /// One server is told to add a node.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn add_node(&mut self, by: usize, node: usize) -> anyhow::Result<()> {
        self.tell(&format!("{} adds redis-{node}", self.plan.name(by)));
        let url = self.url(node);
        self.change(by, &Order::AddNode { url }).await
    }

    /// One server is told to drain and remove a node.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn drain_node(&mut self, by: usize, node: usize) -> anyhow::Result<()> {
        self.tell(&format!("{} drains redis-{node}", self.plan.name(by)));
        let id = format!("redis-{node}");
        self.change(by, &Order::DrainNode { id }).await
    }

    async fn change(&mut self, by: usize, order: &Order) -> anyhow::Result<()> {
        done(order, &self.server(by)?.ask(order).await?)
    }

    /// Two changes of the map at the same time, by two servers.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) async fn at_once(&mut self, first: (usize, Order), second: (usize, Order)) -> anyhow::Result<()> {
        for (by, order) in [&first, &second] {
            self.tell(&format!("{}: {order:?}", self.plan.name(*by)));
        }
        let [one, other] = self.servers.get_disjoint_mut([first.0, second.0])?;
        let (one, other) = one.as_mut().zip(other.as_mut()).context("both servers run")?;
        let (one, other) = tokio::try_join!(one.ask(&first.1), other.ask(&second.1))?;
        done(&first.1, &one)?;
        done(&second.1, &other)
    }

    /// The URL of a node, for orders.
    pub(crate) fn url(&self, node: usize) -> String {
        format!("redis://127.0.0.1:{}#redis-{node}", self.redis[node].port)
    }

    /// Waits until every server has the same map, and the nodes in it have these states.
    ///
    /// # Errors
    /// When that does not happen; the error shows the map of each server.
    pub(crate) async fn converged(&mut self, states: &[(usize, &str)]) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let running = self.servers.iter_mut().flatten();
            let maps = futures_util::future::try_join_all(running.map(Process::topology)).await?;
            let holds = |map: &Vec<NodeEntry>, node: usize, state: &str| {
                let id = format!("redis-{node}");
                map.iter().any(|entry| entry.id == id && entry.state == state)
            };
            let as_wanted = |map: &Vec<NodeEntry>| states.iter().all(|&(node, state)| holds(map, node, state));
            if maps.iter().all(|map| as_wanted(map) && *map == maps[0]) {
                let names = self.names(&(0..self.servers.len()).collect::<Vec<_>>());
                self.tell(&format!("{names} agree: {states:?}"));
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                bail!("the maps of nodes do not become {states:?}: {maps:?}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Whether a change was carried out.
fn done(order: &Order, answer: &Say) -> anyhow::Result<()> {
    match answer {
        Say::Done { error: None } => Ok(()),
        Say::Done { error: Some(error) } => bail!("{order:?} was refused: {error}"),
        other => bail!("{order:?} was answered by {other:?}"),
    }
}
