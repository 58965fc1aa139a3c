//! Kubernetes Events about what admin did, for `kubectl describe statefulset` and `kubectl get events`. They are a courtesy: nothing
//! waits for them, what does not fit into a small queue is dropped, and a failure is logged once until one is written again.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::NodeId;

use super::{Sizes, said};

/// Most events that wait.
const MOST: usize = 64;
/// Time limit of writing one.
const ANSWER: Duration = Duration::from_secs(5);
/// The API takes at most a kilobyte of text.
const MOST_BYTES: usize = 1000;
/// Which program tells.
const CONTROLLER: &str = "wsmesh-admin";

/// Something that admin did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    weight: Weight,
    /// One word, as Events have.
    reason: &'static str,
    action: &'static str,
    note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Normal,
    Warning,
}

impl Told {
    /// A node was added, and every counted server hears it.
    pub(crate) fn joined(node: &NodeId) -> Self {
        Self::normal(
            "NodeJoined",
            "Join",
            format!("Redis node {node} joined: every server uses it"),
        )
    }

    /// A node was drained, and is gone for every counted server.
    pub(crate) fn left(node: &NodeId) -> Self {
        Self::normal(
            "NodeLeft",
            "Leave",
            format!("Redis node {node} left: no server uses it any more"),
        )
    }

    /// A pod could not be added as a node.
    pub(crate) fn refused(node: &NodeId, why: &str) -> Self {
        Self::warning("NodeRefused", "Join", format!("Redis node {node} was not added: {why}"))
    }

    /// A change of a node did not end well.
    pub(crate) fn failed(node: &NodeId, why: &str) -> Self {
        Self::warning("NodeChangeFailed", "Follow", format!("Redis node {node}: {why}"))
    }

    /// The StatefulSet is being scaled through admin.
    pub(crate) fn scaling(from: u32, to: u32) -> Self {
        let note = format!("the StatefulSet is being scaled from {from} to {to} replicas");
        Self::normal("ScaleStarted", "Scale", note)
    }

    /// The StatefulSet was scaled, and its nodes have come or gone.
    pub(crate) fn scaled(from: u32, to: u32) -> Self {
        let note = format!("the StatefulSet was scaled from {from} to {to} replicas: its pods are the nodes");
        Self::normal("Scaled", "Scale", note)
    }

    /// A scale did not end well.
    pub(crate) fn not_scaled(from: u32, to: u32, why: &str) -> Self {
        let note = format!("the scale from {from} to {to} replicas failed: {why}");
        Self::warning("ScaleFailed", "Scale", note)
    }

    /// The StatefulSet was made smaller without draining the nodes first.
    pub(crate) fn scaled_outside(nodes: &str, replicas: u32) -> Self {
        let note = format!(
            "the StatefulSet was scaled to {replicas}: {nodes} are drained while the pods end; POST /api/v1/nodes/scale drains them first"
        );
        Self::warning("ScaledOutside", "Leave", note)
    }

    /// This admin leads from now on.
    pub(crate) fn leads(admin: &str) -> Self {
        Self::normal(
            "LeaderElected",
            "Lead",
            format!("{admin} leads: it follows the Redis pods"),
        )
    }

    /// Something else went as it should.
    pub(crate) fn normal(reason: &'static str, action: &'static str, note: String) -> Self {
        Self::new(Weight::Normal, reason, action, note)
    }

    /// Something else that an operator should look at.
    pub(crate) fn warning(reason: &'static str, action: &'static str, note: String) -> Self {
        Self::new(Weight::Warning, reason, action, note)
    }

    fn new(weight: Weight, reason: &'static str, action: &'static str, mut note: String) -> Self {
        note.truncate(note.floor_char_boundary(MOST_BYTES));
        Self {
            weight,
            reason,
            action,
            note,
        }
    }

    fn event(&self) -> Event {
        Event {
            type_: match self.weight {
                Weight::Normal => EventType::Normal,
                Weight::Warning => EventType::Warning,
            },
            reason: self.reason.to_owned(),
            note: Some(self.note.clone()),
            action: self.action.to_owned(),
            secondary: None,
        }
    }
}

/// Tells. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    /// None outside of Kubernetes.
    queue: Option<mpsc::Sender<Told>>,
}

impl Events {
    /// Nobody is told.
    pub(crate) fn nowhere() -> Self {
        Self { queue: None }
    }

    /// Events about a StatefulSet of the client's namespace, by the admin of this name; the task ends with `shutdown`.
    pub(crate) fn about(
        client: Client,
        stateful_set: &str,
        sizes: Sizes,
        me: &str,
        shutdown: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(MOST);
        let writer = Writer {
            about: ObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: Some("StatefulSet".to_owned()),
                name: Some(stateful_set.to_owned()),
                namespace: Some(client.default_namespace().to_owned()),
                ..ObjectReference::default()
            },
            sizes,
            reporter: Reporter {
                controller: CONTROLLER.to_owned(),
                instance: Some(me.to_owned()),
            },
            recorders: BTreeMap::new(),
            client,
            has_failed: false,
        };
        let task = tokio::spawn(async move {
            shutdown.run_until_cancelled(writer.write_all(waiting)).await;
        });
        (Self { queue: Some(queue) }, task)
    }

    /// Tells what was done.
    pub(crate) fn tell(&self, told: Told) {
        let Some(queue) = &self.queue else { return };
        if let Err(error) = queue.try_send(told) {
            tracing::debug!(%error, "an Event is not written: too many wait");
        }
    }
}

struct Writer {
    client: Client,
    about: ObjectReference,
    /// Know which StatefulSet it is.
    sizes: Sizes,
    reporter: Reporter,
    /// By reason and text. A recorder counts repeats by their reason and keeps the first text, so another text needs another recorder.
    recorders: BTreeMap<(&'static str, String), Recorder>,
    has_failed: bool,
}

impl Writer {
    async fn write_all(mut self, mut waiting: mpsc::Receiver<Told>) {
        while let Some(told) = waiting.recv().await {
            let written = timeout(ANSWER, self.write(&told)).await;
            let problem = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(said(&error)),
                Err(_) => Some(format!(
                    "the Kubernetes API did not answer within {} s",
                    ANSWER.as_secs()
                )),
            };
            if let Some(problem) = &problem
                && !self.has_failed
            {
                tracing::warn!(
                    problem,
                    "an Event could not be written: check admin's rights (admin doctor); later failures are not logged"
                );
            }
            self.has_failed = problem.is_some();
        }
    }

    async fn write(&mut self, told: &Told) -> kube::Result<()> {
        let key = (told.reason, told.note.clone());
        if self.recorders.len() >= MOST && !self.recorders.contains_key(&key) {
            self.recorders.clear();
        }
        let new = || Recorder::new(self.client.clone(), self.reporter.clone());
        let recorder = self.recorders.entry(key.clone()).or_insert_with(new).clone();
        self.about.uid = self.sizes.known().borrow().uid.clone();
        let written = recorder.publish(&told.event(), &self.about).await;
        if written.is_err() {
            // Perhaps the Event that was to be counted is gone.
            self.recorders.remove(&key);
        }
        written
    }
}
