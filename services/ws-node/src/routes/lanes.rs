//! Lanes: the events of one client to one URL, of which one is under way at a time, in the order in which they came. A client
//! has a lane only while events of it are under way or wait.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wsmesh_adapter::ClientId;

use crate::striped::Striped;

/// Most events of one client to one URL that may be under way or wait: half as many as its requests, so that others still
/// pass when a backend hangs.
pub(crate) const MOST_OF_CLIENT: usize = 32;

/// The lanes to one URL.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Striped<HashMap<ClientId, Lane>>,
    taken: AtomicUsize,
    /// How many events of all clients may be under way or wait.
    most: usize,
}

#[derive(Debug)]
struct Lane {
    turn: Arc<Semaphore>,
    taken: usize,
}

/// The place of one event in its client's lane. Dropping it lets the next one go.
#[derive(Debug)]
pub(crate) struct Place {
    lanes: Arc<Lanes>,
    client: ClientId,
    turn: Arc<Semaphore>,
}

impl Lanes {
    /// Lanes with this many places in all.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            lanes: Striped::default(),
            taken: AtomicUsize::new(0),
            most,
        })
    }

    /// Takes the next place in a client's lane. None: too many are taken.
    pub(crate) fn enter(self: &Arc<Self>, client: &ClientId) -> Option<Place> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut lanes = self.lanes.lock(client);
        let lane = lanes.entry(client.clone()).or_insert_with(|| Lane {
            turn: Arc::new(Semaphore::new(1)),
            taken: 0,
        });
        if lane.taken >= MOST_OF_CLIENT {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        lane.taken += 1;
        Some(Place {
            turn: Arc::clone(&lane.turn),
            client: client.clone(),
            lanes: Arc::clone(self),
        })
    }

    /// How many places are taken.
    #[cfg(test)]
    fn taken(&self) -> (usize, usize) {
        let lanes = self.lanes.iter().map(|lanes| lanes.lock().len()).sum();
        (self.taken.load(Ordering::Relaxed), lanes)
    }
}

impl Place {
    /// Resolves when it is this event's turn, for as long as the permit lives. Turns are in the order of the first poll.
    pub(crate) fn turn(&self) -> impl Future<Output = Option<OwnedSemaphorePermit>> + use<> {
        let turn = Arc::clone(&self.turn);
        // It is never closed.
        async move { turn.acquire_owned().await.ok() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lanes.taken.fetch_sub(1, Ordering::Relaxed);
        let mut lanes = self.lanes.lanes.lock(&self.client);
        if let Entry::Occupied(mut lane) = lanes.entry(self.client.clone()) {
            lane.get_mut().taken -= 1;
            if lane.get().taken == 0 {
                lane.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn id(id: &str) -> ClientId {
        ClientId::new(id).expect("valid")
    }

    #[tokio::test]
    async fn one_event_of_a_client_is_under_way_at_a_time_and_other_clients_do_not_wait() {
        let lanes = Lanes::new(100);
        let [first, second, third] = [(); 3].map(|()| lanes.enter(&id("ann")).expect("free"));
        let permit = first.turn().await.expect("its turn");
        let (mut next, mut after) = (Box::pin(second.turn()), Box::pin(third.turn()));
        assert!((&mut next).now_or_never().is_none() && (&mut after).now_or_never().is_none());
        let bob = lanes.enter(&id("bob")).expect("free");
        assert!(bob.turn().now_or_never().is_some(), "another client");
        drop((permit, first));
        let permit = next.await.expect("its turn");
        assert!((&mut after).now_or_never().is_none(), "one after the other");
        // One that is given up while it waits lets the next one go.
        drop((permit, second));
        let _permit = after.await.expect("its turn");
    }

    #[tokio::test]
    async fn what_has_ended_or_was_given_up_leaves_nothing_behind() {
        let lanes = Lanes::new(100);
        for _ in 0..3 {
            let places: Vec<_> = ["ann", "ann", "bob"]
                .map(|name| lanes.enter(&id(name)).expect("free"))
                .into();
            let permit = places[0].turn().await;
            assert!(places[1].turn().now_or_never().is_none());
            assert_eq!(lanes.taken(), (3, 2));
            drop((permit, places));
            assert_eq!(lanes.taken(), (0, 0));
        }
    }

    #[test]
    fn places_are_bounded_for_each_client_and_for_all() {
        let lanes = Lanes::new(MOST_OF_CLIENT + 1);
        let of_ann: Vec<_> = std::iter::from_fn(|| lanes.enter(&id("ann"))).collect();
        assert_eq!(of_ann.len(), MOST_OF_CLIENT);
        let bob = lanes.enter(&id("bob")).expect("one is left");
        assert!(lanes.enter(&id("carl")).is_none(), "none is left");
        drop(bob);
        assert!(lanes.enter(&id("carl")).is_some());
    }
}
