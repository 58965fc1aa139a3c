//! The last records of this admin, in memory and in the log. Bounded: callers without a token, and requests that are rejected, push
//! out nothing that others did.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::ServerName;
use wsmesh_bootstrap::http::subscriber;

use super::record::{Conclusion, Entry, Record};
use crate::access::Caller;

/// How many records are kept.
const KEPT: usize = 1_000;
/// How many records of what was not done are kept beside them.
const KEPT_REJECTED: usize = 500;
/// How many records of callers without a token that counts are kept beside them.
const KEPT_STRANGERS: usize = 100;
/// From how many addresses such callers have a record each, per minute. The others have one together.
const STRANGERS_APART: usize = 20;
/// How long records of one kind are summed up.
const SUMMED_FOR: Duration = Duration::from_secs(60);
/// How often it is looked whether a sum is over.
const LOOK: Duration = Duration::from_secs(5);
/// How many new records a subscriber may be behind; then it misses the oldest.
const BEHIND: usize = 256;

/// The audit of this admin. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    admin: ServerName,
    book: Mutex<Book>,
    news: broadcast::Sender<Record>,
}

/// A record with its place among those of this admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) record: Record,
}

#[derive(Debug, Default)]
struct Book {
    /// Each oldest first.
    done: VecDeque<Numbered>,
    rejected: VecDeque<Numbered>,
    strangers: VecDeque<Numbered>,
    /// The sums that are not over: their numbers, and since when they are.
    sums: HashMap<Sum, (u64, Instant)>,
    next: u64,
}

/// Where a record is kept. Each place is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// What was done.
    Done,
    /// What was not done, or perhaps in part. Full of one caller's records, it forgets those of that caller.
    Rejected,
    /// What callers without a token that counts wanted.
    Strangers,
}

/// What is summed up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sum {
    place: Place,
    caller: Option<String>,
    address: Option<IpAddr>,
    action: String,
    /// None for messages: those to different clients are one sum.
    target: Option<String>,
    status: u16,
}

impl Audit {
    /// An empty audit of this admin.
    pub(crate) fn new(admin: ServerName) -> Self {
        Self(Arc::new(Inner {
            admin,
            book: Mutex::default(),
            news: broadcast::Sender::new(BEHIND),
        }))
    }

    /// Records what a caller did. Requests are recorded by the API itself; this is for what is no request of its own.
    pub(crate) fn record(&self, caller: &Caller, mut entry: Entry) {
        let is_send = entry.is_send();
        let each = std::mem::take(&mut entry.each);
        let record = Record::new(self.0.admin.clone(), caller, entry, Timestamp::now());
        let is_summed = is_send || record.result != Conclusion::Done;
        for target in each {
            log(
                &Record {
                    target,
                    count: 1,
                    ..record.clone()
                },
                "audit: one of several",
            );
        }
        let sum = is_summed.then(|| Sum {
            place: Place::of(&record),
            caller: record.caller.clone(),
            address: record.address,
            action: record.action.clone(),
            target: (!is_send).then(|| record.target.clone()),
            status: record.status,
        });
        self.add(record, sum, Instant::now());
    }

    /// Counts a request without a token that counts.
    pub(crate) fn stranger(&self, action: &str, address: Option<IpAddr>, status: StatusCode) {
        let now = Instant::now();
        let mut sum = Sum {
            place: Place::Strangers,
            caller: None,
            address: address.map(subscriber),
            action: action.to_owned(),
            target: None,
            status: status.as_u16(),
        };
        if !self.0.book.lock().has_room_for(&sum) {
            sum.address = None;
        }
        let record = Record::of_stranger(self.0.admin.clone(), action, sum.address, status, Timestamp::now());
        self.add(record, Some(sum), now);
    }

    /// The records that are new from now on. Of records that are summed up, the first.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Record> {
        self.0.news.subscribe()
    }

    /// Logs sums that are over, until `ended`; then all.
    pub(crate) async fn run(self, ended: CancellationToken) {
        let mut every = interval(LOOK);
        let looking = async {
            loop {
                every.tick().await;
                self.0.book.lock().close(Instant::now().checked_sub(SUMMED_FOR));
            }
        };
        ended.run_until_cancelled(looking).await;
        self.0.book.lock().close(Some(Instant::now()));
    }

    pub(super) fn admin(&self) -> &ServerName {
        &self.0.admin
    }

    /// All records that are kept, oldest first.
    pub(super) fn all(&self) -> Vec<Numbered> {
        let book = self.0.book.lock();
        let places = book.done.iter().chain(&book.rejected).chain(&book.strangers);
        let mut all: Vec<_> = places.cloned().collect();
        drop(book);
        all.sort_unstable_by_key(|kept| kept.number);
        all
    }

    fn add(&self, record: Record, sum: Option<Sum>, now: Instant) {
        let mut book = self.0.book.lock();
        if let Some(sum) = &sum
            && book.counts(sum, record.count, now)
        {
            return;
        }
        log(&record, "audit");
        // Nobody may listen.
        let _ = self.0.news.send(record.clone());
        book.push(record, sum, now);
    }
}

