//! One link between a server and a node: a TCP proxy that forwards bytes, or fails in a way that can be chosen at any time.
//!
//! As with TCP, bytes arrive in order and unchanged, or the connection ends or stays silent: nothing is dropped in the middle.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use wsmesh_test_support::ports;

/// The maximum of bytes under way in one direction, without the system's own buffers.
const UNDER_WAY: usize = 512 << 10;
/// The maximum of bytes per read.
const CHUNK: usize = 16 << 10;
/// The receive buffer of the proxy towards a node: small, so that the node notices a slow reader.
const RECEIVE_BUFFER: u32 = 32 << 10;
/// As on a real network: with the loopback's own 64 KiB the system holds megabytes for a peer that reads slowly.
const SEGMENT: u32 = 1448;

/// How a link behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It forwards everything.
    Pass,
    /// Connections are reset, new ones refused.
    Cut,
    /// Bytes are held in both directions until the mode changes; nothing is lost.
    Pause,
    /// The other side has vanished: bytes are swallowed, nothing is closed. Connections that met this mode are reset afterwards.
    HalfOpen,
    /// Bytes take this much longer in each direction.
    Delay(Duration),
    /// The server gets at most this many bytes a second.
    Throttle(u32),
}

/// A TCP proxy on a port of its own. Dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    task: AbortHandle,
}

impl Proxy {
    /// Starts one in front of a local port.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(upstream: u16) -> io::Result<Self> {
        let listener = ports::listener()?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let port = listener.local_addr()?.port();
        let (mode, changes) = watch::channel(Mode::Pass);
        let task = tokio::spawn(accept(listener, port, upstream, changes)).abort_handle();
        Ok(Self { port, mode, task })
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the mode.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, port: u16, upstream: u16, mut mode: watch::Receiver<Mode>) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *mode.borrow_and_update() == Mode::Cut {
            listener = None;
            if mode.wait_for(|mode| *mode != Mode::Cut).await.is_err() {
                return;
            }
        }
        let open = match listener.take() {
            Some(open) => open,
            None => match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(open) => open,
                Err(error) => {
                    tracing::error!("port {port} cannot be taken again: {error}");
                    return;
                }
            },
        };
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            Ok((connection, _)) = open.accept() => {
                connections.spawn(carry(connection, upstream, mode.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
        listener = Some(open);
    }
}

/// One connection, until one side ends it or the link breaks.
async fn carry(mut server: TcpStream, upstream: u16, mut mode: watch::Receiver<Mode>) {
    let Ok(start) = mode.wait_for(|mode| *mode != Mode::Pause).await.map(|mode| *mode) else {
        return;
    };
    let node = match start {
        Mode::Cut | Mode::HalfOpen => None,
        _ => connect(upstream).await.ok(),
    };
    let Some(mut node) = node else {
        broken(mode, start).await;
        return reset(&server);
    };
    let _ = server.set_nodelay(true);
    let reset_both = {
        let (from_server, to_server) = server.split();
        let (from_node, to_node) = node.split();
        tokio::select! {
            () = pump(from_server, to_node, mode.clone(), Towards::Node) => false,
            () = pump(from_node, to_server, mode.clone(), Towards::Server) => false,
            () = breaks(mode.clone()) => true,
        }
    };
    if reset_both {
        reset(&server);
        reset(&node);
    }
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
    let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Resolves when the current connections must be reset.
async fn breaks(mut mode: watch::Receiver<Mode>) {
    let Ok(how) = mode
        .wait_for(|mode| matches!(mode, Mode::Cut | Mode::HalfOpen))
        .await
        .map(|mode| *mode)
    else {
        return;
    };
    broken(mode, how).await;
}

/// Resolves when a connection that met this mode must be reset: after a half-open link its peer notices only then.
async fn broken(mut mode: watch::Receiver<Mode>, how: Mode) {
    if how == Mode::HalfOpen {
        let _ = mode.wait_for(|mode| *mode != Mode::HalfOpen).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Towards {
    Server,
    Node,
}

/// Bytes under way, when they are due, and their permit.
type Chunk = (Instant, Vec<u8>, OwnedSemaphorePermit);

/// One direction of a connection, until its end.
async fn pump(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    mode: watch::Receiver<Mode>,
    towards: Towards,
) {
    let (sender, chunks) = mpsc::unbounded_channel();
    tokio::join!(take(from, sender, mode.clone(), towards), give(to, chunks, mode));
}

async fn take(
    mut from: impl AsyncRead + Unpin,
    chunks: mpsc::UnboundedSender<Chunk>,
    mut mode: watch::Receiver<Mode>,
    towards: Towards,
) {
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    let mut buffer = vec![0; CHUNK];
    loop {
        let limit = match *mode.borrow_and_update() {
            Mode::Throttle(rate) if towards == Towards::Server => (rate as usize / 20).clamp(1, CHUNK),
            _ => CHUNK,
        };
        let count = from.read(&mut buffer[..limit]).await.unwrap_or(0);
        let now = *mode.borrow();
        if now == Mode::HalfOpen {
            if count == 0 {
                // The end is swallowed, too; the reset comes from elsewhere.
                std::future::pending::<()>().await;
            }
            continue;
        }
        let Ok(permit) = room.clone().acquire_many_owned(count as u32).await else {
            return;
        };
        let delay = if let Mode::Delay(delay) = now {
            delay
        } else {
            Duration::ZERO
        };
        let chunk = (Instant::now() + delay, buffer[..count].to_vec(), permit);
        if count == 0 || chunks.send(chunk).is_err() {
            return;
        }
        if let (Mode::Throttle(rate), Towards::Server) = (now, towards) {
            let pause = Duration::from_secs_f64(count as f64 / f64::from(rate.max(1)));
            tokio::select! {
                () = sleep(pause) => {}
                _ = mode.changed() => {}
            }
        }
    }
}

async fn give(
    mut to: impl AsyncWrite + Unpin,
    mut chunks: mpsc::UnboundedReceiver<Chunk>,
    mut mode: watch::Receiver<Mode>,
) {
    while let Some((due, bytes, _room)) = chunks.recv().await {
        sleep_until(due).await;
        match mode.wait_for(|mode| *mode != Mode::Pause).await.map(|mode| *mode) {
            Ok(Mode::HalfOpen) => {}
            Ok(_) if to.write_all(&bytes).await.is_ok() => {}
            _ => return,
        }
    }
}
