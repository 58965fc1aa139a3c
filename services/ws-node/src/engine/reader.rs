//! Reads and decodes what one client sends, hands over whole messages, and sees the close handshake through. Also waits until
//! a blocked stream takes more.

use std::net::Shutdown;
use std::time::Instant;

use futures_util::future::pending;
use tokio::io::{Interest, Ready};
use wsmesh_protocol::CloseCode;

use super::core::READ_CHUNK;
use super::decoder::{Decoder, Incoming};
use super::ending::Farewell;
use super::framing::PING;
use super::handle::Phase;
use super::handler::{Control, FrameHandler};
use super::session::Session;
use super::stream::Stream;

/// The read half of one connection.
pub(super) struct Reader<H: FrameHandler> {
    session: Session<H>,
    /// None after a violation: nothing that follows can be understood.
    decoder: Option<Decoder>,
    /// The peer's close frame has come, or its side of the stream has ended: nothing that matters follows.
    peer_closed: bool,
}

impl<H: FrameHandler> Reader<H> {
    pub(super) fn new(session: Session<H>, decoder: Option<Decoder>) -> Self {
        Self {
            session,
            decoder,
            peer_closed: false,
        }
    }

    /// Resolves when the connection has ended, or if it has not come.
    pub(super) async fn read_to_end(&mut self) {
        let mut write_ended = false;
        loop {
            let handle = &self.session.handle;
            let Some(stream) = handle.stream() else { return };
            if handle.phase.get() == Phase::Gone || handle.flushed.get() && self.peer_closed {
                return;
            }
            if handle.flushed.get() && self.decoder.is_none() && !write_ended {
                // The answer of a peer that broke the protocol could not be read: it sees the end of the stream instead, and
                // ends its side.
                write_ended = true;
                stream.shutdown(Shutdown::Write);
            }
            let ready = tokio::select! {
                () = handle.wake.notified() => continue,
                ready = self.ready(stream) => ready,
            };
            if ready.is_writable() && handle.blocked_since.get().is_some() {
                self.session.core.mark_dirty(handle);
                tokio::task::yield_now().await;
            }
            if handle.ended.get() {
                if ready.is_error() {
                    self.lost();
                }
                continue;
            }
            if ready.is_readable() && self.read() == READ_CHUNK {
                // There is more to read: first the shard writes the answers to these frames.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits for what the connection needs now: bytes to read, room to write.
    async fn ready(&self, stream: &Stream) -> Ready {
        let handle = &self.session.handle;
        let is_read = !handle.is_paused() && !handle.ended.get();
        let interest = match (is_read, handle.blocked_since.get().is_some()) {
            (true, false) => Interest::READABLE,
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (false, true) => Interest::WRITABLE,
            // A peer that has closed both sides resets the connection when it gets something.
            (false, false) if handle.ended.get() => Interest::ERROR,
            (false, false) => return pending().await,
        };
        // An error shows when the stream is read or written.
        stream.ready(interest).await.unwrap_or(Ready::ALL)
    }

    /// Reads once and takes what arrived; returns how many bytes.
    fn read(&mut self) -> usize {
        let session = self.session.clone();
        let Some(stream) = session.handle.stream() else {
            return 0;
        };
        let mut input = session.core.input.borrow_mut();
        match stream.try_read(&mut input) {
            Ok(length @ 1..) => {
                self.take(&input[..length]);
                return length;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(_) => {
                drop(input);
                self.ended(&session);
            }
            Err(_) => self.lost(),
        }
        0
    }

    /// The client's side of the stream has ended. It may still listen (a half-closed TCP connection), so it gets the replies
    /// that it waits for before the connection ends.
    fn ended(&mut self, session: &Session<H>) {
        let handle = &session.handle;
        self.peer_closed = true;
        handle.ended.set(true);
        handle.broken();
        if handle.is_open() && handle.awaits_reply(Instant::now()) {
            // Shows whether anybody listens: see `ready`.
            handle.put_control(&PING);
            session.core.mark_dirty(handle);
        } else {
            session.close(&Farewell::new(CloseCode::Normal, ""));
        }
    }

    fn lost(&self) {
        let handle = &self.session.handle;
        handle.broken();
        handle.advance(Phase::Gone);
    }

    /// Decodes what was read and hands over the messages in it.
    pub(super) fn take(&mut self, mut input: &[u8]) {
        let session = self.session.clone();
        let (handle, metrics) = (&session.handle, &session.core.metrics);
        metrics.bytes_in.inc_by(input.len() as u64);
        let Some(decoder) = &mut self.decoder else { return };
        let (mut replies, mut messages) = (Vec::new(), 0);
        loop {
            if !handle.is_open() {
                decoder.ignore_messages();
            }
            match decoder.next(&mut input, &mut replies) {
                Ok(None) => break,
                Ok(Some(Incoming::Message(message))) => {
                    messages += 1;
                    H::message(&session, message);
                }
                Ok(Some(Incoming::Ping)) => H::control(&session, Control::Ping),
                Ok(Some(Incoming::Pong)) => match handle.pinged_at.take() {
                    Some(sent) => {
                        let after = sent.elapsed();
                        metrics.ponged(after);
                        H::control(&session, Control::ExpectedPong(after));
                    }
                    None => H::control(&session, Control::UnexpectedPong),
                },
                Ok(Some(Incoming::EmptyFragment)) => H::control(&session, Control::EmptyFragment),
                Ok(Some(Incoming::Close(code, reason))) => {
                    self.peer_closed = true;
                    handle.said_goodbye.set(true);
                    handle.ended_by_client(code, reason);
                    session.core.close_with(handle, replies);
                    return;
                }
                Err(violation) => {
                    self.decoder = None;
                    H::violation(&session, &violation);
                    tracing::debug!(client = %handle.client, reason = violation.reason, "closing a client");
                    session.close(&Farewell::new(violation.code, violation.reason));
                    break;
                }
            }
        }
        let is_unfinished = self.decoder.as_ref().is_some_and(Decoder::is_unfinished);
        handle.set_unfinished(is_unfinished, messages > 0);
        if !replies.is_empty() {
            handle.put_control(&replies);
            session.core.mark_dirty(handle);
        }
    }
}
