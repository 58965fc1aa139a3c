//! When a change of a node that was not possible is tried again. State without I/O: the time is handed in.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use wsmesh_adapter::NodeId;

/// The first pause, and the longest. Each is twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// Changes that were not possible.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    refused: BTreeMap<NodeId, Refused>,
}

#[derive(Debug)]
struct Refused {
    problem: String,
    pause: Duration,
    next: Instant,
}

impl Attempts {
    /// Whether a change may be tried now.
    pub(super) fn is_due(&self, node: &NodeId, now: Instant) -> bool {
        self.refused.get(node).is_none_or(|refused| refused.next <= now)
    }

    /// A change was not possible. Returns whether the reason is a new one.
    pub(super) fn refuse(&mut self, node: &NodeId, problem: &str, now: Instant) -> bool {
        let before = self.refused.get(node);
        let pause = before.map_or(PAUSES.0, |before| (before.pause * 2).min(PAUSES.1));
        let is_new = before.is_none_or(|before| before.problem != problem);
        let refused = Refused {
            problem: problem.to_owned(),
            pause,
            next: now + pause,
        };
        self.refused.insert(node.clone(), refused);
        is_new
    }

    /// Why the last attempt was not possible.
    pub(super) fn problem(&self, node: &NodeId) -> Option<&str> {
        self.refused.get(node).map(|refused| &*refused.problem)
    }

    /// Forgets everything about nodes that nothing is to be done with any more. So a pod that becomes ready again is tried at once.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(&NodeId) -> bool) {
        self.refused.retain(|node, _| is_wanted(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_change_is_tried_again_later_and_later_and_a_new_reason_is_told() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let node = NodeId::new("redis-3").expect("an id");
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(attempts.is_due(&node, start));
        assert!(attempts.refuse(&node, "wrong password", start));
        assert!(!attempts.is_due(&node, at(1)) && attempts.is_due(&node, at(2)));
        assert!(!attempts.refuse(&node, "wrong password", at(2)), "as before");
        assert!(!attempts.is_due(&node, at(5)) && attempts.is_due(&node, at(6)));
        assert!(attempts.refuse(&node, "too old", at(6)));
        assert_eq!(attempts.problem(&node), Some("too old"));
        for _ in 0..20 {
            attempts.refuse(&node, "too old", at(100));
        }
        assert!(
            !attempts.is_due(&node, at(159)) && attempts.is_due(&node, at(160)),
            "the longest pause"
        );
        attempts.keep(|_| false);
        assert!(attempts.is_due(&node, at(100)) && attempts.problem(&node).is_none());
    }
}
