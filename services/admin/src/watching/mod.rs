//! Watching clients: a viewer follows one client over all ws-nodes, wherever it is and wherever it comes back.
//!
//! This admin tells every ws-node what it watches, every 5 s and whenever that or the roster changes; a ws-node that is not told for 15 s
//! forgets it, so nothing is left of an admin that dies. At most twenty watches exist in a cluster: ws-nodes refuse more. A watch ends
//! after 15 minutes. Viewers that read slowly lose events, which are counted. Nothing that is seen is kept, logged or counted elsewhere.
//!
//! `book` is what this admin watches, `viewing` the stream of one watch, `queue` what waits for it, `events` what is written.

mod events;
mod queue;

mod book;
mod viewing;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use prometheus::{IntGauge, Registry, register_int_gauge_with_registry};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{
    Adapter, ClientId, Missing, Outcome, Payload, PublishError, Reply, RequestOptions, ServerEvent, ServerName, Target,
};
use wsmesh_protocol::watching::{WATCH, WATCHED, Watched, WatchesTaken};

use book::Book;
use events::{Begun, Servers, Silent};
pub(crate) use queue::Event;
pub(crate) use viewing::Viewing;

/// How long a watch lasts.
const LASTS: Duration = Duration::from_secs(15 * 60);
/// How often ws-nodes are told. They forget after three times as long.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How long a ws-node may take to answer. It is named if it does not.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// The last request to the ws-nodes, at the end, takes no longer.
const GOODBYE: Duration = Duration::from_secs(1);

/// The watches of this admin. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Watching(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    adapter: Adapter,
    book: Mutex<Book>,
    /// The watches are others than the ws-nodes know.
    changed: Notify,
    closing: CancellationToken,
    open: IntGauge,
}

/// Why a client is not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The cluster has as many watches as it may have.
    TooMany,
    /// This admin is about to end.
    ShuttingDown,
}

impl Watching {
    /// Nobody is watched yet. All watches end at `closing`.
    ///
    /// # Errors
    /// When the registry has metrics of this name already.
    pub(crate) fn new(adapter: Adapter, registry: &Registry, closing: CancellationToken) -> prometheus::Result<Self> {
        let open = register_int_gauge_with_registry!(
            "wsmesh_watches",
            "Watches of clients that are open at this admin.",
            registry
        )?;
        let watching = Self(Arc::new(Inner {
            book: Mutex::new(Book::new(adapter.instance())),
            adapter,
            changed: Notify::new(),
            closing,
            open,
        }));
        let seeing = Arc::downgrade(&watching.0);
        watching.0.adapter.on(WATCHED, move |event| {
            if let Some(inner) = seeing.upgrade() {
                Self(inner).saw(&event);
            }
            std::future::ready(())
        });
        Ok(watching)
    }

    /// Watches a client on all ws-nodes. Resolves when they have answered, or did not in time.
    ///
    /// # Errors
    /// When there are too many watches already.
    pub(crate) async fn open(&self, client: ClientId, payloads: bool) -> Result<Viewing, Refused> {
        if self.0.closing.is_cancelled() {
            return Err(Refused::ShuttingDown);
        }
        let until = Instant::now() + LASTS;
        let opened = self.book().open(client.clone(), payloads, until);
        let (id, queue) = opened.ok_or(Refused::TooMany)?;
        // From now on the watch ends if the caller goes away.
        let mut viewing = Viewing::new(self.clone(), id, until, queue);
        let name = {
            let book = self.book();
            self.0.open.set(book.len() as i64);
            book.name(id)
        };
        let refused = self.tell().await;
        if refused.contains(&name) {
            return Err(Refused::TooMany);
        }
        let begun = events::begun(&Begun {
            client: &client,
            until: Timestamp::now()
                + SignedDuration::try_from(until.saturating_duration_since(Instant::now())).unwrap_or_default(),
            payloads,
            servers: self.book().servers(),
        });
        viewing.begin(begun);
        Ok(viewing)
    }

