//! Reads the values of single fields: texts, how long a client waits, and by which key the repeats of its request are
//! recognized.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;

/// Longest idempotency key, in characters.
pub const MAX_KEY_CHARS: usize = 128;

/// The longest wait that is told apart from a longer one: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Whether this may be an idempotency key: 1 to [`MAX_KEY_CHARS`] characters, no control characters.
///
/// ```
/// use wsmesh_protocol::frame;
///
/// assert!(frame::is_key("order-17"));
/// assert!(!frame::is_key(""));
/// ```
pub fn is_key(key: &str) -> bool {
    // A character has at most four bytes: what is longer need not be counted.
    (1..=4 * MAX_KEY_CHARS).contains(&key.len())
        && key.chars().count() <= MAX_KEY_CHARS
        && !key.chars().any(char::is_control)
}

/// A text; `None` if it is something else.
#[inline]
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// `timeoutMs`: missing (null counts as missing), or a number of at least 0.
pub(super) fn timeout(raw: Option<&RawValue>) -> Result<Option<Duration>, String> {
    let Some(raw) = present(raw) else { return Ok(None) };
    // The text is JSON: only a number is read as one. A number beyond those that can be represented is infinite.
    let ms: Option<f64> = raw.get().parse().ok();
    match ms {
        Some(ms) if ms >= 0.0 => Ok(Some(Duration::from_secs_f64((ms / 1000.0).min(LONGEST.as_secs_f64())))),
        _ => Err("timeoutMs must be a number of at least 0".to_owned()),
    }
}

/// `idempotencyKey`: missing (null counts as missing), or a key.
pub(super) fn key(raw: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, String> {
    let Some(raw) = present(raw) else { return Ok(None) };
    match text(raw) {
        Some(key) if is_key(&key) => Ok(Some(key)),
        _ => Err(format!(
            "idempotencyKey must be a string of 1 to {MAX_KEY_CHARS} characters without control characters"
        )),
    }
}

fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{ClientMessage, client_request, parse, with_idempotency_key, with_timeout, with_traceparent};
    use super::*;
    use crate::CallbackId;

    fn request(fields: &str) -> Result<(Option<Duration>, Option<String>), String> {
        let text = format!(r#"{{"event":"buy","callbackId":"c",{fields}}}"#);
        match parse(&text) {
            Ok(ClientMessage::Request {
                timeout,
                idempotency_key,
                ..
            }) => Ok((timeout, idempotency_key.map(Cow::into_owned))),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(error.callback_id().map(CallbackId::json), Some("\"c\""), "{text}");
                Err(error.to_string())
            }
        }
    }

    #[test]
    fn a_request_says_how_long_its_client_waits() {
        for (number, expected) in [
            ("0", Duration::ZERO),
            ("-0", Duration::ZERO),
            ("2500", Duration::from_millis(2500)),
            ("1.5e3", Duration::from_millis(1500)),
            ("0.5", Duration::from_micros(500)),
            ("1e300", LONGEST),
            ("1e4000", LONGEST),
            ("99999999999999999999999999", LONGEST),
        ] {
            let read = request(&format!(r#""timeoutMs": {number} "#));
            assert_eq!(read, Ok((Some(expected), None)), "{number}");
        }
        assert_eq!(request(r#""timeoutMs":null,"idempotencyKey":null"#), Ok((None, None)));
    }

    #[test]
    fn a_wait_that_is_no_number_of_at_least_zero_is_refused() {
        for bad in [
            "-1",
            "-1e4000",
            r#""100""#,
            r#""""#,
            "true",
            "[]",
            "{}",
            r#""Infinity""#,
            r#""NaN""#,
        ] {
            let problem = request(&format!(r#""timeoutMs":{bad}"#)).expect_err(bad);
            assert!(problem.contains("timeoutMs must be"), "{bad}: {problem}");
        }
        // Neither is JSON.
        for bad in ["NaN", "Infinity", "+1", "01", "1."] {
            assert!(parse(&format!(r#"{{"event":"a","callbackId":"c","timeoutMs":{bad}}}"#)).is_err());
        }
    }

    #[test]
    fn a_key_has_at_most_128_characters_and_no_control_characters() {
        for key in [
            "k",
            " ",
            "\u{1f980}",
            "a\"b\\\u{2028}",
            &"\u{1f980}".repeat(MAX_KEY_CHARS),
        ] {
            let read = request(&format!(r#""idempotencyKey":{}"#, json!(key)));
            assert_eq!(read, Ok((None, Some(key.to_owned()))));
        }
        for key in [
            "",
            "a\r\nb",
            "\u{0}",
            "\u{7f}",
            &"x".repeat(MAX_KEY_CHARS + 1),
            &"x".repeat(1 << 20),
        ] {
            let problem = request(&format!(r#""idempotencyKey":{}"#, json!(key))).expect_err("not a key");
            assert!(problem.contains("idempotencyKey must be"), "{problem}");
        }
        for bad in ["7", "true", "[\"k\"]", "{}"] {
            assert!(request(&format!(r#""idempotencyKey":{bad}"#)).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_event_that_wants_no_reply_is_handled_whatever_these_fields_are() {
        let text = r#"{"event":"a","timeoutMs":"x","idempotencyKey":7}"#;
        assert!(matches!(parse(text), Ok(ClientMessage::Event { .. })));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let frame = with_timeout(client_request("buy", &1, "c"), Duration::from_micros(2_000_900));
        let frame = with_traceparent(with_idempotency_key(frame, "k\"1"), "00");
        assert_eq!(
            frame,
            r#"{"event":"buy","payload":1,"callbackId":"c","timeoutMs":2000,"idempotencyKey":"k\"1","traceparent":"00"}"#
        );
        let Ok(ClientMessage::Request {
            timeout,
            idempotency_key,
            ..
        }) = parse(&frame)
        else {
            panic!("{frame}")
        };
        assert_eq!(
            (timeout, idempotency_key.as_deref()),
            (Some(Duration::from_secs(2)), Some("k\"1"))
        );
    }
}
