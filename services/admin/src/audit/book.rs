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
mod tests {
    use super::*;

    fn audit() -> Audit {
        Audit::new(ServerName::new("admin-1").expect("a name"))
    }

    fn shown(audit: &Audit) -> Vec<(String, u64)> {
        let all = audit.all().into_iter();
        all.map(|kept| {
            (
                format!("{} {}", kept.record.action, kept.record.target)
                    .trim()
                    .to_owned(),
                kept.record.count,
            )
        })
        .collect()
    }

    fn send(to: &str) -> Entry {
        Entry::new("send to client", to, StatusCode::ACCEPTED)
    }

    #[tokio::test(start_paused = true)]
    async fn messages_of_a_caller_are_one_record_a_minute_and_changes_are_not() {
        let (audit, caller) = (audit(), Caller::demo());
        for client in ["client ann", "client bob", "client cid"] {
            audit.record(&caller, send(client));
            audit.record(&caller, Entry::new("disconnect", client, StatusCode::OK));
        }
        let one = |text: &str| (text.to_owned(), 1);
        let sum = ("send to client client ann".to_owned(), 3);
        let disconnected = [
            "disconnect client ann",
            "disconnect client bob",
            "disconnect client cid",
        ]
        .map(one);
        assert_eq!(shown(&audit), [&[sum.clone()][..], &disconnected].concat());
        // Other results are other sums.
        audit.record(&caller, Entry::new("send to client", "client x", StatusCode::NOT_FOUND));
        tokio::time::advance(SUMMED_FOR).await;
        audit.record(&caller, send("client dan"));
        assert_eq!(
            shown(&audit)[4..],
            [one("send to client client x"), one("send to client client dan")]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_rejected_again_and_again_pushes_nothing_out() {
        let (audit, caller) = (audit(), Caller::demo());
        audit.record(&caller, Entry::new("add node", "node redis-3", StatusCode::ACCEPTED));
        for _ in 0..5 * KEPT {
            audit.record(&caller, Entry::new("add node", "node redis-4", StatusCode::FORBIDDEN));
        }
        assert_eq!(
            shown(&audit),
            [
                ("add node node redis-3".to_owned(), 1),
                ("add node node redis-4".to_owned(), 5_000)
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_rejected_with_ever_new_targets_pushes_out_only_its_own_rejections() {
        let (audit, viewer, operator) = (audit(), Caller::demo(), Caller::demo().called("ops"));
        let entry = |number: usize, status| Entry::new("drain", format!("server {number}"), status);
        audit.record(&operator, entry(0, StatusCode::OK));
        audit.record(&operator, entry(1, StatusCode::INTERNAL_SERVER_ERROR));
        audit.record(&operator, entry(2, StatusCode::NOT_FOUND));
        for number in 0..2 * KEPT {
            audit.record(&viewer, entry(number, StatusCode::FORBIDDEN));
        }
        let all = audit.all();
        assert_eq!(all.len(), 1 + KEPT_REJECTED);
        let of_operator = all.iter().filter(|kept| kept.record.caller.as_deref() == Some("ops"));
        let targets: Vec<_> = of_operator.map(|kept| kept.record.target.as_str()).collect();
        assert_eq!(targets, ["server 0", "server 1", "server 2"]);
        assert_eq!(all.last().map(|kept| kept.record.target.as_str()), Some("server 1999"));
        assert_eq!(
            audit.0.book.lock().sums.len(),
            KEPT_REJECTED,
            "sums end with their records"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_are_bounded_however_many_addresses_they_have() {
        let (audit, caller) = (audit(), Caller::demo());
        audit.record(&caller, Entry::new("drain", "server ws-0", StatusCode::OK));
        for minute in 0..20_u32 {
            for address in 0..2_000_u32 {
                let address = IpAddr::from((minute * 10_000 + address).to_be_bytes());
                audit.stranger("wrong token", Some(address), StatusCode::UNAUTHORIZED);
            }
            tokio::time::advance(SUMMED_FOR).await;
            audit.0.book.lock().close(Instant::now().checked_sub(SUMMED_FOR));
        }
        let all = audit.all();
        assert_eq!(all.len(), 1 + KEPT_STRANGERS);
        assert_eq!(all[0].record.action, "drain");
        // Those that have no record of their own are one together.
        let others = all
            .iter()
            .filter(|kept| kept.record.caller.is_none() && kept.record.address.is_none());
        assert!(others.clone().count() >= 4);
        assert!(
            others
                .clone()
                .all(|kept| kept.record.count == 2_000 - STRANGERS_APART as u64),
            "{others:?}"
        );
        assert!(audit.0.book.lock().sums.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_records_are_bounded_and_the_oldest_go_first() {
        let (audit, caller) = (audit(), Caller::demo());
        let mut news = audit.subscribe();
        for number in 0..KEPT + 3 {
            audit.record(&caller, Entry::new("drain", number.to_string(), StatusCode::OK));
        }
        let all = shown(&audit);
        assert_eq!((all.len(), all[0].0.as_str()), (KEPT, "drain 3"));
        // A subscriber that is behind misses the oldest.
        assert!(news.recv().await.is_err() && news.recv().await.is_ok());
    }
}
