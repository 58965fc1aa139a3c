//! Scales the StatefulSet of the Redis pods so that nothing is lost: nodes that go are drained before their pods end, and nodes that come
//! are waited for. Any admin accepts that as a job; the one that leads carries it out, and another one goes on if it ends.
//!
//! It never deletes a pod, and never changes more of Kubernetes than the replicas of the one StatefulSet.

mod step;
mod work;

#[cfg(test)]
pub(crate) use work::Pace;

use wsmesh_adapter::{Adapter, NodeId, NodeState};

use crate::jobs::{Job, Jobs, Replicas, Scaling};
use crate::kubernetes::{PodNames, ScaleFault, Sized, Sizes, StatefulSet, StatefulSetScale};

/// The least and the most replicas that can be asked for.
pub(crate) const REPLICAS: std::ops::RangeInclusive<u32> = 1..=32;

/// What scales the StatefulSet. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Scaler {
    adapter: Adapter,
    jobs: Jobs,
    scale: StatefulSetScale,
    names: PodNames,
    /// What else is known about the StatefulSet.
    sizes: Option<Sizes>,
}

/// What came of a request to scale.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// The job that does it.
    Job(Box<Job>),
    /// It has so many replicas already.
    Already,
}

/// Why nothing was begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotScaled {
    /// Another number of replicas is being made.
    #[error(
        "job {} scales the StatefulSet from {} to {} replicas: wait until it has ended (GET /api/v1/jobs), then ask again",
        .job.id, .replicas.from, .replicas.to
    )]
    Running { job: Box<Job>, replicas: Replicas },
    #[error(transparent)]
    Kubernetes(#[from] ScaleFault),
    /// Its pods do not start at 0, so its replicas do not say which pods there are.
    #[error("{}", crate::kubernetes::odd_start(*.start))]
    Ordinals { start: u32 },
    /// The names of the pods do not fit into ids of nodes.
    #[error("the pods cannot be nodes: {0}")]
    Names(String),
}

/// A node that comes back by itself as long as the StatefulSet has its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) stateful_set: String,
    pub(crate) pod: String,
    pub(crate) ordinal: u32,
    /// Why it is not known whether the StatefulSet has the pod.
    pub(crate) doubt: Option<String>,
}

impl Scaler {
    pub(crate) fn new(adapter: Adapter, jobs: Jobs, stateful_set: &StatefulSet) -> Self {
        let scale = StatefulSetScale::new(stateful_set.client.clone(), &stateful_set.name);
        Self {
            sizes: Some(stateful_set.sizes.clone()),
            ..Self::of(adapter, jobs, scale, stateful_set.names.clone())
        }
    }

    /// As [`Scaler::new`], from its parts.
    pub(crate) fn of(adapter: Adapter, jobs: Jobs, scale: StatefulSetScale, names: PodNames) -> Self {
        Self {
            adapter,
            jobs,
            scale,
            names,
            sizes: None,
        }
    }

    /// The ordinal of its first pod.
    fn start(&self) -> u32 {
        self.sizes.as_ref().map_or(0, |sizes| sizes.known().borrow().start)
    }

    /// Begins to give the StatefulSet so many replicas.
    ///
    /// # Errors
    /// When it is being scaled to another number, or Kubernetes does not say what it is now.
    pub(crate) async fn scale(&self, to: u32) -> Result<Accepted, NotScaled> {
        if let Some(job) = self.jobs.scales().into_iter().next() {
            return accepted(Err(Box::new(job)), to);
        }
        let Sized {
            replicas: from,
            version,
        } = self.scale.read().await?;
        if let start @ 1.. = self.start() {
            return Err(NotScaled::Ordinals { start });
        }
        if from == to {
            return Ok(Accepted::Already);
        }
        let replicas = Replicas { from, to };
        let scaling = Scaling {
            replicas,
            version,
            nodes: self.nodes(replicas).map_err(NotScaled::Names)?,
        };
        accepted(self.jobs.scale(scaling).await, to)
    }

    /// The nodes that come, lowest ordinal first, or that go, highest first. A pod that is a node under another id is that node.
    fn nodes(&self, replicas: Replicas) -> Result<Vec<NodeId>, String> {
        let Replicas { from, to } = replicas;
        let topology = self.adapter.topology();
        let used = topology.iter().filter(|view| view.state != NodeState::Gone);
        let known: Vec<_> = used
            .filter_map(|view| Some((self.names.ordinal_of(&view.url)?, &view.id)))
            .collect();
        let id = |ordinal| match known.iter().find(|(known, _)| *known == ordinal) {
            Some((_, id)) => Ok((*id).clone()),
            None => self.names.node(ordinal).map(|(id, _)| id),
        };
        match replicas.is_down() {
            true => (to..from).rev().map(id).collect(),
            false => (from..to).map(id).collect(),
        }
    }

    /// Whether the StatefulSet keeps the pod of this node, so that the node would come back if it were removed. If Kubernetes does not say
    /// how many pods it keeps, it is taken to keep this one, with a doubt. A StatefulSet that does not exist keeps nothing.
    pub(crate) async fn owner_of(&self, node: &NodeId) -> Option<Owned> {
        let topology = self.adapter.topology();
        let view = topology.iter().find(|view| view.id == *node)?;
        if view.state == NodeState::Gone {
            return None;
        }
        let ordinal = self.names.ordinal_of(&view.url)?;
        let start = self.start();
        let (is_kept, doubt) = match self.scale.read().await {
            Ok(Sized { replicas, .. }) => ((start..start.saturating_add(replicas)).contains(&ordinal), None),
            Err(ScaleFault::Absent(_)) => (false, None),
            Err(fault) => (true, Some(fault.to_string())),
        };
        is_kept.then(|| Owned {
            stateful_set: self.scale.name().to_owned(),
            pod: self.names.pod(ordinal),
            ordinal,
            doubt,
        })
    }
}

/// A running job that does the same is the job of this request, too.
fn accepted(begun: Result<Job, Box<Job>>, to: u32) -> Result<Accepted, NotScaled> {
    let job = match begun {
        Ok(job) => Box::new(job),
        Err(job) => job,
    };
    match job.replicas {
        Some(replicas) if replicas.to != to => Err(NotScaled::Running { job, replicas }),
        _ => Ok(Accepted::Job(job)),
    }
}
