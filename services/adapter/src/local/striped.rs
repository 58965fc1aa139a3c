//! A state divided among many locks by key, so that threads seldom wait for each other.

use std::hash::{BuildHasher, Hash, RandomState};

use parking_lot::{Mutex, MutexGuard};

const STRIPES: usize = 64;

/// A state divided among many small locks. `S` is one part of it, usually a map.
#[derive(Debug)]
pub(super) struct Striped<S> {
    stripes: Vec<Mutex<S>>,
    hasher: RandomState,
}

impl<S: Default> Striped<S> {
    pub(super) fn new() -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self {
            stripes,
            hasher: RandomState::new(),
        }
    }

    /// Locks the part that has this key.
    pub(super) fn lock<K: Hash>(&self, key: &K) -> MutexGuard<'_, S> {
        let stripe = self.hasher.hash_one(key) as usize % STRIPES;
        self.stripes[stripe].lock()
    }

    /// Locks each part, one after the other.
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, S>> {
        self.each_from(0)
    }

    /// As [`Striped::each`], beginning with another part; any number is one.
    pub(super) fn each_from(&self, first: usize) -> impl Iterator<Item = MutexGuard<'_, S>> {
        let (before, from) = self.stripes.split_at(first % STRIPES);
        from.iter().chain(before).map(|stripe| stripe.lock())
    }
}
