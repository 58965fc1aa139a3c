//! Handles the events of clients: built-in ones, and those that a rule forwards to a service or a backend.
//!
//! A request never blocks the frames behind it: one that is not answered at once continues while they are handled, and the
//! number of those is bounded for each client. Every request is answered, if only with an error.

mod backend_answer;
mod call;
mod closed;
mod demo;
mod forward;
mod forward_http;
mod handled;
pub(crate) mod happenings;
mod payloads;
mod publish;
pub(crate) mod refresh;
mod refusal;
mod rooms;
mod server;
mod work;

use std::time::Duration;

use wsmesh_adapter::failed;
use wsmesh_protocol::ErrorCode;

use call::OK;
pub(crate) use call::{Call, refuse};
pub(crate) use closed::tell_closed;
pub(crate) use refusal::Refusal;
pub(crate) use server::listen;
use work::Work;

use crate::client::Session;
use crate::edge::Edge;
use crate::event_metrics::EventSeries;
use crate::metrics::{Denied, Received};
use crate::routes::{Match, Route, Way};
use crate::trace::{self, Receiving};

/// Most requests of one client that may wait for their reply at once.
const REQUESTS_IN_FLIGHT: u32 = 64;

/// Handles an event, if the client may send it and something handles it here.
pub(crate) fn handle(call: Call<'_>, event: &str, traceparent: Option<&str>) {
    let edge = call.edge();
    if let Some(found) = edge.handlers.find(event) {
        let series = found.series(&edge.metrics.events);
        let route = Route::Handlers(found);
        let handlers = Match {
            name: event,
            route: &route,
            series,
        };
        if pass(call, event, traceparent, Some(handlers)).is_ok() {
            return;
        }
    }
    let _routes_are_never_spent = pass(call, event, traceparent, edge.routes.find(event));
}

/// An event was rejected with this code before anybody looked for its route.
pub(crate) fn rejected(edge: &Edge, event: &str, code: ErrorCode) {
    let handlers = edge.handlers.find(event);
    let series = match &handlers {
        Some(found) => found.series(&edge.metrics.events),
        None => edge.routes.find(event).map_or(EventSeries::OTHER, |found| found.series),
    };
    edge.metrics.events.ended(series, None, Some(code.as_str()));
}

/// The handlers of an event have run for the last time, for an event of another shard.
struct Spent;

/// Hands the event to what was found for it, if the client may send it.
fn pass(call: Call<'_>, event: &str, traceparent: Option<&str>, found: Option<Match<'_>>) -> Result<(), Spent> {
    let (edge, session) = (call.edge(), call.session);
    let trusted = traceparent.filter(|_| edge.settings.trust_client_traces);
    let call = call.counted_by(found.map_or(EventSeries::OTHER, |found| found.series));
    let is_own = found.is_some_and(|found| is_own(found.route, session));
    if !is_own && !session.handler().grant.borrow().allows_event(event) {
        edge.metrics.frames.denied(Denied::Event);
        let name = found.map_or(trace::OTHER, |found| found.name);
        turn_away(
            call,
            name,
            trusted,
            ErrorCode::NotAllowed,
            "the token does not allow this event",
        );
        return Ok(());
    }
    let Some(Match { name, route, .. }) = found else {
        edge.metrics.frames.received(Received::Unknown);
        tracing::debug!(client = %session.client(), "a client sent an event that nobody handles");
        turn_away(
            call,
            trace::OTHER,
            trusted,
            ErrorCode::UnknownEvent,
            "nobody handles this event",
        );
        return Ok(());
    };
    if call.callback_id.is_some() && session.requests_in_flight() >= REQUESTS_IN_FLIGHT {
        turn_away(
            call,
            name,
            trusted,
            ErrorCode::Overloaded,
            "too many requests are waiting",
        );
        return Ok(());
    }
    let call = call.within(limit(route, call));
    if call.callback_id.is_some() && call.deadline <= call.received_at {
        let text = "the client's time for this request is over";
        turn_away(call, name, trusted, ErrorCode::Timeout, text);
        return Ok(());
    }
    let span = trace::receive_span(Receiving {
        server: call.edge().adapter.name(),
        event: name,
        is_request: call.callback_id.is_some(),
        trusted,
        upgrade: session.handler().upgrade.as_deref(),
    });
    let call = call.traced(&span);
    let work = span.in_scope(|| start(route, event, call))?;
    work.run(call, span);
    Ok(())
}

/// Refuses an event before anything is done about it. Only a request has a span then: if the sampler chooses it.
fn turn_away(call: Call<'_>, name: &str, trusted: Option<&str>, code: ErrorCode, text: &'static str) {
    if call.callback_id.is_some() {
        let span = trace::receive_span(Receiving {
            server: call.edge().adapter.name(),
            event: name,
            is_request: false,
            trusted,
            upgrade: call.session.handler().upgrade.as_deref(),
        });
        failed(&span, code.as_str());
    }
    call.refuse(code, text);
}

/// Whether the list of events in the client's token says nothing about this one.
fn is_own(route: &Route, session: &Session) -> bool {
    route.is_own() || matches!(route, Route::Publish) && session.handler().grant.borrow().lists_publish()
}

/// The longest that a reply may take.
fn limit(route: &Route, call: Call<'_>) -> Duration {
    let of_rule = match route {
        Route::Rule(forwarding) => forwarding.rule.timeout_ms,
        _ => None,
    };
    of_rule.map_or(call.edge().settings.request_timeout, Duration::from_millis)
}

fn start(route: &Route, event: &str, call: Call<'_>) -> Result<Work, Spent> {
    Ok(match route {
        Route::EnterBackground => {
            call.session.enter_background();
            Work::Done(Ok(OK))
        }
        Route::EnterForeground => {
            call.session.enter_foreground();
            Work::Done(Ok(OK))
        }
        Route::RefreshToken => refresh::refresh(call),
        Route::JoinRoom => rooms::join(call),
        Route::LeaveRoom => rooms::leave(call),
        Route::Publish => publish::publish(call),
        Route::Echo => Work::Done(Ok(OK)),
        Route::Say => demo::say(call),
        Route::Command => demo::command(call),
        Route::Rule(forwarding) => match &forwarding.way {
            Way::Service(service) => forward::forward(forwarding, service, event, call),
            Way::Backend(way) => forward_http::forward(way, event, call),
        },
        Route::Handlers(found) => handled::handle(found, call).ok_or(Spent)?,
    })
}
