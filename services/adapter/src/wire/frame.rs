//! A frame: one encoded client message. It is encoded once, by its creator, and moved as bytes after that.

use bytes::Bytes;

/// A finished client message: UTF-8 text that is written to a client unchanged. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Bytes,
    is_binary: bool,
    /// The index of the node that carried it, plus one; 0: it comes from this server. Takes no room of its own.
    carrier: u8,
}

/// Frames are equal if a client cannot tell them apart.
impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        (&self.bytes, self.is_binary) == (&other.bytes, other.is_binary)
    }
}

impl Eq for Frame {}

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
            carrier: 0,
        }
    }

    fn text(bytes: Bytes) -> Self {
        Self {
            bytes,
            is_binary: false,
            carrier: 0,
        }
    }

    /// Whether it was created by `Frame::binary`.
    #[doc(hidden)]
    pub fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// It came through the node with this index.
    pub(crate) fn carried_by(&mut self, index: usize) {
        self.carrier = u8::try_from(index + 1).unwrap_or(0);
    }

    /// The index of the node that it came through, if it comes from another server.
    pub(crate) fn carrier(&self) -> Option<usize> {
        usize::from(self.carrier).checked_sub(1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_that_carried_a_frame_is_known_takes_no_room_and_changes_nothing_else() {
        let (mut frame, sent) = (Frame::new("hi"), Frame::new("hi"));
        assert_eq!(frame.carrier(), None);
        for index in [0, 63] {
            frame.carried_by(index);
            assert_eq!((frame.carrier(), &frame), (Some(index), &sent));
        }
        assert_eq!(size_of::<Frame>(), size_of::<(Bytes, bool)>());
    }
}
