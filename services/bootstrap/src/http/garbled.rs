//! Recognizes connections whose first bytes cannot become a request. Such a peer is answered at once, and not only after the time
//! limit for a request head.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the peer may take to read the answer before the connection is closed in any case.
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes that are read and dropped. Closing a stream with unread bytes would reset it, and the answer would be lost.
const MOST_READ: usize = 64 * 1024;

/// What is wrong with the first bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Garbled {
    /// A TLS handshake, on a port without TLS.
    Tls,
    /// Something that cannot start a request.
    NotHttp,
    /// A line that ends without CR. RFC 9112, section 2.2 allows this; a server behind a lenient proxy should be strict.
    BareLf,
}

impl Garbled {
    /// What is wrong with a head or the beginning of a head. Its first `seen` bytes were checked before.
    pub(super) fn find(head: &[u8], seen: usize) -> Option<Self> {
        match head.first()? {
            0x16 => return Some(Self::Tls),
            // Empty lines before a request are ignored.
            b'\r' | b'\n' => {}
            byte if !byte.is_ascii_graphic() => return Some(Self::NotHttp),
            _ => {}
        }
        let from = seen.saturating_sub(1).min(head.len());
        let mut before = None;
        for &byte in &head[from..] {
            if byte == b'\n' && before != Some(b'\r') && (before.is_some() || from == 0) {
                return Some(Self::BareLf);
            }
            before = Some(byte);
        }
        None
    }

    /// Answers 400 and ends the connection.
    pub(super) async fn answer(self, mut stream: TcpStream) {
        let text = match self {
            Self::Tls => {
                "this port speaks plain HTTP, not TLS: use ws:// or http://, or give this server a certificate\n"
            }
            Self::NotHttp => "not an HTTP request: send one in HTTP/1.1\n",
            Self::BareLf => "a line of the request ends with LF only: end each line with CR LF\n",
        };
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{text}",
            text.len()
        );
        let answering = async {
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            let mut read = 0;
            let mut ignored = [0; 1024];
            while read < MOST_READ {
                match stream.read(&mut ignored).await? {
                    0 => break,
                    more => read += more,
                }
            }
            io::Result::Ok(())
        };
        let _gone_or_late = timeout(LINGER, answering).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_cannot_become_a_request_are_found_with_the_first_wrong_byte() {
        for (head, wrong) in [
            (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], None),
            (b"\r\nGET / HTTP/1.1\r\n", None),
            (b"\x16\x03\x01\x02\x00", Some(Garbled::Tls)),
            (b"\x00\x01", Some(Garbled::NotHttp)),
            (b"\xff", Some(Garbled::NotHttp)),
            (b"GET / HTTP/1.1\n", Some(Garbled::BareLf)),
            (b"GET / HTTP/1.1\r\nHost: x\n\r\n", Some(Garbled::BareLf)),
            (b"\n", Some(Garbled::BareLf)),
        ] {
            assert_eq!(Garbled::find(head, 0), wrong, "{head:?}");
            for seen in 1..head.len() {
                if Garbled::find(&head[..seen], 0).is_none() {
                    assert_eq!(Garbled::find(head, seen), wrong, "{head:?} after {seen}");
                }
            }
        }
        assert_eq!(Garbled::find(b"", 0), None);
    }
}
