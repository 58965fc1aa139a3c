//! Turns the bytes of one client into messages, after RFC 6455. No I/O: it is fed what was read and says what to answer.
//!
//! Incremental: a byte that breaks the protocol is refused when it comes, also text that is not UTF-8 in a message that is
//! not complete. Memory grows with the bytes that came, never with a length that was only promised; an idle connection
//! keeps no buffer at all.
//!
//! No crate does all of that (measured in November 2026, bytes per idle connection and ns per message of 60 bytes; here 88
//! and 66). tokio-websockets 0.13 (8,456; 85) and fastwebsockets 0.10 (8,778; 75) begin with 8 KiB each and reserve what a
//! header promises; the latter takes unmasked frames and any sum of fragments. tungstenite 0.30 (1,280; 84) grows beyond
//! 4 KiB and stays so. yawc 0.5 (1,664; 92) looks at text when it is whole. At 64 KiB per message all of them are 1.3 to
//! twice as fast as this.

use wsmesh_protocol::CloseCode;

use super::deflate::{self, Trouble};
use super::wire::{self, Opcode};

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A whole message.
    Message(Message),
    /// A ping; its answer is in the replies.
    Ping,
    /// The answer to a ping of ours, or one that nobody asked for.
    Pong,
    /// A part of a message with nothing in it.
    EmptyFragment,
    /// A close frame, with its code if it has one; its answer is in the replies.
    Close(Option<u16>),
}

/// A client's whole message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    /// Only where binary messages are taken.
    Binary(Vec<u8>),
}

/// Why a client's bytes were refused: what the close frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: CloseCode,
    pub(crate) reason: &'static str,
}

/// What a decoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepts {
    /// Most bytes of a message, over all its fragments.
    pub(crate) max_message: usize,
    /// Whether binary messages are taken.
    pub(crate) binary: bool,
    /// Whether messages may be compressed; the limit is for what comes out.
    pub(crate) deflate: bool,
}

/// The state of one client's incoming bytes.
#[derive(Debug)]
pub(crate) struct Decoder {
    accepts: Accepts,
    header: Header,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The data message that was begun.
    message: Option<Box<Unfinished>>,
    /// What has come of a control frame's payload.
    control: Vec<u8>,
    closed: bool,
    /// Messages are thrown away as they come.
    is_deaf: bool,
}

/// Bytes of a header that is not complete: at most 2, 8 of a length, 4 of a mask.
#[derive(Debug, Default)]
struct Header {
    bytes: [u8; 14],
    length: u8,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    kind: Kind,
    is_final: bool,
    /// Turned so that its first byte is for the next byte of the payload.
    mask: [u8; 4],
    left: usize,
    is_empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Close,
    Ping,
    Pong,
}

#[derive(Debug)]
struct Unfinished {
    is_text: bool,
    is_compressed: bool,
    bytes: Vec<u8>,
    /// How many of the bytes are whole characters.
    checked: usize,
}

impl Decoder {
    pub(crate) fn new(accepts: Accepts) -> Self {
        Self {
            accepts,
            header: Header::default(),
            frame: None,
            message: None,
            control: Vec::new(),
            closed: false,
            is_deaf: false,
        }
    }

    /// Throws messages away from now on, neither kept nor unpacked: only control frames are still of use.
    pub(super) fn ignore_messages(&mut self) {
        if !std::mem::replace(&mut self.is_deaf, true)
            && let Some(message) = &mut self.message
        {
            message.bytes = Vec::new();
            message.checked = 0;
        }
    }

