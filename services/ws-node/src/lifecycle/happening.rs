//! Something that happened to a client, and how it is told: as a CloudEvent to backends, as a server event to services.

use std::time::Instant;

use jiff::Timestamp;
use opentelemetry::trace::SpanContext;
use serde::Serialize;
use tracing::Span;
use wsmesh_adapter::{
    ClientContext, ClientId, Instance, LostServer, Payload, PayloadError, Room, ServerName, recorded, traceparent,
};
use wsmesh_protocol::forward::{CLIENT_CONNECTED, CLIENT_DISCONNECTED, CLIENT_JOINED, CLIENT_LEFT, SERVER_LOST};

/// Something that happened.
#[derive(Debug)]
pub(super) struct Happening {
    /// Unique in this process.
    pub(super) number: u64,
    pub(super) time: Timestamp,
    pub(super) happened: Instant,
    /// The context of the span in which it happened, if that is sampled.
    pub(super) context: Option<Box<SpanContext>>,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug)]
pub(super) enum What {
    Connected(Box<ClientContext>),
    Disconnected(Disconnected),
    Joined(Moved),
    Left(Moved),
    ServerLost(LostServer),
}

/// A connection that ended.
#[derive(Debug)]
pub(super) struct Disconnected {
    pub(super) client: ClientId,
    pub(super) connection: String,
    pub(super) code: u16,
    pub(super) reason: std::sync::Arc<str>,
    pub(super) lasted: std::time::Duration,
    pub(super) was_last: bool,
}

/// A client that joined or left a room.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) client: ClientId,
    pub(super) connection: String,
    pub(super) room: Room,
}

/// The server and process that tell.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    pub(super) server: ServerName,
    pub(super) instance: Instance,
}

/// One CloudEvent of a batch.
#[derive(Serialize)]
struct Structured<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    /// CloudEvents' extension for distributed tracing.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    data: Data<'a>,
}

/// The payload of a server event.
#[derive(Serialize)]
struct Told<'a> {
    id: String,
    time: String,
    #[serde(flatten)]
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Connected(&'a ClientContext),
    #[serde(rename_all = "camelCase")]
    Disconnected {
        client: &'a ClientId,
        connection: &'a str,
        server: &'a ServerName,
        code: u16,
        reason: &'a str,
        duration_ms: u64,
        last: bool,
    },
    #[serde(rename_all = "camelCase")]
    Moved {
        client: &'a ClientId,
        connection: &'a str,
        server: &'a ServerName,
        namespace: &'a str,
        room_id: &'a str,
    },
    Lost {
        server: &'a ServerName,
        clients: u64,
    },
}

impl Happening {
    /// Happens now.
    pub(super) fn now(number: u64, what: What) -> Self {
        Self {
            number,
            time: Timestamp::now(),
            happened: Instant::now(),
            context: recorded(&Span::current()).filter(SpanContext::is_sampled).map(Box::new),
            what,
        }
    }

    /// The CloudEvent, as JSON.
    pub(super) fn cloud_event(&self, teller: &Teller) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Structured {
            specversion: "1.0",
            id: self.id(teller),
            source: format!("/ws-node/{}", self.what.server(teller)),
            kind: self.what.kind(),
            subject: self.what.subject(),
            time: self.time(),
            datacontenttype: "application/json",
            traceparent: self.context.as_deref().map(traceparent),
            data: self.what.data(teller),
        })
    }

    /// The server event: its name and payload.
    pub(super) fn server_event(&self, teller: &Teller) -> Result<(&'static str, Payload), PayloadError> {
        let told = Told {
            id: self.id(teller),
            time: self.time(),
            data: self.what.data(teller),
        };
        Ok((self.what.event(), Payload::new(&told)?))
    }

    /// The same each time this is told, and for a lost server by whichever server it is told.
    pub(super) fn id(&self, teller: &Teller) -> String {
        match &self.what {
            What::ServerLost(lost) => format!("{}-lost", lost.instance),
            _ => format!("{}-{}", teller.instance, self.number),
        }
    }

    fn time(&self) -> String {
        format!("{:.3}", self.time)
    }
}

