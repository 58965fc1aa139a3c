//! The clients that read more slowly than they are sent: noticed by each shard's clock as it looks at all connections anyway, told
//! to whoever asks. Bounded; nothing is computed when somebody asks.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wsmesh_adapter::ClientId;
use wsmesh_protocol::report::{MAX_SLOW_CLIENTS, SlowClient};

/// A client with fewer bytes in its queue is slow only if its connection has taken nothing for [`SLOW_AFTER`]: every client's
/// connection is full for moments.
const SLOW_BYTES: usize = 64 * 1024;
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// The slow clients of all shards, as of the last look of each. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlowClients {
    by_shard: Arc<Mutex<BTreeMap<usize, Vec<SlowClient>>>>,
}

impl SlowClients {
    /// Those with most in their queue, of all shards.
    pub(crate) fn list(&self) -> Vec<SlowClient> {
        let by_shard = self.by_shard.lock();
        let mut all: Vec<_> = by_shard.values().flatten().cloned().collect();
        drop(by_shard);
        all.sort_by_key(|slow| Reverse(slow.queued_bytes));
        all.truncate(MAX_SLOW_CLIENTS);
        all
    }

    /// Replaces those of a shard.
    pub(super) fn set(&self, shard: usize, look: Look) {
        let found: Vec<_> = look.found.into_iter().map(|(_, slow)| slow).collect();
        let mut by_shard = self.by_shard.lock();
        if found.is_empty() {
            by_shard.remove(&shard);
        } else {
            by_shard.insert(shard, found);
        }
    }
}

/// One look at the connections of a shard.
#[derive(Debug, Default)]
pub(super) struct Look {
    found: Vec<(usize, SlowClient)>,
}

impl Look {
    /// A connection with this much in its queue, which has taken nothing since then.
    pub(super) fn see(&mut self, client: &ClientId, queued: usize, blocked_since: Option<Instant>, now: Instant) {
        let Some(since) = blocked_since else { return };
        let blocked = now.saturating_duration_since(since);
        if queued == 0 || (queued < SLOW_BYTES && blocked < SLOW_AFTER) {
            return;
        }
        let slow = || SlowClient {
            client: client.to_string(),
            queued_bytes: queued as u64,
            queued_ms: u64::try_from(blocked.as_millis()).ok(),
        };
        if self.found.len() < MAX_SLOW_CLIENTS {
            self.found.push((queued, slow()));
        } else if let Some(least) = self.found.iter_mut().min_by_key(|(queued, _)| *queued)
            && least.0 < queued
        {
            *least = (queued, slow());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: usize) -> ClientId {
        ClientId::new(format!("c{number}")).expect("an id")
    }

    #[test]
    fn of_many_slow_clients_those_with_most_in_their_queue_are_told() {
        let (all, now) = (SlowClients::default(), Instant::now());
        for shard in 0..2 {
            let mut look = Look::default();
            (1..500).for_each(|n| look.see(&client(n), n * SLOW_BYTES + shard, Some(now), now));
            all.set(shard, look);
        }
        let list = all.list();
        assert_eq!(list.len(), MAX_SLOW_CLIENTS);
        assert_eq!((list[0].client.as_str(), list[19].client.as_str()), ("c499", "c490"));
    }

    #[test]
    fn a_connection_that_is_full_for_a_moment_is_not_slow() {
        let (mut look, now) = (Look::default(), Instant::now());
        look.see(&client(1), 100, Some(now), now + SLOW_AFTER / 2);
        look.see(&client(2), SLOW_BYTES, None, now);
        look.see(&client(3), 0, Some(now), now + SLOW_AFTER * 9);
        assert!(look.found.is_empty());
        look.see(&client(4), 100, Some(now), now + SLOW_AFTER);
        assert_eq!(look.found[0].1.queued_ms, Some(1000));
    }

    #[test]
    fn a_client_that_reads_again_is_not_told_any_more() {
        let (all, now) = (SlowClients::default(), Instant::now());
        let mut look = Look::default();
        look.see(&client(1), SLOW_BYTES, Some(now), now);
        all.set(0, look);
        assert_eq!(all.list().len(), 1);
        all.set(0, Look::default());
        assert_eq!(all.list(), []);
    }
}
