//! A frame: one encoded client message. Encoded once by whoever creates it, moved as bytes after that.

use bytes::Bytes;

/// A finished client message: UTF-8 text that is written to a client as it stands. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// Takes a finished message.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Bytes::from(text.into()))
    }

    /// Takes bytes that were checked to be UTF-8.
    ///
    /// # Errors
    /// When they are not UTF-8, which a WebSocket text frame must be.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }

    /// The text of the message.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The bytes of the message.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no bytes, like the default heartbeat.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
