//! The life of one connection: reads and decodes what the client sends, hands over whole messages, and sees the close
//! handshake through. Also waits until a blocked stream takes more. One task on the shard's thread.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::pending;
use tokio::io::{Interest, Ready};
use tokio::sync::oneshot::{self, error::TryRecvError};
use wsmesh_adapter::{Attachment, Frame};
use wsmesh_protocol::CloseCode;

use super::core::{READ_CHUNK, Session};
use super::decoder::{Accepts, Decoder, Incoming};
use super::link::{Farewell, Phase};
use super::stream::Stream;
use super::thread::Arrived;
use super::wire::PING;
use crate::edge::Presence;
use crate::metrics::Received;

/// A client's upgrade is answered, and its frames are read, once other servers can reach it: whoever is connected is
/// reachable. When Redis is slow to confirm that, nobody waits longer than this: with the time limit of requests, that is
/// less than clients wait for a reply.
const CONFIRMATION: Duration = Duration::from_millis(500);

/// A client that is attached, and whose connection is to come.
pub(super) struct Arriving {
    pub(super) session: Session,
    pub(super) attachment: Attachment,
    /// Told once other servers can reach the client.
    pub(super) reachable: oneshot::Sender<()>,
    /// Closed when the connection does not come.
    pub(super) arrival: oneshot::Receiver<Arrived>,
    /// When the upgrade request was read.
    pub(super) since: Instant,
    pub(super) presence: Presence,
}

/// Runs until the connection has ended. There is one of this future for every connection, so what is needed for a moment
/// only is boxed.
pub(super) async fn run(arriving: Box<Arriving>) {
    let mut reader = Box::pin(arrive(arriving)).await;
    reader.read_to_end().await;
    Box::pin(depart(reader)).await;
}

/// Resolves when the client's frames may be read, with what it sent already handed over; or when its connection does not
/// come.
async fn arrive(arriving: Box<Arriving>) -> Reader {
    let Arriving {
        session,
        attachment,
        reachable,
        mut arrival,
        since,
        presence,
    } = *arriving;
    let (edge, client) = (session.edge().clone(), attachment.client().clone());
    let accepts = Accepts {
        max_message: edge.settings.max_message_bytes,
        binary: edge.settings.echo || !edge.settings.text_frames_only,
        deflate: session.link.deflate_above.is_some(),
    };
    let mut reader = Reader {
        registration: Registration {
            session: session.clone(),
            attachment,
        },
        decoder: Some(Decoder::new(accepts)),
        peer_closed: false,
        presence,
    };
    let attachment = &reader.registration.attachment;
    // Without a connection to any node no other server can reach anybody here, and nobody is made to wait for that.
    if edge.adapter.is_connected() {
        let _late = tokio::time::timeout(CONFIRMATION, attachment.confirmed()).await;
    }
    let arrived = arrival.try_recv();
    if matches!(arrived, Err(TryRecvError::Closed)) {
        session.link.advance(Phase::Gone);
        return reader;
    }
    let admission = edge.logins.enter(&client, attachment.connection());
    let _is_here_already = reachable.send(());
    let arrived = match arrived {
        Ok(arrived) => Some(arrived),
        Err(_) => arrival.await.ok(),
    };
    let Some((read_ahead, welcome)) = arrived.and_then(|arrived| board(&session, arrived, since)) else {
        session.link.advance(Phase::Gone);
        return reader;
    };
    if let Some(admission) = admission
        && !admission.await
    {
        session.close(&edge.logins.farewell());
    }
    if session.link.is_open() {
        tracing::debug!(%client, connection = session.link.connection.0, "a client is logged in");
        welcome.into_iter().for_each(|welcome| session.send(welcome));
    }
    reader.take(&read_ahead);
    reader
}

