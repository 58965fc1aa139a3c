//! What may wait for all clients of a ws-node together. When it is too much, each shard that has more than its part closes its slowest
//! clients, until three quarters are left. A turn in which nothing more or less waits costs one comparison.

use std::cell::Cell;

use wsmesh_adapter::ConnectionId;

use super::core::Core;
use super::outgoing::Onlooker;

/// The most that may wait, for all shards together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) bytes: usize,
    pub(crate) shards: usize,
}

/// What one shard has told the others, and when it looks again.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// What it told last.
    waiting: Cell<usize>,
    /// It looks when this much waits: what it found last time is shared by so many clients that it holds little memory.
    look_at: Cell<usize>,
}

impl Budget {
    /// How much memory a shard may hold on to, where so much waits in this shard and in all; none if it may go on.
    fn target(self, waiting: usize, all: usize) -> Option<usize> {
        let part = self.bytes / self.shards.max(1);
        let rest = |bytes: usize| bytes - bytes / 4;
        let others = all.saturating_sub(waiting);
        (all > self.bytes && waiting > part).then(|| rest(self.bytes).saturating_sub(others).max(rest(part)))
    }
}

impl<H: Onlooker> Core<H> {
    /// At the end of a turn: closes the slowest clients if too much waits.
    pub(super) fn relieve(&self) {
        let waiting = self.shard().waiting();
        let before = self.pressure.waiting.replace(waiting);
        if waiting == before {
            return;
        }
        self.metrics.outboxes.add(waiting as i64 - before as i64);
        let all = usize::try_from(self.metrics.outboxes.get()).unwrap_or(0);
        let Some(target) = self.settings.budget.target(waiting, all) else {
            return self.pressure.look_at.set(0);
        };
        if waiting < self.pressure.look_at.get() {
            return;
        }
        let (slowest, held) = self.shard().slowest_beyond(target);
        self.pressure.look_at.set(waiting + target / 4);
        self.close_slowest(&slowest, held);
    }

    fn close_slowest(&self, slowest: &[ConnectionId], held: usize) {
        if slowest.is_empty() {
            return;
        }
        tracing::warn!(
            clients = slowest.len(),
            held_bytes = held,
            outbox_total_bytes = self.settings.budget.bytes,
            "closing the slowest clients: too much waits for all clients together"
        );
        for handle in slowest.iter().filter_map(|&connection| self.handle(connection)) {
            self.close_slow(&handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { bytes: 800, shards: 2 };

    #[test]
    fn a_shard_may_use_what_others_leave() {
        assert_eq!(BUDGET.target(800, 800), None);
        assert_eq!(BUDGET.target(900, 900), Some(600));
        assert_eq!(BUDGET.target(700, 900), Some(400));
    }

    #[test]
    fn a_shard_within_its_part_closes_nobody_and_keeps_three_quarters_of_it() {
        assert_eq!(BUDGET.target(400, 5_000), None);
        assert_eq!(BUDGET.target(401, 5_000), Some(300));
    }
}
