//! Accepts connections while there are free permits. Failures are logged at most every ten seconds, with their number.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pause after an accept that failed for lack of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Shortest time between two log lines about failures.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The listener, and the permits for connections.
pub(super) struct Acceptor {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    failures: FailureLog,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, permits: Arc<Semaphore>) -> Self {
        Self {
            listener,
            permits,
            failures: FailureLog::default(),
        }
    }

    /// The next connection, once there is a permit for it. Cancel-safe.
    pub(super) async fn next(&mut self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // The semaphore is never closed.
                std::future::pending().await
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, permit),
                Err(error) if is_ended_by_peer(&error) => {}
                Err(error) => {
                    if let Some(failures) = self.failures.count(Instant::now()) {
                        tracing::warn!(
                            %error,
                            failures,
                            "cannot accept connections; trying again (does something else use up this process's open files?)"
                        );
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Whether the peer ended the connection before it was accepted: nothing is wrong here.
fn is_ended_by_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Counts failures until it is time to log them: at once, then every [`LOG_EVERY`].
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    logged: Option<Instant>,
    failures: u64,
}

impl FailureLog {
    /// Counts a failure. Returns the number of failures if it is time to log them.
    pub(super) fn count(&mut self, now: Instant) -> Option<u64> {
        self.failures += 1;
        if self.logged.is_some_and(|logged| now.duration_since(logged) < LOG_EVERY) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_at_once_and_then_every_ten_seconds_with_their_number() {
        let (mut failures, start) = (FailureLog::default(), Instant::now());
        assert_eq!(failures.count(start), Some(1));
        for number in 1..100 {
            let now = start + Duration::from_millis(number * 100);
            assert_eq!(failures.count(now), None, "{number}");
        }
        assert_eq!(failures.count(start + LOG_EVERY), Some(100));
        assert_eq!(failures.count(start + LOG_EVERY), None);
    }
}
