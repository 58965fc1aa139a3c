//! Rate, errors and duration of clients' events, by name: those that the configuration or the program names, and `other` for the
//! rest. The series of an event are found once, when its route is made: an event then costs one increment of a counter, and a
//! request the observation of its time in addition. Names and results are bounded, whatever clients send.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use opentelemetry::trace::TraceId;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, Registry, histogram_opts, register_int_counter_vec_with_registry};
use wsmesh_adapter::exemplars::{self, TracedHistogram, TracedHistogramVec};
use wsmesh_protocol::ErrorCode;

/// The name of events that nothing names, and the result of what an application refused with a code of its own.
const OTHER: &str = "other";

/// Most names that have series of their own.
const MOST_NAMES: usize = 200;

/// The label of what was handled without an error.
const OK: &str = "ok";

/// What an event may end with: without an error, with a code of the protocol, or with a code of an application.
const RESULTS: usize = ErrorCode::ALL.len() + 2;

/// From an answer of this server up to the time limits that requests usually have.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Handles of the metrics of all events; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct EventMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    events: IntCounterVec,
    seconds: TracedHistogramVec,
    /// Those of events that nothing names come first.
    table: Box<[OnceLock<Series>]>,
    named: Mutex<HashMap<Box<str>, EventSeries>>,
}

/// The series of one event: its place in the table, so that events share no count of references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventSeries(usize);

#[derive(Debug)]
struct Series {
    event: Box<str>,
    events: IntCounterVec,
    seconds: TracedHistogram,
    /// A series of an error begins with the first one: most events never have most of them.
    results: [OnceLock<IntCounter>; RESULTS],
}

/// A request that is being handled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// When it came.
    pub(crate) at: Instant,
    /// Its trace, if that is sampled.
    pub(crate) trace: Option<TraceId>,
}

impl EventMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let events = register_int_counter_vec_with_registry!(
            "wsmesh_events_total",
            "Events of clients that were handled, by name and result: ok, or the code of the error (other: a code of the \
             application). Requests whose client went before the answer are not counted.",
            &["event", "result"],
            registry
        )?;
        let seconds = histogram_opts!(
            "wsmesh_event_duration_seconds",
            "From a client's request to its reply; of a rule whose service replies directly, until the service has it.",
            SECONDS.to_vec()
        );
        let seconds = exemplars::histograms(seconds, &["event"], registry)?;
        let table: Box<[_]> = (0..=MOST_NAMES).map(|_| OnceLock::new()).collect();
        table[EventSeries::OTHER.0].get_or_init(|| Series::new(OTHER, &events, &seconds));
        Ok(Self(Arc::new(Inner {
            events,
            seconds,
            table,
            named: Mutex::default(),
        })))
    }

    /// The series of an event. Its name must come from the configuration or the program; of too many, the later ones are counted
    /// together.
    pub(crate) fn of(&self, event: &str) -> EventSeries {
        let Inner {
            events, seconds, table, ..
        } = &*self.0;
        let mut named = self.0.named.lock();
        if let Some(known) = named.get(event) {
            return *known;
        }
        if event == OTHER || named.len() >= MOST_NAMES {
            return EventSeries::OTHER;
        }
        let series = EventSeries(EventSeries::OTHER.0 + 1 + named.len());
        table[series.0].get_or_init(|| Series::new(event, events, seconds));
        named.insert(event.into(), series);
        series
    }

    /// An event of these series was handled, or refused with this code. `asked`: if it wants a reply.
    pub(crate) fn ended(&self, series: EventSeries, asked: Option<Asked>, error: Option<&str>) {
        let Some(series) = self.0.table.get(series.0).and_then(OnceLock::get) else {
            return;
        };
        series.count(1, error.unwrap_or(OK));
        if let Some(Asked { at, trace }) = asked {
            series.seconds.observe_in(at.elapsed().as_secs_f64(), trace);
        }
    }
}

impl EventSeries {
    /// That of all events that nothing names.
    pub(crate) const OTHER: Self = Self(0);
}

impl Series {
    fn new(event: &str, events: &IntCounterVec, seconds: &TracedHistogramVec) -> Self {
        let series = Self {
            event: event.into(),
            events: events.clone(),
            seconds: seconds.with_label_values(&[event]),
            results: [const { OnceLock::new() }; RESULTS],
        };
        // A rate needs a series that was there before.
        series.count(0, OK);
        series
    }

    fn count(&self, events: u64, result: &str) {
        let (place, label) = place(result);
        let counter = || self.events.with_label_values(&[&*self.event, label]);
        self.results[place].get_or_init(counter).inc_by(events);
    }
}

/// The place of a result among all, and its label.
fn place(result: &str) -> (usize, &'static str) {
    if result == OK {
        return (0, OK);
    }
    let known = ErrorCode::ALL.iter().position(|code| code.as_str() == result);
    known.map_or((RESULTS - 1, OTHER), |code| (code + 1, ErrorCode::ALL[code].as_str()))
}

#[cfg(test)]
mod tests {
    use prometheus::core::Metric;

    use super::*;

    fn counted(metrics: &EventMetrics, event: &str, result: &str) -> u64 {
        metrics.0.events.with_label_values(&[event, result]).get()
    }

    #[test]
    fn an_event_is_counted_by_its_result_and_codes_of_applications_together() {
        let metrics = EventMetrics::register(&Registry::new()).expect("registers");
        let bids = metrics.of("bid");
        for error in [None, None, Some("TIMEOUT"), Some("TOO_LOW"), Some(""), Some("ok ")] {
            metrics.ended(bids, None, error);
        }
        let counts = ["ok", "TIMEOUT", "other"].map(|result| counted(&metrics, "bid", result));
        assert_eq!(counts, [2, 1, 3]);
        let requests = || {
            let series = metrics.0.table[bids.0].get().expect("named");
            series.seconds.metric().get_histogram().get_sample_count()
        };
        assert_eq!(requests(), 0, "none wanted a reply");
        let asked = Asked {
            at: Instant::now(),
            trace: None,
        };
        metrics.ended(bids, Some(asked), Some("TIMEOUT"));
        assert_eq!(requests(), 1);
    }

    #[test]
    fn names_beyond_the_bound_are_counted_together() {
        let metrics = EventMetrics::register(&Registry::new()).expect("registers");
        for number in 0..10_000 {
            metrics.ended(metrics.of(&format!("event {number}")), None, None);
        }
        assert_eq!(counted(&metrics, "event 199", "ok"), 1);
        assert_eq!(counted(&metrics, OTHER, "ok"), 9_800);
        metrics.ended(metrics.of("event 5"), None, None);
        assert_eq!(
            counted(&metrics, "event 5", "ok"),
            2,
            "a name that is known stays known"
        );
    }

    #[test]
    fn an_event_that_is_called_other_is_counted_with_the_others() {
        let metrics = EventMetrics::register(&Registry::new()).expect("registers");
        metrics.ended(metrics.of(OTHER), None, None);
        metrics.ended(EventSeries::OTHER, None, None);
        assert_eq!(counted(&metrics, OTHER, "ok"), 2);
    }

    #[test]
    fn every_code_of_the_protocol_has_a_place_of_its_own() {
        let places = ErrorCode::ALL.map(|code| place(code.as_str()));
        for (index, (code, (found, label))) in ErrorCode::ALL.iter().zip(places).enumerate() {
            assert_eq!((found, label), (index + 1, code.as_str()));
        }
        assert_eq!((place("ok"), place("nonsense")), ((0, "ok"), (RESULTS - 1, OTHER)));
    }
}
