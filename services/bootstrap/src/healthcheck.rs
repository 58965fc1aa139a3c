//! The `healthcheck` subcommand: asks `/readyz` of the server that runs beside it. Containers need no curl for that.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Below the two seconds that container platforms usually give.
const LIMIT: Duration = Duration::from_millis(1_500);

/// Most that is read of an answer.
const MAX_ANSWER: usize = 4_096;

/// Asks; `Ok` if the server is ready.
///
/// # Errors
/// Why it is not, or why nobody could be asked.
pub(crate) fn ask(address: SocketAddr) -> Result<(), String> {
    let answer = exchange(address).map_err(|error| format!("no answer from http://{address}/readyz: {error}"))?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split_whitespace().nth(1).unwrap_or("none");
    let reason = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    if status == "200" {
        Ok(())
    } else {
        Err(format!("http://{address}/readyz says {status}: {reason}"))
    }
}

/// HTTP/1.0, so that the server closes the connection when it has said everything.
fn exchange(address: SocketAddr) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + LIMIT;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 512];
    while answer.len() < MAX_ANSWER {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 512];
            let count = stream.read(&mut request).expect("a request");
            assert!(request[..count].starts_with(b"GET /readyz HTTP/1.0\r\n"));
            stream.write_all(answer.as_bytes()).expect("written");
        });
        address
    }

    #[test]
    fn a_ready_server_is_healthy() {
        assert_eq!(ask(answering("HTTP/1.0 200 OK\r\n\r\nready\n")), Ok(()));
    }

    #[test]
    fn a_server_that_is_not_ready_says_why() {
        let answer = ask(answering("HTTP/1.0 503 Service Unavailable\r\n\r\ndraining\n"));
        assert!(answer.expect_err("not ready").ends_with("/readyz says 503: draining"));
    }

    #[test]
    fn something_else_on_the_port_is_not_healthy() {
        assert!(ask(answering("hello")).is_err());
    }

    #[test]
    fn a_dead_port_is_not_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        assert!(ask(address).expect_err("nobody there").starts_with("no answer from"));
    }

    #[test]
    fn a_server_that_hangs_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let started = Instant::now();
        assert!(ask(listener.local_addr().expect("bound")).is_err());
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}
