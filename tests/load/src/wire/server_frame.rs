//! Headers of the frames that a server sends (RFC 6455, section 5.2). They are not masked, so the payload is read in place.

use thiserror::Error;

/// A text message.
pub const TEXT: u8 = 0x1;
/// A continuation frame.
pub const CONTINUATION: u8 = 0x0;
/// The end of the connection, with a code and a reason.
pub const CLOSE: u8 = 0x8;
/// Asks for a pong.
pub const PING: u8 = 0x9;
/// Answers a ping.
pub const PONG: u8 = 0xA;

/// The maximum size of a frame, in bytes.
pub const MAX_PAYLOAD: usize = 16 * 1024 * 1024;

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last frame of its message.
    pub last: bool,
    /// What the frame is.
    pub opcode: u8,
    /// Bytes of the header.
    pub size: usize,
    /// Bytes of the payload.
    pub payload: usize,
}

/// A server sent what RFC 6455 forbids, or what was not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Only clients mask.
    #[error("the server sent a masked frame")]
    Masked,
    /// No extension was asked for.
    #[error("the server sent a frame with reserved bits, though no extension was agreed on")]
    Reserved,
    /// Nobody defined this one.
    #[error("the server sent a frame with the unknown opcode {0}")]
    Opcode(u8),
    /// A control frame has at most 125 bytes and is never split.
    #[error("the server sent a control frame that is split or longer than 125 bytes")]
    Control,
    /// More than [`MAX_PAYLOAD`].
    #[error("the server sent a frame of {0} bytes: at most {MAX_PAYLOAD} are taken")]
    TooBig(u64),
}

impl Header {
    /// The header at the beginning of `bytes`; `None` if more bytes are needed.
    ///
    /// # Errors
    /// When it is not a header that a server may send.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let (opcode, last) = (first & 0x0F, first & 0x80 != 0);
        if first & 0x70 != 0 {
            return Err(FrameError::Reserved);
        }
        if second & 0x80 != 0 {
            return Err(FrameError::Masked);
        }
        let (size, payload) = match (second & 0x7F, rest) {
            (126, [a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
            (127, [a, b, c, d, e, f, g, h, ..]) => (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
            (126 | 127, _) => return Ok(None),
            (short, _) => (2, u64::from(short)),
        };
        match opcode {
            CONTINUATION | TEXT | 0x2 => {}
            CLOSE | PING | PONG if last && payload <= 125 => {}
            CLOSE | PING | PONG => return Err(FrameError::Control),
            other => return Err(FrameError::Opcode(other)),
        }
        let fitting = usize::try_from(payload).ok().filter(|&length| length <= MAX_PAYLOAD);
        let payload = fitting.ok_or(FrameError::TooBig(payload))?;
        Ok(Some(Self {
            last,
            opcode,
            size,
            payload,
        }))
    }

    /// Bytes of header and payload.
    #[must_use]
    pub fn whole(&self) -> usize {
        self.size + self.payload
    }
}

/// Code and reason of a close frame's payload; without a code there is none.
#[must_use]
pub fn close_reason(payload: &[u8]) -> (Option<u16>, String) {
    match payload {
        [high, low, reason @ ..] => (
            Some(u16::from_be_bytes([*high, *low])),
            String::from_utf8_lossy(reason).into_owned(),
        ),
        _ => (None, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> Header {
        Header::parse(bytes).expect("valid").expect("whole")
    }

    #[test]
    fn lengths_take_one_two_or_eight_bytes() {
        assert_eq!((parsed(&[0x81, 125]).size, parsed(&[0x81, 125]).payload), (2, 125));
        assert_eq!(parsed(&[0x81, 126, 0x01, 0x00]).whole(), 4 + 256);
        assert_eq!(parsed(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]).whole(), 10 + 65_536);
    }

    #[test]
    fn a_header_in_pieces_asks_for_more_bytes_until_it_is_whole() {
        for whole in [&[0x81, 5][..], &[0x81, 126, 1, 0], &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]] {
            for cut in 0..whole.len() {
                assert_eq!(Header::parse(&whole[..cut]), Ok(None), "{whole:?} cut at {cut}");
            }
            assert!(matches!(Header::parse(whole), Ok(Some(_))));
        }
    }

    #[test]
    fn frames_that_a_server_may_not_send_are_errors() {
        assert_eq!(Header::parse(&[0x81, 0x85]), Err(FrameError::Masked));
        assert_eq!(Header::parse(&[0xC1, 5]), Err(FrameError::Reserved));
        assert_eq!(Header::parse(&[0x83, 5]), Err(FrameError::Opcode(3)));
        assert_eq!(Header::parse(&[0x88, 126, 0, 200]), Err(FrameError::Control));
        assert_eq!(Header::parse(&[0x09, 0]), Err(FrameError::Control));
        let huge = [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(Header::parse(&huge), Err(FrameError::TooBig(1 << 32)));
    }

    #[test]
    fn a_close_frame_has_a_code_and_a_reason_or_neither() {
        assert_eq!(close_reason(b"\x0f\xadslow"), (Some(4013), "slow".to_owned()));
        assert_eq!(close_reason(b""), (None, String::new()));
    }
}
