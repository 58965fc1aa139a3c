//! An event for a backend, as CloudEvents 1.0 has it, and its headers in the binary content mode.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What is percent-encoded in the value of a header: these and all that is not ASCII (section 3.1.3.2).
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

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
        // With those of the signature, the token and the trace.
        let mut headers = HeaderMap::with_capacity(24);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
        headers.insert("ce-type", HeaderValue::from_static(self.kind));
        put(&mut headers, "ce-id", &self.id);
        put(&mut headers, "ce-source", &self.source);
        put(&mut headers, "ce-time", &self.time.to_string());
        if let Some(subject) = &self.subject {
            put(&mut headers, "ce-subject", subject);
        }
        for (name, value) in &self.extensions {
            put(&mut headers, &format!("ce-{name}"), value);
        }
        headers
    }
}

/// Sets a header to any text. A name that is none is a mistake in this program, and changes nothing.
pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let encoded = encode(value);
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(&*encoded)) {
        headers.insert(name, value);
    }
}

/// A text as the value of a header: visible ASCII, whatever it is made of.
pub(super) fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, ENCODED).into()
}

/// Without what may tell about people: the body and the attributes of the client.
impl fmt::Debug for CloudEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CloudEvent");
        shown.field("id", &self.id).field("kind", &self.kind);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn event(text: &str) -> CloudEvent {
        CloudEvent {
            id: text.to_owned(),
            kind: "io.wsmesh.client.event",
            source: text.to_owned(),
            subject: Some(text.to_owned()),
            time: Timestamp::UNIX_EPOCH,
            extensions: vec![("client", text.to_owned()), ("data", text.to_owned())],
            content_type: "application/json",
            body: Bytes::new(),
        }
    }

    #[test]
    fn the_headers_are_those_of_the_binding() {
        let headers = event("Euro € 😀 100%\r\n\"a\"").headers();
        // The example of the binding, and more.
        assert_eq!(
            headers["ce-id"],
            "Euro%20%E2%82%AC%20%F0%9F%98%80%20100%25%0D%0A%22a%22"
        );
        assert_eq!(headers["ce-type"], "io.wsmesh.client.event");
        assert_eq!(headers["ce-specversion"], "1.0");
        assert_eq!(headers["ce-time"], "1970-01-01T00:00:00Z");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers.len(), 9);
    }

    proptest! {
        #[test]
        fn any_text_arrives_as_it_was_and_as_one_header(text in any::<String>()) {
            let headers = event(&text).headers();
            prop_assert_eq!(headers.len(), 9);
            for name in ["ce-id", "ce-source", "ce-subject", "ce-client", "ce-data"] {
                let value = headers[name].to_str().expect("visible ASCII");
                prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert_eq!(percent_decode_str(value).decode_utf8().expect("UTF-8"), &*text);
            }
        }
    }
}
