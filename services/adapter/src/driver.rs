//! The driver owns every task: one per node, the way in, catching up, and the clock that sends beacons and judges who lives.
//!
//! Its own end is one awaited future, bounded in time. A task that ends by itself is a defect, and is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::adapter::Inner;
use crate::catchup;
use crate::clock::Clock;
use crate::cluster::Parting;
use crate::error::DriverError;
use crate::inbound;
use crate::nodes::{Batch, Node, Surroundings, run_node};
use crate::outage;

/// What was just published is heard, and acted on, within this time.
const HEARSAY: Duration = Duration::from_millis(100);
/// Batches that wait to be decoded. When full, subscribers stop reading and Redis holds the rest.
const INBOUND: usize = 256;
/// Longest wait for listeners that have not answered a request.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for tasks that were told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Owns every task of the adapter; dropping it ends them at once, without a goodbye to others.
#[derive(Debug)]
pub struct Driver {
    inner: Arc<Inner>,
    tasks: JoinSet<()>,
    fatal: watch::Receiver<Option<DriverError>>,
}

impl Driver {
    pub(crate) fn start(inner: Arc<Inner>, starts: mpsc::UnboundedReceiver<Arc<Node>>) -> Self {
        let fatal = watch::Sender::default();
        let receiver = fatal.subscribe();
        let mut tasks = JoinSet::new();
        let (sender, batches) = mpsc::channel::<(Arc<Node>, Batch)>(INBOUND);
        tasks.spawn(run_nodes(inner.clone(), starts, sender, fatal.clone()));
        let (way_in, stop) = (inner.clone(), inner.stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled_owned(inbound::run(way_in, batches)).await;
        });
        let (catching_up, stop) = (inner.clone(), inner.stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled_owned(catchup::run(catching_up)).await;
        });
        let (sending_later, stop) = (inner.clone(), inner.stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled_owned(outage::run(sending_later)).await;
        });
        tasks.spawn(Clock::new(inner.clone(), fatal).run());
        Self {
            inner,
            tasks,
            fatal: receiver,
        }
    }

    /// Resolves when the server cannot go on, for example because another server has its name.
    pub async fn failed(&mut self) -> DriverError {
        tokio::select! {
            told = self.fatal.wait_for(Option::is_some) => match told.as_deref() {
                Ok(Some(error)) => error.clone(),
                _ => DriverError::TaskEnded("the clock ended".to_owned()),
            },
            Some(ended) = self.tasks.join_next() => {
                let why = ended.err().map_or_else(|| "without being told to".to_owned(), |error| error.to_string());
                DriverError::TaskEnded(why)
            }
        }
    }

    /// Tells others to give this server nothing new, waits until its listeners have answered what was asked of it, says
    /// goodbye on the bus, ends every task and waits for them. Takes some seconds at most, and never longer than `within`: then
    /// the tasks that are left are dropped.
    pub async fn shutdown(self, within: Duration) {
        if timeout(within, self.end()).await.is_err() {
            tracing::warn!("the adapter did not end in time: its tasks were dropped");
        }
    }

    async fn end(mut self) {
        self.inner.retire().await;
        self.inner.answering.close();
        let answering = timeout(ANSWER_LIMIT, self.inner.answering.wait());
        let (answered, ()) = tokio::join!(answering, self.inner.send_the_rest());
        if answered.is_err() {
            tracing::warn!("some requests of other servers were not answered in time");
        }
        self.inner.part(Parting::Leaving);
        let goodbye = self.inner.beacon();
        if timeout(STOP_LIMIT, self.inner.publish_beacon(&goodbye)).await.is_err() {
            tracing::warn!("the goodbye was not sent in time: others notice in some seconds");
        }
        self.inner.stop.cancel();
        self.inner.tasks.close();
        let all = async {
            self.inner.tasks.wait().await;
            while self.tasks.join_next().await.is_some() {}
        };
        if timeout(STOP_LIMIT, all).await.is_err() {
            tracing::warn!("some tasks did not end in time and were dropped");
        }
    }
}

/// Whoever drops the driver ends the server, without a goodbye.
impl Drop for Driver {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

/// Runs a task for every node that the topology brings, and waits for them all in the end.
async fn run_nodes(
    inner: Arc<Inner>,
    mut starts: mpsc::UnboundedReceiver<Arc<Node>>,
    inbound: mpsc::Sender<(Arc<Node>, Batch)>,
    fatal: watch::Sender<Option<DriverError>>,
) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => break,
            Some(node) = starts.recv() => {
                let around = inner.surroundings(inbound.clone());
                running.spawn(async move {
                    run_node(node.clone(), around).await;
                    node
                });
            }
            Some(ended) = running.join_next() => match ended {
                Ok(node) if node.stop.is_cancelled() => inner.free_slot(node.index),
                Ok(node) => {
                    let why = format!("the task of node {} ended without being told to", node.id);
                    fatal.send_replace(Some(DriverError::TaskEnded(why)));
                }
                Err(error) => _ = fatal.send_replace(Some(DriverError::TaskEnded(error.to_string()))),
            }
        }
    }
    for node in inner.choices.load().nodes.iter() {
        node.stop.cancel();
    }
    while running.join_next().await.is_some() {}
}

impl Inner {
    /// Tells others to give this server nothing new, and waits until they may have heard it.
    pub(crate) async fn retire(&self) {
        let news = self.part(Parting::Retiring);
        if !news || self.alone || self.roster().len() == 0 {
            return;
        }
        self.publish_beacon(&self.beacon()).await;
        sleep(HEARSAY).await;
    }

    /// What waits for a node may still find one, for a moment.
    async fn send_the_rest(&self) {
        let emptied = self.waiting.emptied.notified();
        tokio::pin!(emptied);
        emptied.as_mut().enable();
        if self.waiting.len() > 0 && timeout(ANSWER_LIMIT, emptied).await.is_err() {
            let messages = self.waiting.len();
            tracing::error!(
                messages,
                "no Redis node took what this server still had to send: it is lost"
            );
        }
    }

    /// Whether this is further than before.
    pub(crate) fn part(&self, how: Parting) -> bool {
        self.parting.send_if_modified(|parting| {
            let further = how > *parting;
            *parting = how.max(*parting);
            further
        })
    }

    pub(crate) fn parting(&self) -> Parting {
        *self.parting.borrow()
    }

    fn surroundings(&self, inbound: mpsc::Sender<(Arc<Node>, Batch)>) -> Surroundings {
        Surroundings {
            interest: self.interest.clone(),
            window: self.window.clone(),
            copies: self.copies.clone(),
            largest: self.largest.clone(),
            inbound,
            changed: self.changed.clone(),
            heard: self.heard.clone(),
            deaf: self.deaf.subscribe(),
            probe_channel: self.probe_channel.clone(),
            command_timeout: self.options.command_timeout,
            probe_interval: self.options.probe_interval,
        }
    }

    /// The nodes that this server hears now, by id.
    pub(crate) fn heard_nodes(&self) -> Vec<crate::wire::NodeId> {
        let choices = self.choices.load();
        let heard = choices.heard(Instant::now());
        let heard = choices.nodes.iter().filter(|node| heard & 1 << node.index != 0);
        heard.map(|node| node.id.clone()).collect()
    }
}
