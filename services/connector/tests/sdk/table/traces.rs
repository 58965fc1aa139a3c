//! The traces of the table: what the application's code does in them, and what it saw.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use wsmesh_connector::{Options, Trace};

/// What the application's code does.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Tracing {
    /// The n-th trace has the context `00-…n-…n-01`.
    Given,
    /// The same, but only a text, without an end.
    Text,
    /// It fails when a trace begins.
    FailsAtBegin,
    /// It fails when a trace ends.
    FailsAtEnd,
    /// The context is nonsense.
    Garbage,
}

/// The context of the trace with this number.
pub(super) fn context(number: u32) -> String {
    format!("00-{number:032x}-{number:016x}-01")
}

/// The traces of a scenario.
#[derive(Clone, Default)]
pub(super) struct Traced(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    begun: u32,
    /// Event and error of each trace that ended.
    ended: Vec<Value>,
}

impl Traced {
    /// Options with traces that do this.
    pub(super) fn given(&self, how: Tracing, options: Options) -> Options {
        let seen = Arc::clone(&self.0);
        options.traces(move |event: &str| {
            let number = {
                let mut seen = seen.lock();
                seen.begun += 1;
                seen.begun
            };
            assert!(!matches!(how, Tracing::FailsAtBegin), "as the table wants it");
            let context = context(number);
            let trace = match how {
                Tracing::Text => return Some(Trace::new(context)),
                Tracing::Garbage => Trace::new(format!("{context}0")),
                _ => Trace::new(context),
            };
            let (seen, event) = (Arc::clone(&seen), event.to_owned());
            Some(trace.on_end(move |error| {
                seen.lock().ended.push(json!([event, error]));
                assert!(!matches!(how, Tracing::FailsAtEnd), "as the table wants it");
            }))
        })
    }

    /// The traces that ended since the last time that this was asked, in any order.
    pub(super) fn ended(&self) -> Vec<Value> {
        let mut ended = std::mem::take(&mut self.0.lock().ended);
        ended.sort_by_key(Value::to_string);
        ended
    }
}
