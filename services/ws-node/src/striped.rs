//! State per client behind many locks, so that threads rarely wait for each other.

use std::hash::{BuildHasher, RandomState};

use parking_lot::{Mutex, MutexGuard};
use wsmesh_adapter::ClientId;

const STRIPES: usize = 64;

/// Several states of one kind; each client belongs to one of them.
#[derive(Debug)]
pub(crate) struct Striped<T> {
    stripes: Box<[Mutex<T>]>,
    hasher: RandomState,
}

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl<T> Striped<T> {
    /// Locks the state that this client belongs to.
    pub(crate) fn lock(&self, client: &ClientId) -> MutexGuard<'_, T> {
        let stripe = self.hasher.hash_one(client) as usize % self.stripes.len();
        self.stripes[stripe].lock()
    }

    /// All states, to be locked one by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mutex<T>> {
        self.stripes.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_always_belongs_to_the_same_state_and_all_states_are_listed() {
        let striped = Striped::<u32>::default();
        let ids = ["ann", "bob", "carl", "dora"].map(|id| ClientId::new(id).expect("valid"));
        for _ in 0..3 {
            ids.iter().for_each(|id| *striped.lock(id) += 1);
        }
        assert!(ids.iter().all(|id| *striped.lock(id) >= 3));
        assert_eq!(striped.iter().map(|state| *state.lock()).sum::<u32>(), 12);
    }
}
