//! A refusal: the answer to a request that was understood but is not carried out. A code for programs and a text for
//! people.
//!
//! On the wire it is the payload `{"error":TEXT,"errorCode":CODE}`: a ws-node passes it on to its client unchanged.

use std::borrow::Cow;

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::payload::{Payload, PayloadError};

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text} ({code})")]
pub struct Refusal {
    /// What went wrong, for people.
    #[serde(rename = "error")]
    pub text: Cow<'static, str>,
    /// What went wrong, for programs: a stable name in capitals, such as `NOT_FOUND`.
    #[serde(rename = "errorCode")]
    pub code: Cow<'static, str>,
}

impl Refusal {
    /// Creates a refusal with a code for programs and a text for people.
    pub fn new(code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: code.into(),
            text: text.into(),
        }
    }

    /// The refusal that a reply carries, if it carries one.
    ///
    /// ```
    /// use wsmesh_adapter::{Payload, Refusal};
    ///
    /// let reply = Payload::from_json(r#"{"error":"there is no such auction","errorCode":"NOT_FOUND"}"#);
    /// assert_eq!(Refusal::of(&reply), Some(Refusal::new("NOT_FOUND", "there is no such auction")));
    /// assert_eq!(Refusal::of(&Payload::from_json(r#"{"price":7}"#)), None);
    /// ```
    pub fn of(reply: &Payload) -> Option<Self> {
        // An escaped key would be valid JSON, too, but no server writes one.
        memmem::find(reply.bytes(), CODE)?;
        reply.parse().ok()
    }

    /// The code of the refusal that a reply carries, for metrics and traces: a reply of more than 1 KiB is not searched for one, so
    /// that large replies cost nothing.
    pub fn code_of(reply: &Payload) -> Option<Cow<'static, str>> {
        let is_short = reply.bytes().len() <= LONGEST_SHOWN;
        is_short.then(|| Self::of(reply))?.map(|refusal| refusal.code)
    }

    /// The payload of the reply.
    pub(crate) fn payload(&self) -> Result<Payload, PayloadError> {
        Payload::new(self)
    }
}

/// The key by which a refusal is recognised, in both encodings.
const CODE: &[u8] = b"errorCode";

/// Longest reply that is searched for a code to show, in bytes.
const LONGEST_SHOWN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Encoding;

    #[test]
    fn a_refusal_is_written_in_the_form_that_ws_nodes_pass_on_and_read_in_both_encodings() {
        let refusal = Refusal::new("NOT_ALLOWED", "the auction is over");
        let written = refusal.payload().expect("JSON");
        assert_eq!(
            written.bytes(),
            r#"{"error":"the auction is over","errorCode":"NOT_ALLOWED"}"#.as_bytes()
        );
        assert_eq!(Refusal::of(&written), Some(refusal.clone()));
        let packed = written.encoded(Encoding::Msgpack).expect("MessagePack");
        assert_eq!(Refusal::of(&Payload::from_msgpack(packed)), Some(refusal));
    }

    #[test]
    fn the_code_of_a_long_refusal_is_not_shown_but_the_caller_learns_it() {
        let written = |text: usize| Refusal::new("SOLD_OUT", "x".repeat(text)).payload().expect("JSON");
        assert_eq!(Refusal::code_of(&written(900)).as_deref(), Some("SOLD_OUT"));
        assert_eq!(Refusal::code_of(&written(1024)), None);
        assert!(Refusal::of(&written(1024)).is_some());
    }

    #[test]
    fn other_replies_are_not_refusals() {
        for reply in [
            "null",
            r#"{"error":"x"}"#,
            r#""errorCode""#,
            r#"{"errorCode":7,"error":"x"}"#,
        ] {
            assert_eq!(Refusal::of(&Payload::from_json(reply)), None, "{reply}");
        }
    }
}
