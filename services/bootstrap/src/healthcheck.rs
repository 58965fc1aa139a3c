//! The `healthcheck` subcommand: asks `/readyz` of the server on the same machine. Containers need no curl for that.

use std::net::SocketAddr;
use std::time::Duration;

use crate::probe::{Answer, Probe, Speaks};

/// Below the two seconds that container platforms usually give.
const LIMIT: Duration = Duration::from_millis(1_500);

/// Most that is read of an answer.
const MAX_ANSWER: usize = 4_096;

/// Asks; `Ok` if the server is ready.
///
/// # Errors
/// Why it is not, or why it could not be asked.
pub(crate) fn ask(address: SocketAddr, speaks: Speaks) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let probe = Probe::new(LIMIT, speaks)?;
    let Answer { status, text } = runtime.block_on(probe.get(address, "/readyz", MAX_ANSWER))?;
    match status {
        200 => Ok(()),
        _ => Err(format!("{speaks}{address}/readyz says {status}: {}", text.trim())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    fn asked(address: SocketAddr) -> Result<(), String> {
        ask(address, Speaks::Plain)
    }

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 512];
            let count = stream.read(&mut request).expect("a request");
            assert!(request[..count].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).expect("written");
        });
        address
    }

    #[test]
    fn a_ready_server_is_healthy() {
        assert_eq!(asked(answering("HTTP/1.1 200 OK\r\n\r\nready\n")), Ok(()));
    }

    #[test]
    fn a_server_that_is_not_ready_says_why() {
        let answer = asked(answering("HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\n"));
        assert!(answer.expect_err("not ready").ends_with("/readyz says 503: draining"));
    }

    #[test]
    fn something_else_on_the_port_is_not_healthy() {
        assert!(asked(answering("hello")).is_err());
    }

    #[test]
    fn a_dead_port_is_not_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        assert!(asked(address).expect_err("nobody there").starts_with("no answer from"));
    }

    #[test]
    fn a_server_that_hangs_is_not_waited_for_too_long() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let started = Instant::now();
        assert!(asked(listener.local_addr().expect("bound")).is_err());
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}
