//! Free ports, below the range from which the system picks ports for outgoing connections: a port that is given up and
//! bound again (a restarted Redis, a link that was cut) is still free.
//!
//! Several programs of tests run at once, and a server takes a while to bind the port that it was given. So whoever is given a
//! port holds the UDP port of the same number, and all that look for one leave such ports alone (`tests/support/cluster.mjs`, too).

use std::io;
use std::net::{TcpListener, UdpSocket};

/// A listener on a free port of 127.0.0.1.
///
/// # Errors
/// When no port is free.
pub fn listener() -> io::Result<TcpListener> {
    held().map(|(listener, _held)| listener)
}

/// A free port of 127.0.0.1, which nobody else is given while this program runs.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> io::Result<u16> {
    let (listener, held) = held()?;
    // Until the program ends.
    std::mem::forget(held);
    Ok(listener.local_addr()?.port())
}

fn held() -> io::Result<(TcpListener, UdpSocket)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..200 {
        let address = ("127.0.0.1", rand::random_range(10_000..32_000));
        match UdpSocket::bind(address).and_then(|held| Ok((TcpListener::bind(address)?, held))) {
            Ok(both) => return Ok(both),
            Err(error) => last = error,
        }
    }
    Err(last)
}
