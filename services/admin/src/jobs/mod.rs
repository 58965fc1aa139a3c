//! Changes of the nodes as jobs: requested once, made by every server, known to every admin and followed by every admin until they
//! are done or have failed. `scaler` carries out the jobs that scale a StatefulSet.
//!
//! A job is only a view: the change itself is in the topology, which every server carries. Every admin judges every job from its own
//! topology, so a job ends although the admin that accepted it has ended. The last hundred jobs are kept in memory. A request that is
//! repeated gets the same job, also from another admin.

mod clearness;
mod job;
mod progress;
mod replicas;
mod what;

mod ledger;
mod news;
mod outgoing;

mod changes;
mod exchange;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Adapter, NodeId, NodeState, NodeView, ServerName, TopologyError};

use crate::gather::MissingServer;
pub(crate) use changes::Changes;
use clearness::Clearness;
use job::{Change, Sight};
pub(crate) use job::{Job, JobState};
use ledger::Ledger;
pub(crate) use ledger::MOST_JOBS;
use news::{JOB, JOBS};
use outgoing::{Letter, Outgoing};
pub(crate) use replicas::{NodeProgress, Replicas, Scaling};
pub(crate) use what::What;

/// How often running jobs are checked.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Time limit of a change. Without trouble a change takes seconds. Draining a node may take the replay window in addition.
pub(crate) const JOB_LIMIT: Duration = Duration::from_secs(60);
/// A change that this admin's topology has not learned of after this long is made here: the admin that accepted it may have ended
/// before it told anybody.
const UNHEARD_AFTER: Duration = Duration::from_secs(2);

/// The jobs of all admins. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    adapter: Adapter,
    /// For adding, and for removing.
    limits: [Duration; 2],
    ledger: Arc<Mutex<Ledger>>,
    revisions: watch::Sender<u64>,
    outgoing: Arc<Mutex<Outgoing>>,
    /// Something waits in `outgoing`.
    posted: Arc<Notify>,
    clearness: Arc<Mutex<Clearness>>,
    /// Ends what [`Jobs::subscribe`] gives.
    closing: CancellationToken,
}

impl Jobs {
    /// No jobs yet. Adding a node may take `limit`; removing one may take the replay window in addition.
    pub(crate) fn new(adapter: Adapter, limit: Duration, replay_window: Duration) -> Self {
        Self {
            adapter,
            limits: [limit, limit + replay_window],
            ledger: Arc::default(),
            revisions: watch::Sender::default(),
            outgoing: Arc::default(),
            posted: Arc::default(),
            clearness: Arc::default(),
            closing: CancellationToken::new(),
        }
    }

    /// The same jobs, with another time limit for those that are followed by this handle.
    #[cfg(test)]
    pub(crate) fn with_limit(self, limit: Duration) -> Self {
        Self {
            limits: [limit, limit],
            ..self
        }
    }

    /// The same jobs, whose streams of changes end with `closing`.
    pub(crate) fn closing_with(self, closing: CancellationToken) -> Self {
        Self { closing, ..self }
    }

    /// Adds a node and returns the job that follows the change; `missing` did not say whether they can use it. The other admins have been
    /// told, if that is possible now.
    ///
    /// # Errors
    /// As [`Adapter::add_node`].
    pub(crate) async fn add(&self, url: &str, missing: Vec<MissingServer>) -> Result<Job, TopologyError> {
        let node = self.adapter.add_node(url)?;
        self.begin(What::Add, node, missing).await
    }

    /// Drains and removes a node and returns the job that follows the change. The other admins have been told, if that is possible now.
    ///
    /// # Errors
    /// As [`Adapter::drain_node`].
    pub(crate) async fn remove(&self, node: &NodeId) -> Result<Job, TopologyError> {
        self.adapter.drain_node(node)?;
        self.begin(What::Remove, node.clone(), Vec::new()).await
    }

    /// Begins to scale a StatefulSet and returns the job; another one that does the same and is running is returned as it is. The other
    /// admins have been told, if that is possible now.
    ///
    /// # Errors
    /// The job that scales it to another number of replicas.
    pub(crate) async fn scale(&self, scaling: Scaling) -> Result<Job, Box<Job>> {
        let me = self.adapter.name();
        self.look();
        let (job, is_new) = self.change(|ledger| ledger.begin_scale(scaling, me))?;
        // So that the answer shows the nodes.
        self.look();
        let job = self.ledger.lock().job(&job.id).cloned().unwrap_or(job);
        if is_new {
            tracing::info!(job = job.id, about = job.about(), "job started");
            exchange::tell_now(self, &job).await;
        }
        Ok(job)
    }

