//! The driver owns every task: one per node, the way in, catching up, what waits for a node, and the clock.
//!
//! Shutdown is one awaited future, bounded in time. A task that ends without being told to is a defect, and is reported.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::clock::Clock;
use super::first_nodes::Finding;
use super::parts::Parts;
use super::topology::Starts;
use crate::error::DriverError;
use crate::flow::inbound::{Arrivals, Inbound};
use crate::flow::inward::preflight::Orders;
use crate::nodes::{Environment, run_node};
use crate::options::Bus;

/// Batches that wait to be decoded. When full, subscribers stop reading and Redis holds the rest.
const INBOUND: usize = 256;
/// Longest wait for listeners that have not answered a request.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Longest time for telling others that this server is about to leave.
const RETIRE_LIMIT: Duration = Duration::from_secs(1);
/// Longest time for the goodbye.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);
/// Longest wait for tasks that were told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Owns every task of the adapter. Dropping it ends them at once, without a goodbye to others.
#[derive(Debug)]
pub struct Driver {
    parts: Arc<Parts>,
    tasks: JoinSet<()>,
    fatal: watch::Receiver<Option<DriverError>>,
}

impl Driver {
    pub(crate) fn start(parts: Arc<Parts>, starts: Starts, preflights: Orders) -> Self {
        let fatal = watch::Sender::default();
        let receiver = fatal.subscribe();
        let (sender, batches) = mpsc::channel(INBOUND);
        let mut driver = Self {
            tasks: JoinSet::new(),
            fatal: receiver,
            parts: parts.clone(),
        };
        driver
            .tasks
            .spawn(run_nodes(parts.clone(), starts, sender, fatal.clone()));
        let membership = parts.membership.clone();
        let inbound = Inbound::new(
            &parts.foundation,
            parts.flow.clients.clone(),
            parts.flow.client_requests.clone(),
            parts.flow.dispatch.clone(),
            parts.flow.requests.clone(),
            move |beacon| membership.on_beacon(beacon),
        );
        driver.run_until_stopped(inbound.run(batches));
        let catch_up = parts.flow.catch_up.clone();
        driver.run_until_stopped(async move { catch_up.run().await });
        let outbound = parts.flow.outbound.clone();
        driver.run_until_stopped(async move { outbound.send_waiting().await });
        let examiner = parts.examiner.clone();
        driver.run_until_stopped(async move { examiner.serve(preflights).await });
        let options = &parts.foundation.options;
        if let (Bus::Redis(_), Some(first_nodes)) = (&options.bus, &options.first_nodes) {
            let deaf = parts.foundation.hearing.deaf();
            let finding = Finding::new(first_nodes.clone(), parts.topology.clone(), deaf);
            driver.run_until_stopped(finding.run());
        }
        driver.tasks.spawn(Clock::new(parts, fatal).run());
        driver
    }

    fn run_until_stopped(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.parts.foundation.tasks.stop().clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }

    /// Resolves when the server cannot go on, for example because another server has its name.
    pub async fn failed(&mut self) -> DriverError {
        tokio::select! {
            failed = self.fatal.wait_for(Option::is_some) => match failed.as_deref() {
                Ok(Some(error)) => error.clone(),
                _ => DriverError::TaskEnded("the clock ended".to_owned()),
            },
            Some(ended) = self.tasks.join_next() => {
                let why = ended.err().map_or_else(|| "without being told to".to_owned(), |error| error.to_string());
                DriverError::TaskEnded(why)
            }
        }
    }

    /// Asks others to give this server nothing new, waits until its listeners have answered their requests, says
    /// goodbye on the bus, ends every task and waits for them. Takes some seconds at most, and never longer than `within`. Each step
    /// gets a share of it, so that listeners that do not answer cannot prevent the goodbye. In the end, the adapter's own tasks are
    /// aborted if they are left; handlers of listeners that still run go on.
    pub async fn shutdown(mut self, within: Duration) {
        let start = Instant::now();
        let parts = self.parts.clone();
        let tasks = &parts.foundation.tasks;
        if timeout(RETIRE_LIMIT.min(within / 4), parts.beacons.retire())
            .await
            .is_err()
        {
            tracing::debug!("other servers could not be told in time that this one is about to leave");
        }
        let limit = ANSWER_LIMIT.min(within / 3);
        let answering = timeout(limit, tasks.answered());
        let (answered, ()) = tokio::join!(answering, send_the_rest(&parts, limit));
        if answered.is_err() {
            tracing::warn!(
                "some requests of other servers were not answered before this server ended; allow more time with --shutdown-grace"
            );
        }
        if timeout(LEAVE_LIMIT.min(within / 4), parts.beacons.leave())
            .await
            .is_err()
        {
            tracing::warn!(
                "the goodbye was not sent in time: other servers notice some seconds later that this one has ended"
            );
        }
        tasks.stop().cancel();
        let all = async {
            tasks.ended().await;
            while self.tasks.join_next().await.is_some() {}
        };
        let left = within.saturating_sub(start.elapsed());
        if timeout(STOP_LIMIT.min(left), all).await.is_err() {
            tracing::warn!(
                "some tasks did not end in time: those of the adapter are aborted, handlers of listeners go on"
            );
        }
    }
}

/// Dropping the driver ends the server, without a goodbye.
impl Drop for Driver {
    fn drop(&mut self) {
        self.parts.foundation.tasks.stop().cancel();
    }
}

/// Runs a task for every node that the topology brings, and waits for them all in the end.
async fn run_nodes(
    parts: Arc<Parts>,
    mut starts: Starts,
    inbound: mpsc::Sender<Arrivals>,
    fatal: watch::Sender<Option<DriverError>>,
) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            () = parts.foundation.tasks.stop().cancelled() => break,
            Some(node) = starts.recv() => {
                let environment = environment(&parts, inbound.clone());
                running.spawn(async move {
                    run_node(node.clone(), environment).await;
                    node
                });
            }
            Some(ended) = running.join_next() => match ended {
                Ok(node) if node.stop.is_cancelled() => parts.topology.free_slot(node.index),
                Ok(node) => {
                    let why = format!("the task of node {} ended without being told to", node.id);
                    fatal.send_replace(Some(DriverError::TaskEnded(why)));
                }
                Err(error) => _ = fatal.send_replace(Some(DriverError::TaskEnded(error.to_string()))),
            }
        }
    }
    for node in parts.topology.nodes().iter() {
        node.stop.cancel();
    }
    while running.join_next().await.is_some() {}
}

fn environment(parts: &Parts, inbound: mpsc::Sender<Arrivals>) -> Environment {
    let (on, outbound) = (&parts.foundation, &parts.flow.outbound);
    let (window, copies) = outbound.replay();
    let topology = parts.topology.clone();
    Environment {
        interest: parts.flow.subscriptions.interest().clone(),
        window,
        copies,
        largest: outbound.largest().clone(),
        runs: topology.runs().clone(),
        led_elsewhere: Arc::new(move || topology.rebuild_choices()),
        inbound,
        changed: on.hearing.changed().clone(),
        heard: on.hearing.heard().clone(),
        deaf: on.hearing.deaf(),
        probe_channel: parts.probe_channel.clone(),
        command_timeout: on.options.command_timeout,
        probe_interval: on.options.probe_interval,
    }
}

/// Messages that wait for a node may still find one, for a moment.
async fn send_the_rest(parts: &Parts, limit: Duration) {
    let messages = parts.flow.outbound.left_after(limit).await;
    if messages > 0 {
        tracing::error!(
            messages,
            "no Redis node took the last messages of this server: they are lost; check the Redis nodes"
        );
    }
}
