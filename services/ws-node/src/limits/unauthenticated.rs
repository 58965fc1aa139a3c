//! Permits for connections whose clients have not authenticated yet: how many there may be at once.

use std::fmt;
use std::sync::Arc;

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most connections that wait for authentication at once.
const MOST_UNAUTHENTICATED: usize = 4096;

/// The permits.
#[derive(Debug)]
pub(crate) struct UnauthenticatedPermits {
    free: Arc<Semaphore>,
    in_use: IntGauge,
}

/// Lets one connection wait, until it is dropped.
pub(crate) struct UnauthenticatedPermit {
    in_use: IntGauge,
    #[expect(dead_code, reason = "held: dropping it frees the permit")]
    permit: OwnedSemaphorePermit,
}

impl UnauthenticatedPermits {
    /// `in_use` shows how many are in use.
    pub(crate) fn new(in_use: IntGauge) -> Self {
        let free = Arc::new(Semaphore::new(MOST_UNAUTHENTICATED));
        Self { free, in_use }
    }

    /// A permit; None if all are in use.
    pub(crate) fn take(&self) -> Option<UnauthenticatedPermit> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        self.in_use.inc();
        let in_use = self.in_use.clone();
        Some(UnauthenticatedPermit { in_use, permit })
    }
}

impl Drop for UnauthenticatedPermit {
    fn drop(&mut self) {
        self.in_use.dec();
    }
}

impl fmt::Debug for UnauthenticatedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnauthenticatedPermit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_all_permits_are_in_use_nobody_waits_until_one_is_freed() {
        let in_use = IntGauge::new("in_use", "Permits.").expect("a gauge");
        let permits = UnauthenticatedPermits::new(in_use.clone());
        let mut taken: Vec<_> = (0..MOST_UNAUTHENTICATED)
            .map(|_| permits.take().expect("free"))
            .collect();
        assert!(permits.take().is_none());
        assert_eq!(in_use.get(), MOST_UNAUTHENTICATED as i64);
        drop(taken.pop());
        assert!(permits.take().is_some());
        drop(taken);
        assert_eq!(in_use.get(), 0);
    }
}
