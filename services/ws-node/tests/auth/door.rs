//! A ws-node that asks for authentication, and its answers to clients.

use prometheus::Registry;
use serde_json::Value;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Response};
use ws_node::{AuthSettings, EdgeSettings, Limits};

use crate::common::{Client, PATIENCE, Server, bus, demo};

/// A server with these settings of authentication and the events of the demo.
pub(crate) async fn door(auth: AuthSettings) -> Server {
    door_with(EdgeSettings { auth, ..closed() }).await
}

pub(crate) async fn door_with(settings: EdgeSettings) -> Server {
    Server::start("edge", &bus(), settings).await
}

/// As in production, with the demo's rules, and without the limits that other tests check.
pub(crate) fn closed() -> EdgeSettings {
    let key = wsmesh_bootstrap::SecretFile::from_secret(wsmesh_bootstrap::Secret::new("unused"));
    EdgeSettings {
        shards: 2,
        rules: demo().rules,
        limits: Limits {
            accept_rate: 0,
            ..demo().limits
        },
        request_timeout: std::time::Duration::from_secs(2),
        ..EdgeSettings::production(key)
    }
}

/// The result of an attempt to connect: a client, or the status and sentence of the rejection.
pub(crate) async fn knock(server: &Server, query: &str, headers: &[(&str, &str)]) -> Result<Client, (u16, String)> {
    knock_and_look(server, query, headers).await.map(|(client, _)| client)
}

pub(crate) async fn knock_and_look(
    server: &Server,
    query: &str,
    headers: &[(&str, &str)],
) -> Result<(Client, Response<Option<Vec<u8>>>), (u16, String)> {
    let url = format!("ws://{}/chat?{query}", server.address);
    let mut request = url.into_client_request().expect("a URL");
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        request
            .headers_mut()
            .append(name, HeaderValue::from_str(value).expect("a value"));
    }
    match tokio::time::timeout(PATIENCE, connect_async(request))
        .await
        .expect("answers")
    {
        Ok((socket, response)) => Ok((Client::new(socket), response)),
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            Err((
                response.status().as_u16(),
                String::from_utf8_lossy(&body).trim().to_owned(),
            ))
        }
        Err(error) => panic!("neither in nor refused: {error}"),
    }
}

/// Connects with a token in the query.
pub(crate) async fn show(server: &Server, token: &str) -> Result<Client, (u16, String)> {
    knock(server, &format!("token={token}"), &[]).await
}

pub(crate) fn is_here(server: &Server, client: &str) -> bool {
    let client = wsmesh_adapter::ClientId::new(client).expect("valid");
    server.node.adapter().is_here(&client)
}

/// The value of a counter with this label.
pub(crate) fn counted(registry: &Registry, name: &str, label: &str) -> u64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let metrics = family.map_or(&[][..], |family| family.get_metric());
    let labelled = metrics
        .iter()
        .find(|metric| metric.get_label().iter().any(|pair| pair.value() == label));
    labelled.map_or(0, |metric| metric.get_counter().get_value() as u64)
}

pub(crate) fn code(reply: &Value) -> &str {
    reply["errorCode"].as_str().unwrap_or("none")
}
