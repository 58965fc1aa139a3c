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
use super::super::reason::Reason;

/// Most traces at a time. A ws-node whose requests take 20 ms has as many under way at 100,000 requests a second.
pub(super) const TRACES: usize = 2_048;
/// Most spans of one trace on one server; the last place is for the local root.
pub(super) const SPANS_PER_TRACE: usize = 64;
/// Most spans and events of all traces together, some 20 MB: requests have a handful each.
pub(super) const SPANS: usize = 16_384;
/// A trace that has not ended after this time is decided by what is known, when the next root begins: on a server without requests, the
/// traces that are left wait longer, and take no more room.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Most traces kept in one second: when everything fails, some traces tell as much as all of them, and sampled ones must get through.
pub(super) const KEPT_PER_SECOND: u32 = 100;
/// How long the spans that end after the decision follow it.
pub(super) const FOLLOW: Duration = Duration::from_secs(10);
/// The same, for a trace that was decided before it ended.
pub(super) const FOLLOW_UNENDED: Duration = Duration::from_secs(300);
/// Most kept traces that are remembered, those of [`FOLLOW`], and most traces that were not judged in time.
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
    followed: HashMap<TraceId, Followed>,
    unjudged: HashMap<TraceId, Unjudged>,
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

/// A kept trace whose late spans are waited for.
#[derive(Debug)]
struct Followed {
    reason: Reason,
    until: Instant,
    /// How many more spans may follow.
    places: usize,
}

/// A trace that had shown no reason after [`LONGEST`]. Its spans are gone; what fails later is sent all the same.
#[derive(Debug)]
struct Unjudged {
    /// The local roots that have not ended.
    roots: Vec<SpanId>,
    until: Instant,
}

/// Spans about which it is decided. They are handed out so that what they cost is paid without the lock: marking them, and freeing them.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// Why they are sent; `None`: they are forgotten.
    reason: Option<Reason>,
    spans: Vec<SpanData>,
    last: Option<SpanData>,
}

impl Decided {
    /// The spans to send, marked as kept.
    pub(super) fn into_marked(self) -> impl Iterator<Item = SpanData> {
        let Self { reason, spans, last } = self;
        let all = spans.into_iter().chain(last);
        reason
            .into_iter()
            .zip(std::iter::once(all))
            .flat_map(|(reason, all)| all.map(move |span| marked(span, reason)))
    }

    fn send(reason: Reason, span: SpanData) -> Self {
        Self {
            reason: Some(reason),
            last: Some(span),
            ..Self::default()
        }
    }

    fn forget(span: impl Into<Option<SpanData>>) -> Self {
        let last = span.into();
        Self {
            last,
            ..Self::default()
        }
    }
}

impl Undecided {
    pub(super) fn new(slower_than: Option<Duration>, counts: TraceCounts, now: Instant) -> Self {
        Self {
            slower_than,
            traces: HashMap::new(),
            held: 0,
            followed: HashMap::new(),
            unjudged: HashMap::new(),
            swept: now,
            second: (now, 0),
            counts,
        }
    }

