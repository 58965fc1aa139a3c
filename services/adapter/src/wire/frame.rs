//! A frame: one encoded client message. It is encoded once, by its creator, and moved as bytes after that.

use bytes::Bytes;

/// A finished client message: UTF-8 text that is written to a client unchanged. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    is_binary: bool,
}

impl Frame {
    /// Takes a finished message.
    pub fn new(text: impl Into<String>) -> Self {
        Self::text(Bytes::from(text.into()))
    }

    /// Takes a binary message. Only for the `echo` example of ws-node: the client protocol has no binary messages.
    #[doc(hidden)]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            is_binary: true,
        }
    }

    fn text(bytes: Bytes) -> Self {
        Self {
            bytes,
            is_binary: false,
        }
    }

    /// Whether it was created by `Frame::binary`.
    #[doc(hidden)]
    pub fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// Takes a finished message as bytes.
    ///
    /// # Errors
    /// When the bytes are not UTF-8, which a WebSocket text frame must be.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self::text(bytes))
    }

    /// The text of the message.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The bytes of the message.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it is empty, like the default heartbeat.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
