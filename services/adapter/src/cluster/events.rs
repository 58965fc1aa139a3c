//! The event listeners of this process. State without I/O.
//!
//! Each listener has a bounded queue. When it is full, the event is not delivered to that listener; when all are full,
//! the sender is told. A slow listener never delays the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The most events that wait for one listener.
const QUEUE: usize = 16_384;

/// Identifies a listener, for [`Adapter::off`](crate::Adapter::off).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u64);

#[derive(Debug)]
struct Entry<E> {
    id: ListenerId,
    tag: Option<Arc<str>>,
    once: bool,
    since: Instant,
    queue: mpsc::Sender<E>,
}

/// The result of dispatching an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dispatched {
    /// There is no listener for it.
    Nobody,
    /// At least one listener took it.
    Taken,
    /// Every listener's queue is full.
    Overloaded,
}

/// The listeners of this process, for events of type `E`.
#[derive(Debug)]
pub(crate) struct Listeners<E> {
    by_event: RwLock<HashMap<Arc<str>, Vec<Entry<E>>>>,
    next: AtomicU64,
}

impl<E> Listeners<E> {
    pub(crate) fn new() -> Self {
        Self {
            by_event: RwLock::default(),
            next: AtomicU64::new(1),
        }
    }

    /// Adds a listener. Its events arrive at the receiver.
    pub(crate) fn add(&self, event: &str, tag: Option<&str>, once: bool) -> (ListenerId, mpsc::Receiver<E>) {
        let id = ListenerId(self.next.fetch_add(1, Ordering::Relaxed));
        let (queue, receiver) = mpsc::channel(QUEUE);
        let entry = Entry {
            id,
            tag: tag.map(Arc::from),
            once,
            since: Instant::now(),
            queue,
        };
        let mut by_event = self.by_event.write();
        by_event.entry(Arc::from(event)).or_default().push(entry);
        (id, receiver)
    }

    /// Whether an event has a listener.
    pub(crate) fn has(&self, event: &str) -> bool {
        self.by_event.read().contains_key(event)
    }

    /// Removes one listener; `false` if there is none with this id.
    pub(crate) fn remove(&self, id: ListenerId) -> bool {
        self.remove_where(None, |entry| entry.id == id) > 0
    }

    /// Removes the listeners of an event that have this tag; how many there were.
    pub(crate) fn remove_tagged(&self, event: &str, tag: &str) -> usize {
        self.remove_where(Some(event), |entry| entry.tag.as_deref() == Some(tag))
    }

    fn remove_where(&self, event: Option<&str>, unwanted: impl Fn(&Entry<E>) -> bool) -> usize {
        let mut by_event = self.by_event.write();
        let mut removed = 0;
        by_event.retain(|name, entries| {
            if event.is_none_or(|event| event == &**name) {
                let before = entries.len();
                entries.retain(|entry| !unwanted(entry));
                removed += before - entries.len();
            }
            !entries.is_empty()
        });
        removed
    }

    /// Delivers an event, created by `make` for each listener. A copy goes only to listeners that existed when it was
    /// first sent.
    pub(crate) fn dispatch(&self, event: &str, sent: Option<Instant>, make: impl Fn() -> E) -> Dispatched {
        let mut result = Dispatched::Nobody;
        let mut ended = Vec::new();
        {
            let by_event = self.by_event.read();
            let entries = by_event.get(event).into_iter().flatten();
            for entry in entries.filter(|entry| sent.is_none_or(|sent| entry.since <= sent)) {
                match entry.queue.try_send(make()) {
                    Ok(()) => {
                        result = Dispatched::Taken;
                        if entry.once {
                            ended.push(entry.id);
                        }
                    }
                    Err(mpsc::error::TrySendError::Full(_)) if result == Dispatched::Nobody => {
                        result = Dispatched::Overloaded;
                    }
                    Err(mpsc::error::TrySendError::Full(_)) => {}
                    Err(mpsc::error::TrySendError::Closed(_)) => ended.push(entry.id),
                }
            }
        }
        for id in ended {
            self.remove(id);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listener_gets_every_event_and_a_once_listener_only_the_first() {
        let listeners = Listeners::new();
        let (_, mut all) = listeners.add("say", None, false);
        let (_, mut once) = listeners.add("say", None, true);
        assert_eq!(listeners.dispatch("say", None, || 1), Dispatched::Taken);
        assert_eq!(listeners.dispatch("say", None, || 2), Dispatched::Taken);
        assert_eq!(listeners.dispatch("other", None, || 3), Dispatched::Nobody);
        assert_eq!((all.try_recv(), all.try_recv()), (Ok(1), Ok(2)));
        assert_eq!(once.try_recv(), Ok(1));
        assert!(once.try_recv().is_err());
    }

    #[test]
    fn listeners_end_by_id_by_tag_and_by_being_dropped() {
        let listeners = Listeners::new();
        let (id, _kept) = listeners.add("say", None, false);
        let (_, _tagged) = listeners.add("say", Some("t"), false);
        let (_, dropped) = listeners.add("say", None, false);
        drop(dropped);
        assert!(listeners.remove(id));
        assert!(!listeners.remove(id));
        assert_eq!(listeners.remove_tagged("say", "t"), 1);
        assert_eq!(listeners.dispatch("say", None, || 1), Dispatched::Nobody);
        assert!(listeners.by_event.read().is_empty());
    }

    #[test]
    fn a_copy_reaches_only_listeners_that_existed_when_it_was_sent() {
        let listeners = Listeners::new();
        let before = Instant::now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let (_, mut events) = listeners.add("say", None, false);
        assert_eq!(listeners.dispatch("say", Some(before), || 1), Dispatched::Nobody);
        assert_eq!(listeners.dispatch("say", Some(Instant::now()), || 2), Dispatched::Taken);
        assert_eq!(events.try_recv(), Ok(2));
    }

    #[test]
    fn dispatching_to_a_full_queue_reports_overload() {
        let listeners = Listeners::new();
        let (_, _slow) = listeners.add("say", None, false);
        for n in 0..QUEUE {
            assert_eq!(listeners.dispatch("say", None, || n), Dispatched::Taken);
        }
        assert_eq!(listeners.dispatch("say", None, || 0), Dispatched::Overloaded);
    }
}
