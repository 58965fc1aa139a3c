//! A client's outbox: a bounded queue of frames that wait to be written to its socket.
//!
//! Nothing is dropped silently. When the outbox is full, `push` fails and the shard closes the client as a slow
//! consumer. Frames whose class allows it may be replaced or dropped before that, which `push` returns.

use std::collections::{HashMap, VecDeque};

use super::delivery::Class;
use crate::wire::Frame;

/// The most frames for which an empty outbox keeps its memory.
const KEPT: usize = 64;

/// Bounds of one client's outbox. The one that is reached first applies.
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

/// What happened to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was queued.
    Queued,
    /// It replaced an older frame in the queue.
    Replaced,
    /// It was dropped: too many frames wait already for one of its class.
    Dropped,
}

/// The frames that slow clients did not get, because delivery rules allow that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spared {
    /// Replaced by a newer frame.
    pub replaced: u64,
    /// Dropped.
    pub dropped: u64,
}

/// Frames that wait for one client, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// The number of frames ever taken out, which is also the number of the first frame that waits.
    taken: u64,
    /// The numbers of the frames that a newer one may replace, by key.
    #[expect(
        clippy::box_collection,
        reason = "one exists per connection, and it is almost always empty"
    )]
    latest: Option<Box<HashMap<u64, u64>>>,
    /// Frames replaced and dropped since somebody asked: small, because almost nobody does.
    spared: (u32, u32),
}

impl Outbox {
    /// Adds a frame at the end, or in place of the frame that it replaces.
    ///
    /// # Errors
    /// When the limits are reached. An empty outbox accepts one frame of any size, so that a large message can reach a
    /// fast client.
    pub fn push(&mut self, frame: Frame, class: Class, limits: OutboxLimits) -> Result<Pushed, Full> {
        if let Class::Latest(key) = class
            && let Some(waiting) = self.waiting(key)
        {
            let newer = frame.len();
            let older = std::mem::replace(waiting, frame).len();
            self.bytes = self.bytes - older + newer;
            self.spared.0 = self.spared.0.wrapping_add(1);
            return Ok(Pushed::Replaced);
        }
        let part = if class == Class::MayDrop { 4 } else { 1 };
        let fits = self.frames.len() < limits.frames / part && self.bytes + frame.len() <= limits.bytes / part;
        if !fits && !self.frames.is_empty() {
            return if class == Class::MayDrop {
                self.spared.1 = self.spared.1.wrapping_add(1);
                Ok(Pushed::Dropped)
            } else {
                Err(Full)
            };
        }
        if let Class::Latest(key) = class {
            let number = self.taken + self.frames.len() as u64;
            self.latest.get_or_insert_default().insert(key, number);
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        Ok(Pushed::Queued)
    }

    /// The waiting frame with this key, if there is one.
    fn waiting(&mut self, key: u64) -> Option<&mut Frame> {
        let number = *self.latest.as_ref()?.get(&key)?;
        self.frames
            .get_mut(usize::try_from(number.checked_sub(self.taken)?).ok()?)
    }

    /// Takes out the oldest frame.
    pub fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        self.taken += 1;
        if self.frames.is_empty() {
            self.latest = None;
            if self.frames.capacity() > KEPT {
                self.frames = VecDeque::new();
            }
        }
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

    /// How much memory it holds, if nobody else waits for these frames.
    pub(super) fn weight(&self) -> usize {
        self.bytes + self.frames.len() * size_of::<Frame>()
    }

    /// The frames that wait, in order.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter()
    }

    /// The frames that this client did not get since the last call, because delivery rules allow that.
    pub fn take_spared(&mut self) -> Spared {
        let (replaced, dropped) = std::mem::take(&mut self.spared);
        Spared {
            replaced: replaced.into(),
            dropped: dropped.into(),
        }
    }

    /// Drops everything that waits, because the client is gone.
    pub fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.latest = None;
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits { bytes: 10, frames: 3 };

