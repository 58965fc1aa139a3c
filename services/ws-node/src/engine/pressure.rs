//! What may wait for all clients of a ws-node together. When it is too much, each shard that has more than its part closes its slowest
//! clients, until three quarters are left. A turn in which nothing more or less waits costs one comparison.
//!
//! What waits is counted for each client. Whether it is too much memory is known only after a look at every frame, so a shard looks
//! when a quarter more waits than last time, and while too much is counted also by its clock.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wsmesh_adapter::ConnectionId;

use super::core::Core;
use super::outgoing::Onlooker;

/// Least time between two looks of the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The clock's looks take at most one part in so many of the thread's time.
const LOOK_SHARE: u32 = 20;

/// The most that may wait, for all shards together. Clones share what is counted.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    bytes: usize,
    shards: usize,
    /// What waits in all shards; a frame counts for each client that it waits for.
    all: Arc<AtomicUsize>,
}

/// What one shard has told the others, and when it looks again.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// What it told last.
    waiting: Cell<usize>,
    /// It looks when this much waits: what it found last time is shared by so many clients that it holds little memory.
    look_at: Cell<usize>,
    /// Its clock does not look before.
    rest_until: Cell<Option<Instant>>,
}

impl Budget {
    /// So many bytes for all of these shards.
    pub(crate) fn new(bytes: usize, shards: usize) -> Self {
        Self {
            bytes,
            shards,
            all: Arc::default(),
        }
    }

    /// More or less waits in one shard. What waits in all of them then.
    fn changed(&self, before: usize, waiting: usize) -> usize {
        if waiting >= before {
            let more = waiting - before;
            self.all.fetch_add(more, Ordering::Relaxed) + more
        } else {
            let less = before - waiting;
            self.all.fetch_sub(less, Ordering::Relaxed).saturating_sub(less)
        }
    }

    /// How much memory a shard may hold on to, where so much waits in this shard and in all; none if it may go on.
    fn target(&self, waiting: usize, all: usize) -> Option<usize> {
        let part = self.bytes / self.shards.max(1);
        let rest = |bytes: usize| bytes - bytes / 4;
        let others = all.saturating_sub(waiting);
        (all > self.bytes && waiting > part).then(|| rest(self.bytes).saturating_sub(others).max(rest(part)))
    }
}

impl Pressure {
    /// When it looks again after a look, or after some of it was written. A quarter more, so that the looks of a growing shard cost no
    /// more than its growth.
    fn next_look(waiting: usize, target: usize) -> usize {
        waiting.saturating_add(target.max(waiting) / 4)
    }

    /// Whether it looks now. Where less waits than before, others may have come for those that were written: these may share nothing.
    fn is_time(&self, before: usize, waiting: usize, target: usize) -> bool {
        if waiting < before {
            let sooner = self.look_at.get().min(Self::next_look(waiting, target));
            self.look_at.set(sooner);
        }
        waiting >= self.look_at.get()
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
        let all = self.settings.budget.changed(before, waiting);
        let Some(target) = self.settings.budget.target(waiting, all) else {
            return self.pressure.look_at.set(0);
        };
        if self.pressure.is_time(before, waiting, target) {
            self.look(waiting, target);
        }
    }

    /// The same by the clock: what waits here may stay as it is while other shards get more, or frames that share nothing may take
    /// the place of shared ones.
    pub(super) fn relieve_by_clock(&self, now: Instant) {
        let (budget, waiting) = (&self.settings.budget, self.pressure.waiting.get());
        let Some(target) = budget.target(waiting, budget.all.load(Ordering::Relaxed)) else {
            return;
        };
        if self.pressure.rest_until.get().is_none_or(|until| now >= until) {
            self.look(waiting, target);
        }
    }

