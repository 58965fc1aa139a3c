//! The client of the test: a real WebSocket, which answers what it is asked with what it got.

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use wsmesh_connector::{Client, Connector, Lifecycle};

use super::plan::Plan;

/// What the client is asked.
pub(super) const QUESTION: &str = "wsmesh.selftest";

/// Longest time for a connection, so that there is some left to say more about the nodes.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait before another attempt: a Service may know its pods a moment later than they are ready.
const AGAIN: Duration = Duration::from_millis(500);
/// Longest time for the goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// An open connection.
pub(super) struct Socket {
    client: Client,
    tasks: JoinSet<()>,
}

impl Socket {
    /// Connects. Attempts that cannot succeed later are not repeated: a token that is rejected, say.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(super) async fn open(plan: &Plan, deadline: Instant) -> Result<Self, String> {
        let mut options = plan.connector.clone();
        options.fast_reconnect_interval = AGAIN;
        options.reconnect_max_interval = AGAIN;
        let (client, task) = Connector::new(options).map_err(|error| error.to_string())?;
        let mut questions = client.on_request(QUESTION);
        let mut happened = client.lifecycle();
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run());
        tasks.spawn(async move {
            while let Some(question) = questions.recv().await {
                let payload = question.payload.json::<Value>().unwrap_or_default();
                // If the connection has ended, whoever asked learns that from the server.
                let _ = question.answer(&payload).await;
            }
        });
        let mut why = None;
        let opened = async {
            loop {
                tokio::select! {
                    opened = client.opened() => return opened,
                    Some(now) = happened.recv() => if let Lifecycle::Ended(error) = now { why = Some(error) },
                }
            }
        };
        let limit = deadline.min(Instant::now() + CONNECT);
        match timeout_at(limit, opened).await {
            Ok(Ok(())) => Ok(Self { client, tasks }),
            Ok(Err(end)) => Err(end.to_string()),
            Err(_) => Err(match why {
                Some(error) => format!("no connection in time: {error}"),
                None => "no connection in time: nothing answers at this address".to_owned(),
            }),
        }
    }

    /// Closes the connection.
    pub(super) async fn close(mut self) {
        let _ = timeout(GOODBYE, self.client.close()).await;
        self.tasks.shutdown().await;
    }
}
