//! Finds the parts of a finished push without reading all of it: what a delivery rule is applied by.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What [`push`](super::push()) and [`push_raw`](super::push_raw()) begin a frame with.
const START: &[u8] = br#"{"event":""#;

/// The event of a push, as it is written between its quotes; `None` for any other frame.
///
/// Looks only at the start of the frame, so the cost does not depend on its size. A frame that does not begin with its
/// event, exactly as this crate writes it, counts as another frame.
///
/// ```
/// use wsmesh_protocol::frame;
///
/// let push = frame::push("score", &7);
/// assert_eq!(frame::push_event(push.as_bytes()), Some(&b"score"[..]));
/// assert_eq!(frame::push_event(frame::reply("1", "7").as_bytes()), None);
/// ```
pub fn push_event(frame: &[u8]) -> Option<&[u8]> {
    frame.strip_prefix(START)?.split(|byte| *byte == b'"').next()
}

/// The payload of a push, as raw JSON; `None` if the frame is not valid JSON or has no payload.
///
/// ```
/// use wsmesh_protocol::frame;
///
/// let push = frame::push("score", &[1, 2]);
/// assert_eq!(frame::push_payload(push.as_bytes()), Some(&b"[1,2]"[..]));
/// ```
pub fn push_payload(frame: &[u8]) -> Option<&[u8]> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    let Payload { payload } = serde_json::from_slice(frame).ok()?;
    Some(payload.get().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::{error_reply, event, push, push_raw, reply, request};
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn the_event_of_a_push_or_request_is_found() {
        for frame in [
            push("score", "x"),
            push_raw("score", "{}"),
            event("score", &1),
            request("score", "1", "r"),
            r#"{"event":"score"}"#.to_owned(),
        ] {
            assert_eq!(push_event(frame.as_bytes()), Some(&b"score"[..]), "{frame}");
        }
    }

    #[test]
    fn other_frames_have_no_event() {
        for frame in [
            reply("1", r#"{"event":"score"}"#).as_str(),
            error_reply("1", ErrorCode::Timeout, "late").as_str(),
            r#"{"payload":1,"event":"score"}"#,
            r#"{"event":7}"#,
            r#"{"event":"#,
            "hello",
            "",
        ] {
            assert_eq!(push_event(frame.as_bytes()), None, "{frame}");
        }
    }

    #[test]
    fn the_payload_is_found_wherever_it_is_in_the_frame() {
        for frame in [
            push("score", &serde_json::json!({"n": 1})),
            request("score", r#"{"n":1}"#, "r"),
            r#"{"event":"score","new":[{"payload":2}],"payload": {"n":1} }"#.to_owned(),
        ] {
            assert_eq!(push_payload(frame.as_bytes()), Some(&br#"{"n":1}"#[..]), "{frame}");
        }
        for frame in [r#"{"event":"score"}"#, r#"{"event":"score","payload":"#, "", "[]"] {
            assert_eq!(push_payload(frame.as_bytes()), None, "{frame}");
        }
    }
}
