//! The write half of one connection: moves its outbox to the stream, as much as the stream takes.
//!
//! Small frames of a turn are copied into one buffer and written at once; connections that get exactly the same frames share
//! one buffer. Large frames are written from their shared bytes. Never waits: when the stream is full, what could not be
//! written is kept, and the session waits until it can be.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use wsmesh_adapter::{Frame, Outbox, Shared, Spared};

use super::deflate;
use super::framing::{self, Opcode};
use super::handle::{Handle, Phase};
use super::outgoing::{Onlooker, Outgoing};
use super::queue_times::QueueTimes;

/// Frames are gathered up to this many bytes before they are written.
const CHUNK: usize = 32 * 1024;

/// Frames up to this size are copied into the turn's buffer: cheaper than a write of their own.
const COPY_LIMIT: usize = 8 * 1024;

/// What a shard keeps for a connection.
pub(super) struct Socket<H> {
    pub(super) handle: Rc<Handle<H>>,
    /// What the stream did not take, in order: the rest of a frame that was begun, then whole frames.
    unsent: VecDeque<Bytes>,
    goodbye: Goodbye,
    /// The stream took something since the last check.
    progressed: bool,
    /// Of a watched connection.
    times: Option<Box<QueueTimes>>,
}

/// The close frame goes out after everything else, and nothing after it.
#[derive(Debug)]
enum Goodbye {
    NotYet,
    Waiting(Vec<u8>),
    Said,
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Everything that waited is with the kernel.
    All,
    /// The stream is full.
    Blocked,
    /// The stream is broken.
    Broken,
    /// There is no stream yet: everything waits.
    NotYet,
}

/// What was written in a turn, for the metrics.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl<H> Socket<H> {
    pub(super) fn new(handle: Rc<Handle<H>>) -> Self {
        Self {
            handle,
            unsent: VecDeque::new(),
            goodbye: Goodbye::NotYet,
            progressed: false,
            times: None,
        }
    }

    /// The close frame that ends this connection. The first one counts.
    pub(super) fn end_with(&mut self, close_frame: Vec<u8>) {
        if matches!(self.goodbye, Goodbye::NotYet) {
            self.goodbye = Goodbye::Waiting(close_frame);
        }
    }

    /// Nobody watches this connection any more: what waits now says nothing about what will wait later.
    pub(super) fn forget_queue_times(&mut self) {
        self.times = None;
    }

    /// Whether nothing waits here: there is a stream, no rest of a frame, no control frame, no goodbye. A watched connection never
    /// is: of each of its frames somebody is told.
    pub(super) fn is_clear(&self) -> bool {
        self.handle.stream().is_some()
            && !self.handle.is_watched.get()
            && self.unsent.is_empty()
            && self.handle.control.borrow().is_empty()
            && matches!(self.goodbye, Goodbye::NotYet)
    }

    /// Writes finished frames when the socket [is clear](Self::is_clear).
    pub(super) fn write_encoded(&mut self, encoded: &[u8], frames: usize, tally: &mut Tally) -> Written {
        let Some(stream) = self.handle.stream() else {
            return Written::NotYet;
        };
        tally.frames += frames as u64;
        tally.bytes += encoded.len() as u64;
        match accept(stream.try_write(encoded)) {
            Ok(taken) if taken == encoded.len() => self.flush(),
            Ok(taken) => {
                self.unsent.push_back(Bytes::copy_from_slice(&encoded[taken..]));
                Written::Blocked
            }
            Err(_) => Written::Broken,
        }
    }

    /// Tells the session how far a write came.
    pub(super) fn note(&mut self, written: Written) {
        let handle = &self.handle;
        match written {
            Written::All => {
                handle.blocked_since.set(None);
                if matches!(self.goodbye, Goodbye::Said) && !handle.flushed.replace(true) {
                    handle.wake.notify_one();
                }
            }
            Written::Blocked => {
                if std::mem::take(&mut self.progressed) || handle.blocked_since.get().is_none() {
                    handle.blocked_since.set(Some(Instant::now()));
                    handle.wake.notify_one();
                }
            }
            Written::Broken => drop(handle.advance(Phase::Gone)),
            Written::NotYet => {}
        }
    }

    /// Nothing waits here any more; something may wait in the stream.
    fn flush(&mut self) -> Written {
        let Some(stream) = self.handle.stream() else {
            return Written::NotYet;
        };
        let flushed = stream.try_flush();
        self.progressed |= stream.take_progress();
        match flushed {
            Ok(true) => Written::All,
            Ok(false) => Written::Blocked,
            Err(_) => Written::Broken,
        }
    }

    /// Writes what the stream did not take before: nothing may be written ahead of it.
    fn write_unsent(&mut self) -> Written {
        let Some(stream) = self.handle.stream() else {
            return Written::NotYet;
        };
        while let Some(next) = self.unsent.front_mut() {
            match accept(stream.try_write(next)) {
                Ok(taken) if taken == next.len() => {
                    self.unsent.pop_front();
                    self.progressed = true;
                }
                Ok(0) => return Written::Blocked,
                Ok(taken) => {
                    next.advance(taken);
                    self.progressed = true;
                }
                Err(_) => return Written::Broken,
            }
        }
        Written::All
    }
}

