//! A connection whose client has not authenticated yet: it is upgraded, but no client is attached, and nothing is handled but
//! `authenticate {token}`. That must come in time and be small; how many connections wait is bounded.

use std::time::Duration;

use bytes::{Buf, Bytes};
use opentelemetry::trace::SpanContext;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tracing::Instrument;
use wsmesh_adapter::Frame;
use wsmesh_protocol::frame::{self, ClientMessage};
use wsmesh_protocol::{CallbackId, CloseCode, ErrorCode};

use crate::auth::{Fault, Proof};
use crate::connect::{Admitted, Asked, Refused};
use crate::edge::Edge;
use crate::engine::framing::{self, Opcode};
use crate::engine::{Accepts, Decoder, Farewell, Incoming, come_back_within};
use crate::events::refresh;
use crate::limits::UnauthenticatedPermit;
use crate::routes::AUTHENTICATE;
use crate::session::text_of;
use crate::trace::{self, Receiving};

/// Largest message before authentication: a token, as large as it could be in a request head.
const MOST_MESSAGE: usize = 16 * 1024;

/// Most bytes before authentication, in frames of any kind.
const MOST_BYTES: usize = 2 * MOST_MESSAGE;

/// A connection whose client has not proved who it is.
pub(super) struct Unproved {
    pub(super) permit: UnauthenticatedPermit,
    /// What the connect hook is asked, if there is one.
    pub(super) asked: Option<Box<Asked>>,
    /// Context of the upgrade's span, when it was sampled.
    pub(super) upgrade: Option<Box<SpanContext>>,
    /// Messages may be compressed.
    pub(super) deflate: bool,
}

/// A client that has authenticated.
pub(super) struct Arrival {
    pub(super) admitted: Admitted,
    /// Has decoded its messages so far.
    pub(super) decoder: Decoder,
    /// The bytes that followed.
    pub(super) read_ahead: Bytes,
    /// The reply that it gets once it can be reached, if it asked for one.
    pub(super) welcome: Option<Frame>,
}

/// A client that may connect, and the reply that it gets.
type Authenticated = (Admitted, Option<Frame>);

/// Waits until the client has authenticated; the error says whose fault it is that it has not.
pub(super) async fn wait<S>(
    edge: &Edge,
    stream: &mut S,
    read_ahead: Bytes,
    unproved: Unproved,
) -> Result<Arrival, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Unproved {
        permit,
        asked,
        upgrade,
        deflate,
    } = unproved;
    let mut waiting = Waiting {
        edge,
        stream,
        asked,
        upgrade: upgrade.as_deref(),
        decoder: Decoder::new(Accepts {
            max_message: MOST_MESSAGE,
            ..edge.engine.accepts(deflate)
        }),
        answers: Vec::new(),
    };
    let authenticated = timeout(edge.settings.auth.timeout, waiting.authenticated(read_ahead));
    let authenticated = tokio::select! {
        authenticated = authenticated => Some(authenticated),
        () = edge.drained() => None,
    };
    let ended = match authenticated {
        Some(Ok(Ok(((admitted, welcome), read_ahead)))) => {
            let mut decoder = waiting.decoder;
            decoder.accept(edge.engine.accepts(deflate));
            return Ok(Arrival {
                admitted,
                decoder,
                read_ahead,
                welcome,
            });
        }
        Some(Ok(Err(ended))) => ended,
        Some(Err(_)) => {
            edge.metrics.entry.auth_failed("too_late");
            Ended::close(CloseCode::AuthenticationTimeout, "authentication did not come in time")
        }
        None => Ended::Close(come_back_within(edge.settings.reconnect_spread)),
    };
    match &ended {
        Ended::Lost => tracing::debug!("a connection has ended before its client authenticated"),
        Ended::Close(Farewell { code, reason }) => {
            tracing::debug!(code, %reason, "a connection is closed because its client did not authenticate");
        }
    }
    let fault = ended.fault();
    waiting.end(ended).await;
    drop(permit);
    Err(fault)
}

