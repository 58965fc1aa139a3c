//! The header `Idempotency-Key`: 1 to 128 visible characters, bare or as a quoted string (RFC 8941), as the draft writes it.

use axum::http::HeaderMap;

use crate::problem::Problem;

/// The header's name.
pub(crate) const HEADER: &str = "idempotency-key";
/// Longest key.
const MAX_KEY_CHARS: usize = 128;

/// The key of a request, if it has one.
///
/// # Errors
/// When it cannot be a key.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if values.next().is_some() || !(1..=MAX_KEY_CHARS).contains(&key.len()) || !key.bytes().all(is_visible) {
        return Err(Problem::bad_request(format!(
            "send one Idempotency-Key of 1 to {MAX_KEY_CHARS} visible ASCII characters without quotes and backslashes inside, such \
             as a UUID"
        )));
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, Problem> {
        let name = HeaderName::from_static(HEADER);
        let headers = values.iter().map(|value| {
            let value = HeaderValue::from_bytes(value).expect("a header");
            (name.clone(), value)
        });
        key(&headers.collect())
    }

    #[test]
    fn a_key_may_be_quoted_and_is_the_same_then() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"order-7"]), Ok(Some("order-7".to_owned())));
        assert_eq!(read(&[b"\"order-7\""]), Ok(Some("order-7".to_owned())));
        assert!(read(&[&[b'x'; 128]]).is_ok());
    }

    #[test]
    fn a_header_that_is_no_key_is_rejected() {
        for values in [
            &[&b""[..]][..],
            &[b"\"\""],
            &[b"a b"],
            &[b"a\\b"],
            &[b"a\"b"],
            &[b"\xff"],
            &[&[b'x'; 129]],
            &[b"a", b"b"],
        ] {
            assert!(read(values).is_err(), "{values:?}");
        }
    }
}
