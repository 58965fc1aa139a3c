//! An envelope: what travels through a node. The format of *websocket-cross-server-adapter* 1.x, plus one field, `wm`.
//!
//! One map, as MessagePack or JSON; a reader tells them apart by the first byte. `wm` is written first, so that a server
//! recognises its own envelopes early. Unknown fields are ignored. Payloads stay raw bytes both ways.

use bytes::Bytes;

use super::compress;
use super::entries::{DecodeError, Entries};
use super::frame::Frame;
use super::names::{ClientId, Instance, Room, ServerName};
use super::payload::{Encoding, Payload, PayloadError};
use super::writer::Writer;

/// The event name that a reply is written with.
const REPLY: &str = "_Cs_Cb_";

/// Who sent an envelope, and the how-manieth of its envelopes it is: unique, so that copies can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) instance: Instance,
    pub(crate) sequence: u64,
}

/// Ours in an envelope of the original's format: the field `wm`, with keys of one or two letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wm {
    /// `i` and `s`.
    pub(crate) identity: Identity,
    /// `t`: when it was published, in milliseconds since the Unix epoch, on the sender's clock. A copy keeps it.
    pub(crate) time_ms: u64,
    /// `a`: on a copy that is published again, how long ago the original was, in milliseconds of the sender's clock.
    pub(crate) age_ms: Option<u64>,
    /// `r`: the process that a request is for.
    pub(crate) target_instance: Option<Instance>,
    /// `e`: why a reply is none.
    pub(crate) error: Option<String>,
    /// `tp`: W3C trace context, when sampled.
    pub(crate) traceparent: Option<String>,
    /// `ts`: its vendor part.
    pub(crate) tracestate: Option<String>,
    /// `q`: on a message to a client that is a request: to which callback id of the sender the client's answer goes.
    pub(crate) request: Option<String>,
    /// `l`: how long the sender waits for the client's answer, in milliseconds.
    pub(crate) limit_ms: Option<u64>,
    /// `c`: the custom channel that a message was published on; a copy of it takes another one.
    pub(crate) channel: Option<String>,
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
            request: None,
            limit_ms: None,
            channel: None,
        }
    }

    fn write(&self, out: &mut Writer) {
        let numbers = [
            ("i", Some(self.identity.instance.0)),
            ("s", Some(self.identity.sequence)),
            ("t", Some(self.time_ms)),
            ("a", self.age_ms),
            ("r", self.target_instance.map(|instance| instance.0)),
            ("l", self.limit_ms),
        ];
        let texts = [
            ("e", &self.error),
            ("tp", &self.traceparent),
            ("ts", &self.tracestate),
            ("q", &self.request),
            ("c", &self.channel),
        ];
        let entries = numbers.iter().filter(|(_, number)| number.is_some()).count()
            + texts.iter().filter(|(_, text)| text.is_some()).count();
        out.key("wm");
        out.begin_map(entries as u32);
        for (key, number) in numbers {
            if let Some(number) = number {
                out.key(key);
                out.number(number);
            }
        }
        for (key, text) in texts {
            if let Some(text) = text {
                out.key(key);
                out.text(text);
            }
        }
        out.end_map();
    }

    fn read(entries: &Entries) -> Result<Self, DecodeError> {
        Ok(Self {
            identity: Identity {
                instance: entries.required("i")?,
                sequence: entries.required("s")?,
            },
            time_ms: entries.required("t")?,
            age_ms: entries.optional("a")?,
            target_instance: entries.optional("r")?,
            error: entries.optional("e")?,
            traceparent: entries.optional("tp")?,
            tracestate: entries.optional("ts")?,
            request: entries.optional("q")?,
            limit_ms: entries.optional("l")?,
            channel: entries.optional("c")?,
        })
    }
}

/// What travels through a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) sender: ServerName,
    /// None in envelopes of the original.
    pub(crate) wm: Option<Wm>,
    pub(crate) body: Body,
}

/// What came on a custom channel.
#[derive(Debug)]
pub(crate) struct FromChannel {
    pub(crate) sender: Option<ServerName>,
    pub(crate) wm: Option<Wm>,
    pub(crate) payload: Payload,
}

/// What an envelope says, and to whom.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// To servers; no targets means every server. With a callback id the sender waits for replies.
    Event {
        event: String,
        targets: Vec<ServerName>,
        payload: Payload,
        callback_id: Option<String>,
    },
    /// A reply to a server.
    Reply { callback_id: String, payload: Payload },
    /// To one client.
    Client { client: ClientId, frame: Frame },
    /// To several clients.
    Clients { clients: Vec<ClientId>, frame: Frame },
    /// To every client.
    Everyone { frame: Frame },
    /// To the members of a room, but those.
    Room {
        room: Room,
        except: Vec<ClientId>,
        frame: Frame,
    },
    /// Everyone leaves a room. Ours: the original removes a room on one server only, and throws at an envelope without a
    /// frame, so this one never travels on a channel that the original reads.
    RoomRemove { room: Room },
    /// Any map, on a channel that the application named.
    Custom { payload: Payload },
}

