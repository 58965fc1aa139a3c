//! The wills of each client, and the process that left each of them. Pure state.

use std::collections::{HashMap, HashSet};

use wsmesh_adapter::{ClientId, Instance, Room};

/// Most wills for one client: more than services can sensibly need. Beyond that the oldest is dropped.
const MOST_PER_CLIENT: usize = 64;

/// A message to a client that is sent if `holder` is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Will {
    pub(super) holder: Instance,
    pub(super) id: String,
    pub(super) frame: String,
    pub(super) room: Option<Room>,
}

/// Wills by client, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Book {
    clients: HashMap<ClientId, Vec<Will>>,
}

impl Book {
    /// Adds a will. One of the same id is replaced, whichever process left it.
    pub(super) fn leave(&mut self, client: &ClientId, will: Will) {
        let wills = self.clients.entry(client.clone()).or_default();
        wills.retain(|other| other.id != will.id);
        if wills.len() == MOST_PER_CLIENT {
            wills.remove(0);
            tracing::warn!(%client, "more than {MOST_PER_CLIENT} wills for one client: the oldest is dropped");
        }
        wills.push(will);
    }

    pub(super) fn revoke(&mut self, client: &ClientId, id: &str) {
        if let Some(wills) = self.clients.get_mut(client) {
            wills.retain(|will| will.id != id);
            if wills.is_empty() {
                self.clients.remove(client);
            }
        }
    }

    pub(super) fn forget(&mut self, client: &ClientId) {
        self.clients.remove(client);
    }

    /// The processes that have left wills.
    pub(super) fn holders(&self) -> impl Iterator<Item = Instance> {
        self.clients.values().flatten().map(|will| will.holder)
    }

    /// Takes out the wills of these processes.
    pub(super) fn take(&mut self, lost: &HashSet<Instance>) -> Vec<(ClientId, Will)> {
        let mut taken = Vec::new();
        self.clients.retain(|client, wills| {
            let of_client = wills.extract_if(.., |will| lost.contains(&will.holder));
            taken.extend(of_client.map(|will| (client.clone(), will)));
            !wills.is_empty()
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> ClientId {
        ClientId::new("ann").expect("valid")
    }

    fn will(holder: u64, id: &str) -> Will {
        Will {
            holder: Instance(holder),
            id: id.to_owned(),
            frame: format!("{holder}:{id}"),
            room: None,
        }
    }

    fn taken(book: &mut Book, lost: u64) -> Vec<String> {
        let wills = book.take(&HashSet::from([Instance(lost)])).into_iter();
        wills.map(|(_, will)| will.frame).collect()
    }

    #[test]
    fn only_the_wills_of_the_lost_process_are_taken_and_each_once() {
        let mut book = Book::default();
        for (holder, id) in [(1, "a"), (2, "b"), (1, "c")] {
            book.leave(&ann(), will(holder, id));
        }
        assert_eq!(taken(&mut book, 1), ["1:a", "1:c"]);
        assert!(taken(&mut book, 1).is_empty());
        assert_eq!(taken(&mut book, 2), ["2:b"]);
        assert!(book.clients.is_empty());
    }

    #[test]
    fn a_new_holder_replaces_the_will_and_a_revoked_one_is_never_sent() {
        let mut book = Book::default();
        book.leave(&ann(), will(1, "a"));
        book.leave(&ann(), will(2, "a"));
        assert!(taken(&mut book, 1).is_empty());
        book.revoke(&ann(), "a");
        assert_eq!(book.holders().count(), 0);
        book.leave(&ann(), will(1, "b"));
        book.forget(&ann());
        assert!(taken(&mut book, 1).is_empty() && book.clients.is_empty());
    }

    #[test]
    fn the_wills_for_one_client_are_bounded() {
        let mut book = Book::default();
        (0..=MOST_PER_CLIENT).for_each(|number| book.leave(&ann(), will(1, &number.to_string())));
        let left = taken(&mut book, 1);
        assert_eq!((left.len(), left[0].as_str()), (MOST_PER_CLIENT, "1:1"));
    }
}
