//! From hyper to a shard: takes the stream out of the upgraded connection, and waits for who is to say who it is.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use opentelemetry::trace::SpanContext;
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::auth::Entry;
use crate::auth::first_message::{self, Arrival};
use crate::edge::{Edge, Gate, Presence};
use crate::engine::{Admission, Parts};

/// Longest wait for the 101 answer to be written and the connection to be handed over.
const HAND_OVER: Duration = Duration::from_secs(10);

/// Bytes that the kernel takes for a client beyond what is on its way: more than one write of ours, so that a client that
/// reads never waits for us.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
const UNSENT: u32 = 128 * 1024;

/// A connection between its 101 answer and its shard.
pub(super) struct Upgrading {
    pub(super) entry: Entry,
    /// Where it comes from, as far as is known.
    pub(super) address: Option<IpAddr>,
    /// Context of the upgrade's span, when it was sampled.
    pub(super) context: Option<Box<SpanContext>>,
    /// When the upgrade request was read.
    pub(super) since: Instant,
    pub(super) presence: Presence,
    /// Messages may be compressed.
    pub(super) deflate: bool,
}

/// Gives the connection to a shard once it is upgraded.
pub(super) async fn hand_over(gate: Gate, on_upgrade: OnUpgrade, upgrading: Upgrading) {
    let Upgrading {
        entry,
        address,
        context,
        since,
        presence,
        deflate,
    } = upgrading;
    let upgraded = match tokio::time::timeout(HAND_OVER, on_upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        // The client went away before it had its answer.
        Ok(Err(_)) | Err(_) => return,
    };
    match arrived(upgraded, &gate.edge, entry, deflate).await {
        Ok(None) if gate.edge.is_draining() => {}
        Ok(None) => gate.edge.failures.count(address),
        Ok(Some((stream, arrival))) => {
            gate.admit(Admission {
                stream,
                read_ahead: arrival.read_ahead,
                client: arrival.proof.client,
                grant: arrival.proof.grant,
                welcome: arrival.welcome,
                upgrade: context,
                since,
                presence,
                deflate,
            })
            .await;
        }
        Err(problem) => tracing::error!(problem, "an upgraded connection cannot be served; closing it"),
    }
}

/// The stream and who is at its end; None if it did not say.
async fn arrived(
    upgraded: Upgraded,
    edge: &Edge,
    entry: Entry,
    deflate: bool,
) -> Result<Option<(Parts, Arrival)>, String> {
    let (tcp, tls, arrival) = match take::<TcpStream>(upgraded) {
        Ok((mut tcp, read_ahead)) => {
            let arrival = introduced(edge, &mut tcp, read_ahead, entry, deflate).await;
            (tcp, None, arrival)
        }
        Err(upgraded) => match take::<TlsStream<TcpStream>>(upgraded) {
            Ok((mut stream, read_ahead)) => {
                let arrival = introduced(edge, &mut stream, read_ahead, entry, deflate).await;
                let (tcp, session) = stream.into_inner();
                (tcp, Some(Box::new(session)), arrival)
            }
            Err(_) => return Err("it is neither TCP nor TLS over it: serve this router over one of them".to_owned()),
        },
    };
    let Some(arrival) = arrival else { return Ok(None) };
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    bound_unsent(&tcp);
    let tcp = tcp.into_std().map_err(|error| error.to_string())?;
    Ok(Some((Parts { tcp, tls }, arrival)))
}

/// What a client does not take soon waits here, where it is counted, and where what is out of date is replaced; not in the
/// kernel, which would take megabytes for each client.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn bound_unsent(tcp: &TcpStream) {
    if let Err(error) = SockRef::from(tcp).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!("the kernel does not bound what is unsent: {error}");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn bound_unsent(_: &TcpStream) {}

async fn introduced<S>(edge: &Edge, stream: &mut S, read_ahead: Bytes, entry: Entry, deflate: bool) -> Option<Arrival>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    match entry {
        Entry::Known(proof) => Some(Arrival {
            proof,
            read_ahead,
            welcome: None,
        }),
        Entry::Waiting(place) => first_message::wait(edge, stream, read_ahead, place, deflate).await,
    }
}

/// Takes a stream of this kind out of hyper, with what hyper had read beyond the request.
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