impl Body {
    /// The kind, from a fixed set: safe in a span's name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Event { .. } => "event",
            Self::Reply { .. } => "reply",
            Self::Client { .. } => "client",
            Self::Clients { .. } => "clients",
            Self::Everyone { .. } => "everyone",
            Self::Room { .. } => "room",
            Self::RoomRemove { .. } => "room-remove",
            Self::Custom { .. } => "custom",
        }
    }
}

// ------------------------------------------------------------------------------------------------------------- writing

impl Envelope {
    /// Writes the envelope.
    ///
    /// # Errors
    /// When the payload is in the other encoding and cannot be converted. A custom payload is written as it is.
    pub(crate) fn encode(&self, encoding: Encoding) -> Result<Bytes, PayloadError> {
        let wm = u32::from(self.wm.is_some());
        match &self.body {
            Body::Event {
                event,
                targets,
                payload,
                callback_id,
            } => {
                let payload = payload.encoded(encoding)?;
                let mut out = self.begin(encoding, 1 + wm, payload.len());
                out.key("data");
                out.begin_map(4 + u32::from(callback_id.is_some()));
                self.event_fields(&mut out, event, targets);
                if let Some(callback_id) = callback_id {
                    out.key("callbackId");
                    out.text(callback_id);
                }
                out.key("payload");
                out.raw(&payload);
                out.end_map();
                Ok(end(out))
            }
            Body::Reply { callback_id, payload } => {
                let payload = payload.encoded(encoding)?;
                let mut out = self.begin(encoding, 1 + wm, payload.len());
                out.key("data");
                out.begin_map(6);
                self.event_fields(&mut out, REPLY, &[]);
                out.key("callbackId");
                out.text(callback_id);
                out.key("isCallback");
                out.truth();
                out.key("payload");
                out.raw(&payload);
                out.end_map();
                Ok(end(out))
            }
            Body::Custom { payload } => self.encode_custom(encoding, payload),
            _ => Ok(self.encode_frame(encoding, wm)),
        }
    }

    /// The map as it is, with our field in it.
    fn encode_custom(&self, encoding: Encoding, payload: &Payload) -> Result<Bytes, PayloadError> {
        let payload = payload.encoded(encoding)?;
        let Some(wm) = &self.wm else { return Ok(payload) };
        let (count, fields) = match map_fields(encoding, &payload) {
            Some(found) => found,
            None => return Ok(payload),
        };
        let mut out = Writer::new(encoding, payload.len() + 256);
        out.begin_map(count + 1);
        wm.write(&mut out);
        out.raw_fields(fields);
        Ok(end(out))
    }

    fn encode_frame(&self, encoding: Encoding, wm: u32) -> Bytes {
        let (entries, frame) = match &self.body {
            Body::Client { frame, .. } | Body::Clients { frame, .. } => (3, Some(frame)),
            Body::Everyone { frame } => (2, Some(frame)),
            Body::Room { frame, .. } => (5, Some(frame)),
            _ => (4, None),
        };
        let mut out = self.begin(encoding, entries + wm, frame.map_or(0, Frame::len));
        if let Some(frame) = frame {
            out.key("data");
            out.text(frame.as_str());
        }
        match &self.body {
            Body::Client { client, .. } => {
                out.key("socketId");
                out.text(client.as_str());
            }
            Body::Clients { clients, .. } => {
                out.key("socketIds");
                out.texts(clients.iter().map(ClientId::as_str));
            }
            Body::Room { room, except, .. } => {
                room_fields(&mut out, room);
                out.key("excludeSocketIds");
                out.texts(except.iter().map(ClientId::as_str));
            }
            Body::RoomRemove { room } => {
                room_fields(&mut out, room);
                out.key("roomRemove");
                out.truth();
            }
            _ => {}
        }
        out.key("senderServer");
        out.text(self.sender.as_str());
        end(out)
    }

    fn begin(&self, encoding: Encoding, entries: u32, payload: usize) -> Writer {
        let mut out = Writer::new(encoding, payload + 256);
        out.begin_map(entries);
        if let Some(wm) = &self.wm {
            wm.write(&mut out);
        }
        out
    }

    fn event_fields(&self, out: &mut Writer, event: &str, targets: &[ServerName]) {
        out.key("event");
        out.text(event);
        out.key("senderServer");
        out.text(self.sender.as_str());
        out.key("targetServer");
        out.texts(targets.iter().map(ServerName::as_str));
    }
}

/// How many entries a map has, and their bytes without what begins and ends it.
fn map_fields(encoding: Encoding, map: &Bytes) -> Option<(u32, &[u8])> {
    match encoding {
        Encoding::Json => Some((0, map.strip_prefix(b"{")?.strip_suffix(b"}")?)),
        Encoding::Msgpack => {
            let (count, at) = super::msgpack::map_header(map).ok()?;
            Some((u32::try_from(count).ok()?, &map[at..]))
        }
    }
}

