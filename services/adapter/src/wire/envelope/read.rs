//! Reads envelopes. A server's own envelopes are recognised by their first bytes and not read further.

use bytes::Bytes;

use super::{Body, Envelope, FromChannel, Wm};
use crate::wire::compress;
use crate::wire::entries::{DecodeError, Entries};
use crate::wire::names::{Instance, Room};
use crate::wire::payload::Payload;

impl Envelope {
    /// Reads an envelope; `None` if this process sent it.
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

    /// Reads an envelope from any sender.
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
                except: entries.optional("excludeSocketIds")?.unwrap_or_default(),
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
        // The JavaScript package recognises a reply by this field alone, whatever the event's name.
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

    /// Reads a message from a custom channel: the map without `wm`, and the sender and `wm` if they are there.
    pub(crate) fn decode_custom(bytes: Bytes) -> Result<FromChannel, DecodeError> {
        let entries = Entries::open(bytes)?;
        let wm = entries.map("wm")?.map(|wm| Wm::read(&wm)).transpose();
        // In a map from another program, a field of this name may mean something else.
        let (sender, wm) = (entries.optional("senderServer")?, wm.ok().flatten());
        let payload = match wm {
            Some(_) => entries.into_payload_without_wm()?,
            None => entries.into_payload(),
        };
        Ok(FromChannel { sender, wm, payload })
    }
}

/// The sender's instance, if the envelope begins as this build writes it: first `wm`, and in it first `i`. Looks only
/// at the first bytes, so that a server drops its own envelopes without reading them. All other envelopes are read
/// normally.
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
