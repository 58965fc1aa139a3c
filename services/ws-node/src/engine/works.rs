//! What a shard goes on with beside its connections: requests that wait for other servers. Cheaper than a task for each.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

/// One of them.
type Work = Pin<Box<dyn Future<Output = ()>>>;

/// The works of one shard.
#[derive(Default)]
pub(super) struct Works {
    under_way: RefCell<FuturesUnordered<Work>>,
    /// Begun since they were polled last.
    begun: RefCell<Vec<Work>>,
    /// Whom a new one wakes.
    waker: Cell<Option<Waker>>,
}

impl Works {
    /// Begins one. It is polled by [`Works::progress`], not here.
    pub(super) fn push(&self, work: impl Future<Output = ()> + 'static) {
        let contained = AssertUnwindSafe(work).catch_unwind().map(|result| {
            if result.is_err() {
                tracing::error!("the handling of a client's event panicked; see the log before this");
            }
        });
        self.begun.borrow_mut().push(Box::pin(contained));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Drops them all: they hold what holds them.
    pub(super) fn clear(&self) {
        drop(self.begun.take());
        drop(self.under_way.take());
    }

    /// Resolves when at least one of them has ended.
    pub(super) async fn progress(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.set(Some(cx.waker().clone()));
        let mut under_way = self.under_way.borrow_mut();
        under_way.extend(self.begun.borrow_mut().drain(..));
        let mut some_ended = false;
        while let Poll::Ready(Some(())) = under_way.poll_next_unpin(cx) {
            some_ended = true;
        }
        if some_ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn each_goes_on_until_its_end_and_a_panic_ends_only_its_own() {
        let (works, done) = (Rc::new(Works::default()), Rc::new(Cell::new(0)));
        for number in 0..4 {
            let done = Rc::clone(&done);
            works.push(async move {
                tokio::task::yield_now().await;
                assert_ne!(number, 2, "one of them panics");
                done.set(done.get() + 1);
            });
        }
        let ending = async {
            while done.get() < 3 {
                works.progress().await;
            }
        };
        timeout(Duration::from_secs(10), ending).await.expect("they end");
        assert!(works.progress().now_or_never().is_none(), "nobody has anything to do");
        assert!(works.under_way.borrow().is_empty(), "there are none left");
    }

    #[tokio::test]
    async fn they_are_dropped_with_what_they_hold_whether_polled_or_not() {
        let (works, held) = (Rc::new(Works::default()), Rc::new(()));
        for _ in 0..2 {
            let (works_too, held) = (Rc::clone(&works), Rc::clone(&held));
            works.push(async move {
                let _both = (works_too, held);
                std::future::pending::<()>().await;
            });
            assert!(works.progress().now_or_never().is_none(), "none ends");
        }
        works.push({
            let held = Rc::clone(&held);
            async move { drop(held) }
        });
        works.clear();
        assert_eq!((Rc::strong_count(&held), Rc::strong_count(&works)), (1, 1));
    }

    #[tokio::test]
    async fn one_that_begins_later_is_noticed() {
        let works = Rc::new(Works::default());
        let waiting = works.progress();
        let beginning = async {
            tokio::task::yield_now().await;
            works.push(async {});
        };
        let both = async { tokio::join!(waiting, beginning) };
        timeout(Duration::from_secs(10), both).await.expect("noticed");
    }
}
