//! The unsampled traces that have not ended yet, and what is known about those that were kept lately. Bounded; state without I/O.
//!
//! A trace may have several local roots on one server at a time, one after another, or within each other: a request, and the reply to
//! what it asked another server. It is decided when one of them ends and shows a reason to keep it, or when the last one ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;

use super::super::counts::TraceCounts;
use super::Reason;

/// Most traces at a time. A ws-node whose requests take 20 ms has as many under way at 100,000 requests a second.
pub(super) const TRACES: usize = 2_048;
/// Most spans of one trace on one server; the last place is for the local root.
pub(super) const SPANS_PER_TRACE: usize = 64;
/// Most spans and events of all traces together, some 20 MB: requests have a handful each.
pub(super) const SPANS: usize = 16_384;
/// A trace that has not ended after this time is decided by what is known.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Most traces kept in one second: when everything fails, some traces tell as much as all of them, and sampled ones must get through.
pub(super) const KEPT_PER_SECOND: u32 = 100;
/// How long the spans that end after the decision follow it.
pub(super) const FOLLOW: Duration = Duration::from_secs(10);
/// The same, for a trace that was decided before it ended.
pub(super) const FOLLOW_UNENDED: Duration = Duration::from_secs(300);
/// Most kept traces that are remembered: those of [`FOLLOW`].
pub(super) const REMEMBERED: usize = 1_024;
/// Time between two looks at all traces.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Undecided {
    slower_than: Option<Duration>,
    traces: HashMap<TraceId, Trace>,
    /// How many spans and events all traces hold.
    held: usize,
    kept: HashMap<TraceId, Kept>,
    swept: Instant,
    /// The second in which traces are counted for [`KEPT_PER_SECOND`], and how many were kept in it.
    second: (Instant, u32),
    counts: TraceCounts,
}

/// What is known about an unsampled trace.
#[derive(Debug)]
struct Trace {
    began: Instant,
    /// The local roots that have not ended.
    roots: Vec<SpanId>,
    /// Those that have ended.
    spans: Vec<SpanData>,
    /// How many spans and events that is.
    held: usize,
    reason: Option<Reason>,
    /// Spans for which there was no room.
    missing: u64,
}

/// A trace that was kept lately.
#[derive(Debug)]
struct Kept {
    reason: Reason,
    until: Instant,
    /// How many more spans may follow.
    places: usize,
}

/// What follows from the end of a span.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Spans to send, marked as kept.
    pub(super) send: Vec<SpanData>,
    /// Those of a forgotten trace, handed out so that their memory is freed without the lock.
    pub(super) forgotten: Vec<SpanData>,
}

impl Ended {
    fn send(send: Vec<SpanData>) -> Self {
        let forgotten = Vec::new();
        Self { send, forgotten }
    }
}

impl Undecided {
    pub(super) fn new(slower_than: Option<Duration>, counts: TraceCounts, now: Instant) -> Self {
        Self {
            slower_than,
            traces: HashMap::new(),
            held: 0,
            kept: HashMap::new(),
            swept: now,
            second: (now, 0),
            counts,
        }
    }

    /// A local root has begun. Returns spans to send: those of traces that took too long.
    pub(super) fn begin(&mut self, trace: TraceId, root: SpanId, now: Instant) -> Vec<SpanData> {
        let old = self.sweep(now);
        if let Some(kept) = self.kept.get_mut(&trace).filter(|kept| kept.until > now) {
            kept.until = kept.until.max(now + LONGEST);
            return old;
        }
        let is_full = self.traces.len() >= TRACES;
        match self.traces.entry(trace) {
            // More roots than places are not waited for.
            Entry::Occupied(mut known) if known.get().roots.len() < SPANS_PER_TRACE => known.get_mut().roots.push(root),
            Entry::Occupied(_) => {}
            Entry::Vacant(_) if is_full => self.counts.not_kept.inc(),
            Entry::Vacant(place) => {
                place.insert(Trace {
                    began: now,
                    roots: vec![root],
                    spans: Vec::new(),
                    held: 0,
                    reason: None,
                    missing: 0,
                });
            }
        }
        old
    }

    /// An unsampled span has ended.
    pub(super) fn end(&mut self, span: SpanData, now: Instant) -> Ended {
        let id = span.span_context.trace_id();
        if let Some(kept) = self.kept.get_mut(&id).filter(|kept| kept.until > now) {
            return kept.follow(span, &self.counts);
        }
        // Forgotten, or there was no room for it.
        let Some(trace) = self.traces.get_mut(&id) else {
            return Ended::default();
        };
        let is_root = trace.learn(&span, self.slower_than);
        match trace.reason {
            Some(reason) if is_root => Ended::send(self.keep(id, reason, Some(span), now)),
            None if is_root && trace.roots.is_empty() => Ended {
                forgotten: self.forget(id).map(|trace| trace.spans).unwrap_or_default(),
                ..Ended::default()
            },
            _ => {
                let others = self.held - trace.held;
                trace.hold(span, SPANS - others);
                self.held = others + trace.held;
                Ended::default()
            }
        }
    }

    /// Decides all by what is known now: the process ends.
    pub(super) fn decide_all(&mut self, now: Instant) -> Vec<SpanData> {
        let all = self.traces.keys().copied().collect();
        self.decide(all, None, now)
    }

