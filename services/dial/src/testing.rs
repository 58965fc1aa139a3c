//! Helpers for tests of crates that connect through this one: host names with given addresses, and addresses that never
//! answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

static NAMES: Mutex<Option<HashMap<String, Vec<SocketAddr>>>> = Mutex::new(None);

/// Gives a host name these addresses, in this process. Their ports are used, not the port passed to `connect`.
pub fn name(host: &str, addresses: &[SocketAddr]) {
    let mut names = NAMES.lock();
    names
        .get_or_insert_default()
        .insert(host.to_owned(), addresses.to_vec());
}

pub(crate) fn addresses(host: &str) -> Option<Vec<SocketAddr>> {
    let names = NAMES.lock();
    names.as_ref()?.get(host).cloned()
}

/// An address that never answers until this value is dropped: its backlog is full, so the system does not answer
/// further connection attempts.
#[derive(Debug)]
pub struct Silent {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Silent {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When the system does not allow it.
    pub async fn start() -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts on this address.
    ///
    /// # Panics
    /// When the system does not allow it.
    pub async fn start_on(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(address).expect("a free port");
        let listener = socket.listen(0).expect("it listens");
        let address = listener.local_addr().expect("bound");
        let mut waiting = Vec::new();
        // On one machine, a connection that fits into the backlog is established at once.
        while let Ok(stream) = timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
            waiting.push(stream.expect("it listens"));
            assert!(waiting.len() < 100, "this system accepts any number of connections");
        }
        Self {
            listener,
            _waiting: waiting,
        }
    }

    /// The address that does not answer.
    ///
    /// # Panics
    /// Never: it is bound.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }
}