    /// The jobs that scale the StatefulSet and are running. The first is to be carried out; more than one only if several admins accepted
    /// some at the same moment.
    pub(crate) fn scales(&self) -> Vec<Job> {
        self.look();
        self.ledger.lock().scales().cloned().collect()
    }

    /// Ends a running job that scales; with an error it has failed.
    pub(crate) fn end_scale(&self, id: &str, end: Result<(), String>) {
        let me = self.adapter.name();
        if self.change(|ledger| ledger.end(id, end, me)) {
            self.post(Letter::Job(id.to_owned()));
        }
    }

    /// How many pods of the StatefulSet may be nodes at most, if it is being scaled or was scaled down a moment ago: those with a lower
    /// ordinal than this. Its replicas are changed only after the others have left.
    pub(crate) fn scale_target(&self) -> Option<u32> {
        self.look();
        self.ledger.lock().scale_target(Instant::now())
    }

    /// Whether a node has this id and is used, or soon will be.
    pub(crate) fn is_in_use(&self, node: &NodeId) -> bool {
        let is_used = |view: &NodeView| matches!(view.state, NodeState::Active | NodeState::Joining);
        let topology = self.adapter.topology();
        topology.iter().any(|view| view.id == *node && is_used(view))
    }

    /// Tells how many jobs of each kind are running. Holds the list only.
    pub(crate) fn running(&self) -> impl Fn() -> BTreeMap<What, usize> + Send + Sync + use<> {
        let ledger = self.ledger.clone();
        move || {
            let mut running = BTreeMap::new();
            for job in ledger.lock().jobs().filter(|job| job.is_running()) {
                *running.entry(job.what).or_default() += 1;
            }
            running
        }
    }

    /// All jobs that are kept, newest first.
    pub(crate) fn list(&self) -> Vec<Job> {
        self.look();
        self.ledger.lock().jobs().rev().cloned().collect()
    }

    /// The job with this id.
    pub(crate) fn job(&self, id: &str) -> Option<Job> {
        self.look();
        self.ledger.lock().job(id).cloned()
    }

    /// The changes of jobs from now on.
    pub(crate) fn subscribe(&self) -> Changes {
        Changes {
            ledger: self.ledger.clone(),
            revisions: self.revisions.subscribe(),
            seen: self.ledger.lock().revision(),
            closing: self.closing.clone(),
        }
    }