    /// At most once in [`SWEEP`]: forgets what need not be remembered any more, and decides traces that took too long.
    fn sweep(&mut self, now: Instant) -> Vec<SpanData> {
        if now.saturating_duration_since(self.swept) < SWEEP {
            return Vec::new();
        }
        self.swept = now;
        self.kept.retain(|_, kept| kept.until > now);
        let is_old = |trace: &Trace| now.saturating_duration_since(trace.began) >= LONGEST;
        let old = self.traces.iter().filter(|(_, trace)| is_old(trace));
        let old = old.map(|(id, _)| *id).collect();
        self.decide(old, self.slower_than, now)
    }

    /// Decides traces that have not ended. They are slow if the limit is shorter than [`LONGEST`], which they lasted.
    fn decide(&mut self, ids: Vec<TraceId>, slower_than: Option<Duration>, now: Instant) -> Vec<SpanData> {
        let mut kept = Vec::new();
        for id in ids {
            let known = self.traces.get(&id).and_then(|trace| trace.reason);
            let is_slow = slower_than.is_some_and(|limit| limit <= LONGEST);
            match known.or(is_slow.then_some(Reason::Slow)) {
                Some(reason) => kept.extend(self.keep(id, reason, None, now)),
                None => {
                    self.counts.not_kept.inc();
                    self.forget(id);
                }
            }
        }
        kept
    }

    fn keep(&mut self, id: TraceId, reason: Reason, last: Option<SpanData>, now: Instant) -> Vec<SpanData> {
        let Some(trace) = self.forget(id) else {
            return Vec::new();
        };
        if !self.may_keep(now) {
            self.counts.not_kept.inc();
            return Vec::new();
        }
        self.counts.kept(reason).inc();
        self.counts.dropped.inc_by(trace.missing);
        let follow = if trace.roots.is_empty() { FOLLOW } else { FOLLOW_UNENDED };
        self.remember(id, reason, now + follow);
        trace
            .spans
            .into_iter()
            .chain(last)
            .map(|span| marked(span, reason))
            .collect()
    }

    fn may_keep(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.second.0) >= Duration::from_secs(1) {
            self.second = (now, 0);
        }
        self.second.1 += 1;
        self.second.1 <= KEPT_PER_SECOND
    }

    fn remember(&mut self, id: TraceId, reason: Reason, until: Instant) {
        if self.kept.len() >= REMEMBERED {
            let first = self.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(id, _)| *id);
            first.and_then(|id| self.kept.remove(&id));
        }
        let places = SPANS_PER_TRACE;
        self.kept.insert(id, Kept { reason, until, places });
    }

    fn forget(&mut self, id: TraceId) -> Option<Trace> {
        let trace = self.traces.remove(&id)?;
        self.held -= trace.held;
        Some(trace)
    }
}

impl Trace {
    /// Notes what the end of a span says about the trace. Whether it is one of its local roots.
    fn learn(&mut self, span: &SpanData, slower_than: Option<Duration>) -> bool {
        let root = self.roots.iter().position(|root| *root == span.span_context.span_id());
        if is_error(span) {
            self.reason = Some(Reason::Error);
        }
        let Some(root) = root else {
            return false;
        };
        self.roots.swap_remove(root);
        // The times that people will see.
        let lasted = span.end_time.duration_since(span.start_time).unwrap_or_default();
        if self.reason.is_none() && slower_than.is_some_and(|limit| lasted > limit) {
            self.reason = Some(Reason::Slow);
        }
        true
    }

    /// Takes a span if no more than `most` spans and events are held then. An error takes the place of another span, as it is what people
    /// look for.
    fn hold(&mut self, span: SpanData, most: usize) {
        let more = size(&span);
        if self.spans.len() < SPANS_PER_TRACE - 1 && self.held + more <= most {
            self.held += more;
            self.spans.push(span);
            return;
        }
        self.missing += 1;
        if !is_error(&span) {
            return;
        }
        let fits = |other: &&mut SpanData| !is_error(other) && self.held - size(other) + more <= most;
        if let Some(place) = self.spans.iter_mut().find(fits) {
            self.held = self.held - size(place) + more;
            *place = span;
        }
    }
}

impl Kept {
    fn follow(&mut self, span: SpanData, counts: &TraceCounts) -> Ended {
        match self.places.checked_sub(1) {
            Some(places) => {
                self.places = places;
                Ended::send(vec![marked(span, self.reason)])
            }
            None => {
                counts.dropped.inc();
                Ended::default()
            }
        }
    }
}

/// How much a span counts for [`SPANS`].
fn size(span: &SpanData) -> usize {
    1 + span.events.len()
}

fn is_error(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. })
}

/// Processors and exporters ignore what is not sampled.
fn marked(mut span: SpanData, reason: Reason) -> SpanData {
    let context = &span.span_context;
    span.span_context = SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags().with_sampled(true),
        context.is_remote(),
        context.trace_state().clone(),
    );
    span.attributes.push(KeyValue::new("wsmesh.kept", reason.name()));
    span
}

#[cfg(test)]
#[path = "undecided_tests.rs"]
mod tests;