fn room_fields(out: &mut Writer, room: &Room) {
    out.key("roomNamespace");
    out.text(room.namespace.as_str());
    out.key("roomId");
    out.text(room.id.as_str());
}

fn end(mut out: Writer) -> Bytes {
    out.end_map();
    out.finish()
}

// ------------------------------------------------------------------------------------------------------------- reading

impl Envelope {
    /// Reads an envelope, unless this very process sent it.
    pub(crate) fn decode_unless_own(bytes: Bytes, own: Instance) -> Result<Option<Self>, DecodeError> {
        if first_instance(&bytes) == Some(own) {
            return Ok(None);
        }
        let entries = Entries::open(compress::open(bytes)?)?;
        let wm = entries.map("wm")?.map(|wm| Wm::read(&wm)).transpose()?;
        if wm.as_ref().is_some_and(|wm| wm.identity.instance == own) {
            return Ok(None);
        }
        Self::read(entries, wm).map(Some)
    }

    /// Reads an envelope, whoever sent it.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let entries = Entries::open(compress::open(bytes)?)?;
        let wm = entries.map("wm")?.map(|wm| Wm::read(&wm)).transpose()?;
        Self::read(entries, wm)
    }

    fn read(entries: Entries, wm: Option<Wm>) -> Result<Self, DecodeError> {
        if wm.as_ref().is_some_and(|wm| wm.channel.is_some()) {
            let sender = entries.required("senderServer")?;
            let payload = entries.into_payload_without_wm()?;
            let body = Body::Custom { payload };
            return Ok(Self { sender, wm, body });
        }
        if let Some(data) = entries.map("data")? {
            return Self::read_event(&data, wm);
        }
        let sender = entries.required("senderServer")?;
        let body = if entries.has("roomId") {
            let room = Room {
                namespace: entries.required("roomNamespace")?,
                id: entries.required("roomId")?,
            };
            if entries.optional("roomRemove")? == Some(true) {
                Body::RoomRemove { room }
            } else {
                let except = entries.optional("excludeSocketIds")?.unwrap_or_default();
                Body::Room {
                    room,
                    except,
                    frame: entries.frame("data")?,
                }
            }
        } else if entries.has("socketIds") {
            Body::Clients {
                clients: entries.required("socketIds")?,
                frame: entries.frame("data")?,
            }
        } else if entries.has("socketId") {
            Body::Client {
                client: entries.required("socketId")?,
                frame: entries.frame("data")?,
            }
        } else if entries.has("data") {
            Body::Everyone {
                frame: entries.frame("data")?,
            }
        } else {
            return Err(DecodeError::Unaddressed);
        };
        Ok(Self { sender, wm, body })
    }

    fn read_event(data: &Entries, wm: Option<Wm>) -> Result<Self, DecodeError> {
        let sender = data.required("senderServer")?;
        let payload = data.payload("payload").unwrap_or_else(Payload::null);
        let event: String = data.required("event")?;
        // The original tells a reply by this field alone, whatever the event is called.
        let body = if data.optional("isCallback")?.unwrap_or(false) {
            let callback_id = data.required("callbackId")?;
            Body::Reply { callback_id, payload }
        } else {
            Body::Event {
                event,
                targets: data.optional("targetServer")?.unwrap_or_default(),
                payload,
                callback_id: data.optional("callbackId")?,
            }
        };
        Ok(Self { sender, wm, body })
    }

    /// Reads what came on a custom channel: who sent it and what it says of itself, if it does, and the whole map.
    pub(crate) fn decode_custom(bytes: Bytes) -> Result<FromChannel, DecodeError> {
        let entries = Entries::open(bytes)?;
        let wm = entries.map("wm")?.map(|wm| Wm::read(&wm)).transpose();
        // A stranger's map may have a field of this name that is something else.
        let (sender, wm) = (entries.optional("senderServer")?, wm.ok().flatten());
        let payload = match wm {
            Some(_) => entries.into_payload_without_wm()?,
            None => entries.into_payload(),
        };
        Ok(FromChannel { sender, wm, payload })
    }
}

/// The sender's instance, if the envelope begins as ours do: `wm` first, `i` first in it. Looks at no more than the first
/// bytes, so a server drops its own envelopes without reading them; others take the long way.
fn first_instance(bytes: &[u8]) -> Option<Instance> {
    if let Some(sender) = compress::sender(bytes) {
        return Some(sender);
    }
    if let Some(rest) = bytes.strip_prefix(br#"{"wm":{"i":"#) {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        return std::str::from_utf8(&rest[..digits]).ok()?.parse().ok().map(Instance);
    }
    // fixmap, "wm", fixmap, "i", number.
    match bytes {
        [0x80..=0x8f, 0xa2, b'w', b'm', 0x80..=0x8f, 0xa1, b'i', rest @ ..] => {
            rmp::decode::read_int(&mut &*rest).ok().map(Instance)
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
