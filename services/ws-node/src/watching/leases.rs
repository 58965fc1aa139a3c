//! The watches of all admins: at most twenty, each as long as its admin speaks. State without I/O; the time is handed in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use wsmesh_adapter::{ClientId, ServerName};
use wsmesh_protocol::watching::{MAX_WATCHES, WatchOrder, Watches};

use super::Change;
use super::buffer::Buffer;
use super::frames::Payloads;

/// One watch of one admin.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) id: String,
    pub(super) client: ClientId,
    /// The admin that is told.
    pub(super) holder: ServerName,
    pub(super) payloads: Payloads,
    pub(super) buffer: Mutex<Buffer>,
}

/// The watches of all admins.
#[derive(Debug, Default)]
pub(super) struct Leases {
    holders: BTreeMap<ServerName, Lease>,
}

/// The watches of one admin.
#[derive(Debug)]
struct Lease {
    instance: u64,
    number: u64,
    until: Instant,
    watches: BTreeMap<String, Arc<Watch>>,
}

impl Leases {
    /// An admin says what it watches, until then. What is older than what it said before changes nothing.
    pub(super) fn told(&mut self, holder: &ServerName, told: &Watches, until: Instant, now: Instant) -> Change {
        let mut change = self.expire(now);
        let known = self.holders.get(holder);
        if known.is_some_and(|lease| (told.instance, told.number) <= (lease.instance, lease.number)) {
            return change;
        }
        let mut before = self
            .holders
            .remove(holder)
            .map(|lease| lease.watches)
            .unwrap_or_default();
        let others = self.len();
        let mut watches = BTreeMap::new();
        for order in &told.watches {
            if let Some(watch) = before.remove(&order.id) {
                watches.insert(order.id.clone(), watch);
            }
        }
        for order in &told.watches {
            if watches.contains_key(&order.id) {
                continue;
            }
            match Watch::new(order, holder).filter(|_| others + watches.len() < MAX_WATCHES) {
                Some(watch) => {
                    let watch = Arc::new(watch);
                    change.clients.push(watch.client.clone());
                    change.begun.push(Arc::clone(&watch));
                    watches.insert(order.id.clone(), watch);
                }
                None => change.taken.refused.push(order.id.clone()),
            }
        }
        change.ended(before.into_values());
        let lease = Lease {
            instance: told.instance,
            number: told.number,
            until,
            watches,
        };
        self.holders.insert(holder.clone(), lease);
        change
    }

    /// Forgets the watches of admins that did not speak in time.
    pub(super) fn expire(&mut self, now: Instant) -> Change {
        let mut change = Change::default();
        let silent = self.holders.extract_if(.., |_, lease| lease.until <= now);
        silent.for_each(|(_, lease)| change.ended(lease.watches.into_values()));
        change
    }

    /// All watches, those of one admin together.
    pub(super) fn watches(&self) -> impl Iterator<Item = &Arc<Watch>> {
        self.holders.values().flat_map(|lease| lease.watches.values())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.holders.values().map(|lease| lease.watches.len()).sum()
    }
}

impl Watch {
    /// None if there can be no such client.
    fn new(order: &WatchOrder, holder: &ServerName) -> Option<Self> {
        Some(Self {
            id: order.id.clone(),
            client: ClientId::new(order.client.clone()).ok()?,
            holder: holder.clone(),
            payloads: if order.payloads {
                Payloads::Shown
            } else {
                Payloads::Hidden
            },
            buffer: Mutex::default(),
        })
    }
}

impl Change {
    fn ended(&mut self, watches: impl Iterator<Item = Arc<Watch>>) {
        for watch in watches {
            // Connections may hold it for a moment longer.
            watch.buffer.lock().close();
            self.clients.push(watch.client.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn admin(name: &str) -> ServerName {
        ServerName::new(name).expect("a name")
    }

    fn told(number: u64, ids: impl IntoIterator<Item = usize>) -> Watches {
        let order = |id: usize| WatchOrder {
            id: id.to_string(),
            client: format!("client-{id}"),
            payloads: false,
        };
        Watches {
            instance: 7,
            number,
            watches: ids.into_iter().map(order).collect(),
        }
    }

    fn ids(leases: &Leases) -> Vec<&str> {
        leases.watches().map(|watch| watch.id.as_str()).collect()
    }

    #[test]
    fn the_twenty_first_watch_is_refused_whoever_asks_for_it() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        let until = now + LEASE;
        let first = leases.told(&admin("a"), &told(1, 0..12), until, now);
        assert_eq!((first.begun.len(), first.taken.refused.len()), (12, 0));
        let second = leases.told(&admin("b"), &told(1, 20..30), until, now);
        assert_eq!(
            (second.begun.len(), second.taken.refused),
            (8, vec!["28".to_owned(), "29".to_owned()])
        );
        // One ends, and there is room for another.
        let third = leases.told(&admin("a"), &told(2, 1..12), until, now);
        assert_eq!(third.clients.len(), 1);
        let fourth = leases.told(&admin("b"), &told(2, 20..29), until, now);
        assert_eq!((fourth.begun.len(), fourth.taken.refused.len()), (1, 0));
        assert_eq!(leases.len(), MAX_WATCHES);
    }

    #[test]
    fn the_watches_of_an_admin_that_is_silent_end() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        leases.told(&admin("a"), &told(1, [1]), now + LEASE, now);
        leases.told(&admin("b"), &told(1, [2]), now + 2 * LEASE, now);
        assert!(leases.expire(now + LEASE / 2).clients.is_empty());
        let ended = leases.expire(now + LEASE);
        assert_eq!(ended.clients, [ClientId::new("client-1").expect("an id")]);
        assert_eq!(ids(&leases), ["2"]);
    }

    #[test]
    fn what_an_admin_said_earlier_does_not_undo_what_it_said_later() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        let until = now + LEASE;
        leases.told(&admin("a"), &told(2, [1, 2]), until, now);
        leases.told(&admin("a"), &told(1, [1]), until, now);
        assert_eq!(ids(&leases), ["1", "2"]);
        leases.told(&admin("a"), &told(3, []), until, now);
        leases.told(&admin("a"), &told(2, [1, 2]), until, now);
        assert_eq!(ids(&leases), [""; 0]);
        // A restarted admin begins anew.
        let again = Watches {
            instance: 8,
            ..told(1, [3])
        };
        leases.told(&admin("a"), &again, until, now);
        assert_eq!(ids(&leases), ["3"]);
    }

    #[test]
    fn a_watch_that_goes_on_keeps_what_it_has_and_a_client_that_cannot_be_is_refused() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        let until = now + LEASE;
        let begun = leases.told(&admin("a"), &told(1, [1]), until, now).begun;
        let mut next = told(2, [1, 1]);
        next.watches.push(WatchOrder {
            id: "odd".to_owned(),
            client: String::new(),
            payloads: false,
        });
        let change = leases.told(&admin("a"), &next, until, now);
        assert_eq!((change.begun.len(), change.clients.len()), (0, 0));
        assert_eq!(change.taken.refused, ["odd"]);
        assert!(leases.watches().all(|watch| Arc::ptr_eq(watch, &begun[0])));
    }
}
