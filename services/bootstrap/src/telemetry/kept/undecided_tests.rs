use opentelemetry::trace::{Event, SpanKind, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, Value};
use std::time::SystemTime;

use super::*;

/// What the tests are about: a buffer and its counters, with a limit of a second.
struct Held {
    undecided: Undecided,
    counts: TraceCounts,
    start: Instant,
}

impl Held {
    fn new() -> Self {
        Self::with_limit(Some(Duration::from_secs(1)))
    }

    fn with_limit(slower_than: Option<Duration>) -> Self {
        let (counts, start) = (TraceCounts::new(), Instant::now());
        let undecided = Undecided::new(slower_than, counts.clone(), start);
        Self {
            undecided,
            counts,
            start,
        }
    }

    fn begin(&mut self, trace: u128, root: u64, after_s: u64) -> Vec<SpanData> {
        let now = self.start + Duration::from_secs(after_s);
        let old = self.undecided.begin(TraceId::from(trace), SpanId::from(root), now);
        old.into_iter().flat_map(Decided::into_marked).collect()
    }

    fn end(&mut self, span: SpanData, after_s: u64) -> Vec<SpanData> {
        let decided = self.undecided.end(span, self.start + Duration::from_secs(after_s));
        decided.into_marked().collect()
    }

    fn kept(&self) -> (u64, u64, u64) {
        let kept = |reason| self.counts.kept(reason).get();
        (kept(Reason::Error), kept(Reason::Slow), self.counts.not_kept.get())
    }

    fn is_empty(&self) -> bool {
        self.undecided.traces.is_empty() && self.undecided.held == 0
    }
}

/// An unsampled span that took so long.
fn span(trace: u128, id: u64, lasted_ms: u64) -> SpanData {
    let start_time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace),
            SpanId::from(id),
            TraceFlags::default(),
            false,
            TraceState::default(),
        ),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "span".into(),
        start_time,
        end_time: start_time + Duration::from_millis(lasted_ms),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

fn failed(span: SpanData) -> SpanData {
    let status = Status::error("timeout");
    SpanData { status, ..span }
}

fn ids(spans: &[SpanData]) -> Vec<u64> {
    let id = |span: &SpanData| u64::from_be_bytes(span.span_context.span_id().to_bytes());
    spans.iter().map(id).collect()
}

#[test]
fn a_request_that_went_well_and_fast_is_forgotten() {
    let mut held = Held::new();
    held.begin(1, 1, 0);
    assert!(held.end(span(1, 2, 5_000), 0).is_empty(), "a slow child says nothing");
    assert!(held.end(span(1, 1, 1_000), 0).is_empty());
    assert!(held.is_empty());
    assert!(held.end(failed(span(1, 3, 0)), 0).is_empty(), "a late child follows");
    assert_eq!(held.kept(), (0, 0, 0));
}

#[test]
fn an_error_in_any_span_keeps_the_whole_trace_with_the_sampled_flag_and_the_reason() {
    let mut held = Held::new();
    held.begin(1, 1, 0);
    held.begin(2, 9, 0);
    assert!(
        held.end(failed(span(1, 2, 1)), 0).is_empty(),
        "undecided until the root ends"
    );
    let kept = held.end(span(1, 1, 1), 0);
    assert_eq!(ids(&kept), [2, 1]);
    for span in &kept {
        assert!(span.span_context.is_sampled());
        let reason = span
            .attributes
            .iter()
            .find(|attribute| attribute.key.as_str() == "wsmesh.kept");
        assert_eq!(reason.map(|reason| &reason.value), Some(&Value::from("error")));
    }
    assert!(held.end(span(2, 9, 1), 0).is_empty(), "the other trace is another one");
    assert!(held.is_empty());
    assert_eq!(held.kept(), (1, 0, 0));
}

#[test]
fn a_root_that_lasted_longer_than_the_limit_keeps_its_trace_unless_that_is_off() {
    let mut held = Held::new();
    held.begin(1, 1, 0);
    assert_eq!(ids(&held.end(span(1, 1, 1_001), 1)), [1]);
    assert_eq!(held.kept(), (0, 1, 0));
    let mut off = Held::with_limit(None);
    off.begin(1, 1, 0);
    assert!(off.end(span(1, 1, 20_000), 20).is_empty());
    off.begin(2, 1, 0);
    assert_eq!(ids(&off.end(failed(span(2, 1, 20_000)), 20)), [1]);
    assert_eq!(off.kept(), (1, 0, 0));
}

