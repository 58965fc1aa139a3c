//! A refusal: the answer to a request that was understood and is not done, as a code for programs and a text for people.
//!
//! On the wire it is the payload `{"error":TEXT,"errorCode":CODE}`: a ws-node passes it on to its client as it is.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::payload::{Payload, PayloadError};

/// Why a request is not done.
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
    /// With a code for programs and a text for people.
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
        let mentions_code = || reply.bytes().windows(CODE.len()).any(|bytes| bytes == CODE);
        // An escaped key is JSON, too, but nobody writes it.
        mentions_code().then(|| reply.parse().ok()).flatten()
    }

    /// The payload of the reply.
    pub(crate) fn payload(&self) -> Result<Payload, PayloadError> {
        Payload::new(self)
    }
}

/// The key by which a refusal is recognised, in both encodings.
const CODE: &[u8] = b"errorCode";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Encoding;

    #[test]
    fn a_refusal_is_written_as_ws_nodes_pass_it_on_and_is_read_in_both_encodings() {
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
