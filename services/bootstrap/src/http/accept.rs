//! Accepts connections while there are free places. Failures are logged at most every ten seconds, with their number.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pause after an accept that failed because something was short (descriptors, memory).
const BREATH: Duration = Duration::from_millis(100);

/// How often failures are logged.
const TELL: Duration = Duration::from_secs(10);

/// The listener and the places.
pub(super) struct Acceptor {
    listener: TcpListener,
    places: Arc<Semaphore>,
    trouble: Trouble,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, places: Arc<Semaphore>) -> Self {
        Self {
            listener,
            places,
            trouble: Trouble::default(),
        }
    }

    /// The next connection, once there is a place for it. Cancel-safe.
    pub(super) async fn next(&mut self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                // It is never closed.
                std::future::pending().await
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, place),
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    if let Some(failures) = self.trouble.is_to_be_told(Instant::now()) {
                        tracing::warn!(
                            %error,
                            failures,
                            "cannot accept connections; trying again (are there other users of this process's open files?)"
                        );
                    }
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

/// Whether a connection ended before it was accepted: nothing is wrong here.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Counts what happens until it is time to log it: at once, then every [`TELL`].
#[derive(Debug, Default)]
pub(super) struct Trouble {
    told: Option<Instant>,
    failures: u64,
}

impl Trouble {
    /// Counts a failure. The number of failures, if it is time to log them.
    pub(super) fn is_to_be_told(&mut self, now: Instant) -> Option<u64> {
        self.failures += 1;
        if self.told.is_some_and(|told| now.duration_since(told) < TELL) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_at_once_and_then_now_and_then_with_how_often_it_came() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.is_to_be_told(start), Some(1));
        for number in 1..100 {
            let now = start + Duration::from_millis(number * 100);
            assert_eq!(trouble.is_to_be_told(now), None, "{number}");
        }
        assert_eq!(trouble.is_to_be_told(start + TELL), Some(100));
        assert_eq!(trouble.is_to_be_told(start + TELL), None);
    }
}
