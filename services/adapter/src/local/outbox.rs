//! A client's outbox: a bounded queue of shared frames, waiting to be written to its socket.
//!
//! Full means full: nothing is dropped in secret. `push` refuses, and the shard closes the client as a slow consumer.

use std::collections::VecDeque;

use crate::wire::Frame;

/// Bounds of one client's outbox. Whichever is reached first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Most bytes that wait for one client. Default 1 MiB: some seconds of a busy room.
    pub bytes: usize,
    /// Most frames that wait for one client. Default 4096.
    pub frames: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            frames: 4096,
        }
    }
}

/// The frame did not fit: its client reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Frames that wait for one client, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Outbox {
    /// Adds a frame at the end.
    ///
    /// # Errors
    /// When the limits are reached. An empty outbox takes one frame of any size, so that a large message to a fast
    /// client passes.
    pub fn push(&mut self, frame: Frame, limits: OutboxLimits) -> Result<(), Full> {
        let fits = self.frames.len() < limits.frames && self.bytes + frame.len() <= limits.bytes;
        if !fits && !self.frames.is_empty() {
            return Err(Full);
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        Ok(())
    }

    /// Takes the oldest frame.
    pub fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// How many frames wait.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything that waits; the client is gone.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits { bytes: 10, frames: 3 };

    #[test]
    fn frames_come_out_in_order_and_free_their_bytes() {
        let mut outbox = Outbox::default();
        for text in ["one", "two"] {
            outbox.push(Frame::new(text), LIMITS).expect("fits");
        }
        assert_eq!(outbox.bytes(), 6);
        assert_eq!(outbox.pop(), Some(Frame::new("one")));
        assert_eq!((outbox.len(), outbox.bytes()), (1, 3));
    }

    #[test]
    fn a_full_outbox_refuses_by_bytes_and_by_frames() {
        let mut outbox = Outbox::default();
        outbox.push(Frame::new("12345678"), LIMITS).expect("fits");
        assert_eq!(outbox.push(Frame::new("123"), LIMITS), Err(Full));
        outbox.push(Frame::new("1"), LIMITS).expect("fits");
        outbox.push(Frame::new("1"), LIMITS).expect("fits");
        assert_eq!(outbox.push(Frame::new(""), LIMITS), Err(Full));
    }

    #[test]
    fn an_empty_outbox_takes_one_frame_of_any_size() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(Frame::new("far more than ten bytes"), LIMITS), Ok(()));
    }
}
