//! An event for a backend, as CloudEvents 1.0 has it, and its headers in the binary content mode.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

/// An event for a backend.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CloudEvent {
    /// Unique with its source; the same when the event is sent again.
    pub(crate) id: String,
    /// `ce-type`.
    pub(crate) kind: &'static str,
    pub(crate) source: String,
    pub(crate) subject: Option<String>,
    pub(crate) time: Timestamp,
    /// Further attributes: lower-case letters and digits, without `ce-`.
    pub(crate) extensions: Vec<(&'static str, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl CloudEvent {
    /// The headers of the binary content mode.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(20);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
        headers.insert("ce-type", HeaderValue::from_static(self.kind));
        let values = [
            ("id", &*self.id),
            ("source", &self.source),
            ("time", &self.time.to_string()),
        ];
        let mut add = |name: &str, value: &str| {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(format!("ce-{name}")), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        };
        values.iter().for_each(|(name, value)| add(name, value));
        self.subject.iter().for_each(|subject| add("subject", subject));
        self.extensions.iter().for_each(|(name, value)| add(name, value));
        headers
    }
}

/// Without what may tell about people: the body and the attributes of the client.
impl std::fmt::Debug for CloudEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("CloudEvent");
        shown.field("id", &self.id).field("kind", &self.kind);
        shown.finish_non_exhaustive()
    }
}
