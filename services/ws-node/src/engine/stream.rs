//! The stream of one connection: TCP, or TLS over it. Never waits: a stream that cannot take more says so.
//!
//! TLS is rustls, fed and emptied by hand, so that the engine's turns are the same for both.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

/// Most bytes that wait inside a TLS session; beyond that its stream counts as full.
const TLS_BUFFER: usize = 64 * 1024;

/// A connection's stream before it belongs to a shard.
pub(crate) struct Parts {
    pub(crate) tcp: std::net::TcpStream,
    /// The session, after its handshake.
    pub(crate) tls: Option<Box<ServerConnection>>,
}

/// A connection's stream.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    tls: Option<Box<Tls>>,
}

#[derive(Debug)]
struct Tls {
    session: RefCell<ServerConnection>,
    /// The kernel took something since the last check.
    progressed: Cell<bool>,
    /// There may be more to read inside the session: the kernel would not tell.
    holds_more: Cell<bool>,
}

impl Stream {
    /// Takes a stream over, on the thread that will use it.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let tls = parts.tls.map(|mut session| {
            session.set_buffer_limit(Some(TLS_BUFFER));
            Box::new(Tls {
                session: RefCell::new(*session),
                progressed: Cell::new(false),
                // The former owner of the session may have left something in it.
                holds_more: Cell::new(true),
            })
        });
        Ok(Self {
            tcp: TcpStream::from_std(parts.tcp)?,
            tls,
        })
    }

    /// Waits until it can be read or written.
    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        if interest.is_readable() && self.tls.as_ref().is_some_and(|tls| tls.holds_more.get()) {
            return Ok(Ready::READABLE);
        }
        self.tcp.ready(interest).await
    }

    /// Reads what is there: 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there now; others end the connection.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            return read_once(&self.tcp, buffer);
        };
        let mut session = tls.session.borrow_mut();
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tls.holds_more.set(false),
                Ok(length) => {
                    tls.holds_more.set(length == buffer.len());
                    return Ok(length);
                }
                Err(error) => return Err(error),
            }
            if session.read_tls(&mut Pipe(&self.tcp))? == 0 {
                // Without a close_notify. Nothing can be cut off unnoticed: frames say how long they are.
                return Ok(0);
            }
            let processed = session.process_new_packets();
            // Alerts, and answers to what the peer's TLS wants.
            let _broken_shows_when_written = tls.flush(&mut session, &self.tcp);
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Writes as much as the stream takes now.
    ///
    /// # Errors
    /// `WouldBlock` when it accepts no data; others end the connection.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            return write_once(&self.tcp, bytes);
        };
        let mut session = tls.session.borrow_mut();
        tls.flush(&mut session, &self.tcp)?;
        let taken = session.writer().write(bytes)?;
        tls.flush(&mut session, &self.tcp)?;
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    /// Whether everything that was written is with the kernel, after another try.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(super) fn try_flush(&self) -> io::Result<bool> {
        match &self.tls {
            None => Ok(true),
            Some(tls) => tls.flush(&mut tls.session.borrow_mut(), &self.tcp),
        }
    }

    /// Whether the kernel took something of a TLS session since the last call.
    pub(super) fn take_progress(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.progressed.take())
    }

    /// When this is closed, the kernel drops what the peer did not take, and tells it so (RST). Otherwise it would keep that as
    /// long as the peer's side lives: megabytes for each peer that does not read.
    pub(super) fn forget_unsent(&self) {
        let _ended_already = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
    }

    /// Ends one side or both. The peer of a TLS session is notified first.
    pub(super) fn shutdown(&self, how: Shutdown) {
        if let Some(tls) = &self.tls {
            let mut session = tls.session.borrow_mut();
            session.send_close_notify();
            let _too_late_anyway = tls.flush(&mut session, &self.tcp);
        }
        let _ended_already = SockRef::from(&self.tcp).shutdown(how);
    }
}

/// One read. A short one shows that nothing is left for now, so the next wait needs no second read to find that out.
fn read_once(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut taken = 0;
    let result = tcp.try_io(Interest::READABLE, || {
        taken = (&*SockRef::from(tcp)).read(buffer)?;
        if 0 < taken && taken < buffer.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    });
    match result {
        Err(error) if taken == 0 => Err(error),
        _ => Ok(taken),
    }
}

/// One write without a check whether the stream is writable: it nearly always is. If it is not, tokio learns that, so that the
/// caller can wait for it.
fn write_once(tcp: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match SockRef::from(tcp).send(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            tcp.try_io(Interest::WRITABLE, || Err(io::ErrorKind::WouldBlock.into()))
        }
        other => other,
    }
}

impl Tls {
    fn flush(&self, session: &mut ServerConnection, tcp: &TcpStream) -> io::Result<bool> {
        while session.wants_write() {
            match session.write_tls(&mut Pipe(tcp)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => self.progressed.set(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The TCP stream as rustls wants it.
struct Pipe<'a>(&'a TcpStream);

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_once(self.0, buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_once(self.0, bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
