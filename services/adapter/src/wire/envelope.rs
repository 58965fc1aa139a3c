//! temp
use super::*;
use bytes::Bytes;
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Identity {
    pub(crate) instance: Instance,
    pub(crate) sequence: u64,
}
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wm {
    pub(crate) identity: Identity,
    pub(crate) time_ms: u64,
    pub(crate) age_ms: Option<u64>,
    pub(crate) target_instance: Option<Instance>,
    pub(crate) error: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) tracestate: Option<String>,
}
impl Wm {
    pub(crate) fn new(identity: Identity, time_ms: u64) -> Self {
        Self {
            identity,
            time_ms,
            age_ms: None,
            target_instance: None,
            error: None,
            traceparent: None,
            tracestate: None,
        }
    }
}
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) sender: ServerName,
    pub(crate) wm: Option<Wm>,
    pub(crate) body: Body,
}
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Event {
        event: String,
        targets: Vec<ServerName>,
        payload: Payload,
        callback_id: Option<String>,
    },
    Reply {
        callback_id: String,
        payload: Payload,
    },
    Client {
        client: ClientId,
        frame: Frame,
    },
    Clients {
        clients: Vec<ClientId>,
        frame: Frame,
    },
    Everyone {
        frame: Frame,
    },
    Room {
        room: Room,
        except: Vec<ClientId>,
        frame: Frame,
    },
    RoomRemove {
        room: Room,
    },
    Custom {
        payload: Payload,
    },
}
impl Body {
    pub(crate) fn kind(&self) -> &'static str {
        unimplemented!()
    }
}
impl Envelope {
    pub(crate) fn encode(&self, _e: Encoding) -> Result<Bytes, PayloadError> {
        unimplemented!()
    }
    pub(crate) fn decode_unless_own(_b: Bytes, _own: Instance) -> Result<Option<Self>, NameError> {
        unimplemented!()
    }
}
#[derive(Debug)]
pub(crate) struct Channels;
impl Channels {
    pub(crate) fn new(_: &str) -> Self {
        Self
    }
    pub(crate) fn channel(&self, _: &Topic) -> std::sync::Arc<str> {
        unimplemented!()
    }
    pub(crate) fn beacon(&self) -> std::sync::Arc<str> {
        unimplemented!()
    }
    pub(crate) fn probe(&self, _: Instance) -> std::sync::Arc<str> {
        unimplemented!()
    }
}