    /// A local root has begun. Returns traces that took too long.
    pub(super) fn begin(&mut self, trace: TraceId, root: SpanId, now: Instant) -> Vec<Decided> {
        let old = self.sweep(now);
        if let Some(followed) = self.followed.get_mut(&trace).filter(|followed| followed.until > now) {
            followed.until = followed.until.max(now + LONGEST);
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
    pub(super) fn end(&mut self, span: SpanData, now: Instant) -> Decided {
        let id = span.span_context.trace_id();
        if let Some(followed) = self.followed.get_mut(&id).filter(|followed| followed.until > now) {
            return followed.follow(span, &self.counts);
        }
        let Some(trace) = self.traces.get_mut(&id) else {
            return self.end_late(id, span, now);
        };
        let is_root = trace.learn(&span, self.slower_than);
        match trace.reason {
            Some(reason) if is_root => self.keep(id, reason, Some(span), now),
            None if is_root && trace.roots.is_empty() => Decided {
                spans: self.forget(id).map(|trace| trace.spans).unwrap_or_default(),
                ..Decided::forget(span)
            },
            _ => {
                let others = self.held - trace.held;
                let left_out = trace.hold(span, SPANS - others);
                self.held = others + trace.held;
                Decided::forget(left_out)
            }
        }
    }

    /// A span of a trace that is not held: it was forgotten, there was no room for it, or it was not judged in time.
    fn end_late(&mut self, id: TraceId, span: SpanData, now: Instant) -> Decided {
        let Some(trace) = self.unjudged.get_mut(&id).filter(|trace| trace.until > now) else {
            return Decided::forget(span);
        };
        trace.roots.retain(|root| *root != span.span_context.span_id());
        let has_ended = trace.roots.is_empty();
        if !is_error(&span) {
            if has_ended {
                self.unjudged.remove(&id);
            }
            return Decided::forget(span);
        }
        self.unjudged.remove(&id);
        if !self.may_keep(now) {
            self.counts.not_kept.inc();
            return Decided::forget(span);
        }
        self.counts.kept(Reason::Error).inc();
        self.remember(id, Reason::Error, has_ended, now);
        Decided::send(Reason::Error, span)
    }

    /// Decides all by what is known now: the process ends.
    pub(super) fn decide_all(&mut self, now: Instant) -> Vec<Decided> {
        let all = self.traces.keys().copied().collect();
        self.decide(all, None, now)
    }

    /// At most once in [`SWEEP`]: forgets what need not be remembered any more, and decides traces that took too long.
    fn sweep(&mut self, now: Instant) -> Vec<Decided> {
        if now.saturating_duration_since(self.swept) < SWEEP {
            return Vec::new();
        }
        self.swept = now;
        self.followed.retain(|_, followed| followed.until > now);
        self.unjudged.retain(|_, trace| trace.until > now);
        let is_old = |trace: &Trace| now.saturating_duration_since(trace.began) >= LONGEST;
        let old = self.traces.iter().filter(|(_, trace)| is_old(trace));
        let old = old.map(|(id, _)| *id).collect();
        self.decide(old, self.slower_than, now)
    }

    /// Decides traces that have not ended. They are slow if there is a limit, as none is longer than [`LONGEST`], which they lasted.
    fn decide(&mut self, ids: Vec<TraceId>, slower_than: Option<Duration>, now: Instant) -> Vec<Decided> {
        let mut decided = Vec::with_capacity(ids.len());
        for id in ids {
            let known = self.traces.get(&id).and_then(|trace| trace.reason);
            let is_slow = slower_than.is_some_and(|limit| limit <= LONGEST);
            decided.push(match known.or(is_slow.then_some(Reason::Slow)) {
                Some(reason) => self.keep(id, reason, None, now),
                None => self.leave_unjudged(id, now),
            });
        }
        decided
    }

    fn leave_unjudged(&mut self, id: TraceId, now: Instant) -> Decided {
        let Some(trace) = self.forget(id) else {
            return Decided::default();
        };
        self.counts.not_kept.inc();
        if self.unjudged.len() < REMEMBERED {
            let (roots, until) = (trace.roots, now + FOLLOW_UNENDED);
            self.unjudged.insert(id, Unjudged { roots, until });
        }
        Decided {
            spans: trace.spans,
            ..Decided::default()
        }
    }

    fn keep(&mut self, id: TraceId, reason: Reason, last: Option<SpanData>, now: Instant) -> Decided {
        let Some(Trace {
            spans, missing, roots, ..
        }) = self.forget(id)
        else {
            return Decided::forget(last);
        };
        let may_keep = self.may_keep(now);
        if may_keep {
            self.counts.kept(reason).inc();
            self.counts.spans.dropped.inc_by(missing);
            self.remember(id, reason, roots.is_empty(), now);
        } else {
            self.counts.not_kept.inc();
        }
        Decided {
            reason: may_keep.then_some(reason),
            spans,
            last,
        }
    }

    fn may_keep(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.second.0) >= Duration::from_secs(1) {
            self.second = (now, 0);
        }
        self.second.1 += 1;
        self.second.1 <= KEPT_PER_SECOND
    }

    fn remember(&mut self, id: TraceId, reason: Reason, has_ended: bool, now: Instant) {
        if self.followed.len() >= REMEMBERED {
            let first = self
                .followed
                .iter()
                .min_by_key(|(_, followed)| followed.until)
                .map(|(id, _)| *id);
            first.and_then(|id| self.followed.remove(&id));
        }
        let (places, until) = (SPANS_PER_TRACE, now + if has_ended { FOLLOW } else { FOLLOW_UNENDED });
        self.followed.insert(id, Followed { reason, until, places });
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
    /// look for. Returns the span that is left out.
    fn hold(&mut self, span: SpanData, most: usize) -> Option<SpanData> {
        let more = size(&span);
        if self.spans.len() < SPANS_PER_TRACE - 1 && self.held + more <= most {
            self.held += more;
            self.spans.push(span);
            return None;
        }
        self.missing += 1;
        if !is_error(&span) {
            return Some(span);
        }
        let fits = |other: &&mut SpanData| !is_error(other) && self.held - size(other) + more <= most;
        let Some(place) = self.spans.iter_mut().find(fits) else {
            return Some(span);
        };
        self.held = self.held - size(place) + more;
        Some(std::mem::replace(place, span))
    }
}

impl Followed {
    fn follow(&mut self, span: SpanData, counts: &TraceCounts) -> Decided {
        match self.places.checked_sub(1) {
            Some(places) => {
                self.places = places;
                Decided::send(self.reason, span)
            }
            None => {
                counts.spans.dropped.inc();
                Decided::forget(span)
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
