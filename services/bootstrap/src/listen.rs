//! Binds the listeners before the service runs. Errors say what to do.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::config::CommonConfig;
use crate::service::Sockets;

/// Connections that may wait to be accepted; the system may allow fewer (net.core.somaxconn, usually 4096).
const BACKLOG: u32 = 4096;

/// Binds what the configuration asks for.
///
/// # Errors
/// A sentence that names the address, the flag and the variable.
pub(crate) fn bind(common: &CommonConfig) -> Result<Sockets, String> {
    Ok(Sockets {
        public: bind_one(common.listen, "--listen", "WSMESH_LISTEN")?,
        ops: bind_one(common.ops_listen, "--ops-listen", "WSMESH_OPS_LISTEN")?,
    })
}

/// Listens with a long queue: a connection that does not fit is tried again only after a second or more.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_one(address: Option<SocketAddr>, flag: &str, variable: &str) -> Result<Option<TcpListener>, String> {
    let Some(address) = address else {
        return Ok(None);
    };
    let port = address.port();
    listen(address).map(Some).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "cannot listen on {address}: port {port} is taken by another process; stop that, or choose another port with \
             {flag} IP:PORT or {variable}"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "cannot listen on {address}: this user may not use port {port}; choose a port above 1023 with {flag} IP:PORT or \
             {variable}"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "cannot listen on {address}: this machine does not have that address; choose one of its addresses, or 0.0.0.0, with \
             {flag} IP:PORT or {variable}"
        ),
        _ => format!("cannot listen on {address}: {error}; choose another address with {flag} IP:PORT or {variable}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_about_a_taken_port_names_flag_and_variable() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = taken.local_addr().expect("bound");
        let common = CommonConfig {
            ops_listen: Some(address),
            ..CommonConfig::new("a")
        };
        let error = bind(&common).expect_err("taken");
        let port = address.port().to_string();
        for part in [port.as_str(), "is taken", "--ops-listen", "WSMESH_OPS_LISTEN"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn no_address_means_no_listener() {
        let common = CommonConfig {
            ops_listen: None,
            ..CommonConfig::new("a")
        };
        let sockets = bind(&common).expect("nothing to bind");
        assert!(sockets.public.is_none() && sockets.ops.is_none());
    }
}
