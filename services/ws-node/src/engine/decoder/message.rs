//! A client's message that is not complete yet.

use super::{Message, Violation};
use crate::engine::deflate::{self, Damage};

/// What has come of a message.
#[derive(Debug)]
pub(super) struct PartialMessage {
    is_text: bool,
    pub(super) is_compressed: bool,
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes are whole characters.
    checked: usize,
}

impl PartialMessage {
    pub(super) fn new(is_text: bool, is_compressed: bool) -> Self {
        Self {
            is_text,
            is_compressed,
            bytes: Vec::new(),
            checked: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Drops what has come.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.checked = 0;
    }

    /// Rejects the first byte that cannot be part of UTF-8.
    pub(super) fn check(&mut self) -> Result<(), Violation> {
        // A compressed message is checked when it is complete.
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

    /// The whole message, of at most `most` bytes after decompression.
    pub(super) fn finish(self, most: usize) -> Result<Message, Violation> {
        let bytes = if self.is_compressed {
            deflate::decompress(&self.bytes, most).map_err(|damage| match damage {
                Damage::Broken => Violation::COMPRESSION,
                Damage::TooBig => Violation::TOO_BIG,
            })?
        } else {
            self.bytes
        };
        if self.is_text {
            String::from_utf8(bytes).map(Message::Text).map_err(|_| Violation::UTF8)
        } else {
            Ok(Message::Binary(bytes))
        }
    }
}
