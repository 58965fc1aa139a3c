//! One level of an envelope's map, in either encoding: the known keys, and the raw bytes of their values.
//!
//! Unknown keys are skipped and not stored, so a map costs no more memory than its bytes, whatever it contains.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::msgpack::{self, Broken};
use super::payload::{Encoding, Payload, from_msgpack};
use super::writer::Writer;
use crate::wire::Frame;

/// Why bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Msgpack(#[from] Broken),
    #[error("field {field} is missing or has the wrong type")]
    Field { field: &'static str },
    #[error("compressed, but {why}")]
    Compressed { why: &'static str },
    #[error("neither an event nor addressed to anyone")]
    Unaddressed,
}

/// Every key that is read on any level. They are few and short, so a linear search is fast.
const KEYS: [&str; 27] = [
    "wm",
    "data",
    "senderServer",
    "socketId",
    "socketIds",
    "roomNamespace",
    "roomId",
    "excludeSocketIds",
    "roomRemove",
    "event",
    "targetServer",
    "callbackId",
    "isCallback",
    "payload",
    "i",
    "s",
    "t",
    "a",
    "r",
    "e",
    "tp",
    "ts",
    "c",
    "q",
    "l",
    "k",
    "f",
];

/// Frames up to this size are copied out of the read buffer. A frame may wait long in the outbox of a slow client, and
/// a slice would keep the whole buffer alive: 64 KiB for a hundred bytes.
const COPIED: usize = 4096;

/// One level of a map.
#[derive(Debug)]
pub(crate) struct Entries {
    encoding: Encoding,
    /// The whole map, for custom channels.
    whole: Bytes,
    values: Values,
}

/// Keys, and the positions of their values in the map.
#[derive(Debug)]
struct Values(Vec<(&'static str, Range<usize>)>);

impl Values {
    fn with_capacity(entries: usize) -> Self {
        Self(Vec::with_capacity(entries.min(KEYS.len())))
    }

    /// Stores a value if its key is known. If a key occurs twice, the last one counts, as in JavaScript.
    fn keep(&mut self, key: &[u8], value: Range<usize>) {
        let Some(key) = KEYS.iter().find(|known| known.as_bytes() == key) else {
            return;
        };
        match self.0.iter_mut().find(|(earlier, _)| earlier == key) {
            Some((_, earlier)) => *earlier = value,
            None => self.0.push((key, value)),
        }
    }
}

impl Entries {
    /// Opens an envelope. The first byte decides the encoding: `{` is JSON.
    pub(crate) fn open(bytes: Bytes) -> Result<Self, DecodeError> {
        let encoding = if bytes.first() == Some(&b'{') {
            Encoding::Json
        } else {
            Encoding::Msgpack
        };
        Self::open_as(bytes, encoding)
    }

    fn open_as(bytes: Bytes, encoding: Encoding) -> Result<Self, DecodeError> {
        let values = match encoding {
            Encoding::Json => open_json(&bytes)?,
            Encoding::Msgpack => open_msgpack(&bytes)?,
        };
        Ok(Self {
            encoding,
            whole: bytes,
            values,
        })
    }

    fn range(&self, key: &str) -> Option<Range<usize>> {
        let found = self.values.0.iter().find(|(name, _)| *name == key);
        found.map(|(_, range)| range.clone())
    }

    fn raw(&self, key: &str) -> Option<&[u8]> {
        self.range(key).map(|range| &self.whole[range])
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.range(key).is_some()
    }

    /// Parses a value; `None` when the key is missing.
    pub(crate) fn optional<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>, DecodeError> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        match self.encoding {
            Encoding::Json => serde_json::from_slice(raw).map_err(|_| DecodeError::Field { field: key }),
            // Opening the map has checked that this is exactly one value.
            Encoding::Msgpack => from_msgpack(raw).map_err(|_| DecodeError::Field { field: key }),
        }
    }

    /// Parses a value that must be present.
    pub(crate) fn required<T: DeserializeOwned>(&self, key: &'static str) -> Result<T, DecodeError> {
        self.optional(key)?.ok_or(DecodeError::Field { field: key })
    }

    /// A value that is only passed on, not parsed.
    pub(crate) fn payload(&self, key: &str) -> Option<Payload> {
        let raw = self.whole.slice(self.range(key)?);
        Some(match self.encoding {
            Encoding::Json => Payload::from_json(raw),
            Encoding::Msgpack => Payload::from_msgpack(raw),
        })
    }

    /// The whole map.
    pub(crate) fn into_payload(self) -> Payload {
        match self.encoding {
            Encoding::Json => Payload::from_json(self.whole),
            Encoding::Msgpack => Payload::from_msgpack(self.whole),
        }
    }

    /// The whole map without the field `wm`.
    pub(crate) fn into_payload_without_wm(self) -> Result<Payload, DecodeError> {
        if !self.has("wm") {
            return Ok(self.into_payload());
        }
        match self.encoding {
            Encoding::Json => {
                let mut map: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(&self.whole)?;
                map.remove("wm");
                Ok(Payload::from_json(serde_json::to_vec(&map)?))
            }
            Encoding::Msgpack => {
                let (entries, mut at) = msgpack::map_header(&self.whole)?;
                let (mut kept, mut fields) = (0, Vec::with_capacity(self.whole.len()));
                for _ in 0..entries {
                    let value = msgpack::skip(&self.whole, at)?;
                    let end = msgpack::skip(&self.whole, value)?;
                    let ours = msgpack::text(&self.whole, at)?.is_some_and(|(from, to)| &self.whole[from..to] == b"wm");
                    if !ours {
                        kept += 1;
                        fields.extend_from_slice(&self.whole[at..end]);
                    }
                    at = end;
                }
                let mut out = Writer::new(Encoding::Msgpack, fields.len() + 8);
                out.begin_map(kept);
                out.raw_fields(&fields);
                Ok(Payload::from_msgpack(out.finish()))
            }
        }
    }

    /// A string that is a finished client frame. In MessagePack, a large frame shares the bytes; in JSON, it must be
    /// unescaped.
    pub(crate) fn frame(&self, key: &'static str) -> Result<Frame, DecodeError> {
        let wrong = || DecodeError::Field { field: key };
        let range = self.range(key).ok_or_else(wrong)?;
        let raw = &self.whole[range.clone()];
        match self.encoding {
            Encoding::Json => Ok(Frame::new(serde_json::from_slice::<String>(raw).map_err(|_| wrong())?)),
            Encoding::Msgpack => {
                let (start, end) = msgpack::text(raw, 0)?.ok_or_else(wrong)?;
                let text = if end - start > COPIED {
                    self.whole.slice(range.start + start..range.start + end)
                } else {
                    Bytes::copy_from_slice(&raw[start..end])
                };
                Frame::from_utf8(text).map_err(|_| wrong())
            }
        }
    }

    /// Opens a value that is a map; `None` when it is missing or is not a map.
    pub(crate) fn map(&self, key: &str) -> Result<Option<Self>, DecodeError> {
        let Some(range) = self.range(key) else { return Ok(None) };
        let first = self.whole.get(range.start);
        let is_map = match self.encoding {
            Encoding::Json => first == Some(&b'{'),
            Encoding::Msgpack => matches!(first, Some(0x80..=0x8f | 0xde | 0xdf)),
        };
        if is_map {
            Self::open_as(self.whole.slice(range), self.encoding).map(Some)
        } else {
            Ok(None)
        }
    }
}

fn open_msgpack(bytes: &Bytes) -> Result<Values, DecodeError> {
    let (entries, mut at) = msgpack::map_header(bytes)?;
    let mut values = Values::with_capacity(entries);
    for _ in 0..entries {
        let value = msgpack::skip(bytes, at)?;
        let end = msgpack::skip(bytes, value)?;
        if let Some((start, stop)) = msgpack::text(bytes, at)? {
            values.keep(&bytes[start..stop], value..end);
        }
        at = end;
    }
    if at == bytes.len() {
        Ok(values)
    } else {
        Err(Broken(at).into())
    }
}

fn open_json(bytes: &Bytes) -> Result<Values, DecodeError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let values = reader.deserialize_map(JsonEntries(bytes))?;
    reader.end()?;
    Ok(values)
}

struct JsonEntries<'a>(&'a Bytes);

impl<'de> Visitor<'de> for JsonEntries<'de> {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = Values::with_capacity(8);
        while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            let value = value.get();
            // The value is borrowed from the input, so its address gives its position.
            let start = value.as_ptr().addr() - self.0.as_ptr().addr();
            values.keep(key.0.as_bytes(), start..start + value.len());
        }
        Ok(values)
    }
}

/// A key, borrowed unless it has escapes. Serde's own `Cow` always copies inside a tuple.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
