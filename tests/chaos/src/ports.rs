//! Ports below the range from which the system picks ports for outgoing connections: whoever gives one up and takes it
//! again (a restarted Redis, a link that was cut) finds it free.

use std::io;
use std::net::TcpListener;

/// A listener on a free port.
///
/// # Errors
/// When no port is free.
pub(crate) fn listener() -> io::Result<TcpListener> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..200 {
        match TcpListener::bind(("127.0.0.1", rand::random_range(10_000..32_000))) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A port that was free a moment ago.
///
/// # Errors
/// When no port is free.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(listener()?.local_addr()?.port())
}
