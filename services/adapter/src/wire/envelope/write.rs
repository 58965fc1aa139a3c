//! Writes envelopes, as MessagePack or JSON.

use bytes::Bytes;

use super::{Body, Envelope};
use crate::wire::frame::Frame;
use crate::wire::msgpack;
use crate::wire::names::{ClientId, Room, ServerName};
use crate::wire::payload::{Encoding, Payload, PayloadError};
use crate::wire::writer::Writer;

/// The event name that a reply is written with.
const REPLY: &str = "_Cs_Cb_";

impl Envelope {
    /// Writes the envelope.
    ///
    /// # Errors
    /// When the payload is in the other encoding and cannot be converted.
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

    /// The map unchanged, with the field `wm` added.
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
            Body::Everyone { except, frame } => (2 + u32::from(!except.is_empty()), Some(frame)),
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
            Body::Everyone { except, .. } if except.is_empty() => {}
            Body::Everyone { except, .. } => except_field(&mut out, except),
            Body::Room { room, except, .. } => {
                room_fields(&mut out, room);
                except_field(&mut out, except);
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

/// The number of entries in a map, and their bytes without the map's own delimiters. JSON needs no number.
fn map_fields(encoding: Encoding, map: &Bytes) -> Option<(u32, &[u8])> {
    match encoding {
        Encoding::Json => Some((0, map.strip_prefix(b"{")?.strip_suffix(b"}")?)),
        Encoding::Msgpack => {
            let (count, at) = msgpack::map_header(map).ok()?;
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

fn except_field(out: &mut Writer, except: &[ClientId]) {
    out.key("excludeSocketIds");
    out.texts(except.iter().map(ClientId::as_str));
}

fn end(mut out: Writer) -> Bytes {
    out.end_map();
    out.finish()
}
