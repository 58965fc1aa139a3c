//! Work of a shard that is not done at once: requests that wait for other servers. Cheaper than a task for each.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

/// One piece of work.
type Work = Pin<Box<dyn Future<Output = ()>>>;

/// The ongoing work of one shard.
#[derive(Default)]
pub(super) struct Ongoing {
    polled: RefCell<FuturesUnordered<Work>>,
    /// Added since the others were polled last.
    added: RefCell<Vec<Work>>,
    /// Wakes the shard when something is added.
    waker: Cell<Option<Waker>>,
}

impl Ongoing {
    /// Adds one piece. It is polled by [`Ongoing::progress`], not here.
    pub(super) fn push(&self, work: impl Future<Output = ()> + 'static) {
        let contained = AssertUnwindSafe(work).catch_unwind().map(|result| {
            if result.is_err() {
                tracing::error!("the handling of a client's event panicked; see the log before this");
            }
        });
        self.added.borrow_mut().push(Box::pin(contained));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Drops all of it: it holds the shard that holds it.
    pub(super) fn clear(&self) {
        drop(self.added.take());
        drop(self.polled.take());
    }

    /// Resolves when at least one piece is done.
    pub(super) async fn progress(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.set(Some(cx.waker().clone()));
        let mut polled = self.polled.borrow_mut();
        polled.extend(self.added.borrow_mut().drain(..));
        let mut some_done = false;
        while let Poll::Ready(Some(())) = polled.poll_next_unpin(cx) {
            some_done = true;
        }
        if some_done { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn each_piece_runs_until_it_is_done_and_a_panic_ends_only_its_own() {
        let (ongoing, done) = (Rc::new(Ongoing::default()), Rc::new(Cell::new(0)));
        for number in 0..4 {
            let done = Rc::clone(&done);
            ongoing.push(async move {
                tokio::task::yield_now().await;
                assert_ne!(number, 2, "one of them panics");
                done.set(done.get() + 1);
            });
        }
        let ending = async {
            while done.get() < 3 {
                ongoing.progress().await;
            }
        };
        timeout(Duration::from_secs(10), ending).await.expect("they end");
        assert!(ongoing.progress().now_or_never().is_none(), "nothing is left to do");
        assert!(ongoing.polled.borrow().is_empty(), "nothing is left");
    }

    #[tokio::test]
    async fn clearing_drops_all_work_whether_polled_or_not() {
        let (ongoing, held) = (Rc::new(Ongoing::default()), Rc::new(()));
        for _ in 0..2 {
            let (ongoing_too, held) = (Rc::clone(&ongoing), Rc::clone(&held));
            ongoing.push(async move {
                let _both = (ongoing_too, held);
                std::future::pending::<()>().await;
            });
            assert!(ongoing.progress().now_or_never().is_none(), "none ends");
        }
        ongoing.push({
            let held = Rc::clone(&held);
            async move { drop(held) }
        });
        ongoing.clear();
        assert_eq!((Rc::strong_count(&held), Rc::strong_count(&ongoing)), (1, 1));
    }

    #[tokio::test]
    async fn work_that_is_added_later_is_noticed() {
        let ongoing = Rc::new(Ongoing::default());
        let waiting = ongoing.progress();
        let beginning = async {
            tokio::task::yield_now().await;
            ongoing.push(async {});
        };
        let both = async { tokio::join!(waiting, beginning) };
        timeout(Duration::from_secs(10), both).await.expect("noticed");
    }
}