    /// Follows running jobs until `shutdown`, so that they end in time even if nobody asks for them, and keeps the list the same on all
    /// admins.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let (news, questions) = (self.adapter.listen(JOB), self.adapter.listen(JOBS));
        let working = async {
            tokio::join!(
                self.begin_to_see(),
                self.follow(),
                exchange::hear(&self, news),
                exchange::answer(&self, questions),
                exchange::ask_newcomers(&self),
                exchange::tell(&self),
            )
        };
        shutdown.run_until_cancelled(working).await;
    }

    /// Tells each change of a job, until there are no more.
    pub(crate) async fn tell(&self, tell: impl Fn(&Job)) {
        let mut changes = self.subscribe();
        while let Some(changed) = changes.next().await {
            changed.iter().for_each(&tell);
        }
    }

    /// Only from now on does this admin learn of the others.
    async fn begin_to_see(&self) {
        self.adapter.ready().await;
        *self.clearness.lock() = Clearness::default();
    }

    async fn follow(&self) {
        let mut revisions = self.revisions.subscribe();
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while !self.look() {
                // It cannot end before this handle.
                let _ = revisions.changed().await;
            }
            every.tick().await;
        }
    }

    async fn begin(&self, what: What, node: NodeId, missing: Vec<MissingServer>) -> Result<Job, TopologyError> {
        let (nodes, counted) = self.view();
        let view = nodes.iter().find(|view| view.id == node);
        let view = view.ok_or_else(|| TopologyError::Unknown(node.clone()))?;
        let change = Change {
            epoch: view.epoch,
            attempt: 1,
            url: view.url.clone(),
            missing,
        };
        let sight = self.sight(&nodes, &counted);
        let me = self.adapter.name();
        let (job, is_new) = self.change(|ledger| {
            // A job that has ended in this moment is not given to the caller as a running one.
            let mut ended = ledger.judge(&sight, me, |job| self.limit(job));
            let (job, is_new) = ledger.begin(what, &node, change, me);
            ended.extend(ledger.judge(&sight, me, |job| self.limit(job)));
            self.post_all(ended);
            (ledger.job(&job.id).cloned().unwrap_or(job), is_new)
        });
        if is_new {
            tracing::info!(job = job.id, ?what, about = job.about(), "job started");
            exchange::tell_now(self, &job).await;
        }
        Ok(job)
    }

    /// Updates the running jobs. Returns whether any is still running.
    fn look(&self) -> bool {
        if !self.ledger.lock().any_running() {
            return false;
        }
        let (nodes, counted) = self.view();
        let sight = self.sight(&nodes, &counted);
        let (is_running, unheard) = self.change(|ledger| {
            let ended = ledger.judge(&sight, self.adapter.name(), |job| self.limit(job));
            self.post_all(ended);
            let unheard = ledger.jobs().filter(|job| job.is_unheard_of(&sight, UNHEARD_AFTER));
            (ledger.any_running(), unheard.cloned().collect::<Vec<_>>())
        });
        unheard.iter().for_each(|job| self.make(job));
        is_running
    }

    /// Makes a change that another admin accepted and could not tell the servers. It is no harm if they know it after all: a change of
    /// one epoch is one change, whoever makes it.
    fn make(&self, job: &Job) {
        let made = match (job.what, &job.node) {
            (What::Add, _) => self.adapter.add_node(&job.change.url).map(drop),
            (What::Remove, Some(node)) => self.adapter.drain_node(node),
            (What::Remove, None) | (What::Scale, _) => Ok(()),
        };
        if let Err(error) = made {
            tracing::debug!(job = job.id, %error, "a change that another admin accepted is not possible now");
        }
    }

    /// Another admin told about a job.
    fn take(&self, job: Job, sender: ServerName) {
        let id = job.id.clone();
        let merged = self.change(|ledger| ledger.merge(job));
        if merged.is_behind && sender != *self.adapter.name() {
            self.post(Letter::JobTo(sender, id));
        }
    }

    /// Changes the ledger, and tells readers if anything is different then.
    fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let (result, revision) = {
            let mut ledger = self.ledger.lock();
            (change(&mut ledger), ledger.revision())
        };
        self.revisions.send_if_modified(|told| {
            let is_new = *told < revision;
            *told = revision.max(*told);
            is_new
        });
        result
    }

    fn post(&self, letter: Letter) {
        self.outgoing.lock().put(letter);
        self.posted.notify_one();
    }

    fn post_all(&self, jobs: Vec<String>) {
        jobs.into_iter().map(Letter::Job).for_each(|letter| self.post(letter));
    }

    /// Waits until there may be something to tell.
    async fn next_letter(&self) -> Option<Letter> {
        let letter = self.outgoing.lock().take();
        if letter.is_none() {
            self.posted.notified().await;
        }
        letter
    }

    fn other_admins(&self) -> Vec<ServerName> {
        let (me, service) = (self.adapter.name(), self.adapter.service());
        let servers = self.adapter.servers().into_iter();
        let admins = servers.filter(|server| server.service == *service && server.name != *me);
        admins.map(|server| server.name).collect()
    }

    /// The topology, and the servers that count.
    fn view(&self) -> (Vec<NodeView>, BTreeSet<ServerName>) {
        let servers = self.adapter.servers().into_iter();
        let counted = servers.filter(|server| server.counted).map(|server| server.name);
        (self.adapter.topology(), counted.collect())
    }

    fn sight<'a>(&self, nodes: &'a [NodeView], counted: &'a BTreeSet<ServerName>) -> Sight<'a> {
        let now = Instant::now();
        let is_clear = self.clearness.lock().look(self.adapter.is_ready(), now);
        Sight {
            nodes,
            counted,
            is_clear,
            now,
        }
    }

    fn limit(&self, job: &Job) -> Duration {
        let [adding, removing] = self.limits;
        match (job.what, job.replicas) {
            (What::Remove, _) => removing,
            (What::Scale, Some(replicas)) => replicas.limit(adding, removing),
            (What::Add, _) | (What::Scale, None) => adding,
        }
    }
}
