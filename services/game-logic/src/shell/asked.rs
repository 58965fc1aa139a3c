//! The traces of players' requests, while the players wait: what comes of a request only later, a match and its first pushes, is put below
//! it or links to it. A player may wait for several modes, each with a request of its own. Bounded; the rules know nothing of it.
//! Requests that nobody samples cost nothing here.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use parking_lot::Mutex;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wsmesh_adapter::{ClientId, of_request, recorded, remote_context, traceparent};

/// Most players whose requests are remembered; those of further ones are not linked to.
const MOST: usize = 10_000;

/// The requests of players that wait.
#[derive(Debug, Default)]
pub(super) struct Asked {
    requests: Mutex<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    /// Of each player one for each mode, so only a few.
    of: HashMap<ClientId, Vec<Request>>,
    next: u64,
}

/// The last request of a player for a mode.
#[derive(Debug)]
struct Request {
    mode: String,
    /// Rises with each request.
    number: u64,
    context: SpanContext,
}

/// A request that was noted. Dropping it undoes that, unless it [led to a ticket](Noted::waits).
#[derive(Debug)]
#[must_use]
pub(super) struct Noted<'a>(Option<Undo<'a>>);

#[derive(Debug)]
struct Undo<'a> {
    asked: &'a Asked,
    client: ClientId,
    mode: String,
    number: u64,
    replaced: Option<Request>,
}

impl Noted<'_> {
    /// The player waits here.
    pub(super) fn waits(mut self) {
        self.0 = None;
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo.asked
                .requests
                .lock()
                .undo(undo.number, undo.client, &undo.mode, undo.replaced);
        }
    }
}

/// The requests that led to a match: one is the trace that the match belongs to, the others are linked to.
#[derive(Debug, Default)]
pub(super) struct Origins {
    parent: Option<SpanContext>,
    /// In the order of the players; none for the parent, and for requests that nobody samples.
    linked: Vec<Option<SpanContext>>,
}

impl Asked {
    /// A player asks for a mode, in the current span.
    pub(super) fn note(&self, client: &ClientId, mode: &str) -> Noted<'_> {
        let context = recorded(&Span::current()).filter(SpanContext::is_sampled);
        match context {
            Some(context) => self.note_request(client, mode, context),
            None => Noted(None),
        }
    }

    fn note_request(&self, client: &ClientId, mode: &str, context: SpanContext) -> Noted<'_> {
        let mut requests = self.requests.lock();
        if requests.of.len() >= MOST && !requests.of.contains_key(client) {
            return Noted(None);
        }
        requests.next += 1;
        let number = requests.next;
        let request = Request {
            mode: mode.to_owned(),
            number,
            context,
        };
        let replaced = requests.put(client.clone(), request);
        Noted(Some(Undo {
            asked: self,
            client: client.clone(),
            mode: mode.to_owned(),
            number,
            replaced,
        }))
    }

    /// A player does not wait here any more for this mode.
    pub(super) fn forget(&self, client: &ClientId, mode: &str) {
        self.requests.lock().remove(client, mode);
    }

    /// The requests of the players of a match. The match belongs to the last one: it is the one that completed it.
    pub(super) fn origins<'a>(&self, mode: &str, clients: impl IntoIterator<Item = &'a ClientId>) -> Origins {
        let requests = self.requests.lock();
        let found: Vec<_> = clients
            .into_iter()
            .map(|client| requests.request(client, mode))
            .collect();
        let last = found.iter().flatten().max_by_key(|request| request.number);
        let is_last = |request: &Request| last.is_some_and(|last| last.number == request.number);
        Origins {
            parent: last.map(|request| request.context.clone()),
            linked: found
                .iter()
                .map(|request| request.filter(|request| !is_last(request)))
                .map(|request| request.map(|request| request.context.clone()))
                .collect(),
        }
    }
}

impl Requests {
    fn request(&self, client: &ClientId, mode: &str) -> Option<&Request> {
        self.of.get(client)?.iter().find(|request| request.mode == mode)
    }

    /// Returns the one that it replaces.
    fn put(&mut self, client: ClientId, request: Request) -> Option<Request> {
        let of_client = self.of.entry(client).or_default();
        match of_client.iter_mut().find(|known| known.mode == request.mode) {
            Some(known) => Some(std::mem::replace(known, request)),
            None => {
                of_client.push(request);
                None
            }
        }
    }

    fn remove(&mut self, client: &ClientId, mode: &str) {
        let Some(of_client) = self.of.get_mut(client) else {
            return;
        };
        of_client.retain(|request| request.mode != mode);
        if of_client.is_empty() {
            self.of.remove(client);
        }
    }

    /// The request came to nothing here: what it replaced counts again, unless the player asked anew or waits no more since then.
    fn undo(&mut self, number: u64, client: ClientId, mode: &str, replaced: Option<Request>) {
        if self
            .request(&client, mode)
            .is_none_or(|request| request.number != number)
        {
            return;
        }
        match replaced {
            Some(before) => _ = self.put(client, before),
            None => self.remove(&client, mode),
        }
    }
}