    /// The next message in `input`, which is moved forward; `None` when all of it is consumed. Finished pong and close
    /// frames that must be answered are appended to `replies`. After a close frame nothing is looked at; after a violation
    /// the decoder is of no use.
    pub(crate) fn next(&mut self, input: &mut &[u8], replies: &mut Vec<u8>) -> Result<Option<Incoming>, Violation> {
        if self.closed {
            *input = &[];
        }
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let part;
            (part, *input) = input.split_at(frame.left.min(input.len()));
            frame.left -= part.len();
            self.take_payload(&mut frame, part)?;
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(incoming) = self.finish(frame, replies)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Whether a message, or any frame, was begun and is not complete.
    pub(super) fn is_amid(&self) -> bool {
        !self.closed && (self.message.is_some() || self.frame.is_some() || self.header.length > 0)
    }

    /// Takes bytes until a header is complete. What can be refused is refused with its second byte.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        loop {
            let have = usize::from(self.header.length);
            let needed = match have {
                ..2 => 2,
                _ => header_length(self.header.bytes[1]),
            };
            if have == needed {
                break;
            }
            let (part, rest) = input.split_at((needed - have).min(input.len()));
            if part.is_empty() {
                return Ok(None);
            }
            *input = rest;
            self.header.bytes[have..have + part.len()].copy_from_slice(part);
            self.header.length += part.len() as u8;
            if self.header.length == 2 {
                self.check_start()?;
            }
        }
        let header = std::mem::take(&mut self.header);
        self.begin(&header).map(Some)
    }

    /// Checks the two bytes that every header begins with.
    fn check_start(&self) -> Result<(), Violation> {
        let [first, second, ..] = self.header.bytes;
        // Only the first frame of a message may say that it is compressed.
        let may_be_compressed = self.accepts.deflate && matches!(first & 0x0f, 1 | 2);
        let allowed = if may_be_compressed { wire::COMPRESSED } else { 0 };
        if first & 0x70 & !allowed != 0 {
            return Err(Violation::protocol("a reserved bit is set"));
        }
        if second & 0x80 == 0 {
            return Err(Violation::protocol("frames of clients must be masked"));
        }
        let (is_final, length) = (first & 0x80 != 0, second & 0x7f);
        match (first & 0x0f, self.message.is_some()) {
            (0, false) => Err(Violation::protocol("a continuation of nothing")),
            (1 | 2, true) => Err(Violation::protocol("a message inside another")),
            (2, false) if !self.accepts.binary => Err(Violation::BINARY),
            (0..=2, _) => Ok(()),
            (8..=10, _) if !is_final => Err(Violation::protocol("a control frame in fragments")),
            (8..=10, _) if length > 125 => Err(Violation::protocol("a control frame is too long")),
            (8..=10, _) => Ok(()),
            _ => Err(Violation::protocol("a reserved opcode")),
        }
    }

    /// Makes a frame of a complete header; the length is not believed beyond the limit.
    fn begin(&mut self, header: &Header) -> Result<Frame, Violation> {
        let bytes = &header.bytes[..usize::from(header.length)];
        let (start, mask) = bytes.split_at(bytes.len() - 4);
        let length = start[2..].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let length = match start[1] & 0x7f {
            126 if length < 126 => return Err(Violation::LENGTH),
            127 if length <= u64::from(u16::MAX) || length >> 63 != 0 => return Err(Violation::LENGTH),
            126 | 127 => length,
            short => u64::from(short),
        };
        let opcode = start[0] & 0x0f;
        let kind = match opcode {
            8 => Kind::Close,
            9 => Kind::Ping,
            10 => Kind::Pong,
            _ => Kind::Data,
        };
        let is_compressed = start[0] & wire::COMPRESSED != 0;
        let (before, is_compressed) = match &self.message {
            Some(message) => (message.bytes.len(), message.is_compressed),
            None => (0, is_compressed),
        };
        let most = if is_compressed {
            deflate::most_compressed(self.accepts.max_message)
        } else {
            self.accepts.max_message
        };
        let room = most - before;
        let left = usize::try_from(length).unwrap_or(usize::MAX);
        if kind == Kind::Data && left > room {
            return Err(Violation::TOO_BIG);
        }
        if kind == Kind::Data && self.message.is_none() {
            self.message = Some(Box::new(Unfinished {
                is_text: opcode == 1,
                is_compressed,
                bytes: Vec::new(),
                checked: 0,
            }));
        }
        let mask = [mask[0], mask[1], mask[2], mask[3]];
        Ok(Frame {
            kind,
            is_final: start[0] & 0x80 != 0,
            mask,
            left,
            is_empty: left == 0,
        })
    }

    /// Adds a part of a frame's payload to what it belongs to.
    fn take_payload(&mut self, frame: &mut Frame, part: &[u8]) -> Result<(), Violation> {
        match &mut self.message {
            Some(_) if frame.kind == Kind::Data && self.is_deaf => Ok(()),
            Some(message) if frame.kind == Kind::Data => {
                append_unmasked(&mut message.bytes, part, &mut frame.mask);
                let is_whole = frame.left == 0 && frame.is_final;
                // The last part is checked when the message is made of it.
                if is_whole { Ok(()) } else { message.check() }
            }
            _ => {
                append_unmasked(&mut self.control, part, &mut frame.mask);
                Ok(())
            }
        }
    }

    /// A frame is complete.
    fn finish(&mut self, frame: Frame, replies: &mut Vec<u8>) -> Result<Option<Incoming>, Violation> {
        if frame.kind == Kind::Data {
            if !frame.is_final {
                return Ok(frame.is_empty.then_some(Incoming::EmptyFragment));
            }
            let most = self.accepts.max_message;
            let whole = self.message.take().filter(|_| !self.is_deaf);
            return whole.map(|message| (*message).finish(most)).transpose();
        }
        let payload = std::mem::take(&mut self.control);
        match frame.kind {
            Kind::Pong => Ok(Some(Incoming::Pong)),
            Kind::Ping => {
                put_frame(replies, Opcode::Pong, &payload);
                Ok(Some(Incoming::Ping))
            }
            _ => {
                let code = close_code(&payload)?;
                put_frame(replies, Opcode::Close, &payload);
                self.closed = true;
                self.message = None;
                Ok(Some(Incoming::Close(code)))
            }
        }
    }
}