impl<H: Onlooker> Socket<H> {
    /// Writes what waits; `buffer` is scratch space.
    pub(super) fn write(&mut self, outbox: &mut Outbox, buffer: &mut Vec<u8>, tally: &mut Tally) -> Written {
        if !self.handle.is_watched.get() {
            return self.write_frames(outbox, buffer, tally);
        }
        self.note_waiting(outbox);
        let was_blocked = self.handle.blocked_since.get().is_some();
        let written = self.write_frames(outbox, buffer, tally);
        if written == Written::Blocked && !was_blocked {
            let unsent: usize = self.unsent.iter().map(Bytes::len).sum();
            let waiting = (unsent + outbox.bytes()) as u64;
            self.handle.handler.outgoing(Outgoing::Blocked(waiting));
        }
        written
    }

    /// Notes what waits for a watched connection, and tells what it did not get.
    fn note_waiting(&mut self, outbox: &mut Outbox) {
        let spared = outbox.take_spared();
        // What was counted before the connection was watched is not told.
        if self.times.is_some() && spared != Spared::default() {
            self.handle.handler.outgoing(Outgoing::Spared(spared));
        }
        let times = self.times.get_or_insert_default();
        times.note(outbox.len(), Instant::now());
    }

    /// A frame for a watched connection is handed to the stream.
    #[cold]
    fn tell_written(&mut self, frame: &Frame) {
        let now = Instant::now();
        let queued = self.times.as_mut().map_or(Duration::ZERO, |times| times.taken(now));
        self.handle.handler.outgoing(Outgoing::Written(frame, queued));
    }

    fn write_frames(&mut self, outbox: &mut Outbox, buffer: &mut Vec<u8>, tally: &mut Tally) -> Written {
        loop {
            match self.write_unsent() {
                Written::All => {}
                other => return other,
            }
            let large = self.gather(outbox, buffer, tally);
            if buffer.is_empty() {
                return self.flush();
            }
            let Some(stream) = self.handle.stream() else {
                return Written::NotYet;
            };
            tally.bytes += buffer.len() as u64;
            match accept(stream.try_write(buffer)) {
                Ok(taken) if taken == buffer.len() => {}
                Ok(taken) => self.unsent.push_back(Bytes::copy_from_slice(&buffer[taken..])),
                Err(_) => return Written::Broken,
            }
            if let Some(large) = large {
                tally.bytes += large.len() as u64;
                self.unsent.push_back(large);
            }
        }
    }

    /// Fills `buffer` with control frames, then frames of the outbox, then, when nothing else is left, the close frame. If
    /// the last frame is large, only its header is in the buffer and its payload is returned.
    fn gather(&mut self, outbox: &mut Outbox, buffer: &mut Vec<u8>, tally: &mut Tally) -> Option<Bytes> {
        buffer.clear();
        if matches!(self.goodbye, Goodbye::Said) {
            outbox.clear();
            return None;
        }
        buffer.append(&mut self.handle.control.borrow_mut());
        let is_watched = self.handle.is_watched.get();
        while buffer.len() < CHUNK {
            let Some(frame) = outbox.pop() else {
                if let Goodbye::Waiting(close_frame) = &self.goodbye {
                    buffer.extend_from_slice(close_frame);
                    self.goodbye = Goodbye::Said;
                }
                return None;
            };
            tally.frames += 1;
            if is_watched {
                self.tell_written(&frame);
            }
            let payload = put_header(buffer, &frame, self.handle.deflate_above);
            if payload.len() > COPY_LIMIT {
                return Some(payload);
            }
            buffer.extend_from_slice(&payload);
        }
        None
    }
}

/// Frames that connections share, encoded.
#[derive(Debug, Default)]
pub(super) struct Encoding {
    /// Which frames; valid in this turn only.
    id: Option<u64>,
    bytes: Vec<u8>,
}

/// The frames that connections share in a turn, encoded once for each run of connections that share the same.
pub(super) struct Encoded<'a> {
    plain: &'a mut Encoding,
    compressed: &'a mut Encoding,
}

impl<'a> Encoded<'a> {
    /// At the start of a turn: what was encoded before is not valid any more.
    pub(super) fn new(plain: &'a mut Encoding, compressed: &'a mut Encoding) -> Self {
        plain.id = None;
        compressed.id = None;
        Self { plain, compressed }
    }

    pub(super) fn of(&mut self, shared: Shared<'_>, deflate_above: Option<usize>) -> &[u8] {
        let Encoding { id, bytes } = match deflate_above {
            None => &mut *self.plain,
            Some(_) => &mut *self.compressed,
        };
        if id.replace(shared.id) != Some(shared.id) {
            bytes.clear();
            for frame in shared.frames {
                let payload = put_header(bytes, frame, deflate_above);
                bytes.extend_from_slice(&payload);
            }
        }
        bytes
    }
}

/// Appends a frame's header, and returns the payload that belongs to it: compressed, if that is agreed on and worth it.
fn put_header(out: &mut Vec<u8>, frame: &Frame, deflate_above: Option<usize>) -> Bytes {
    let opcode = if frame.is_binary() {
        Opcode::Binary
    } else {
        Opcode::Text
    };
    let worth_it = deflate_above.is_some_and(|above| frame.len() >= above);
    match worth_it.then(|| deflate::compress(frame)).flatten() {
        Some(compressed) => {
            framing::put_compressed_header(out, opcode, compressed.len());
            compressed
        }
        None => {
            framing::put_header(out, opcode, frame.len());
            frame.bytes().clone()
        }
    }
}

/// The number of bytes that the stream took; a full stream took none.
fn accept(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