impl Origins {
    /// As they came from the server that formed the match, in the order of the players.
    pub(super) fn read(traces: &[Option<String>]) -> Self {
        let context = |trace: &Option<String>| remote_context(trace.as_deref()?, None);
        Self {
            parent: None,
            linked: traces.iter().map(context).collect(),
        }
    }

    /// What the server that runs the match is told; nothing if there is nothing to tell.
    pub(super) fn traces(&self) -> Vec<Option<String>> {
        if self.linked.iter().all(Option::is_none) {
            return Vec::new();
        }
        self.linked
            .iter()
            .map(|context| context.as_ref().map(traceparent))
            .collect()
    }

    /// The span of forming a match; disabled if no request is sampled.
    pub(super) fn forming_span(&self) -> Span {
        let Some(parent) = &self.parent else {
            return Span::none();
        };
        let span = tracing::info_span!(parent: None, "match", otel.name = "form match", otel.kind = "internal");
        self.linked
            .iter()
            .flatten()
            .for_each(|request| span.add_link(request.clone()));
        // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
        let _nothing_to_parent = span.set_parent(Context::new().with_remote_span_context(parent.clone()));
        span
    }

    /// The span of a push to one of the players, by its number; disabled if the current span is not recorded.
    pub(super) fn push_span(&self, event: &'static str, player: usize) -> Span {
        push_span(event, self.linked.get(player).into_iter().flatten())
    }

    /// The span of a push to all players.
    pub(super) fn push_to_all_span(&self, event: &'static str) -> Span {
        push_span(event, self.linked.iter().flatten())
    }
}

fn push_span<'a>(event: &'static str, requests: impl Iterator<Item = &'a SpanContext>) -> Span {
    let Some(current) = recorded(&Span::current()) else {
        return Span::none();
    };
    let span = tracing::info_span!(
        "push",
        otel.name = format!("push {event}"),
        otel.kind = "internal",
        wsmesh.event = event,
        wsmesh.request = of_request(&current),
    );
    requests.for_each(|request| span.add_link(request.clone()));
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(number: u8) -> SpanContext {
        let text = format!("00-{:032x}-{:016x}-01", u32::from(number) + 1, u32::from(number) + 7);
        remote_context(&text, None).expect("valid")
    }

    fn asked(clients: &[&str]) -> Asked {
        let asked = Asked::default();
        for (number, client) in (0..).zip(clients) {
            asked
                .note_request(&ClientId::new(*client).expect("valid"), "duel", context(number))
                .waits();
        }
        asked
    }

    #[test]
    fn a_match_belongs_to_the_last_request_and_links_to_the_others() {
        let ids = ["bob", "eve", "ann"].map(|id| ClientId::new(id).expect("valid"));
        let origins = asked(&["ann", "bob"]).origins("duel", &ids);
        assert_eq!(origins.parent, Some(context(1)));
        assert_eq!(origins.linked, [None, None, Some(context(0))]);
        let traces = origins.traces();
        assert_eq!(traces[2].as_deref(), Some(&*traceparent(&context(0))));
        assert_eq!(Origins::read(&traces).linked, origins.linked);
    }

    #[test]
    fn a_request_that_came_to_nothing_leaves_the_one_that_still_waits() {
        let (asked, ann) = (Asked::default(), ClientId::new("ann").expect("valid"));
        let note = |number| asked.note_request(&ann, "duel", context(number));
        let parent = || asked.origins("duel", [&ann]).parent;
        drop(note(1));
        assert_eq!(parent(), None);
        note(2).waits();
        drop(note(3));
        assert_eq!(parent(), Some(context(2)));
        let late = note(4);
        note(5).waits();
        drop(late);
        assert_eq!(parent(), Some(context(5)));
        let late = note(6);
        asked.forget(&ann, "duel");
        drop(late);
        assert_eq!(parent(), None, "the player waits no more");
        assert!(asked.requests.lock().of.is_empty());
    }

    #[test]
    fn requests_of_a_player_for_several_modes_do_not_replace_each_other() {
        let (asked, ann) = (asked(&["ann"]), ClientId::new("ann").expect("valid"));
        asked.note_request(&ann, "arena", context(1)).waits();
        drop(asked.note_request(&ann, "race", context(2)));
        let parent = |mode| asked.origins(mode, [&ann]).parent;
        assert_eq!(
            ["duel", "arena", "race"].map(parent),
            [Some(context(0)), Some(context(1)), None]
        );
        asked.forget(&ann, "arena");
        assert_eq!(["duel", "arena"].map(parent), [Some(context(0)), None]);
    }

    #[test]
    fn a_request_that_is_not_sampled_leaves_nothing_and_a_malformed_trace_is_no_link() {
        let asked = asked(&["ann"]);
        let ann = ClientId::new("ann").expect("valid");
        asked.note(&ClientId::new("bob").expect("valid"), "duel").waits();
        asked.forget(&ann, "duel");
        assert!(asked.requests.lock().of.is_empty());
        let origins = asked.origins("duel", [&ann]);
        assert!(origins.forming_span().is_disabled() && origins.traces().is_empty());
        let read = Origins::read(&[Some("00-zz".to_owned()), None]);
        assert!(read.linked.iter().all(Option::is_none));
        assert!(read.push_span("matchFound", 7).is_disabled());
    }
}
