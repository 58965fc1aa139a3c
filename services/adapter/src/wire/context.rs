//! What is known about a client's connection, as a value that travels between servers.
//!
//! Times are texts of RFC 3339 and raw JSON stays JSON, in both encodings of the bus. `Debug` shows nothing that a client, its
//! token or a service wrote, except the client's id.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::names::{ClientId, ServerName};

/// What is known about one connection of a client: how it came, what its token says, and what services attached to it.
///
/// ```
/// let context: wsmesh_adapter::ClientContext = serde_json::from_str(
///     r#"{"client":"ann","connection":"18f-7","server":"ws-node-0","since":"2026-01-02T03:04:05.678Z","path":"chat",
///         "params":{"lang":"en"},"headers":{},"address":"203.0.113.7","data":{"team":"red"}}"#,
/// )
/// .unwrap();
/// assert_eq!(context.params["lang"], "en");
/// assert_eq!(context.data.as_ref().unwrap().get(), r#"{"team":"red"}"#);
/// assert!(!format!("{context:?}").contains("red"));
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientContext {
    /// The client.
    pub client: ClientId,
    /// The connection: unique in the cluster, also over time.
    pub connection: String,
    /// The server that has it.
    pub server: ServerName,
    /// When the client connected, by the clock of that server, in milliseconds.
    #[serde(with = "rfc3339")]
    pub since: SystemTime,
    /// The path of the URL, without the slash at its beginning.
    #[serde(default)]
    pub path: String,
    /// The parameters of the URL, decoded: a string each, or a list of strings for a key that came more than once. Parameters
    /// that hold a credential are left out.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// The headers of the upgrade request that the server's settings name, in lower case. A header that came more than once is
    /// one text, with commas (`cookie`: semicolons).
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The address that the client comes from: behind trusted proxies, the one that they name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "address")]
    pub address: Option<IpAddr>,
    /// The claims of its verified token: a JSON object. The newest token counts. None for a client without a token.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "raw_json")]
    pub claims: Option<Box<RawValue>>,
    /// What services attached to the connection, as JSON of at most [`MAX_DATA_BYTES`](crate::MAX_DATA_BYTES).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "raw_json")]
    pub data: Option<Box<RawValue>>,
}

impl fmt::Debug for ClientContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientContext")
            .field("client", &self.client)
            .field("connection", &self.connection)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Raw JSON is compared as text.
impl PartialEq for ClientContext {
    fn eq(&self, other: &Self) -> bool {
        let text = |json: &Option<Box<RawValue>>| json.as_ref().map(|json| json.get().to_owned());
        (&self.client, &self.connection, &self.server, self.since)
            == (&other.client, &other.connection, &other.server, other.since)
            && (&self.path, &self.params, &self.headers, self.address)
                == (&other.path, &other.params, &other.headers, other.address)
            && (text(&self.claims), text(&self.data)) == (text(&other.claims), text(&other.data))
    }
}

/// Reads any JSON value as text; null is none. [`RawValue`] itself can be read from JSON only, not from MessagePack.
pub(crate) fn raw_json<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    use serde::de::Error;

    let value = serde_transcode::Transcoder::new(deserializer);
    let json = serde_json::to_string(&value).map_err(D::Error::custom)?;
    if json == "null" {
        return Ok(None);
    }
    RawValue::from_string(json).map(Some).map_err(D::Error::custom)
}

/// Reads an address as text. [`IpAddr`] itself expects numbers in MessagePack.
fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom))
        .transpose()
}

/// A time as text of RFC 3339, in UTC and milliseconds.
mod rfc3339 {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::try_from(*time).map_err(ser::Error::custom)?;
        serializer.collect_str(&format_args!("{time:.3}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: Timestamp = text.parse().map_err(de::Error::custom)?;
        Ok(time.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;
    use crate::wire::{Encoding, Payload};

    fn context() -> ClientContext {
        ClientContext {
            client: ClientId::new("ann").expect("valid"),
            connection: "18f-7".to_owned(),
            server: ServerName::new("edge").expect("valid"),
            since: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            path: "chat".to_owned(),
            params: [("tag".to_owned(), json!(["a", "b"]))].into(),
            headers: [("accept-language".to_owned(), "en".to_owned())].into(),
            address: Some("2001:db8::7".parse().expect("an address")),
            claims: json(r#"{"sub":"ann","z":1,"a":[1.5,null]}"#),
            data: json(r#""secret""#),
        }
    }

    fn json(json: &str) -> Option<Box<RawValue>> {
        RawValue::from_string(json.to_owned()).ok()
    }

    #[test]
    fn a_context_stays_the_same_through_both_encodings() {
        let payload = Payload::new(&context()).expect("JSON");
        assert_eq!(payload.parse::<ClientContext>().expect("reads"), context());
        let msgpack = Payload::from_msgpack(payload.encoded(Encoding::Msgpack).expect("converts"));
        assert_eq!(msgpack.parse::<ClientContext>().expect("reads"), context());
    }

    #[test]
    fn what_is_not_there_is_left_out_and_may_be_missing() {
        let bare = ClientContext {
            path: String::new(),
            params: BTreeMap::new(),
            headers: BTreeMap::new(),
            address: None,
            claims: None,
            data: None,
            ..context()
        };
        let json = serde_json::to_string(&bare).expect("JSON");
        assert_eq!(
            json,
            r#"{"client":"ann","connection":"18f-7","server":"edge","since":"2023-11-14T22:13:20.123Z","path":"","params":{},"headers":{}}"#
        );
        let short = r#"{"client":"ann","connection":"18f-7","server":"edge","since":"2023-11-14T22:13:20.123Z","data":null,"new":1}"#;
        assert_eq!(serde_json::from_str::<ClientContext>(short).expect("reads"), bare);
    }

    #[test]
    fn debug_shows_only_whose_connection_it_is_and_where() {
        assert_eq!(
            format!("{:?}", context()),
            r#"ClientContext { client: "ann", connection: "18f-7", server: "edge", .. }"#
        );
    }
}
