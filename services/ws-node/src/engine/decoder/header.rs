//! The header of a client's frame (RFC 6455, section 5.2), read byte by byte if need be.

use super::Violation;
use crate::engine::framing;

/// The bytes of a header that have come: at most 2, 8 of a length, 4 of a mask.
#[derive(Debug, Default)]
pub(super) struct Header {
    bytes: [u8; 14],
    length: u8,
}

/// A frame whose header is complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) is_final: bool,
    /// Turned so that its first byte is for the next byte of the payload.
    pub(super) mask: [u8; 4],
    /// Bytes of the payload that have not come yet.
    pub(super) left: usize,
    pub(super) is_empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Close,
    Ping,
    Pong,
}

impl Header {
    /// Whether a part of it has come.
    pub(super) fn is_begun(&self) -> bool {
        self.length > 0
    }

    /// Takes bytes of `input`, which is moved forward; `true` when the header is complete. Its first two bytes are checked as
    /// soon as they are there.
    pub(super) fn take(
        &mut self,
        input: &mut &[u8],
        check: impl Fn([u8; 2]) -> Result<(), Violation>,
    ) -> Result<bool, Violation> {
        loop {
            let have = usize::from(self.length);
            let needed = match have {
                ..2 => 2,
                _ => whole_length(self.bytes[1]),
            };
            if have == needed {
                return Ok(true);
            }
            let (part, rest) = input.split_at((needed - have).min(input.len()));
            if part.is_empty() {
                return Ok(false);
            }
            *input = rest;
            self.bytes[have..have + part.len()].copy_from_slice(part);
            self.length += part.len() as u8;
            if self.length == 2 {
                check([self.bytes[0], self.bytes[1]])?;
            }
        }
    }

    /// The frame that a complete header announces.
    pub(super) fn frame(&self) -> Result<Frame, Violation> {
        let bytes = &self.bytes[..usize::from(self.length)];
        let (start, mask) = bytes.split_at(bytes.len() - 4);
        let length = start[2..].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let length = match start[1] & 0x7f {
            126 if length < 126 => return Err(Violation::LENGTH),
            127 if length <= u64::from(u16::MAX) || length >> 63 != 0 => return Err(Violation::LENGTH),
            126 | 127 => length,
            short => u64::from(short),
        };
        let kind = match self.opcode() {
            8 => Kind::Close,
            9 => Kind::Ping,
            10 => Kind::Pong,
            _ => Kind::Data,
        };
        let left = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(Frame {
            kind,
            is_final: start[0] & 0x80 != 0,
            mask: [mask[0], mask[1], mask[2], mask[3]],
            left,
            is_empty: left == 0,
        })
    }

    /// Whether it begins a compressed message.
    pub(super) fn is_compressed(&self) -> bool {
        self.bytes[0] & framing::COMPRESSED != 0
    }

    /// Whether it begins a text message.
    pub(super) fn is_text(&self) -> bool {
        self.opcode() == 1
    }

    fn opcode(&self) -> u8 {
        self.bytes[0] & 0x0f
    }
}

/// How long a header is, by its second byte; a client's has a mask.
fn whole_length(second: u8) -> usize {
    match second & 0x7f {
        126 => 8,
        127 => 14,
        _ => 6,
    }
}
