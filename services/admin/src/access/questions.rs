//! Tokens that others are asked about now. An address has few at once, and many requests with one token ask once: so nobody tries more
//! wrong tokens than it may by sending them all at the same time, and nobody fills the queue of the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, MutexGuard};
use wsmesh_bootstrap::http::subscriber;

use super::token::Digest;

/// Most tokens of one address that are in question at once.
pub(super) const OF_ADDRESS: usize = 10;

/// What is in question: the token, and the address that it came from.
type Asked = (Option<IpAddr>, Digest);

/// The tokens in question.
#[derive(Debug, Default)]
pub(super) struct Questions(Mutex<HashMap<Asked, Asking>>);

/// The requests that ask about one token.
#[derive(Debug, Default)]
struct Asking {
    turn: Arc<Turn<()>>,
    requests: usize,
}

/// A token in question, until it is dropped.
#[derive(Debug)]
pub(super) struct Question<'a> {
    all: &'a Questions,
    asked: Asked,
    turn: Arc<Turn<()>>,
}

impl Questions {
    /// A token that came from this address. None: the address has too many in question.
    pub(super) fn begin(&self, address: Option<IpAddr>, token: Digest) -> Option<Question<'_>> {
        let address = address.map(subscriber);
        let asked = (address, token);
        let mut all = self.0.lock();
        if address.is_some() && !all.contains_key(&asked) {
            let of_address = all.keys().filter(|(other, _)| *other == address);
            if of_address.count() >= OF_ADDRESS {
                return None;
            }
        }
        let asking = all.entry(asked).or_default();
        asking.requests += 1;
        let turn = asking.turn.clone();
        Some(Question { all: self, asked, turn })
    }
}

impl Question<'_> {
    /// Waits until no other request asks about this token.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        if let Some(asking) = all.get_mut(&self.asked) {
            asking.requests -= 1;
            if asking.requests == 0 {
                all.remove(&self.asked);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_few_tokens_in_question_and_others_are_not_affected() {
        let questions = Questions::default();
        let address = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 1, 2, 3, 4, 5, last]));
        let token = |number: usize| Digest::of(&number.to_string());
        let asked: Vec<_> = (0..OF_ADDRESS)
            .map(|number| questions.begin(address(1), token(number)).expect("few"))
            .collect();
        // All addresses of one subscriber are one.
        assert!(questions.begin(address(2), token(99)).is_none());
        let again = questions
            .begin(address(2), token(0))
            .expect("it is in question already");
        assert!(questions.begin(Some(IpAddr::from([192, 0, 2, 1])), token(99)).is_some());
        drop(asked);
        assert_eq!(questions.0.lock().len(), 1);
        drop(again);
        assert!(questions.0.lock().is_empty());
    }
}
