//! The wait before reconnecting: longer each time, with jitter, but short while this server hears no node at all. (No
//! back-off crate offers a wait that a later event cuts short.)

use std::time::Duration;

use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// The shortest and longest wait. Doubled after each failure.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// The longest wait while no node is heard, because nothing can be sent until one is.
const URGENT: Duration = Duration::from_millis(400);

/// The waits of one connection.
pub(super) struct Backoff {
    next: Duration,
    /// Whether this server hears no node.
    deaf: watch::Receiver<bool>,
}

impl Backoff {
    pub(super) fn new(deaf: watch::Receiver<bool>) -> Self {
        Self { next: WAITS.0, deaf }
    }

    /// A connection existed for this long. After a lasting one, the next wait is short again.
    pub(super) fn held(&mut self, lifetime: Duration) {
        if lifetime > WAITS.1 {
            self.next = WAITS.0;
        }
    }

    /// Waits before the next attempt. A long wait is cut short when the last heard node falls silent.
    pub(super) async fn wait(&mut self) {
        let (since, jitter) = (Instant::now(), rand::rng().random_range(0.5..1.0));
        let (usual, urgent) = (self.next.mul_f64(jitter), self.next.min(URGENT).mul_f64(jitter));
        self.next = (self.next * 2).min(WAITS.1);
        // Fails only when the adapter ends.
        let deaf = async { self.deaf.wait_for(|deaf| *deaf).await.map(drop) };
        tokio::select! {
            () = sleep(usual) => {}
            _ = deaf => sleep_until(since + urgent).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(backoff: &mut Backoff) -> Duration {
        let since = Instant::now();
        backoff.wait().await;
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_while_another_node_is_heard_and_shrink_after_a_lasting_connection() {
        let deaf = watch::Sender::new(false);
        let mut backoff = Backoff::new(deaf.subscribe());
        assert!(waited(&mut backoff).await <= WAITS.0);
        for _ in 0..10 {
            waited(&mut backoff).await;
        }
        let longest = waited(&mut backoff).await;
        assert!(longest >= WAITS.1 / 2 && longest <= WAITS.1, "{longest:?}");
        backoff.held(WAITS.1);
        assert!(
            waited(&mut backoff).await >= WAITS.1 / 2,
            "the connection did not last long enough"
        );
        backoff.held(WAITS.1 * 2);
        assert!(waited(&mut backoff).await <= WAITS.0);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_are_short_while_no_node_is_heard_and_a_long_one_is_cut_short() {
        let deaf = watch::Sender::new(true);
        let mut backoff = Backoff::new(deaf.subscribe());
        for _ in 0..10 {
            let wait = waited(&mut backoff).await;
            assert!(wait <= URGENT + Duration::from_millis(1), "{wait:?}");
        }
        deaf.send_replace(false);
        let later = async {
            sleep(Duration::from_secs(1)).await;
            deaf.send_replace(true);
        };
        let (wait, ()) = tokio::join!(waited(&mut backoff), later);
        assert!(wait <= Duration::from_millis(1001), "{wait:?}");
    }
}
