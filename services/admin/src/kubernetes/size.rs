//! The size of the Redis StatefulSet: how many pods it shall have, asked again and again. One `get` of one object: a watch would need
//! more rights. The last good answer is kept while the API server does not answer.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Kubernetes, said};

/// How often it is asked, if the pods do not change. It is asked at once when they do.
const EVERY: Duration = Duration::from_secs(5);
/// Between two questions at least.
const PAUSE: Duration = Duration::from_millis(500);
/// Time limit of an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What is known about the StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    /// How many pods it shall have; none before the first answer.
    pub(crate) replicas: Option<u32>,
    /// The ordinal of its first pod.
    pub(crate) start: u32,
    /// Which of all StatefulSets that had this name it is.
    pub(crate) uid: Option<String>,
    /// Why this may be out of date.
    pub(crate) problem: Option<String>,
}

/// A StatefulSet whose size is followed. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    known: Receiver<Size>,
}

impl Sizes {
    /// Starts to follow a StatefulSet of the client's namespace; the task ends with `shutdown`. Its pods are watched already.
    pub(crate) fn follow(
        client: Client,
        name: &str,
        pods: &Kubernetes,
        shutdown: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let sender = Sender::new(Size {
            replicas: None,
            start: 0,
            uid: None,
            problem: Some("it has not been read yet".to_owned()),
        });
        let known = sender.subscribe();
        let (sets, name, pods) = (Api::default_namespaced(client), name.to_owned(), pods.clone());
        let task = tokio::spawn(async move {
            shutdown.run_until_cancelled(keep(sets, &name, &pods, &sender)).await;
        });
        (Self { known }, task)
    }

    /// What is known, and each change of it.
    pub(crate) fn known(&self) -> Receiver<Size> {
        self.known.clone()
    }
}

/// Never returns.
async fn keep(sets: Api<StatefulSet>, name: &str, pods: &Kubernetes, size: &Sender<Size>) {
    let mut pods = pods.known();
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = Instant::now() + PAUSE;
        let answer = timeout(ANSWER, sets.get(name)).await;
        let problem = match answer {
            Ok(Ok(set)) => {
                take(&set, size);
                None
            }
            Ok(Err(error)) => Some(said(&error)),
            Err(_) => Some(format!(
                "the Kubernetes API did not answer within {} s",
                ANSWER.as_secs()
            )),
        };
        if let Some(problem) = problem {
            fails(name, problem, size);
        }
        sleep_until(next).await;
        tokio::select! {
            _ = every.tick() => {}
            // It ends with this task, or before it when the process ends.
            Ok(()) = pods.changed() => every.reset(),
        }
    }
}

fn take(set: &StatefulSet, size: &Sender<Size>) {
    // One, where nothing is said.
    let replicas = set.spec.replicas.unwrap_or(1);
    let ordinals = set.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
    let start = u32::try_from(ordinals.unwrap_or_default()).unwrap_or_default();
    let read = Size {
        replicas: Some(u32::try_from(replicas).unwrap_or_default()),
        start,
        uid: set.uid(),
        problem: (start > 0).then(|| odd_start(start)),
    };
    size.send_if_modified(|known| {
        let is_new = *known != read;
        known.clone_from(&read);
        is_new
    });
}

/// Why a StatefulSet whose pods start at another ordinal is not followed.
pub(crate) fn odd_start(start: u32) -> String {
    format!(
        "its pods start at ordinal {start} (spec.ordinals.start), and its nodes must be the pods from 0 on: no node is added or removed; \
         remove spec.ordinals"
    )
}

fn fails(name: &str, problem: String, size: &Sender<Size>) {
    size.send_if_modified(|known| {
        let is_new = known.problem.as_ref() != Some(&problem);
        if is_new {
            tracing::warn!(
                stateful_set = name,
                problem,
                "the Redis StatefulSet cannot be read; trying again: check admin's rights (admin doctor)"
            );
            known.problem = Some(problem);
        }
        is_new
    });
}
