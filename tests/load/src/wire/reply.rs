//! Frames that are not measured pushes: replies, and pushes with an unusual layout. Parsed as JSON, off the hot path.

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::message::Stamp;

/// Any frame of a server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Incoming {
    event: Option<String>,
    #[serde(default)]
    payload: Value,
    /// The request that this replies to.
    pub callback_id: Option<String>,
}

impl Incoming {
    /// Reads a frame; `None` if it is not JSON of the protocol.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The stamp of a measured push.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        match self.event.as_deref() {
            Some("say") => Stamp::read(self.payload.get("msg")?.as_str()?.as_bytes()),
            _ => None,
        }
    }

    /// Code and text of a refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let code = self.payload.get("errorCode")?;
        let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
        let text = self.payload.get("error").and_then(Value::as_str).unwrap_or_default();
        Some(format!("{code}: {text}"))
    }
}

/// A reply to a measured request, read by byte search.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The sequence number of the request.
    pub sequence: u64,
    /// When the request was sent or due, in ns of this process's clock.
    pub sent_ns: u64,
    /// The error code of a refusal.
    pub error_code: Option<&'a [u8]>,
}

impl<'a> Reply<'a> {
    /// Reads a reply whose callback id is `SEQUENCE.SENT_NS`; `None` for anything else.
    #[inline]
    #[must_use]
    pub fn find(text: &'a [u8]) -> Option<Self> {
        const ID: &[u8] = br#""callbackId":""#;
        const CODE: &[u8] = br#""errorCode":"#;
        let id = &text[memmem::rfind(text, ID)? + ID.len()..];
        let id = std::str::from_utf8(&id[..memchr::memchr(b'"', id)?]).ok()?;
        let (sequence, sent_ns) = id.split_once('.')?;
        let error_code = memmem::find(text, CODE).map(|at| {
            let code = &text[at + CODE.len()..];
            let code = code.strip_prefix(b"\"").unwrap_or(code);
            let end = code.iter().position(|byte| matches!(byte, b'"' | b',' | b'}'));
            &code[..end.unwrap_or(code.len())]
        });
        Some(Self {
            sequence: sequence.parse().ok()?,
            sent_ns: sent_ns.parse().ok()?,
            error_code,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_found_with_its_error_code_if_it_has_one() {
        let good = Reply::find(br#"{"payload":{"ok":true},"callbackId":"12.345"}"#).expect("a reply");
        assert_eq!((good.sequence, good.sent_ns, good.error_code), (12, 345, None));
        let refused = br#"{"callbackId":"0.1","payload":{"error":"late","errorCode":"TIMEOUT"}}"#;
        assert_eq!(Reply::find(refused).expect("a reply").error_code, Some(&b"TIMEOUT"[..]));
        assert_eq!(Reply::find(br#"{"event":"say","payload":1}"#), None);
        assert_eq!(Reply::find(br#"{"payload":1,"callbackId":"join"}"#), None);
    }

    #[test]
    fn unusual_pushes_and_refusals_are_read_as_json() {
        let push = Incoming::parse(br#"{ "payload": {"msg": "1.2.3."}, "event": "say" }"#).expect("JSON");
        assert_eq!(push.stamp().map(|stamp| stamp.sequence), Some(2));
        let refused = Incoming::parse(br#"{"callbackId":"join","payload":{"error":"no","errorCode":"NOT_ALLOWED"}}"#);
        assert_eq!(
            refused.and_then(|reply| reply.refusal()).as_deref(),
            Some("NOT_ALLOWED: no")
        );
    }
}
