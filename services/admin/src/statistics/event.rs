//! Server-sent events, written once for everyone who gets them. axum's own events are written for each receiver.

use axum::body::Bytes;
use serde::Serialize;

/// A comment: shows that the connection lives.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// An event with this name and data. JSON has no line ends, so one line of data is enough.
pub(super) fn event(name: &str, data: &impl Serialize) -> Bytes {
    let mut text = format!("event: {name}\ndata: ").into_bytes();
    if let Err(error) = serde_json::to_writer(&mut text, data) {
        // Only maps whose keys are no text cannot be written, and there are none.
        tracing::error!(%error, name, "an event cannot be written: this is a bug");
        return HEARTBEAT;
    }
    text.extend_from_slice(b"\n\n");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_one_line_of_data_whatever_its_texts_are() {
        let written = event("job", &serde_json::json!({"why": "two\nlines\r\n"}));
        assert_eq!(written, "event: job\ndata: {\"why\":\"two\\nlines\\r\\n\"}\n\n");
    }
}