#[test]
fn a_reply_that_is_a_root_of_its_own_does_not_decide_for_the_request_around_it() {
    let mut held = Held::new();
    held.begin(1, 1, 0);
    held.begin(1, 2, 0);
    assert!(held.end(span(1, 2, 1), 0).is_empty());
    assert!(!held.is_empty(), "the request has not ended");
    assert_eq!(ids(&held.end(failed(span(1, 1, 1)), 0)), [2, 1]);
    // The other way round, what fails is sent at once, and the rest follows.
    held.begin(3, 1, 0);
    held.begin(3, 2, 0);
    assert_eq!(ids(&held.end(failed(span(3, 2, 1)), 0)), [2]);
    assert_eq!(ids(&held.end(span(3, 1, 1), 200)), [1]);
    assert_eq!(held.kept(), (2, 0, 0));
}

#[test]
fn spans_that_end_after_a_trace_was_kept_follow_it_for_a_while_and_not_without_end() {
    let mut held = Held::new();
    held.begin(1, 1, 0);
    assert_eq!(held.end(failed(span(1, 1, 1)), 0).len(), 1);
    let late: usize = (2..100).map(|id| held.end(span(1, id, 1), 9).len()).sum();
    assert_eq!(late, SPANS_PER_TRACE);
    assert_eq!(held.counts.spans.dropped.get(), 98 - SPANS_PER_TRACE as u64);
    assert!(held.end(span(1, 200, 1), FOLLOW.as_secs() + 1).is_empty());
    // A root that begins in time is followed to its end.
    held.begin(2, 1, 20);
    held.end(failed(span(2, 1, 1)), 20);
    held.begin(2, 2, 29);
    assert_eq!(held.end(span(2, 2, 1), 35).len(), 1);
}

#[test]
fn a_trace_holds_so_many_spans_and_the_errors_and_the_root_find_a_place() {
    let mut held = Held::new();
    held.begin(1, 1, 0);
    for id in 2..1_000 {
        assert!(held.end(span(1, id, 1), 0).is_empty());
    }
    assert!(held.end(failed(span(1, 5_000, 1)), 0).is_empty());
    let kept = held.end(span(1, 1, 1), 0);
    assert_eq!(kept.len(), SPANS_PER_TRACE);
    assert!(
        ids(&kept).contains(&5_000) && ids(&kept).ends_with(&[1]),
        "{:?}",
        ids(&kept)
    );
    assert_eq!(held.counts.spans.dropped.get(), 1_000 - SPANS_PER_TRACE as u64);
    assert!(held.is_empty());
}

#[test]
fn all_traces_together_hold_so_many_spans_and_events() {
    let mut held = Held::new();
    for trace in 0..TRACES as u128 {
        held.begin(trace, 1, 0);
        for id in 2..20 {
            let mut child = span(trace, id, 1);
            for _ in 0..9 {
                child.events.events.push(Event::with_name("event"));
            }
            held.end(child, 0);
            assert!(held.undecided.held <= SPANS);
        }
        held.end(failed(span(trace, 99, 1)), 0);
        assert!(held.undecided.held <= SPANS);
    }
    assert!(held.undecided.held > SPANS - 10);
    for trace in 0..TRACES as u128 {
        held.end(span(trace, 1, 1), 0);
    }
    assert!(held.is_empty(), "the count comes back to zero");
}

#[test]
fn so_many_traces_are_undecided_and_the_others_are_counted_until_there_is_room_again() {
    let mut held = Held::new();
    for trace in 0..3 * TRACES as u128 {
        held.begin(trace, 1, 0);
        held.end(span(trace, 2, 1), 0);
    }
    assert_eq!(held.undecided.traces.len(), TRACES);
    assert_eq!(held.kept(), (0, 0, 2 * TRACES as u64));
    assert!(
        held.end(failed(span(TRACES as u128, 1, 1)), 0).is_empty(),
        "nothing is known about it"
    );
    held.end(span(0, 1, 1), 0);
    held.begin(10_000, 1, 0);
    assert_eq!(held.end(failed(span(10_000, 1, 1)), 0).len(), 1);
}

#[test]
fn roots_that_never_end_are_decided_after_thirty_seconds_by_what_is_known() {
    let late = LONGEST.as_secs() + 1;
    for (limit_s, kept) in [(1, (1, 1, 0)), (0, (1, 0, 1)), (60, (1, 0, 1))] {
        let limit = Duration::from_secs(limit_s);
        let mut held = Held::with_limit((!limit.is_zero()).then_some(limit));
        held.begin(1, 1, 0);
        held.end(failed(span(1, 2, 1)), 0);
        held.begin(2, 1, 0);
        held.end(span(2, 2, 1), 0);
        assert!(held.begin(3, 1, LONGEST.as_secs() - 1).is_empty());
        let sent = held.begin(4, 1, late);
        assert_eq!(sent.len() as u64, kept.0 + kept.1, "limit {limit:?}");
        assert_eq!(held.kept(), kept, "limit {limit:?}");
        assert_eq!(held.undecided.traces.len(), 2);
        assert_eq!(
            held.end(span(1, 1, 50_000), late + 60).len(),
            1,
            "the root follows when it ends"
        );
    }
}

