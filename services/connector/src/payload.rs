//! A payload as it was received: one JSON value, parsed only on demand, not copied out of its frame.

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// One JSON value that the server sent. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Bytes);

impl Payload {
    /// A part of `frame`, which `raw` was read from.
    pub(crate) fn within(frame: &Bytes, raw: &RawValue) -> Self {
        match raw.get() {
            // A frame without payload: this text is not in it.
            "null" => Self(Bytes::from_static(b"null")),
            text => Self(frame.slice_ref(text.as_bytes())),
        }
    }

    /// Its JSON text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("null")
    }

    /// Parses it.
    ///
    /// # Errors
    /// When it does not have the shape of `T`, or is nested more than 128 levels deep.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Its size only: payloads must not appear in logs.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}
