//! From hyper to a shard: takes the stream out of the upgraded connection, and waits for clients that have to authenticate.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use opentelemetry::trace::SpanContext;
use rustls::ServerConnection;
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use wsmesh_adapter::Introduction;

use super::asking;
use super::first_message;
use crate::auth::Fault;
use crate::client::{ClientState, ConnectionGuard};
use crate::connect::{Admitted, Asked};
use crate::engine::{Admission, Decoder, Newcomer, Parts, Reservation};
use crate::gate::Gate;
use crate::limits::UnauthenticatedPermit;

/// Longest wait for the 101 answer to be written and the connection to be handed over.
const HAND_OVER: Duration = Duration::from_secs(10);

/// Bytes that the kernel takes for a client beyond what is on its way: more than one write of this server, so that a client
/// that reads never waits.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
const UNSENT: u32 = 128 * 1024;

/// A connection between its 101 answer and its shard.
pub(super) enum Upgrading {
    /// Its client is attached; messages may be compressed with `deflate`.
    Attached { reservation: Reservation, deflate: bool },
    /// Its client has to authenticate, with its first message.
    Unauthenticated(Box<Unauthenticated>),
}

/// A client that still has to authenticate, with its first message.
pub(super) struct Unauthenticated {
    pub(super) permit: UnauthenticatedPermit,
    /// What the connect hook is asked then, if there is one.
    pub(super) asked: Option<Box<Asked>>,
    /// What its request says about it.
    pub(super) introduction: Introduction,
    /// Context of the upgrade's span, when it was sampled.
    pub(super) context: Option<Box<SpanContext>>,
    /// When the upgrade request was read.
    pub(super) since: Instant,
    pub(super) guard: ConnectionGuard,
    /// Messages may be compressed.
    pub(super) deflate: bool,
}

/// Gives the connection to a shard once it is upgraded. If it never is, the client is detached again.
pub(super) async fn hand_over(gate: Gate, on_upgrade: OnUpgrade, upgrading: Upgrading) {
    let upgraded = match tokio::time::timeout(HAND_OVER, on_upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        // The client went away before it had its answer.
        Ok(Err(_)) | Err(_) => return,
    };
    let arrived = match take::<TcpStream>(upgraded) {
        Ok((tcp, read_ahead)) => arrive(&gate, tcp, read_ahead, upgrading).await,
        Err(upgraded) => match take::<TlsStream<TcpStream>>(upgraded) {
            Ok((tls, read_ahead)) => arrive(&gate, tls, read_ahead, upgrading).await,
            Err(_) => Err("it is neither TCP nor TLS over it: serve this router over one of them".to_owned()),
        },
    };
    if let Err(problem) = arrived {
        tracing::error!(problem, "an upgraded connection cannot be served; closing it");
    }
}

/// Brings the stream to the shard that expects it; where the client is not known yet, after it has authenticated.
async fn arrive<S>(gate: &Gate, mut stream: S, read_ahead: Bytes, upgrading: Upgrading) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + IntoParts,
{
    let edge = &gate.edge;
    let client = match upgrading {
        Upgrading::Attached { reservation, deflate } => {
            reservation.admit(Admission {
                stream: stream.into_parts()?,
                decoder: Decoder::new(edge.engine.accepts(deflate)),
                read_ahead,
                welcome: None,
            });
            return Ok(());
        }
        Upgrading::Unauthenticated(client) => *client,
    };
    tracing::debug!("a connection is upgraded; its client has to authenticate with its first message");
    let waiting = first_message::Unproved {
        permit: client.permit,
        asked: client.asked,
        upgrade: client.context.clone(),
        deflate: client.deflate,
    };
    let arrival = first_message::wait(edge, &mut stream, read_ahead, waiting).await;
    let arrival = match arrival {
        Ok(arrival) => arrival,
        Err(fault) => {
            if fault != Fault::Server && !edge.is_draining() {
                edge.failures.count(client.introduction.address);
            }
            return Ok(());
        }
    };
    let stream = stream.into_parts()?;
    let Admitted { proof, rooms } = arrival.admitted;
    let id = proof.client.clone();
    let handler = ClientState::new(edge.clone(), proof.grant, client.context);
    let expected = gate.expect(Newcomer {
        client: proof.client,
        introduction: Introduction {
            claims: proof.claims,
            data: proof.data,
            ..client.introduction
        },
        handler,
        guard: client.guard,
        since: client.since,
        deflate: client.deflate,
    });
    let mut reservation = expected.await;
    if !rooms.is_empty() && reservation.reachable().await {
        asking::join(edge, &id, rooms).await;
    }
    reservation.admit(Admission {
        stream,
        decoder: arrival.decoder,
        read_ahead: arrival.read_ahead,
        welcome: arrival.welcome,
    });
    Ok(())
}

/// A stream that can be taken apart for a shard.
trait IntoParts {
    fn into_parts(self) -> Result<Parts, String>;
}

impl IntoParts for TcpStream {
    fn into_parts(self) -> Result<Parts, String> {
        parts(self, None)
    }
}

impl IntoParts for TlsStream<TcpStream> {
    fn into_parts(self) -> Result<Parts, String> {
        let (tcp, session) = self.into_inner();
        parts(tcp, Some(Box::new(session)))
    }
}

fn parts(tcp: TcpStream, tls: Option<Box<ServerConnection>>) -> Result<Parts, String> {
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    bound_unsent(&tcp);
    let tcp = tcp.into_std().map_err(|error| error.to_string())?;
    Ok(Parts { tcp, tls })
}

/// Frames that a client does not take soon wait in this process, where they are counted, and where outdated ones are
/// replaced; not in the kernel, which would take megabytes for each client.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn bound_unsent(tcp: &TcpStream) {
    if let Err(error) = SockRef::from(tcp).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!("the kernel does not limit unsent bytes: {error}");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn bound_unsent(_: &TcpStream) {}

/// Takes a stream of this kind out of hyper, with the bytes that hyper had read beyond the request.
fn take<S>(upgraded: Upgraded) -> Result<(S, Bytes), Upgraded>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, read_ahead) = match auto::upgrade::downcast::<TokioIo<S>>(upgraded) {
        Ok(parts) => (parts.io, parts.read_buf),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<S>>()?;
            (parts.io, parts.read_buf)
        }
    };
    Ok((io.into_inner(), read_ahead))
}