impl Place {
    fn of(record: &Record) -> Self {
        match record.result {
            _ if record.caller.is_none() => Self::Strangers,
            Conclusion::Done => Self::Done,
            _ => Self::Rejected,
        }
    }

    /// How many records are kept there.
    fn most(self) -> usize {
        match self {
            Self::Done => KEPT,
            Self::Rejected => KEPT_REJECTED,
            Self::Strangers => KEPT_STRANGERS,
        }
    }
}

impl Book {
    fn kept(&mut self, place: Place) -> &mut VecDeque<Numbered> {
        match place {
            Place::Done => &mut self.done,
            Place::Rejected => &mut self.rejected,
            Place::Strangers => &mut self.strangers,
        }
    }

    /// Whether a stranger of this address has, or may have, a record of its own.
    fn has_room_for(&self, sum: &Sum) -> bool {
        let apart = self.sums.keys().filter(|other| other.caller.is_none()).count();
        apart < STRANGERS_APART || self.sums.contains_key(sum)
    }

    /// Adds to a sum, if there is one that is not over.
    fn counts(&mut self, sum: &Sum, count: u64, now: Instant) -> bool {
        let Some((number, since)) = self.sums.get(sum).copied() else {
            return false;
        };
        let found = self.kept(sum.place).iter_mut().rev().find(|kept| kept.number == number);
        match found {
            Some(kept) if now < since + SUMMED_FOR => {
                kept.record.count += count;
                true
            }
            _ => {
                self.end(sum);
                false
            }
        }
    }

    fn push(&mut self, record: Record, sum: Option<Sum>, now: Instant) {
        let number = self.next;
        self.next += 1;
        let place = Place::of(&record);
        if self.kept(place).len() >= place.most() {
            self.forget_one(place);
        }
        self.kept(place).push_back(Numbered { number, record });
        if let Some(sum) = sum {
            self.sums.insert(sum, (number, now));
        }
    }

    /// Makes room: the oldest record goes; of those that were not done, the oldest of the caller that has most.
    fn forget_one(&mut self, place: Place) {
        let index = match place {
            Place::Rejected => oldest_of_most(&self.rejected),
            Place::Done | Place::Strangers => 0,
        };
        let Some(number) = self.kept(place).get(index).map(|kept| kept.number) else {
            return;
        };
        let sum = self
            .sums
            .iter()
            .find(|(_, (of, _))| *of == number)
            .map(|(sum, _)| sum.clone());
        if let Some(sum) = sum {
            self.end(&sum);
        }
        self.kept(place).remove(index);
    }

    /// Ends the sums that began by then.
    fn close(&mut self, then: Option<Instant>) {
        let Some(then) = then else { return };
        let over: Vec<_> = self
            .sums
            .iter()
            .filter(|(_, (_, since))| *since <= then)
            .map(|(sum, _)| sum.clone())
            .collect();
        for sum in over {
            self.end(&sum);
        }
    }

    /// Ends a sum, and logs how many it was.
    fn end(&mut self, sum: &Sum) {
        let Some((number, _)) = self.sums.remove(sum) else {
            return;
        };
        let mut kept = self.kept(sum.place).iter();
        if let Some(kept) = kept.find(|kept| kept.number == number && kept.record.count > 1) {
            log(&kept.record, "audit: so often since then");
        }
    }
}

/// Where the oldest record of the caller is that has most.
fn oldest_of_most(kept: &VecDeque<Numbered>) -> usize {
    let mut counts: HashMap<Option<&str>, (usize, usize)> = HashMap::new();
    for (index, kept) in kept.iter().enumerate() {
        counts.entry(kept.record.caller.as_deref()).or_insert((0, index)).0 += 1;
    }
    let most = counts
        .into_values()
        .max_by_key(|(count, index)| (*count, Reverse(*index)));
    most.map_or(0, |(_, index)| index)
}

fn log(record: &Record, message: &str) {
    tracing::info!(
        target: "audit",
        at = %format_args!("{:.3}", record.at),
        caller = record.caller,
        role = record.role.map(crate::access::Role::as_str),
        action = record.action,
        object = record.target,
        result = record.result.as_str(),
        status = record.status,
        address = record.address.map(tracing::field::display),
        trace_id = record.trace_id,
        count = record.count,
        "{message}"
    );
}

#[cfg(test)]
mod tests;
