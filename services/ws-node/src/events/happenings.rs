//! What happens to connections, for the handlers of the program: a client is logged in or gone, answers a ping, sends a raw
//! message or something wrong.
//!
//! Costs nothing where there is no handler. What waits for handlers counts like an event of the client, so its number is bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinError;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::client::Session;
use crate::edge::Edge;
use crate::engine::{Initiator, Message};
use crate::handlers::{Client, ClientFault, Closed, ClosedBy, Handling, Listed, RawMessage, Running, Wanted};
use crate::metrics::HandlerFailure;

/// Longest time for handlers, unless a client waits for less.
pub(super) const HANDLER_LIMIT: Duration = Duration::from_secs(30);

/// A client is logged in.
pub(crate) fn opened(session: &Session) {
    session.handler().is_opened.set(true);
    let handlers = &session.handler().edge.handlers;
    if handlers.want(Wanted::Connections) {
        let client = client_of(session);
        tell(session, handlers.of_connections(), move |run| run(client.clone()));
    }
}

/// A client answered a ping.
pub(crate) fn ponged(session: &Session, latency: Duration) {
    let handlers = &session.handler().edge.handlers;
    if handlers.want(Wanted::Pongs) {
        let client = client_of(session);
        tell(session, handlers.of_pongs(), move |run| run(client.clone(), latency));
    }
}

/// Something is wrong with a connection.
pub(crate) fn fault(session: &Session, fault: impl FnOnce() -> ClientFault) {
    let handlers = &session.handler().edge.handlers;
    if handlers.want(Wanted::Errors) {
        let (client, fault) = (client_of(session), fault());
        tell(session, handlers.of_errors(), move |run| {
            run(client.clone(), fault.clone())
        });
    }
}

/// A connection has ended. Resolves when the handlers of the connection are done.
pub(crate) fn closed(session: Session) -> Option<impl Future<Output = ()>> {
    let state = session.handler();
    let is_told = state.is_opened.get() && state.edge.handlers.want(Wanted::Closings);
    let is_waited_for = is_told || state.turns.have_begun();
    let told = async move {
        let handlers = &session.handler().edge.handlers;
        let listed = if is_told { handlers.of_closings() } else { Vec::new() };
        let (client, closed) = (client_of(&session), how_it_ended(&session));
        telling(&session, listed, move |run| run(client.clone(), closed.clone())).await;
    };
    is_waited_for.then_some(told)
}

fn how_it_ended(session: &Session) -> Closed {
    let ending = session.ending();
    Closed {
        code: ending.and_then(|ending| ending.code),
        reason: ending.map(|ending| Arc::clone(&ending.reason)).unwrap_or_default(),
        by: match ending.map(|ending| ending.initiator) {
            Some(Initiator::Server) => ClosedBy::Server,
            _ => ClosedBy::Client,
        },
    }
}

/// Asks the handlers of raw messages whether one of them handles this one. `read` reads it if none does.
///
/// It came while the connection was open, so it is read even if that closes meanwhile: a client that sends and goes loses nothing
/// to a handler that is asked first.
pub(crate) fn offer(session: &Session, message: Message, arrived: Instant, read: fn(&Session, Message, Instant)) {
    let edge = Arc::clone(&session.handler().edge);
    let (client, raw, turn) = (client_of(session), raw(&message), session.handler().turns.next());
    let (listed, in_flight) = (edge.handlers.of_messages(), session.begin_event());
    session.spawn(async move {
        // Held until the message is read, so that the messages of a client are read in order, and as long as its handlers run.
        let turn = Arc::new(turn.await);
        let held = Arc::clone(&turn);
        let asking = async move {
            let _held = held;
            for entry in &listed {
                if (entry.run)(client.clone(), raw.clone()).await == Handling::Handled {
                    return Handling::Handled;
                }
            }
            Handling::Unhandled
        };
        let asking = AbortOnDropHandle::new(edge.runtime.spawn(asking));
        let handling = match timeout(HANDLER_LIMIT, asking).await {
            Ok(Ok(handling)) => handling,
            Ok(Err(error)) => {
                failed(&edge, Some(&error));
                Handling::Unhandled
            }
            Err(_) => {
                failed(&edge, None);
                Handling::Unhandled
            }
        };
        if handling == Handling::Unhandled {
            read(in_flight.session(), message, arrived);
        }
        drop(turn);
    });
}

fn raw(message: &Message) -> RawMessage {
    match message {
        Message::Text(text) => RawMessage::Text(text.clone()),
        Message::Binary(bytes) => RawMessage::Binary(Bytes::copy_from_slice(bytes)),
    }
}

/// The client of a session, as handlers get it.
pub(super) fn client_of(session: &Session) -> Client {
    let adapter = session.handler().edge.adapter.clone();
    Client::new(
        adapter,
        session.client().clone(),
        session.connection(),
        session.live_context(),
    )
}

fn tell<F>(session: &Session, listed: Listed<F>, call: impl Fn(&F) -> Running<()> + Send + Sync + 'static)
where
    F: ?Sized + Send + Sync + 'static,
{
    let (telling, in_flight) = (telling(session, listed, call), session.begin_event());
    session.spawn(async move {
        telling.await;
        drop(in_flight);
    });
}

/// Calls handlers, one after the other, when it is the turn of what happened now.
fn telling<F>(
    session: &Session,
    listed: Listed<F>,
    call: impl Fn(&F) -> Running<()> + Send + Sync + 'static,
) -> impl Future<Output = ()> + 'static
where
    F: ?Sized + Send + Sync + 'static,
{
    let (edge, turn) = (Arc::clone(&session.handler().edge), session.handler().turns.next());
    async move {
        let told = async {
            let turn = turn.await;
            let task = async move {
                for entry in &listed {
                    call(&entry.run).await;
                }
                drop(turn);
            };
            AbortOnDropHandle::new(edge.runtime.spawn(task)).await
        };
        match timeout(HANDLER_LIMIT, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failed(&edge, Some(&error)),
            Err(_) => failed(&edge, None),
        }
    }
}

/// Handlers ended badly, or took too long.
fn failed(edge: &Edge, error: Option<&JoinError>) {
    let failure = error.map_or(HandlerFailure::TooLate, HandlerFailure::of);
    edge.metrics.frames.handler_failed(failure);
    match failure {
        HandlerFailure::Panicked => tracing::error!("a handler panicked; see the log before this"),
        HandlerFailure::TooLate => {
            tracing::warn!(limit = ?HANDLER_LIMIT, "handlers took too long and were given up: make them faster")
        }
        HandlerFailure::Ended => {}
    }
}