#[test]
fn a_request_that_fails_after_its_spans_were_forgotten_is_sent_and_the_rest_follows() {
    let late = LONGEST.as_secs() + 1;
    let mut held = Held::with_limit(None);
    for trace in 1..4 {
        held.begin(trace, 1, 0);
        held.end(span(trace, 2, 1), 0);
    }
    held.begin(10, 1, late);
    assert_eq!((held.kept(), held.undecided.traces.len()), ((0, 0, 3), 1));
    assert!(held.end(span(1, 3, 1), late).is_empty(), "nothing failed yet");
    assert_eq!(ids(&held.end(failed(span(1, 1, 40_000)), late + 9)), [1]);
    assert_eq!(ids(&held.end(span(1, 4, 1), late + 10)), [4]);
    assert_eq!(held.kept(), (1, 0, 3));
    // One that ended well is not waited for any more, and none for ever.
    assert!(held.end(span(2, 1, 40_000), late + 9).is_empty());
    assert!(held.end(failed(span(2, 5, 1)), late + 9).is_empty());
    let too_late = late + FOLLOW_UNENDED.as_secs() + 1;
    assert!(held.end(failed(span(3, 1, 40_000)), too_late).is_empty());
}

#[test]
fn so_many_traces_that_were_not_judged_are_remembered() {
    let late = LONGEST.as_secs() + 1;
    let mut held = Held::with_limit(None);
    for trace in 0..TRACES as u128 {
        held.begin(trace, 1, 0);
    }
    held.begin(20_000, 1, late);
    assert_eq!(held.undecided.traces.len(), 1);
    assert_eq!(held.undecided.unjudged.len(), REMEMBERED);
    held.begin(20_001, 1, late + FOLLOW_UNENDED.as_secs() + 1);
    assert!(held.undecided.unjudged.len() <= 1);
}

#[test]
fn a_flood_of_roots_that_never_end_makes_room_again_by_itself() {
    let mut held = Held::new();
    for trace in 0..10_000 {
        held.begin(trace, 1, 0);
    }
    held.begin(20_000, 1, LONGEST.as_secs() + 1);
    assert_eq!(held.undecided.traces.len(), 1);
    assert!(held.undecided.followed.len() <= REMEMBERED);
}

#[test]
fn so_many_traces_are_kept_in_a_second_when_everything_fails() {
    let mut held = Held::new();
    for trace in 0..1_000 {
        held.begin(trace, 1, 0);
        held.end(failed(span(trace, 1, 1)), 0);
    }
    let most = u64::from(KEPT_PER_SECOND);
    assert_eq!(held.kept(), (most, 0, 1_000 - most));
    held.begin(5_000, 1, 1);
    assert_eq!(held.end(failed(span(5_000, 1, 1)), 1).len(), 1);
}

#[test]
fn so_many_kept_traces_are_remembered() {
    let mut held = Held::new();
    for trace in 0..5_000 {
        let second = u64::try_from(trace).expect("small") / u64::from(KEPT_PER_SECOND);
        held.begin(trace, 1, second);
        // The other root never ends, so the trace would be remembered for long.
        held.begin(trace, 2, second);
        held.end(failed(span(trace, 1, 1)), second);
        assert!(held.undecided.followed.len() <= REMEMBERED);
    }
    assert_eq!(held.end(span(4_999, 2, 1), 50).len(), 1);
    assert!(
        held.end(span(0, 2, 1), 50).is_empty(),
        "the first ones are not remembered"
    );
}

#[test]
fn one_trace_id_for_everything_holds_no_more_than_one_trace() {
    let mut held = Held::new();
    for root in 1..10_000 {
        held.begin(7, root, 0);
        held.end(span(7, 20_000 + root, 1), 0);
    }
    assert_eq!(held.undecided.traces.len(), 1);
    assert!(held.undecided.traces[&TraceId::from(7)].roots.len() <= SPANS_PER_TRACE);
    assert!(held.undecided.held < SPANS_PER_TRACE);
}

#[test]
fn what_has_failed_until_the_process_ends_is_sent() {
    let mut held = Held::new();
    held.begin(1, 1, 0);
    held.end(failed(span(1, 2, 1)), 0);
    held.begin(2, 1, 0);
    held.end(span(2, 2, 1), 0);
    let decided = held.undecided.decide_all(held.start).into_iter();
    let sent: Vec<SpanData> = decided.flat_map(Decided::into_marked).collect();
    assert_eq!(ids(&sent), [2]);
    assert!(held.is_empty());
}