    #[test]
    fn frames_are_taken_out_in_order_and_free_their_bytes() {
        let mut outbox = Outbox::default();
        for text in ["one", "two"] {
            outbox.push(Frame::new(text), Class::Must, LIMITS).expect("fits");
        }
        assert_eq!(outbox.bytes(), 6);
        assert_eq!(outbox.pop(), Some(Frame::new("one")));
        assert_eq!((outbox.len(), outbox.bytes()), (1, 3));
    }

    #[test]
    fn a_full_outbox_refuses_by_bytes_and_by_frames() {
        let mut outbox = Outbox::default();
        outbox.push(Frame::new("12345678"), Class::Must, LIMITS).expect("fits");
        assert_eq!(outbox.push(Frame::new("123"), Class::Must, LIMITS), Err(Full));
        outbox.push(Frame::new("1"), Class::Must, LIMITS).expect("fits");
        outbox.push(Frame::new("1"), Class::Must, LIMITS).expect("fits");
        assert_eq!(outbox.push(Frame::new(""), Class::Must, LIMITS), Err(Full));
    }

    #[test]
    fn an_empty_outbox_accepts_one_frame_of_any_size() {
        let mut outbox = Outbox::default();
        assert_eq!(
            outbox.push(Frame::new("far more than ten bytes"), Class::Must, LIMITS),
            Ok(Pushed::Queued)
        );
    }

    #[test]
    fn the_latest_frame_replaces_only_the_waiting_frame_with_its_key() {
        let mut outbox = Outbox::default();
        let mut push = |text: &str, class| outbox.push(Frame::new(text), class, LIMITS);
        assert_eq!(push("a1", Class::Latest(1)), Ok(Pushed::Queued));
        assert_eq!(push("b1", Class::Latest(2)), Ok(Pushed::Queued));
        assert_eq!(push("a2+", Class::Latest(1)), Ok(Pushed::Replaced));
        assert_eq!(outbox.bytes(), 5);
        assert_eq!(outbox.pop(), Some(Frame::new("a2+")));
        let mut push = |text: &str, class| outbox.push(Frame::new(text), class, LIMITS);
        assert_eq!(
            push("a3", Class::Latest(1)),
            Ok(Pushed::Queued),
            "a written frame is not replaced"
        );
        assert_eq!(push("b2", Class::Latest(2)), Ok(Pushed::Replaced));
        let rest: Vec<_> = std::iter::from_fn(|| outbox.pop()).collect();
        assert_eq!(rest, [Frame::new("b2"), Frame::new("a3")]);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn droppable_frames_are_dropped_once_a_quarter_of_the_limit_is_used() {
        let limits = OutboxLimits {
            bytes: 100,
            frames: 100,
        };
        let mut outbox = Outbox::default();
        let mut push = |length: usize, class| outbox.push(Frame::new("x".repeat(length)), class, limits);
        assert_eq!(push(20, Class::MayDrop), Ok(Pushed::Queued));
        assert_eq!(push(6, Class::MayDrop), Ok(Pushed::Dropped));
        assert_eq!(push(80, Class::Must), Ok(Pushed::Queued));
        assert_eq!(push(1, Class::MayDrop), Ok(Pushed::Dropped));
        assert_eq!(push(1, Class::Must), Err(Full));
        assert_eq!(outbox.bytes(), 100);
    }

    #[test]
    fn an_outbox_tells_once_how_many_frames_were_replaced_and_dropped() {
        let limits = OutboxLimits { bytes: 100, frames: 4 };
        let mut outbox = Outbox::default();
        for class in [Class::Latest(1), Class::Latest(1), Class::MayDrop, Class::MayDrop] {
            outbox.push(Frame::new("x"), class, limits).expect("fits");
        }
        let spared = Spared {
            replaced: 1,
            dropped: 2,
        };
        assert_eq!(outbox.take_spared(), spared);
        assert_eq!(outbox.take_spared(), Spared::default());
    }
}
