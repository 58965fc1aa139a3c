//! The life of one connection: reads and decodes what the client sends, hands over whole messages, and sees the close
//! handshake through. Also waits until a blocked stream takes more. One task on the shard's thread.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::pending;
use socket2::SockRef;
use tokio::io::{Interest, Ready};
use tokio_util::task::task_tracker::TaskTrackerToken;
use wsmesh_adapter::Attachment;

use super::core::{READ_CHUNK, Session};
use super::decoder::{Decoder, Incoming};
use super::link::{Ending, Farewell, Initiator, Phase};
use crate::metrics::Received;

/// Fire-and-forget frames of one client that may be in the making; beyond that its frames stay in the kernel.
const EVENTS_IN_FLIGHT: u32 = 64;

/// A client's frames are read once other servers can reach it, so that whoever got a reply is reachable. When Redis is
/// slow to confirm that, they are read after this time.
const CONFIRMATION: Duration = Duration::from_secs(1);

/// Runs until the connection has ended.
pub(super) async fn run(session: Session, attachment: Attachment, read_ahead: Bytes, tracked: TaskTrackerToken) {
    let client = attachment.client().clone();
    let edge = session.edge().clone();
    let _late = tokio::time::timeout(CONFIRMATION, attachment.confirmed()).await;
    if let Some(waiting) = edge.logins.enter(&client, attachment.connection())
        && !waiting.await
    {
        session.close(&edge.logins.farewell());
    }
    {
        let mut reader = Reader {
            registration: Registration { session, attachment },
            decoder: None,
            peer_closed: false,
        };
        reader.decoder = Some(Decoder::new(edge.settings.max_message_bytes));
        reader.take(&read_ahead);
        drop(read_ahead);
        reader.read_to_end().await;
    }
    edge.logins.left(&client);
    crate::session::closed(&edge, client).await;
    drop(tracked);
}

/// Takes the connection out of its shard and off the bus, also when the session's task ends by a panic.
struct Registration {
    session: Session,
    #[expect(dead_code, reason = "held: dropping it takes the client off the bus")]
    attachment: Attachment,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let link = &self.session.link;
        self.session.core.remove(link);
        // Requests that still wait share the stream: without this, the peer would wait for its end as long as they do.
        let _ended_already = SockRef::from(&link.stream).shutdown(std::net::Shutdown::Both);
        let ending = link.ending.get().unwrap_or(Ending {
            code: None,
            initiator: Initiator::Client,
        });
        self.session.edge().metrics.closed(ending, link.opened_at.elapsed());
    }
}

struct Reader {
    registration: Registration,
    /// None after a violation: nothing that follows can be understood.
    decoder: Option<Decoder>,
    /// The peer's close frame has come.
    peer_closed: bool,
}

impl Reader {
    async fn read_to_end(&mut self) {
        let mut write_ended = false;
        loop {
            let link = &self.registration.session.link;
            if link.phase.get() == Phase::Gone || link.flushed.get() && self.peer_closed {
                return;
            }
            if link.flushed.get() && self.decoder.is_none() && !write_ended {
                // Its close frame would not be understood: it sees the end of the stream, and ends its side.
                write_ended = true;
                let _broken_anyway = SockRef::from(&link.stream).shutdown(std::net::Shutdown::Write);
            }
            let ready = tokio::select! {
                () = link.wake.notified() => continue,
                ready = self.ready() => ready,
            };
            if ready.is_writable() && link.blocked_since.get().is_some() {
                self.registration.session.core.mark_dirty(link);
                tokio::task::yield_now().await;
            }
            if ready.is_readable() && self.read() == READ_CHUNK {
                // There is more: first let the shard write what these frames were answered.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits for what the connection needs now: bytes to read, room to write.
    async fn ready(&self) -> Ready {
        let link = &self.registration.session.link;
        let paused = link.is_open() && link.events.get() >= EVENTS_IN_FLIGHT;
        let interest = match (paused, link.blocked_since.get().is_some()) {
            (false, false) => Interest::READABLE,
            (false, true) => Interest::READABLE | Interest::WRITABLE,
            (true, true) => Interest::WRITABLE,
            (true, false) => return pending().await,
        };
        // An error shows when the stream is read or written.
        link.stream.ready(interest).await.unwrap_or(Ready::ALL)
    }

    /// Takes what one read gives; says how many bytes.
    fn read(&mut self) -> usize {
        let session = self.registration.session.clone();
        let mut input = session.core.input.borrow_mut();
        match session.link.stream.try_read(&mut input) {
            Ok(length @ 1..) => {
                self.take(&input[..length]);
                return length;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => self.lost(),
        }
        0
    }

    fn lost(&self) {
        let link = &self.registration.session.link;
        link.set_ending(None, Initiator::Client);
        link.advance(Phase::Gone);
    }

    /// Decodes what was read and hands over the messages in it.
    fn take(&mut self, mut input: &[u8]) {
        let session = self.registration.session.clone();
        let metrics = &session.edge().metrics;
        metrics.bytes_in.inc_by(input.len() as u64);
        let Some(decoder) = &mut self.decoder else { return };
        let mut replies = Vec::new();
        loop {
            match decoder.next(&mut input, &mut replies) {
                Ok(None) => break,
                Ok(Some(Incoming::Text(text))) if session.link.is_open() => {
                    crate::session::text(&session, text.as_str())
                }
                Ok(Some(Incoming::Text(_))) => {}
                Ok(Some(Incoming::Ping)) => metrics.received(Received::Ping),
                Ok(Some(Incoming::Pong)) => {
                    metrics.received(Received::Pong);
                    if let Some(sent) = session.link.pinged_at.take() {
                        metrics.ponged(sent.elapsed());
                    }
                }
                Ok(Some(Incoming::Close(code))) => {
                    self.peer_closed = true;
                    session.link.set_ending(code, Initiator::Client);
                    session.core.close_with(&session.link, replies);
                    return;
                }
                Err(violation) => {
                    self.decoder = None;
                    metrics.received(Received::Invalid);
                    tracing::debug!(client = %session.link.client, reason = violation.reason, "closing a client");
                    session.close(&Farewell::new(violation.code, violation.reason));
                    break;
                }
            }
        }
        if !replies.is_empty() {
            session.link.put_control(&replies);
            session.core.mark_dirty(&session.link);
        }
    }
}