impl What {
    fn kind(&self) -> &'static str {
        match self {
            Self::Connected(_) => "io.wsmesh.client.connected",
            Self::Disconnected(_) => "io.wsmesh.client.disconnected",
            Self::Joined(_) => "io.wsmesh.client.joined",
            Self::Left(_) => "io.wsmesh.client.left",
            Self::ServerLost(_) => "io.wsmesh.server.lost",
        }
    }

    fn event(&self) -> &'static str {
        match self {
            Self::Connected(_) => CLIENT_CONNECTED,
            Self::Disconnected(_) => CLIENT_DISCONNECTED,
            Self::Joined(_) => CLIENT_JOINED,
            Self::Left(_) => CLIENT_LEFT,
            Self::ServerLost(_) => SERVER_LOST,
        }
    }

    /// The server that it is about.
    fn server<'a>(&'a self, teller: &'a Teller) -> &'a ServerName {
        match self {
            Self::ServerLost(lost) => &lost.name,
            _ => &teller.server,
        }
    }

    fn subject(&self) -> &str {
        match self {
            Self::Connected(context) => context.client.as_str(),
            Self::Disconnected(gone) => gone.client.as_str(),
            Self::Joined(moved) | Self::Left(moved) => moved.client.as_str(),
            Self::ServerLost(lost) => lost.name.as_str(),
        }
    }

    fn data<'a>(&'a self, teller: &'a Teller) -> Data<'a> {
        match self {
            Self::Connected(context) => Data::Connected(context),
            Self::Disconnected(gone) => Data::Disconnected {
                client: &gone.client,
                connection: &gone.connection,
                server: &teller.server,
                code: gone.code,
                reason: &gone.reason,
                duration_ms: u64::try_from(gone.lasted.as_millis()).unwrap_or(u64::MAX),
                last: gone.was_last,
            },
            Self::Joined(moved) | Self::Left(moved) => Data::Moved {
                client: &moved.client,
                connection: &moved.connection,
                server: &teller.server,
                namespace: moved.room.namespace.as_str(),
                room_id: moved.room.id.as_str(),
            },
            Self::ServerLost(lost) => Data::Lost {
                server: &lost.name,
                clients: lost.clients,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use wsmesh_protocol::forward::{ClientDisconnected, ClientMoved, ServerLost};

    use super::*;

    fn teller() -> Teller {
        Teller {
            server: ServerName::new("edge").expect("valid"),
            instance: Instance(0xabc),
        }
    }

    fn client() -> ClientId {
        ClientId::new("ann").expect("valid")
    }

    fn connected() -> What {
        let context = r#"{"client":"ann","connection":"abc-7","server":"edge","since":"2026-01-02T03:04:05.678Z","path":"chat",
            "params":{"lang":"en"},"headers":{},"address":"203.0.113.7","claims":{"sub":"ann"},"data":{"team":"red"}}"#;
        What::Connected(serde_json::from_str(context).expect("a context"))
    }

    fn disconnected() -> What {
        What::Disconnected(Disconnected {
            client: client(),
            connection: "abc-7".to_owned(),
            code: 1006,
            reason: "".into(),
            lasted: Duration::from_millis(1234),
            was_last: true,
        })
    }

    fn moved() -> Moved {
        Moved {
            client: client(),
            connection: "abc-7".to_owned(),
            room: Room::new("chat", "lobby").expect("valid"),
        }
    }

    fn lost() -> What {
        What::ServerLost(LostServer {
            name: ServerName::new("other").expect("valid"),
            service: "ws-node".try_into().expect("valid"),
            instance: Instance(0xdef),
            clients: 7,
        })
    }

    fn cloud_event(what: What) -> Value {
        let event = Happening::now(5, what).cloud_event(&teller()).expect("JSON");
        let mut event: Value = serde_json::from_slice(&event).expect("JSON");
        let time = event["time"].take();
        assert!(time.as_str().expect("a time").parse::<Timestamp>().is_ok(), "{time}");
        event
    }

    #[test]
    fn what_happened_is_a_cloud_event_whose_data_says_everything() {
        let event = cloud_event(connected());
        assert_eq!(event["data"]["claims"], json!({"sub": "ann"}));
        assert_eq!(event["data"]["data"], json!({"team": "red"}));
        assert_eq!(event["data"]["params"], json!({"lang": "en"}));
        assert_eq!(
            cloud_event(disconnected()),
            json!({
                "specversion": "1.0", "id": "abc-5", "source": "/ws-node/edge", "type": "io.wsmesh.client.disconnected",
                "subject": "ann", "time": null, "datacontenttype": "application/json",
                "data": {"client": "ann", "connection": "abc-7", "server": "edge", "code": 1006, "reason": "",
                    "durationMs": 1234, "last": true},
            })
        );
        let joined = cloud_event(What::Joined(moved()));
        assert_eq!(joined["type"], "io.wsmesh.client.joined");
        assert_eq!(
            joined["data"],
            json!({"client": "ann", "connection": "abc-7", "server": "edge", "namespace": "chat", "roomId": "lobby"})
        );
        assert_eq!(cloud_event(What::Left(moved()))["type"], "io.wsmesh.client.left");
        let lost = cloud_event(lost());
        assert_eq!(
            (&lost["id"], &lost["source"]),
            (&json!("def-lost"), &json!("/ws-node/other"))
        );
        assert_eq!(lost["data"], json!({"server": "other", "clients": 7}));
    }

    #[test]
    fn services_are_told_the_same_with_the_types_of_the_protocol() {
        let payload = |what| {
            let (name, payload) = Happening::now(5, what).server_event(&teller()).expect("JSON");
            (name, payload)
        };
        let (name, told) = payload(connected());
        let context: ClientContext = told.parse().expect("a context");
        assert_eq!((name, context.client), (CLIENT_CONNECTED, client()));
        assert_eq!(context.data.expect("some").get(), r#"{"team":"red"}"#);
        let (name, told) = payload(disconnected());
        let gone: ClientDisconnected = told.parse().expect("reads");
        assert_eq!(
            (name, &*gone.id, gone.code, gone.duration_ms, gone.last),
            (CLIENT_DISCONNECTED, "abc-5", 1006, 1234, true)
        );
        let (name, told) = payload(What::Joined(moved()));
        let moved: ClientMoved = told.parse().expect("reads");
        assert_eq!(
            (name, &*moved.namespace, &*moved.room_id),
            (CLIENT_JOINED, "chat", "lobby")
        );
        let (name, told) = payload(lost());
        let lost: ServerLost = told.parse().expect("reads");
        assert_eq!((name, &*lost.server, lost.clients), (SERVER_LOST, "other", 7));
    }
}
