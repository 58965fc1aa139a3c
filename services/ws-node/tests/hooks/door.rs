//! A ws-node with a connect hook, and its answers to clients.

use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Response};
use ws_node::{AuthSettings, Connect, ConnectHook, EdgeSettings, Limits};
use wsmesh_bootstrap::{Secret, SecretFile, Table};

use crate::common::{Client, PATIENCE, Server, bus, demo};
use crate::server::{Act, Backend, answer};

/// A hook at this backend, with more keys of its table.
pub(crate) fn hook(backend: &Backend, more: Value) -> Table<Connect> {
    let mut keys =
        json!({"url": format!("http://{}/connect", backend.address), "timeout_ms": 8000, "breaker_failures": 0});
    let more = more.as_object().expect("keys").clone();
    keys.as_object_mut().expect("keys").extend(more);
    let hook: ConnectHook = serde_json::from_value(keys).expect("a hook");
    Table(Connect { hook: Some(hook) })
}

/// As in production, with a hook and no key.
pub(crate) fn with_hook(connect: Table<Connect>) -> EdgeSettings {
    EdgeSettings {
        shards: 2,
        rules: demo().rules,
        connect,
        limits: Limits {
            accept_rate: 0,
            ..demo().limits
        },
        request_timeout: std::time::Duration::from_secs(2),
        ..EdgeSettings::default()
    }
}

pub(crate) fn key() -> SecretFile {
    SecretFile::from_secret(Secret::new("0123456789abcdef0123456789abcdef"))
}

/// As in production, with a hook that is asked about clients with a token.
pub(crate) fn with_tokens(connect: Table<Connect>) -> EdgeSettings {
    EdgeSettings {
        auth: AuthSettings {
            jwt_key: Some(key()),
            ..AuthSettings::default()
        },
        ..with_hook(connect)
    }
}

/// A backend that always gives this answer.
pub(crate) async fn answering(status: u16, body: Value) -> Backend {
    Backend::start(move |_| Act::Send(answer(status, &body.to_string()))).await
}

pub(crate) async fn door(settings: EdgeSettings) -> Server {
    Server::start("edge", &bus(), settings).await
}

/// The result of an attempt to connect: a client, or the status of the rejection and its `retry-after`.
pub(crate) async fn knock(
    server: &Server,
    query: &str,
    headers: &[(&str, &str)],
) -> Result<Client, (u16, Option<String>)> {
    let url = format!("ws://{}/chat?{query}", server.address);
    let mut request = url.into_client_request().expect("a URL");
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        let value = HeaderValue::from_str(value).expect("a value");
        request.headers_mut().append(name, value);
    }
    let connected = tokio::time::timeout(PATIENCE, connect_async(request)).await;
    match connected.expect("answers") {
        Ok((socket, _)) => Ok(Client::new(socket)),
        Err(Error::Http(response)) => Err((response.status().as_u16(), retry_after(&response))),
        Err(error) => panic!("neither in nor refused: {error}"),
    }
}

fn retry_after(response: &Response<Option<Vec<u8>>>) -> Option<String> {
    let value = response.headers().get("retry-after")?;
    Some(value.to_str().expect("text").to_owned())
}

/// The value of a counter or gauge with this label.
pub(crate) fn counted(server: &Server, name: &str, label: &str) -> f64 {
    let families = server.registry.gather();
    let family = families.iter().filter(|family| family.name() == name);
    let metrics = family.flat_map(|family| family.get_metric());
    let labelled = metrics.filter(|metric| metric.get_label().iter().any(|pair| pair.value() == label));
    labelled
        .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
        .sum()
}
