//! For tests, of whoever connects by this crate: names of their own, and addresses that never answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

static NAMES: Mutex<Option<HashMap<String, Vec<SocketAddr>>>> = Mutex::new(None);

/// From now on a name has these addresses, in this process. Their ports are used, not the one that is asked for.
pub fn name(host: &str, addresses: &[SocketAddr]) {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names
        .get_or_insert_default()
        .insert(host.to_owned(), addresses.to_vec());
}

pub(crate) fn addresses(host: &str) -> Option<Vec<SocketAddr>> {
    let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.as_ref()?.get(host).cloned()
}

/// An address that never answers, until this is dropped: so many connections wait there to be accepted that the system takes
/// no more, and answers nothing to whoever tries.
#[derive(Debug)]
pub struct Silent {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Silent {
    /// On a port of 127.0.0.1.
    ///
    /// # Panics
    /// When the system does not let it.
    pub async fn start() -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// On this address.
    ///
    /// # Panics
    /// When the system does not let it.
    pub async fn start_on(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(address).expect("a free port");
        let listener = socket.listen(0).expect("it listens");
        let address = listener.local_addr().expect("bound");
        let mut waiting = Vec::new();
        // Within one machine a connection that is taken stands at once.
        while let Ok(stream) = timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
            waiting.push(stream.expect("it listens"));
            assert!(waiting.len() < 100, "this system takes any number of connections");
        }
        Self {
            listener,
            _waiting: waiting,
        }
    }

    /// Where it does not answer.
    ///
    /// # Panics
    /// Never: it is bound.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }
}