impl Unfinished {
    /// Refuses the first byte that cannot be part of UTF-8.
    fn check(&mut self) -> Result<(), Violation> {
        // What is compressed is looked at when it is whole.
        if !self.is_text || self.is_compressed {
            return Ok(());
        }
        match std::str::from_utf8(&self.bytes[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_some() => return Err(Violation::UTF8),
            Err(error) => self.checked += error.valid_up_to(),
        }
        Ok(())
    }

    fn finish(self, most: usize) -> Result<Incoming, Violation> {
        let bytes = if self.is_compressed {
            deflate::unpack(&self.bytes, most).map_err(|trouble| match trouble {
                Trouble::Broken => Violation::COMPRESSION,
                Trouble::TooBig => Violation::TOO_BIG,
            })?
        } else {
            self.bytes
        };
        let message = if self.is_text {
            Message::Text(String::from_utf8(bytes).map_err(|_| Violation::UTF8)?)
        } else {
            Message::Binary(bytes)
        };
        Ok(Incoming::Message(message))
    }
}

impl Violation {
    const BINARY: Self = Self::new(CloseCode::UnsupportedData, "text frames only");
    const TOO_BIG: Self = Self::new(CloseCode::TooBig, "message too big");
    const COMPRESSION: Self = Self::new(CloseCode::InvalidUtf8, "a compressed message is broken");
    const UTF8: Self = Self::new(CloseCode::InvalidUtf8, "text is not UTF-8");
    const LENGTH: Self = Self::protocol("a length is not in its shortest form");

    const fn new(code: CloseCode, reason: &'static str) -> Self {
        Self { code, reason }
    }

    const fn protocol(reason: &'static str) -> Self {
        Self::new(CloseCode::ProtocolError, reason)
    }
}

/// How long a header is, by its second byte; a client's has a mask.
fn header_length(second: u8) -> usize {
    match second & 0x7f {
        126 => 8,
        127 => 14,
        _ => 6,
    }
}

/// Appends `part` without its mask, and turns the mask for what follows.
fn append_unmasked(out: &mut Vec<u8>, part: &[u8], mask: &mut [u8; 4]) {
    let start = out.len();
    out.extend_from_slice(part);
    let mut blocks = out[start..].chunks_exact_mut(4);
    let word = u32::from_ne_bytes(*mask);
    for block in &mut blocks {
        let unmasked = u32::from_ne_bytes([block[0], block[1], block[2], block[3]]) ^ word;
        block.copy_from_slice(&unmasked.to_ne_bytes());
    }
    for (byte, key) in blocks.into_remainder().iter_mut().zip(*mask) {
        *byte ^= key;
    }
    mask.rotate_left(part.len() % 4);
}

fn put_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    wire::put_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// The code of a close frame, if it has one (RFC 6455, section 7.4; 1012 to 1014 are in IANA's registry).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(Violation::protocol("half a close code")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::protocol("a close code that may not be sent"));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Violation::UTF8),
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