    /// Keeps the watches at the ws-nodes until admin ends. Does nothing while there are none.
    pub(crate) async fn run(self) {
        let mut roster = self.0.adapter.roster();
        let mut every = tokio::time::interval(TELL_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = 0;
        loop {
            tokio::select! {
                () = self.0.closing.cancelled() => break,
                () = self.0.changed.notified() => {}
                _ = every.tick() => {}
                changed = roster.changed() => {
                    let servers = roster.borrow_and_update().clone();
                    let is_new = self.book().look(&servers, Instant::now());
                    if changed.is_ok() && !is_new {
                        continue;
                    }
                }
            }
            let now = {
                let mut book = self.book();
                book.expire(Instant::now());
                book.len()
            };
            self.0.open.set(now as i64);
            if known > 0 || now > 0 {
                self.tell().await;
            }
            known = now;
        }
        let _nobody_waits = timeout(GOODBYE, self.tell()).await;
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock()
    }

    fn closing(&self) -> &CancellationToken {
        &self.0.closing
    }

    /// Ends all watches: nothing is watched any more.
    pub(crate) fn end(&self) {
        self.0.closing.cancel();
    }

    fn close(&self, id: u64) {
        let mut book = self.book();
        book.close(id);
        self.0.open.set(book.len() as i64);
        drop(book);
        self.0.changed.notify_one();
    }

    fn saw(&self, event: &ServerEvent) {
        match event.payload.parse::<Watched>() {
            Ok(watched) => self.book().saw(&event.sender, &watched, Instant::now()),
            Err(error) => {
                tracing::debug!(peer = %event.sender, %error, "what a server saw of a client cannot be read")
            }
        }
    }

    /// Tells all ws-nodes what is watched. Returns the names of watches that some of them refused.
    async fn tell(&self) -> Vec<String> {
        let adapter = &self.0.adapter;
        let told = {
            let mut book = self.book();
            book.look(&adapter.servers(), Instant::now());
            book.told()
        };
        let options = RequestOptions {
            timeout: Some(ANSWER_LIMIT),
            ..RequestOptions::default()
        };
        let outcome = match Payload::new(&told) {
            Ok(payload) => adapter.ask(Target::Others, WATCH, payload, options).await,
            Err(error) => Err(error.into()),
        };
        let mut refused = Vec::new();
        let mut book = self.book();
        let servers = match outcome {
            Ok(outcome) => answers(&mut book, outcome, &mut refused),
            // There is no other server.
            Err(PublishError::Target(_)) => Servers::default(),
            Err(error) => Servers {
                servers: Vec::new(),
                missing: vec![silent(adapter.name().clone(), error.to_string())],
            },
        };
        book.answered(servers, Instant::now());
        refused
    }
}

/// Who watches now and who did not answer. Servers that are no ws-nodes are neither.
fn answers(book: &mut Book, outcome: Outcome, refused: &mut Vec<String>) -> Servers {
    let mut servers = Servers::default();
    for Reply { server, payload } in outcome.replies {
        match payload.parse::<WatchesTaken>() {
            Ok(taken) => {
                book.is_ws_node(&server, true);
                refused.extend(taken.refused);
                servers.servers.push(server);
            }
            Err(_) => servers
                .missing
                .push(silent(server, "answered something else".to_owned())),
        }
    }
    for (server, why) in outcome.missing {
        match why {
            Missing::Unhandled => book.is_ws_node(&server, false),
            Missing::Gone => {}
            why if book.may_be_ws_node(&server) => servers.missing.push(silent(server, why.to_string())),
            _ => {}
        }
    }
    servers.servers.sort_unstable();
    servers.missing.sort_unstable_by(|a, b| a.server.cmp(&b.server));
    servers
}

fn silent(server: ServerName, why: String) -> Silent {
    Silent { server, why }
}
