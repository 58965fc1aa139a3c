//! The client's side of the upgrade from HTTP to WebSocket. The key is constant, and so is the answer to it.

use std::fmt::Write;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The answer to that key in RFC 6455, section 1.3.
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The maximum of bytes of an answer's head, and of a refusal's text that is kept.
const MAX_HEAD: usize = 16 * 1024;
const MAX_TEXT: usize = 300;

/// The request for an upgrade.
#[must_use]
pub fn request(host: &str, path_and_query: &str) -> Vec<u8> {
    let mut request = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        request,
        "GET {path_and_query} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    request.into_bytes()
}

/// A server's answer so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// More bytes are needed.
    Incomplete,
    /// The upgrade succeeded; this many bytes were the answer.
    Upgraded(usize),
    /// The upgrade was refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The first few hundred bytes of the body.
        text: String,
        /// The header `Retry-After`, in seconds.
        retry_after_s: Option<u64>,
    },
    /// Not a valid answer.
    Nonsense(String),
}

/// Reads the answer to [`request`]. `ended`: there will be no more bytes.
#[must_use]
pub fn answer(bytes: &[u8], ended: bool) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if ended => {
            return Answer::Nonsense(format!("the connection ended after {} bytes of an answer", bytes.len()));
        }
        Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => {
            return Answer::Nonsense(format!("the answer's head is longer than {MAX_HEAD} bytes"));
        }
        Ok(httparse::Status::Partial) => return Answer::Incomplete,
        Err(error) => return Answer::Nonsense(format!("the answer is not HTTP: {error}")),
    };
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    };
    let number = |name: &str| -> Option<u64> { std::str::from_utf8(header(name)?).ok()?.trim().parse().ok() };
    let status = response.code.unwrap_or_default();
    if status == 101 {
        return match header("sec-websocket-accept") {
            Some(accept) if accept == ACCEPT => Answer::Upgraded(head),
            _ => Answer::Nonsense("status 101 without the right Sec-WebSocket-Accept".to_owned()),
        };
    }
    let body = &bytes[head..];
    let wanted = number("content-length").map_or(MAX_TEXT, |length| MAX_TEXT.min(length as usize));
    if body.len() < wanted && !ended {
        return Answer::Incomplete;
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_TEXT)]);
    Answer::Refused {
        status,
        text: text.trim().to_owned(),
        retry_after_s: number("retry-after"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn an_upgrade_is_whole_at_its_last_byte_and_frames_may_follow_at_once() {
        for cut in 0..UPGRADED.len() {
            assert_eq!(answer(&UPGRADED[..cut], false), Answer::Incomplete, "cut at {cut}");
        }
        let with_frame = [UPGRADED, b"\x81\x00"].concat();
        assert_eq!(answer(&with_frame, false), Answer::Upgraded(UPGRADED.len()));
    }

    #[test]
    fn a_refusal_is_reported_with_its_status_and_text() {
        let refusal = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\ntoo many\n";
        assert_eq!(answer(&refusal[..refusal.len() - 4], false), Answer::Incomplete);
        let refused = Answer::Refused {
            status: 503,
            text: "too many".to_owned(),
            retry_after_s: Some(7),
        };
        assert_eq!(answer(refusal, false), refused);
    }

    #[test]
    fn an_answer_that_is_not_an_upgrade_is_described() {
        let wrong_key = b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: abc=\r\n\r\n";
        for (bytes, ended) in [
            (&wrong_key[..], false),
            (b"SSH-2.0-x\r\n\r\n", false),
            (b"HTTP/1.1 2", true),
        ] {
            assert!(matches!(answer(bytes, ended), Answer::Nonsense(_)));
        }
    }
}
