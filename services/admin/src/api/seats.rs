//! Places for streams: how many may be open at once, in all and for one caller. A stream holds a connection for as long as it lasts, so
//! that streams never take all connections of the process, and no caller takes all streams of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;

use super::limits::overloaded;
use crate::access::Caller;
use crate::problem::Problem;

/// Most streams at once, of all kinds.
pub(crate) const MOST_STREAMS: usize = 300;
/// Most streams of one caller that follow the cluster or a job.
const MOST_FOLLOWED: usize = 64;
/// Most watches of one caller: half of those that a cluster may have.
const MOST_WATCHES: usize = 10;

/// What a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The cluster, or a job.
    Follow,
    /// One client.
    Watch,
}

/// All places. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    most: usize,
    /// Without tokens all callers have one name, and share all places.
    is_shared: bool,
    taken: Arc<Mutex<BTreeMap<(String, Kind), usize>>>,
}

impl Seats {
    /// For a process with so many connections: half of them are left to everything else.
    pub(crate) fn of_connections(connections: usize) -> Self {
        Self {
            most: MOST_STREAMS.min(connections / 2),
            is_shared: false,
            taken: Arc::default(),
        }
    }

    /// All callers have one name: it may have all places.
    pub(crate) fn shared(self) -> Self {
        Self {
            is_shared: true,
            ..self
        }
    }

    /// One place, if there is one.
    ///
    /// # Errors
    /// When this caller has as many as one may have, or all are taken.
    pub(super) fn take(&self, caller: &Caller, kind: Kind) -> Result<Seat, Problem> {
        let most = match kind {
            _ if self.is_shared => self.most,
            Kind::Follow => MOST_FOLLOWED,
            Kind::Watch => MOST_WATCHES,
        };
        let mut taken = self.taken.lock();
        if taken.values().sum::<usize>() >= self.most {
            return Err(overloaded(
                "too many streams are open at this admin: close some, or ask another admin",
            ));
        }
        let key = (caller.name.clone(), kind);
        let own = taken.get(&key).copied().unwrap_or(0);
        if own >= most {
            return Err(too_many(&caller.name, kind, most));
        }
        taken.insert(key.clone(), own + 1);
        Ok(Seat {
            key,
            taken: Arc::clone(&self.taken),
        })
    }
}

fn too_many(name: &str, kind: Kind, most: usize) -> Problem {
    let (what, code) = match kind {
        Kind::Follow => ("streams", "too-many-streams"),
        Kind::Watch => ("watches", "too-many-watches"),
    };
    let detail =
        format!("{name} has {most} {what} open at this admin, the most that one caller may have: close one of them");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
        .with_code(code)
        .untouched()
}

/// One place. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    key: (String, Kind),
    taken: Arc<Mutex<BTreeMap<(String, Kind), usize>>>,
}

impl Seat {
    /// The stream has this place until it is dropped.
    pub(super) fn hold<S: Stream>(self, stream: S) -> impl Stream<Item = S::Item> {
        stream.map(move |item| {
            let _held = &self;
            item
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(own) = taken.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Caller {
        let mut caller = Caller::demo();
        caller.name = name.to_owned();
        caller
    }

    fn status(taken: Result<Seat, Problem>) -> StatusCode {
        taken.expect_err("no place").status()
    }

    #[test]
    fn one_caller_leaves_places_to_others_and_gets_its_own_back() {
        let (seats, one) = (Seats::of_connections(1024), named("one"));
        for (kind, most) in [(Kind::Follow, 64), (Kind::Watch, 10)] {
            let mut own: Vec<_> = (0..most).map(|_| seats.take(&one, kind).expect("a place")).collect();
            assert_eq!(status(seats.take(&one, kind)), StatusCode::TOO_MANY_REQUESTS);
            assert!(seats.take(&named("two"), kind).is_ok());
            own.pop();
            assert!(seats.take(&one, kind).is_ok());
        }
        assert!(seats.taken.lock().is_empty(), "nothing is kept of callers that left");
    }

    #[test]
    fn streams_take_half_of_the_connections_at_most() {
        let seats = Seats::of_connections(256);
        let taken: Vec<_> = (0..128)
            .map(|number| seats.take(&named(&format!("caller-{}", number / 50)), Kind::Follow))
            .collect::<Result<_, _>>()
            .expect("128 places");
        assert_eq!(
            status(seats.take(&named("other"), Kind::Watch)),
            StatusCode::SERVICE_UNAVAILABLE
        );
        drop(taken);
        assert!(seats.take(&named("other"), Kind::Watch).is_ok());
    }

    #[test]
    fn without_tokens_all_places_are_for_everyone() {
        let seats = Seats::of_connections(10_000).shared();
        let taken: Vec<_> = (0..MOST_STREAMS)
            .map(|_| seats.take(&Caller::demo(), Kind::Follow).expect("a place"))
            .collect();
        assert_eq!(
            status(seats.take(&Caller::demo(), Kind::Follow)),
            StatusCode::SERVICE_UNAVAILABLE
        );
        drop(taken);
    }
}
