//! Free ports, below the range from which the system picks ports for outgoing connections: a port that is given up and
//! bound again (a restarted Redis, a link that was cut) is still free.

use std::io;
use std::net::TcpListener;

/// A listener on a free port of 127.0.0.1.
///
/// # Errors
/// When no port is free.
pub fn listener() -> io::Result<TcpListener> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..200 {
        match TcpListener::bind(("127.0.0.1", rand::random_range(10_000..32_000))) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A port of 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> io::Result<u16> {
    Ok(listener()?.local_addr()?.port())
}