    fn look(&self, waiting: usize, target: usize) {
        let began = Instant::now();
        let (slowest, held) = self.shard().slowest_beyond(target);
        let rest = LOOK_EVERY.max(began.elapsed() * LOOK_SHARE);
        self.pressure.rest_until.set(Some(began + rest));
        self.pressure.look_at.set(Pressure::next_look(waiting, target));
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
            match handle.is_open() {
                true => self.close_slow(&handle),
                // It is closed already, and still holds what it does not read.
                false => {
                    self.clear_outbox(&handle);
                    self.mark_dirty(&handle);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use wsmesh_adapter::{Attachment, ClientId, Frame, Introduction};
    use wsmesh_protocol::CloseCode;

    use super::super::connection::tests::{Nothing, core};
    use super::super::ending::Farewell;
    use super::super::handle::Handle;
    use super::*;

    /// Clients whose streams take nothing.
    struct Stalled {
        core: Rc<Core<Nothing>>,
        clients: Vec<(Rc<Handle<Nothing>>, Attachment)>,
        _driver: wsmesh_adapter::Driver,
    }

    impl Stalled {
        fn new(budget: Budget, clients: usize) -> Self {
            let (core, driver) = core(budget);
            let attach = |number| {
                let client = ClientId::new(format!("c{number}")).expect("valid");
                let attached = core
                    .adapter
                    .attach_with(client.clone(), core.index, Introduction::default());
                let attachment = attached.expect("attached");
                let (connection, context) = (attachment.connection(), attachment.context().clone());
                let later = Instant::now() + Duration::from_secs(60);
                let handle = Handle::new(client, connection, context, Nothing { panics: false }, later, None);
                let handle = Rc::new(handle);
                core.insert(&handle, []);
                (handle, attachment)
            };
            let clients = (0..clients).map(attach).collect();
            Self {
                core,
                clients,
                _driver: driver,
            }
        }

        fn push(&self, client: usize, frame: &Frame) {
            self.core.push(&self.clients[client].0, frame.clone());
            self.core.turn();
        }

        fn closed(&self) -> u64 {
            self.core.metrics.slow_clients_closed.get()
        }
    }

    /// A frame of 10,000 bytes, which only its clones share.
    fn frame() -> Frame {
        Frame::new("x".repeat(10_000))
    }

    fn budget() -> Budget {
        Budget::new(800, 2)
    }

    #[test]
    fn a_shard_may_use_what_others_leave() {
        assert_eq!(budget().target(800, 800), None);
        assert_eq!(budget().target(900, 900), Some(600));
        assert_eq!(budget().target(700, 900), Some(400));
    }

    #[test]
    fn a_shard_within_its_part_closes_nobody_and_keeps_three_quarters_of_it() {
        assert_eq!(budget().target(400, 5_000), None);
        assert_eq!(budget().target(401, 5_000), Some(300));
    }

    #[test]
    fn what_waits_in_all_shards_is_their_sum() {
        let (one, other) = (budget(), budget());
        let same = one.clone();
        assert_eq!(
            (one.changed(0, 500), same.changed(0, 300), one.changed(500, 100)),
            (500, 800, 400)
        );
        assert_eq!(other.changed(0, 1), 1);
    }

    #[test]
    fn the_looks_of_a_shard_that_grows_are_few() {
        let (pressure, mut looks) = (Pressure::default(), 0);
        for waiting in 1_000..1_000_000 {
            if pressure.is_time(waiting - 1, waiting, 600) {
                pressure.look_at.set(Pressure::next_look(waiting, 600));
                looks += 1;
            }
        }
        assert!(looks <= 32, "{looks}");
    }

    #[tokio::test]
    async fn frames_that_share_nothing_are_noticed_after_a_burst_of_shared_ones() {
        let stalled = Stalled::new(Budget::new(100_000, 1), 10);
        for shared in [frame(), frame(), frame(), frame(), frame()] {
            (0..10).for_each(|client| stalled.push(client, &shared));
        }
        assert!(stalled.core.shard().waiting() > 500_000 && stalled.closed() == 0);
        for (handle, _) in &stalled.clients[2..] {
            stalled.core.remove(handle);
        }
        stalled.core.turn();
        assert_eq!(stalled.closed(), 0);
        (0..5).for_each(|_| stalled.push(0, &frame()));
        assert_eq!(stalled.closed(), 1);
        assert!(!stalled.clients[0].0.is_open() && stalled.clients[1].0.is_open());
    }

    #[tokio::test]
    async fn a_shard_in_which_nothing_moves_gives_way_to_others() {
        let budget = Budget::new(200_000, 2);
        let stalled = Stalled::new(budget.clone(), 2);
        (0..11).for_each(|_| stalled.push(0, &frame()));
        (0..4).for_each(|_| stalled.push(1, &frame()));
        budget.changed(0, 90_000);
        let now = Instant::now();
        stalled.core.turn();
        assert_eq!(stalled.closed(), 0, "it has no turn in which something changes");
        stalled.core.sweep(now, false);
        assert_eq!(stalled.closed(), 1);
        assert!(stalled.clients[1].0.is_open());
        stalled.core.turn();
        assert!(stalled.core.shard().waiting() < 50_000);
    }

    #[tokio::test]
    async fn the_clock_looks_again_only_after_a_rest() {
        let stalled = Stalled::new(Budget::new(50_000, 1), 10);
        let shared = frame();
        (0..10).for_each(|client| stalled.push(client, &shared));
        let rest = stalled.core.pressure.rest_until.get();
        stalled.core.sweep(Instant::now(), false);
        assert!(rest.is_some() && stalled.core.pressure.rest_until.get() == rest);
        stalled.core.sweep(Instant::now() + Duration::from_secs(3_600), false);
        assert_ne!(stalled.core.pressure.rest_until.get(), rest);
        assert_eq!(stalled.closed(), 0);
    }

    #[tokio::test]
    async fn what_waits_for_clients_that_are_closing_goes_first_if_it_is_most() {
        let stalled = Stalled::new(Budget::new(100_000, 1), 2);
        (0..7).for_each(|_| stalled.push(0, &frame()));
        stalled
            .core
            .close(&stalled.clients[0].0, &Farewell::new(CloseCode::GoingAway, ""));
        (0..4).for_each(|_| stalled.push(1, &frame()));
        stalled.core.turn();
        assert!(stalled.clients[1].0.is_open() && stalled.closed() == 0);
        assert!(stalled.core.shard().waiting() < 50_000);
    }
}
