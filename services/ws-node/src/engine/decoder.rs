//! Turns the bytes of one client into messages. No I/O: it is fed what was read and says what to answer.
//!
//! The work is tungstenite's, used through its context that borrows a stream per call, so that an idle connection keeps
//! half a KiB and the shard's one large buffer serves all reads. It enforces masking, the size of a message over all its
//! fragments, UTF-8, reserved bits, control frames and close codes. (fastwebsockets 0.10 was looked at first: it takes
//! unmasked frames, does not bound fragmented messages and starts each connection with 8 KiB.)

use std::io::{self, Read, Write};

use tungstenite::error::CapacityError;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};
use wsmesh_protocol::CloseCode;

/// Bytes that an idle connection keeps for reading. Frames that are larger make it grow.
const IDLE_BUFFER: usize = 512;

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A whole text message.
    Text(Utf8Bytes),
    /// A ping; its answer is in the replies.
    Ping,
    /// The answer to a ping of ours, or one that nobody asked for.
    Pong,
    /// A close frame, with its code if it has one; its answer is in the replies.
    Close(Option<u16>),
}

/// Why a client's bytes were refused: what the close frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: CloseCode,
    pub(crate) reason: &'static str,
}

/// The state of one client's incoming bytes.
#[derive(Debug)]
pub(crate) struct Decoder {
    context: WebSocketContext,
}

impl Decoder {
    /// For messages of at most `max_message` bytes.
    pub(crate) fn new(max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(IDLE_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
        }
    }

    /// The next message in `input`, which is moved forward; `None` when all of it is consumed. Finished pong and close
    /// frames that must be answered are appended to `replies`.
    pub(crate) fn next(&mut self, input: &mut &[u8], replies: &mut Vec<u8>) -> Result<Option<Incoming>, Violation> {
        let mut pipe = Pipe { input, replies };
        match self.context.read(&mut pipe) {
            Ok(Message::Text(text)) => Ok(Some(Incoming::Text(text))),
            Ok(Message::Ping(_)) => Ok(Some(Incoming::Ping)),
            Ok(Message::Pong(_)) => Ok(Some(Incoming::Pong)),
            Ok(Message::Close(frame)) => {
                // The answer is written by the next call, which then says that the connection is closed.
                let _closed = self.context.flush(&mut pipe);
                Ok(Some(Incoming::Close(frame.map(|frame| frame.code.into()))))
            }
            Ok(Message::Binary(_) | Message::Frame(_)) => Err(Violation::BINARY),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(Violation::from(&error)),
        }
    }
}

impl Violation {
    const BINARY: Self = Self {
        code: CloseCode::UnsupportedData,
        reason: "text frames only",
    };
}

impl From<&Error> for Violation {
    fn from(error: &Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self {
                code: CloseCode::TooBig,
                reason: "message too big",
            },
            Error::Utf8(_) => Self {
                code: CloseCode::InvalidUtf8,
                reason: "text is not UTF-8",
            },
            _ => Self {
                code: CloseCode::ProtocolError,
                reason: "not RFC 6455",
            },
        }
    }
}

/// What was read, as a stream that blocks at its end, and a place for answers that never blocks.
struct Pipe<'a, 'b> {
    input: &'a mut &'b [u8],
    replies: &'a mut Vec<u8>,
}

impl Read for Pipe<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            self.input.read(buf)
        }
    }
}

impl Write for Pipe<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.replies.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame, masked with a key of ones.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            length @ ..126 => out.push(0x80 | length as u8),
            length => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(&[1; 4]);
        out.extend(payload.iter().map(|byte| byte ^ 1));
        out
    }

    fn all(bytes: &[u8]) -> (Vec<Incoming>, Option<u16>, Vec<u8>) {
        let (mut decoder, mut input, mut replies, mut out) = (Decoder::new(1000), bytes, Vec::new(), Vec::new());
        loop {
            match decoder.next(&mut input, &mut replies) {
                Ok(Some(incoming)) => {
                    out.push(incoming);
                    if matches!(out.last(), Some(Incoming::Close(_))) {
                        return (out, None, replies);
                    }
                }
                Ok(None) => return (out, None, replies),
                Err(violation) => return (out, Some(violation.code.into()), replies),
            }
        }
    }

    fn refused(bytes: &[u8]) -> Option<u16> {
        all(bytes).1
    }

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let bytes = [
            masked(0x01, "h\u{e9}".as_bytes()[..2].as_ref()),
            masked(0x89, b"now"),
            masked(0x80, &"h\u{e9}".as_bytes()[2..]),
            masked(0x81, b""),
        ]
        .concat();
        let (mut decoder, mut replies, mut out) = (Decoder::new(1000), Vec::new(), Vec::new());
        for byte in bytes.chunks(1) {
            let mut input = byte;
            while let Some(incoming) = decoder.next(&mut input, &mut replies).expect("valid") {
                out.push(incoming);
            }
        }
        assert_eq!(
            out,
            [Incoming::Ping, Incoming::Text("hé".into()), Incoming::Text("".into())]
        );
        assert_eq!(replies, b"\x8a\x03now");
    }

    #[test]
    fn a_close_is_answered_with_its_own_code() {
        let (got, refused, replies) = all(&masked(0x88, b"\x0f\xa1bye"));
        assert_eq!((got, refused), (vec![Incoming::Close(Some(4001))], None));
        assert_eq!(replies, b"\x88\x05\x0f\xa1bye");
        assert_eq!(all(&masked(0x88, b"")).0, [Incoming::Close(None)]);
    }

    #[test]
    fn what_rfc_6455_forbids_is_refused_as_a_protocol_error() {
        let cases: [&[u8]; 9] = [
            b"\x81\x02hi",                                      // not masked
            &masked(0xc1, b"hi"),                               // reserved bit
            &masked(0x83, b"hi"),                               // reserved opcode
            &masked(0x8b, b""),                                 // reserved control opcode
            &masked(0x09, b""),                                 // fragmented control frame
            &masked(0x89, &[0; 126]),                           // control frame too long
            &masked(0x80, b"hi"),                               // continuation of nothing
            &masked(0x88, b"\x03"),                             // half a close code
            &[masked(0x01, b"a"), masked(0x01, b"b")].concat(), // a message inside another
        ];
        for case in cases {
            assert_eq!(refused(case), Some(1002), "{case:02x?}");
        }
    }

    #[test]
    fn binary_and_broken_text_and_big_messages_have_their_own_codes() {
        assert_eq!(refused(&masked(0x82, b"hi")), Some(1003));
        assert_eq!(refused(&masked(0x81, b"\xff")), Some(1007));
        assert_eq!(
            refused(&[masked(0x01, b"\xc3"), masked(0x80, b"(")].concat()),
            Some(1007)
        );
        assert_eq!(refused(&masked(0x81, &[b'x'; 1000])), None);
        assert_eq!(refused(&masked(0x81, &[b'x'; 1001])), Some(1009));
        assert_eq!(
            refused(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x01\x01"),
            Some(1009)
        );
        assert_eq!(
            refused(&[masked(0x01, &[b'x'; 600]), masked(0x80, &[b'x'; 600])].concat()),
            Some(1009)
        );
    }
}
