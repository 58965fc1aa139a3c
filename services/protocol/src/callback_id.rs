//! The id that a client gives its request and that the reply repeats, kept exactly as the client wrote it.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Longest callback id, in bytes as written, including the quotes of a string: enough for 64 characters, however they
/// are escaped.
pub const MAX_CALLBACK_ID_BYTES: usize = 1024;

/// A JSON string or number of at most [`MAX_CALLBACK_ID_BYTES`]. Its value is never interpreted, only repeated, byte
/// for byte.
///
/// ```
/// use wsmesh_protocol::{CallbackId, frame};
///
/// assert_eq!(frame::reply("a-1", "true"), r#"{"payload":true,"callbackId":"a-1"}"#);
/// let id = CallbackId::from_json("7.50").unwrap();
/// assert_eq!(frame::reply(&id, "true"), r#"{"payload":true,"callbackId":7.50}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackId<'a>(Cow<'a, str>);

impl<'a> CallbackId<'a> {
    /// Takes the JSON text of a string or a number; `None` if it is something else, or too long.
    pub fn from_json(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok().and_then(Self::read)
    }

    /// As [`CallbackId::from_json`], for text that is known to be valid JSON.
    pub(crate) fn read(raw: &'a RawValue) -> Option<Self> {
        let json = raw.get();
        let is_id = matches!(json.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'));
        (is_id && json.len() <= MAX_CALLBACK_ID_BYTES).then_some(Self(Cow::Borrowed(json)))
    }

    /// The id as JSON text.
    pub fn json(&self) -> &str {
        &self.0
    }

    /// A copy that outlives the frame it was read from.
    pub fn into_owned(self) -> CallbackId<'static> {
        CallbackId(Cow::Owned(self.0.into_owned()))
    }

    /// Whether parsing it and writing it again gives the same text, as happens on the way through MessagePack.
    pub(crate) fn is_canonical(&self) -> bool {
        serde_json::from_str::<serde_json::Value>(&self.0).is_ok_and(|value| value.to_string() == self.0)
    }
}

/// The text as a JSON string.
impl From<&str> for CallbackId<'_> {
    fn from(text: &str) -> Self {
        Self(Cow::Owned(serde_json::Value::from(text).to_string()))
    }
}

impl<'a> From<&'a CallbackId<'_>> for CallbackId<'a> {
    fn from(id: &'a CallbackId<'_>) -> Self {
        Self(Cow::Borrowed(&id.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strings_and_numbers_are_callback_ids() {
        let longest = format!("\"{}\"", "x".repeat(MAX_CALLBACK_ID_BYTES - 2));
        for json in [
            r#""""#,
            r#""a\u0062""#,
            "0",
            "-7",
            "1e2",
            "1.0",
            "18446744073709551616",
            &longest,
        ] {
            assert_eq!(CallbackId::from_json(json).expect(json).json(), json);
        }
        let too_long = format!("\"{}\"", "x".repeat(MAX_CALLBACK_ID_BYTES - 1));
        for json in ["null", "true", "[]", "{}", "", "\"", "1 2", "x", &too_long] {
            assert_eq!(CallbackId::from_json(json), None, "{json}");
        }
    }

    #[test]
    fn an_id_that_changes_when_rewritten_is_not_canonical() {
        for (json, is_canonical) in [
            (r#""a-1""#, true),
            ("7", true),
            ("-1.5", true),
            (r#""\u00e9""#, false),
            (r#""\/""#, false),
            ("1e2", false),
            ("-0", false),
            ("18446744073709551616", false),
        ] {
            assert_eq!(
                CallbackId::from_json(json).expect(json).is_canonical(),
                is_canonical,
                "{json}"
            );
        }
    }
}
