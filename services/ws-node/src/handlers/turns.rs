//! The turns of one connection: its handlers run one after the other, in the order in which their turns were asked for.

use std::cell::OnceCell;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Held while a handler of the connection runs.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// Whose turn it is. Empty until the first handler runs.
#[derive(Debug, Default)]
pub(crate) struct Turns(OnceCell<Arc<Mutex<()>>>);

impl Turns {
    /// The next turn. Its place is taken by this call, not when the future is polled.
    pub(crate) fn next(&self) -> impl Future<Output = Turn> + use<> {
        let turns = Arc::clone(self.0.get_or_init(Arc::default));
        // A task that has used up its budget would not get a place.
        let mut waiting = Box::pin(tokio::task::unconstrained(turns.lock_owned()));
        let now = (&mut waiting).now_or_never();
        async move {
            match now {
                Some(turn) => turn,
                None => waiting.await,
            }
        }
    }

    /// Whether a handler ever ran.
    pub(crate) fn have_begun(&self) -> bool {
        self.0.get().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_come_in_the_order_of_the_calls_also_when_some_are_given_up() {
        let turns = Turns::default();
        assert!(!turns.have_begun());
        let first = turns.next().await;
        let (second, third, fourth) = (turns.next(), Box::pin(turns.next()), turns.next());
        let mut fourth = Box::pin(fourth);
        assert!((&mut fourth).now_or_never().is_none());
        drop(third);
        drop(first);
        let second = second.now_or_never().expect("its turn");
        assert!(
            (&mut fourth).now_or_never().is_none(),
            "not before the second has ended"
        );
        drop(second);
        assert!(fourth.now_or_never().is_some() && turns.have_begun());
    }
}
