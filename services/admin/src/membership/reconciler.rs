//! Compares and acts, again and again. Only the leader acts; an admin that loses the lead drops what it has begun and not made yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval};
use wsmesh_adapter::NodeId;

use super::attempts::Attempts;
use super::change::{Change, Outcome};
use super::plan::{Plan, plan};
use super::shared::Shared;
use crate::discovery::{Discovery, Found};
use crate::gather::{Lack, MembershipView, NodeDifference};
use crate::kubernetes::Told;

/// How often the topology is compared if nothing new is found.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most nodes that join at once: each server examines no more at a time, so another one would only wait until it is late.
const MOST_JOINS: usize = 3;
/// A pod that is not ready for this long is a problem. Before that it is only starting.
const STARTING: Duration = Duration::from_secs(60);

pub(super) struct Reconciler {
    on: Arc<Shared>,
    found: Option<Arc<Found>>,
    leads: bool,
    attempts: Attempts,
    /// Changes that are being made, and the nodes that they are about.
    changes: FuturesUnordered<BoxFuture<'static, Outcome>>,
    changing: BTreeMap<NodeId, Change>,
    /// Since when a pod has been waited for, by ordinal.
    waiting: BTreeMap<u32, Instant>,
}

impl Reconciler {
    pub(super) fn new(on: &Arc<Shared>) -> Self {
        Self {
            on: Arc::clone(on),
            found: None,
            leads: false,
            attempts: Attempts::default(),
            changes: FuturesUnordered::new(),
            changing: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Never returns.
    pub(super) async fn follow(mut self, mut discovery: impl Discovery) {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let leadership = self.on.leadership.clone();
        loop {
            tokio::select! {
                found = discovery.changed() => self.found = Some(found),
                Some(outcome) = self.changes.next(), if !self.changes.is_empty() => self.ended(outcome),
                () = leadership.lost(), if self.leads => {}
                () = leadership.taken(), if !self.leads => {}
                _ = every.tick() => {}
            }
            self.look();
        }
    }

    fn look(&mut self) {
        let leads = self.on.leadership.is_mine();
        if leads != std::mem::replace(&mut self.leads, leads) {
            self.changes.clear();
            self.changing.clear();
            self.attempts = Attempts::default();
            if leads {
                self.on.events.tell(Told::leads(self.on.adapter.name().as_str()));
            }
        }
        // Before it has heard of the others it knows only some of the nodes, or none.
        let Some(found) = self.found.clone().filter(|_| self.on.adapter.is_ready()) else {
            return;
        };
        let plan = plan(&found, &self.on.seats(), self.on.jobs.scale_target());
        self.attempts
            .keep(|node| plan.leave.contains(node) || plan.join.iter().any(|pod| pod.id == *node));
        self.wait(&plan.waiting);
        if leads {
            self.act(&plan, found.replicas);
        }
        self.on.saw(self.view(&plan, found.replicas));
    }

    fn wait(&mut self, ordinals: &[u32]) {
        self.waiting.retain(|ordinal, _| ordinals.contains(ordinal));
        for ordinal in ordinals {
            self.waiting.entry(*ordinal).or_insert_with(Instant::now);
        }
    }

    fn act(&mut self, plan: &Plan, replicas: Option<u32>) {
        let now = Instant::now();
        let is_due = |node: &NodeId| !self.changing.contains_key(node) && self.attempts.is_due(node, now);
        let leave: Vec<_> = plan.leave.iter().filter(|node| is_due(node)).cloned().collect();
        let joining = self
            .changing
            .values()
            .filter(|change| matches!(change, Change::Join(_)));
        let room = MOST_JOINS.saturating_sub(joining.count());
        let join = plan.join.iter().filter(|pod| is_due(&pod.id)).take(room).cloned();
        let is_first = |node: &&NodeId| self.attempts.problem(node).is_none();
        let names: Vec<_> = leave.iter().filter(is_first).map(NodeId::as_str).collect();
        if let Some(replicas) = replicas.filter(|_| !names.is_empty()) {
            let nodes = names.join(", ");
            tracing::warn!(
                nodes,
                replicas,
                "the StatefulSet was scaled down from outside: its nodes are drained while their pods end; POST /api/v1/nodes/scale \
                 drains them first"
            );
            self.on.events.tell(Told::scaled_outside(&nodes, replicas));
        }
        let changes = leave.into_iter().map(Change::Leave).chain(join.map(Change::Join));
        for change in changes.collect::<Vec<_>>() {
            self.changing.insert(change.node().clone(), change.clone());
            self.changes.push(Box::pin(change.make(Arc::clone(&self.on))));
        }
    }

    fn ended(&mut self, (change, result): Outcome) {
        let node = change.node();
        self.changing.remove(node);
        let Err(problem) = result else { return };
        let is_new = self.attempts.refuse(node, &problem, Instant::now());
        let told = match &change {
            Change::Join(_) => Told::refused(node, &problem),
            Change::Leave(_) => Told::failed(node, &problem),
        };
        self.on.events.tell(told);
        if is_new {
            let joins = matches!(change, Change::Join(_));
            tracing::warn!(%node, joins, problem, "a Redis node cannot be changed as the StatefulSet has it; trying again");
        }
    }

    fn view(&self, plan: &Plan, replicas: Option<u32>) -> MembershipView {
        let mut differences = Vec::new();
        for ordinal in &plan.waiting {
            let names = &self.on.names;
            let Ok((node, _)) = names.node(*ordinal) else { continue };
            let is_late = self
                .waiting
                .get(ordinal)
                .is_some_and(|since| since.elapsed() >= STARTING);
            let problem = || format!("pod {} is not ready, so it is no node", names.pod(*ordinal));
            differences.push(NodeDifference {
                node,
                lack: Lack::Waiting,
                problem: is_late.then(problem),
            });
        }
        let of = |node: &NodeId, calm, troubled| {
            let problem = self.attempts.problem(node).map(str::to_owned);
            NodeDifference {
                node: node.clone(),
                lack: if problem.is_some() { troubled } else { calm },
                problem,
            }
        };
        differences.extend(plan.join.iter().map(|pod| of(&pod.id, Lack::Joining, Lack::Refused)));
        differences.extend(plan.leave.iter().map(|node| of(node, Lack::Leaving, Lack::Leaving)));
        differences.sort();
        MembershipView {
            leader: None,
            replicas,
            differences,
            problem: plan.problem.clone(),
        }
    }
}
