//! Waiting for what must happen, with a time limit that only a failure reaches.

use std::time::Duration;

/// The time limit: longer than anything takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits for a future.
///
/// # Panics
/// When it takes longer than [`SOON`]; the message contains `what`.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future)
        .await
        .unwrap_or_else(|_| panic!("not within {SOON:?}: {what}"))
}

/// Waits until a condition holds.
///
/// # Panics
/// When that takes longer than [`SOON`]; the message contains `what`.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let polling = async {
        while !holds() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    soon(what, polling).await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_condition_is_checked_until_it_holds() {
        let checks = Cell::new(0);
        until("three checks", || checks.replace(checks.get() + 1) == 2).await;
        assert_eq!(checks.get(), 3);
    }
}
