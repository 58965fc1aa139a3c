//! The traces of players' requests, while the players wait: what comes of a request only later, a match and its first pushes, is put below
//! it or links to it. Bounded; the rules know nothing of it. Requests that nobody samples cost nothing here.

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
    /// With a number that rises with each request.
    of: HashMap<ClientId, (u64, SpanContext)>,
    next: u64,
}

/// What one request changed, so that it can be undone.
#[derive(Debug)]
pub(super) struct Noted {
    number: u64,
    replaced: Option<(u64, SpanContext)>,
}

/// The requests that led to a match: one is the trace that the match belongs to, the others are linked to.
#[derive(Debug, Default)]
pub(super) struct Origins {
    parent: Option<SpanContext>,
    /// In the order of the players; none for the parent, and for requests that nobody samples.
    linked: Vec<Option<SpanContext>>,
}

impl Asked {
    /// A player asks for a match, in the current span. `None` if nothing is noted of that.
    pub(super) fn note(&self, client: &ClientId) -> Option<Noted> {
        let context = recorded(&Span::current()).filter(SpanContext::is_sampled)?;
        self.note_request(client, context)
    }

    fn note_request(&self, client: &ClientId, context: SpanContext) -> Option<Noted> {
        let mut requests = self.requests.lock();
        if requests.of.len() >= MOST && !requests.of.contains_key(client) {
            return None;
        }
        requests.next += 1;
        let number = requests.next;
        let replaced = requests.of.insert(client.clone(), (number, context));
        Some(Noted { number, replaced })
    }

    /// The request came to nothing: what it replaced counts again, unless the player asked anew or waits no more since then.
    pub(super) fn undo(&self, client: &ClientId, noted: Noted) {
        let mut requests = self.requests.lock();
        if requests
            .of
            .get(client)
            .is_none_or(|(number, _)| *number != noted.number)
        {
            return;
        }
        match noted.replaced {
            Some(before) => _ = requests.of.insert(client.clone(), before),
            None => _ = requests.of.remove(client),
        }
    }

    /// A player does not wait here any more.
    pub(super) fn forget(&self, client: &ClientId) {
        self.requests.lock().of.remove(client);
    }

    /// The requests of the players of a match. The match belongs to the last one: it is the one that completed it.
    pub(super) fn origins<'a>(&self, clients: impl IntoIterator<Item = &'a ClientId>) -> Origins {
        let requests = self.requests.lock();
        let found: Vec<_> = clients.into_iter().map(|client| requests.of.get(client)).collect();
        let last = found.iter().flatten().map(|(number, _)| *number).max();
        Origins {
            parent: found
                .iter()
                .flatten()
                .find(|(number, _)| Some(*number) == last)
                .map(|(_, context)| context.clone()),
            linked: found
                .iter()
                .map(|request| {
                    request
                        .filter(|(number, _)| Some(*number) != last)
                        .map(|(_, context)| context.clone())
                })
                .collect(),
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
            let mut requests = asked.requests.lock();
            requests
                .of
                .insert(ClientId::new(*client).expect("valid"), (number.into(), context(number)));
        }
        asked
    }

    #[test]
    fn a_match_belongs_to_the_last_request_and_links_to_the_others() {
        let ids = ["bob", "eve", "ann"].map(|id| ClientId::new(id).expect("valid"));
        let origins = asked(&["ann", "bob"]).origins(&ids);
        assert_eq!(origins.parent, Some(context(1)));
        assert_eq!(origins.linked, [None, None, Some(context(0))]);
        let traces = origins.traces();
        assert_eq!(traces[2].as_deref(), Some(&*traceparent(&context(0))));
        assert_eq!(Origins::read(&traces).linked, origins.linked);
    }

    #[test]
    fn a_request_that_came_to_nothing_leaves_the_one_that_still_waits() {
        let (asked, ann) = (Asked::default(), ClientId::new("ann").expect("valid"));
        let note = |number| asked.note_request(&ann, context(number)).expect("noted");
        let parent = || asked.origins([&ann]).parent;
        asked.undo(&ann, note(1));
        assert_eq!(parent(), None);
        let _waits = note(2);
        asked.undo(&ann, note(3));
        assert_eq!(parent(), Some(context(2)));
        let late = note(4);
        let _newer = note(5);
        asked.undo(&ann, late);
        assert_eq!(parent(), Some(context(5)));
        let late = note(6);
        asked.forget(&ann);
        asked.undo(&ann, late);
        assert_eq!(parent(), None, "the player waits no more");
    }

    #[test]
    fn a_request_that_is_not_sampled_leaves_nothing_and_a_malformed_trace_is_no_link() {
        let asked = asked(&["ann"]);
        let ann = ClientId::new("ann").expect("valid");
        assert!(asked.note(&ClientId::new("bob").expect("valid")).is_none());
        asked.forget(&ann);
        assert!(asked.requests.lock().of.is_empty());
        let origins = asked.origins([&ann]);
        assert!(origins.forming_span().is_disabled() && origins.traces().is_empty());
        let read = Origins::read(&[Some("00-zz".to_owned()), None]);
        assert!(read.linked.iter().all(Option::is_none));
        assert!(read.push_span("matchFound", 7).is_disabled());
    }
}
