//! Whether this admin sees all servers. One that has just started, or was cut off, knows too little for a while to call a change done.

use std::time::Duration;

use tokio::time::Instant;

/// How long after it was cut off an admin sees all servers again: they tell about themselves once a second, a little later in a large
/// cluster.
const CLEAR_AFTER: Duration = Duration::from_secs(3);

/// Whether this admin sees all servers.
#[derive(Debug)]
pub(super) enum Clearness {
    Clear,
    CutOff,
    /// It hears a node again, since then.
    Back(Instant),
}

impl Default for Clearness {
    fn default() -> Self {
        Self::Back(Instant::now())
    }
}

impl Clearness {
    /// Whether all servers are seen, given whether this admin hears a node now.
    pub(super) fn look(&mut self, hears: bool, now: Instant) -> bool {
        *self = match (hears, &*self) {
            (false, _) => Self::CutOff,
            (true, Self::CutOff) => Self::Back(now),
            (true, Self::Back(since)) if now.duration_since(*since) < CLEAR_AFTER => Self::Back(*since),
            (true, _) => Self::Clear,
        };
        matches!(self, Self::Clear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_that_started_or_was_cut_off_waits_until_it_sees_all_servers() {
        let now = Instant::now();
        let mut clearness = Clearness::Back(now);
        let after = |ms| now + Duration::from_millis(ms);
        assert!(!clearness.look(true, after(50)), "it has just started");
        assert!(!clearness.look(false, after(100)));
        assert!(
            !clearness.look(true, after(200)),
            "it hears a node, and has not heard of all servers yet"
        );
        assert!(!clearness.look(true, after(3100)));
        assert!(!clearness.look(false, after(3150)), "cut off again");
        assert!(!clearness.look(true, after(3250)));
        assert!(!clearness.look(true, after(6200)));
        assert!(clearness.look(true, after(6250)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_admin_that_has_just_started_and_hears_a_node_sees_all_servers_soon() {
        let mut clearness = Clearness::default();
        assert!(!clearness.look(true, Instant::now()));
        tokio::time::advance(CLEAR_AFTER).await;
        assert!(clearness.look(true, Instant::now()));
    }
}
