//! The tasks that are started while a server runs: handlers of listeners, and answers on their way. The driver waits for them.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Starts tasks, and ends with all of them. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    all: TaskTracker,
    /// Requests of others that were not answered yet.
    answering: TaskTracker,
    stop: CancellationToken,
    runtime: Handle,
}

impl Tasks {
    /// On the current runtime.
    pub(crate) fn new() -> Self {
        Self {
            all: TaskTracker::new(),
            answering: TaskTracker::new(),
            stop: CancellationToken::new(),
            runtime: Handle::current(),
        }
    }

    /// Cancelled when the server ends.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Runs a task of the adapter.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.all.spawn_on(task, &self.runtime);
    }

    /// Runs the application's code where the application runs: the adapter's own runtime may be a thread that serves clients.
    pub(crate) fn spawn_for_caller(&self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = Handle::try_current().unwrap_or_else(|_| self.runtime.clone());
        self.all.spawn_on(task, &runtime);
    }

    /// Held while a request of another server waits for its answer.
    pub(crate) fn answering(&self) -> TaskTrackerToken {
        self.answering.token()
    }

    /// Resolves when every request that came so far is answered.
    pub(crate) async fn answered(&self) {
        self.answering.close();
        self.answering.wait().await;
    }

    /// Resolves when all tasks have ended.
    pub(crate) async fn ended(&self) {
        self.all.close();
        self.all.wait().await;
    }
}
