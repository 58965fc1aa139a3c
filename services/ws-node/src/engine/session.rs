//! The life of one connection: reads and decodes what the client sends, hands over whole messages, and sees the close
//! handshake through. Also waits until a blocked stream takes more. One task on the shard's thread.

use std::net::Shutdown;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::pending;
use tokio::io::{Interest, Ready};
use wsmesh_adapter::{Attachment, Frame};

use super::core::{READ_CHUNK, Session};
use super::decoder::{Accepts, Decoder, Incoming};
use super::link::{Ending, Farewell, Initiator, Phase};
use crate::edge::Presence;
use crate::metrics::Received;

/// A client's frames are read once other servers can reach it, so that whoever got a reply is reachable. When Redis is
/// slow to confirm that, they are read after this time. With the time limit of requests that is less than clients wait.
const CONFIRMATION: Duration = Duration::from_millis(500);

/// A connection whose client is attached.
pub(super) struct Arriving {
    pub(super) session: Session,
    pub(super) attachment: Attachment,
    /// What the client gets once it can be reached.
    pub(super) welcome: Option<Frame>,
    /// What it has sent already.
    pub(super) read_ahead: Bytes,
    pub(super) presence: Presence,
}

/// Runs until the connection has ended. There is one of this future for every connection, so what is needed for a moment
/// only is boxed.
pub(super) async fn run(arriving: Box<Arriving>) {
    let mut reader = Box::pin(arrive(arriving)).await;
    reader.read_to_end().await;
    Box::pin(depart(reader)).await;
}

/// Resolves when the client's frames may be read, with what it sent already handed over.
async fn arrive(arriving: Box<Arriving>) -> Reader {
    let Arriving {
        session,
        attachment,
        welcome,
        read_ahead,
        presence,
    } = *arriving;
    let (edge, client) = (session.edge().clone(), attachment.client().clone());
    // Without any Redis nobody confirms it, and what is local is served all the same.
    if edge.adapter.is_connected() {
        let _late = tokio::time::timeout(CONFIRMATION, attachment.confirmed()).await;
    }
    if let Some(waiting) = edge.logins.enter(&client, attachment.connection())
        && !waiting.await
    {
        session.close(&edge.logins.farewell());
    }
    if let Some(welcome) = welcome.filter(|_| session.link.is_open()) {
        session.send(welcome);
    }
    let accepts = Accepts {
        max_message: edge.settings.max_message_bytes,
        binary: edge.settings.echo,
        deflate: session.link.deflate_above.is_some(),
    };
    let mut reader = Reader {
        registration: Registration { session, attachment },
        decoder: Some(Decoder::new(accepts)),
        peer_closed: false,
        presence,
    };
    reader.take(&read_ahead);
    reader
}

/// The connection has ended: whoever must know is told.
async fn depart(reader: Reader) {
    let Reader {
        registration, presence, ..
    } = reader;
    let edge = registration.session.edge().clone();
    let client = registration.attachment.client().clone();
    drop(registration);
    edge.logins.left(&client);
    crate::session::closed(&edge, client).await;
    drop(presence);
}

/// Takes the connection out of its shard and off the bus, also when the session's task ends by a panic.
struct Registration {
    session: Session,
    attachment: Attachment,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let link = &self.session.link;
        self.session.core.remove(link);
        // Requests that still wait share the stream: without this, the peer would wait for its end as long as they do.
        link.stream.shutdown(Shutdown::Both);
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
    presence: Presence,
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
                link.stream.shutdown(Shutdown::Write);
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
        let paused = link.is_paused();
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
        let (mut replies, mut messages) = (Vec::new(), 0);
        loop {
            if !session.link.is_open() {
                decoder.ignore_messages();
            }
            match decoder.next(&mut input, &mut replies) {
                Ok(None) => break,
                Ok(Some(Incoming::Message(message))) => {
                    messages += 1;
                    crate::session::message(&session, message);
                }
                Ok(Some(Incoming::Ping)) => {
                    metrics.received(Received::Ping);
                    crate::session::paced(&session, "");
                }
                Ok(Some(Incoming::Pong)) => {
                    metrics.received(Received::Pong);
                    match session.link.pinged_at.take() {
                        Some(sent) => metrics.ponged(sent.elapsed()),
                        None => _ = crate::session::paced(&session, ""),
                    }
                }
                Ok(Some(Incoming::EmptyFragment)) => _ = crate::session::paced(&session, ""),
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
        let is_amid = self.decoder.as_ref().is_some_and(Decoder::is_amid);
        session.link.set_amid(is_amid, messages > 0);
        if !replies.is_empty() {
            session.link.put_control(&replies);
            session.core.mark_dirty(&session.link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a future of this kind takes.
    fn size_of_future<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_session_is_small() {
        assert!(size_of_future(run) <= 560, "{} bytes", size_of_future(run));
    }
}
