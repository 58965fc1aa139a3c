//! What the connect hook is told about a request, as a CloudEvent.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use wsmesh_adapter::{ClientId, ServerName};
use wsmesh_protocol::{Param, Params};

use super::settings::{ConnectHook, HookMode};
use crate::auth::Proof;
use crate::backends::CloudEvent;

/// The type of the event.
const CONNECT: &str = "io.wsmesh.client.connect";

/// Parameters that carry credentials. The hook sees them only if it is there to check them.
const CREDENTIALS: [&str; 2] = ["ticket", "token"];

/// The request of a client that wants to connect.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) params: &'a Params,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) address: Option<IpAddr>,
}

/// What is kept of a request whose client says later who it is.
pub(crate) struct Asked {
    params: Params,
    headers: HeaderMap,
    address: Option<IpAddr>,
}

impl Asked {
    /// Keeps the headers that the hook is shown.
    pub(super) fn new(asker: Asker<'_>, settings: &ConnectHook) -> Self {
        let shown = asker.headers.iter().filter(|(name, _)| settings.shows(name));
        Self {
            params: asker.params.clone(),
            headers: shown.map(|(name, value)| (name.clone(), value.clone())).collect(),
            address: asker.address,
        }
    }

    /// The request.
    pub(crate) fn asker(&self) -> Asker<'_> {
        Asker {
            params: &self.params,
            headers: &self.headers,
            address: self.address,
        }
    }
}

#[derive(Serialize)]
struct Question<'a> {
    path: &'a str,
    params: BTreeMap<&'a str, &'a Param>,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    server: &'a ServerName,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a RawValue>,
}

/// The event for a request; with `proof`, of a client that has proved who it is.
pub(super) fn event(
    asker: &Asker<'_>,
    proof: Option<&Proof>,
    settings: &ConnectHook,
    server: &ServerName,
) -> Option<CloudEvent> {
    let params = asker.params.values.iter().map(|(key, value)| (&**key, value));
    let is_shown = |key: &str| settings.mode == HookMode::Instead || !is_credential(key);
    let names = settings.headers.iter();
    let question = Question {
        path: &asker.params.path,
        params: params.filter(|(key, _)| is_shown(key)).collect(),
        headers: names
            .filter_map(|name| Some((&**name, lines(asker.headers, name)?)))
            .collect(),
        address: asker.address,
        server,
        client: proof.map(|proof| &proof.client),
        claims: proof.and_then(|proof| proof.claims.as_deref()),
    };
    let id: u128 = rand::random();
    Some(CloudEvent {
        id: format!("{id:032x}"),
        kind: CONNECT,
        source: format!("/ws-node/{server}"),
        subject: None,
        time: Timestamp::now(),
        extensions: Vec::new(),
        content_type: "application/json",
        body: serde_json::to_vec(&question).ok()?.into(),
    })
}

fn is_credential(key: &str) -> bool {
    CREDENTIALS.iter().any(|name| key.eq_ignore_ascii_case(name))
}

/// All lines of a header as one text (RFC 9110, section 5.3; RFC 6265, section 5.4).
fn lines(headers: &HeaderMap, name: &str) -> Option<String> {
    let between = if name.eq_ignore_ascii_case(COOKIE.as_str()) {
        "; "
    } else {
        ", "
    };
    let lines = headers.get_all(name).into_iter();
    let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(between))
}

#[cfg(test)]
mod tests {
    use axum::http::header::{AUTHORIZATION, HeaderValue};
    use serde_json::{Value, json};
    use wsmesh_protocol::ParamOptions;

    use super::*;

    fn asked(mode: &str, proof: Option<&Proof>) -> Value {
        let settings = format!(
            r#"{{"url": "http://auth.example", "mode": "{mode}", "headers": ["cookie", "authorization", "x-missing"]}}"#
        );
        let settings: ConnectHook = serde_json::from_str(&settings).expect("good");
        let mut headers = HeaderMap::new();
        for (name, value) in [(COOKIE, "a=1"), (COOKIE, "b=2"), (AUTHORIZATION, "Bearer x")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("x-secret", HeaderValue::from_static("not shown"));
        headers.append("ce-type", HeaderValue::from_static("io.wsmesh.client.connected"));
        let asker = Asker {
            params: &Params::parse(
                "/chat",
                "id=7&tag=a&tag=b&token=jwt&Ticket=once",
                ParamOptions::default(),
            ),
            headers: &headers,
            address: Some(IpAddr::from([203, 0, 113, 7])),
        };
        let server = ServerName::new("edge").expect("valid");
        let event = event(&asker, proof, &settings, &server).expect("can be asked");
        assert_eq!((event.kind, &*event.source), (CONNECT, "/ws-node/edge"));
        serde_json::from_slice(&event.body).expect("JSON")
    }

    #[test]
    fn a_hook_that_proves_who_clients_are_sees_credentials_and_the_headers_that_are_named() {
        assert_eq!(
            asked("instead", None),
            json!({
                "path": "chat",
                "params": {"id": "7", "tag": ["a", "b"], "token": "jwt", "Ticket": "once"},
                "headers": {"cookie": "a=1; b=2", "authorization": "Bearer x"},
                "address": "203.0.113.7",
                "server": "edge",
            })
        );
    }

    #[test]
    fn a_hook_that_is_asked_afterwards_sees_the_client_and_no_token() {
        let proof = Proof::of_anyone(ClientId::new("ann").expect("valid"));
        let question = asked("after", Some(&proof));
        assert_eq!(question["client"], "ann");
        assert_eq!(question["params"], json!({"id": "7", "tag": ["a", "b"]}));
    }
}
