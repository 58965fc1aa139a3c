//! Tells the services that know of clients that one is gone.

use wsmesh_adapter::{ClientId, Payload, Target};
use wsmesh_protocol::forward::{CLIENT_CLOSED, ClientClosed};

use crate::edge::Edge;

/// Tells every server of the rules' services that a client is gone.
pub(crate) async fn tell_closed(edge: &Edge, client: &ClientId) {
    let closed = ClientClosed {
        client: client.to_string(),
        server: edge.adapter.name().to_string(),
    };
    for service in edge.routes.services() {
        let sent = match Payload::new(&closed) {
            Ok(payload) => {
                let target = Target::Service(service.clone());
                edge.adapter.emit(target, CLIENT_CLOSED, payload).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, %service, "a service could not be told that a client is gone");
        }
    }
}