/// Why a client did not authenticate.
enum Ended {
    /// The connection broke, or its client closed it; frames that wait are still sent.
    Lost,
    Close(Farewell),
}

impl Ended {
    /// A client that cannot be let in now has done nothing wrong.
    fn fault(&self) -> Fault {
        let of_server = [CloseCode::TryAgainLater, CloseCode::ServiceRestart].map(u16::from);
        match self {
            Self::Close(farewell) if of_server.contains(&farewell.code) => Fault::Server,
            _ => Fault::Credential,
        }
    }

    fn close(code: CloseCode, reason: &'static str) -> Self {
        Self::Close(Farewell::new(code, reason))
    }
}

struct Waiting<'a, S> {
    edge: &'a Edge,
    stream: &'a mut S,
    asked: Option<Box<Asked>>,
    upgrade: Option<&'a SpanContext>,
    decoder: Decoder,
    /// Finished frames that wait to be written.
    answers: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Waiting<'_, S> {
    /// Resolves with the bytes that follow, too.
    async fn authenticated(&mut self, read_ahead: Bytes) -> Result<(Authenticated, Bytes), Ended> {
        let (mut input, mut read) = (read_ahead, 0);
        loop {
            read += input.len();
            if let Some(authenticated) = self.take(&mut input).await? {
                // Replies to what came before it in the same read.
                self.flush().await?;
                return Ok((authenticated, input));
            }
            if read > MOST_BYTES {
                return Err(Ended::close(CloseCode::TooBig, "too much before authentication"));
            }
            self.flush().await?;
            let mut buffer = bytes::BytesMut::with_capacity(4096);
            match self.stream.read_buf(&mut buffer).await {
                Ok(1..) => input = buffer.freeze(),
                Ok(0) | Err(_) => return Err(Ended::Lost),
            }
        }
    }

    /// Takes messages up to the one that says who the client is. What follows stays in `input`: the session reads it, with
    /// the same decoder.
    async fn take(&mut self, input: &mut Bytes) -> Result<Option<Authenticated>, Ended> {
        loop {
            let mut rest = &input[..];
            let incoming = self.decoder.next(&mut rest, &mut self.answers);
            let consumed = input.len() - rest.len();
            input.advance(consumed);
            let text = match incoming {
                Ok(None) => return Ok(None),
                Ok(Some(Incoming::Ping | Incoming::Pong | Incoming::EmptyFragment)) => continue,
                Ok(Some(Incoming::Message(message))) => text_of(message).map_err(Ended::Close)?,
                Ok(Some(Incoming::Close(..))) => return Err(Ended::Lost),
                Err(violation) => return Err(Ended::close(violation.code, violation.reason)),
            };
            if let Some(authenticated) = self.text(&text).await? {
                return Ok(Some(authenticated));
            }
        }
    }

    async fn text(&mut self, text: &str) -> Result<Option<Authenticated>, Ended> {
        if text == self.edge.heartbeat.as_str() {
            self.put(text);
            return Ok(None);
        }
        let (event, payload, callback_id) = match frame::parse(text) {
            Ok(ClientMessage::Event {
                event,
                payload,
                is_unanswerable,
                ..
            }) => {
                if is_unanswerable {
                    self.put(&frame::unanswerable());
                }
                (event, payload, None)
            }
            Ok(ClientMessage::Request {
                event,
                payload,
                callback_id,
                ..
            }) => (event, payload, Some(callback_id)),
            Ok(ClientMessage::Answer { .. }) => return Ok(None),
            Err(error) => {
                self.refuse(error.callback_id(), ErrorCode::BadFrame, &error.to_string());
                return Ok(None);
            }
        };
        let callback_id = callback_id.as_ref();
        if event != AUTHENTICATE {
            self.refuse(
                callback_id,
                ErrorCode::NotAllowed,
                "authenticate first: send the event authenticate {token}",
            );
            return Ok(None);
        }
        let proof = self.verified(payload, callback_id).await?;
        let admitted = self.admitted(proof, callback_id).await?;
        let Proof { client, grant, .. } = &admitted.proof;
        let welcome = callback_id.map(|id| Frame::new(frame::reply(id, refresh::welcome(client, grant))));
        Ok(Some((admitted, welcome)))
    }

    async fn verified(&mut self, payload: &RawValue, callback_id: Option<&CallbackId<'_>>) -> Result<Proof, Ended> {
        let failed = Ended::close(CloseCode::AuthenticationFailed, "authentication failed");
        let token = match refresh::token(payload) {
            Ok(token) => token,
            Err(refusal) => {
                self.edge.metrics.entry.auth_failed("bad_token");
                self.refuse(callback_id, refusal.code, &refusal.text);
                return Err(failed);
            }
        };
        self.edge.auth.verify(&token).await.map_err(|error| {
            self.edge.metrics.entry.auth_failed(error.reason());
            if error.fault() == Fault::Server {
                self.refuse(callback_id, ErrorCode::Unavailable, &error.to_string());
                return Ended::close(CloseCode::TryAgainLater, "tokens cannot be verified now");
            }
            self.refuse(callback_id, ErrorCode::NotAllowed, &error.to_string());
            failed
        })
    }

    /// Asks the connect hook, if there is one.
    async fn admitted(&mut self, proof: Proof, callback_id: Option<&CallbackId<'_>>) -> Result<Admitted, Ended> {
        let (Some(hook), Some(asked)) = (&self.edge.hook, &self.asked) else {
            return Ok(proof.into());
        };
        let span = trace::receive_span(Receiving {
            server: self.edge.adapter.name(),
            event: AUTHENTICATE,
            is_request: false,
            trusted: None,
            upgrade: self.upgrade,
        });
        let confirmed = hook.confirm(asked.asker(), proof).instrument(span).await;
        confirmed.map_err(|refused| match refused {
            Refused::Unauthorized | Refused::Forbidden => {
                self.edge.metrics.entry.auth_failed("hook");
                let text = "the application does not let this client in";
                self.refuse(callback_id, ErrorCode::NotAllowed, text);
                Ended::close(CloseCode::AuthenticationFailed, "authentication failed")
            }
            Refused::Unanswered(_) => {
                let text = "it is not known now whether this client may connect: try again";
                self.refuse(callback_id, ErrorCode::Unavailable, text);
                Ended::close(CloseCode::TryAgainLater, "clients cannot be let in now")
            }
        })
    }

    fn refuse(&mut self, callback_id: Option<&CallbackId<'_>>, code: ErrorCode, text: &str) {
        if let Some(callback_id) = callback_id {
            self.edge.metrics.frames.refused_requests.count(code.as_str());
            self.put(&frame::error_reply(callback_id, code, text));
        }
    }

    fn put(&mut self, text: &str) {
        framing::put_header(&mut self.answers, Opcode::Text, text.len());
        self.answers.extend_from_slice(text.as_bytes());
    }

    /// Writes what waits. If this is given up, the rest still waits, and only the rest.
    async fn flush(&mut self) -> Result<(), Ended> {
        while !self.answers.is_empty() {
            match self.stream.write(&self.answers).await {
                Ok(written @ 1..) => drop(self.answers.drain(..written)),
                Ok(0) | Err(_) => return Err(Ended::Lost),
            }
        }
        Ok(())
    }

    /// Sends the close frame, and waits a moment for the peer to end its side: a stream that is closed with bytes unread is
    /// reset, and the close frame is lost.
    async fn end(&mut self, ended: Ended) {
        if let Ended::Close(Farewell { code, reason }) = ended {
            self.answers.extend(framing::close_frame(code, &reason));
        }
        let limit: Duration = self.edge.settings.close_timeout;
        let ending = async {
            self.flush().await?;
            self.stream.shutdown().await.map_err(|_| Ended::Lost)?;
            let mut left = [0; 1024];
            let mut read = 0;
            while let Ok(more @ 1..) = self.stream.read(&mut left).await {
                read += more;
                if read > MOST_BYTES {
                    break;
                }
            }
            Ok::<_, Ended>(())
        };
        let _broken_or_late = timeout(limit, ending).await;
    }
}