/// The connection is here: what waited for it is written at the next turn.
fn board(session: &Session, arrived: Arrived, since: Instant) -> Option<(Bytes, Option<Frame>)> {
    let Arrived {
        stream,
        read_ahead,
        welcome,
    } = arrived;
    match Stream::new(stream) {
        Ok(stream) => session.link.arrived(stream),
        Err(error) => {
            tracing::error!(%error, "a connection cannot be watched; closing it");
            return None;
        }
    }
    session.edge().metrics.opened(since.elapsed());
    tracing::debug!(
        client = %session.link.client,
        connection = session.link.connection.0,
        handshake_ms = since.elapsed().as_millis() as u64,
        "a client is connected"
    );
    session.core.mark_dirty(&session.link);
    if session.core.leaving.get().is_some() {
        session.close(&session.core.come_back(Instant::now()));
    }
    Some((read_ahead, welcome))
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
        let Some(stream) = link.stream() else { return };
        // Requests that still wait share the stream: without this, the peer would wait for its end as long as they do.
        stream.shutdown(Shutdown::Both);
        // Without an ending it just stopped: its task was dropped.
        link.ended_by_client(None);
        let Some(ending) = link.ending.get() else { return };
        let lasted = link.opened_at.elapsed();
        tracing::debug!(
            client = %link.client,
            connection = link.connection.0,
            by = ending.initiator.as_str(),
            code = ending.code,
            reason = ending.reason.as_deref(),
            duration_ms = lasted.as_millis() as u64,
            "a client's connection has ended"
        );
        self.session.edge().metrics.closed(ending, lasted);
    }
}

struct Reader {
    registration: Registration,
    /// None after a violation: nothing that follows can be understood.
    decoder: Option<Decoder>,
    /// The peer's close frame has come, or its side of the stream has ended: nothing of use follows.
    peer_closed: bool,
    presence: Presence,
}

impl Reader {
    async fn read_to_end(&mut self) {
        let mut write_ended = false;
        loop {
            let link = &self.registration.session.link;
            let Some(stream) = link.stream() else { return };
            if link.phase.get() == Phase::Gone || link.flushed.get() && self.peer_closed {
                return;
            }
            if link.flushed.get() && self.decoder.is_none() && !write_ended {
                // Its close frame would not be understood: it sees the end of the stream, and ends its side.
                write_ended = true;
                stream.shutdown(Shutdown::Write);
            }
            let ready = tokio::select! {
                () = link.wake.notified() => continue,
                ready = self.ready(stream) => ready,
            };
            if ready.is_writable() && link.blocked_since.get().is_some() {
                self.registration.session.core.mark_dirty(link);
                tokio::task::yield_now().await;
            }
            if link.ended.get() {
                if ready.is_error() {
                    self.lost();
                }
                continue;
            }
            if ready.is_readable() && self.read() == READ_CHUNK {
                // There is more: first let the shard write what these frames were answered.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits for what the connection needs now: bytes to read, room to write.
    async fn ready(&self, stream: &Stream) -> Ready {
        let link = &self.registration.session.link;
        let is_read = !link.is_paused() && !link.ended.get();
        let interest = match (is_read, link.blocked_since.get().is_some()) {
            (true, false) => Interest::READABLE,
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (false, true) => Interest::WRITABLE,
            // A peer that has closed both sides resets the connection when it gets something.
            (false, false) if link.ended.get() => Interest::ERROR,
            (false, false) => return pending().await,
        };
        // An error shows when the stream is read or written.
        stream.ready(interest).await.unwrap_or(Ready::ALL)
    }

    /// Takes what one read gives; says how many bytes.
    fn read(&mut self) -> usize {
        let session = self.registration.session.clone();
        let Some(stream) = session.link.stream() else { return 0 };
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

    /// The client says nothing more. It may still listen (a half-closed TCP connection), so it gets what is due before the
    /// connection ends.
    fn ended(&mut self, session: &Session) {
        let link = &session.link;
        self.peer_closed = true;
        link.ended.set(true);
        link.ended_by_client(None);
        if link.is_open() && link.awaits_reply(Instant::now()) {
            // Shows whether anybody listens: see `ready`.
            link.put_control(&PING);
            session.core.mark_dirty(link);
        } else {
            session.close(&Farewell::new(CloseCode::Normal, ""));
        }
    }

    fn lost(&self) {
        let link = &self.registration.session.link;
        link.ended_by_client(None);
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
                    session.link.ended_by_client(code);
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
