//! An envelope's map, opened one level: keys and the raw bytes of their values, in either encoding, without copying.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::msgpack::{self, Broken};
use super::payload::{Encoding, Payload};
use crate::wire::Frame;

/// Why bytes are no envelope.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Msgpack(#[from] Broken),
    #[error("field {field} is missing or not what it should be")]
    Field { field: &'static str },
    #[error("neither addressed to anyone nor an event")]
    Unaddressed,
}

/// One level of a map.
#[derive(Debug)]
pub(crate) struct Entries {
    encoding: Encoding,
    /// The whole map, for custom channels.
    whole: Bytes,
    /// Keys are short and few, so looking them up is a walk.
    values: Vec<(Bytes, Bytes)>,
}

impl Entries {
    /// Opens an envelope. The first byte tells the encoding: `{` is JSON.
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

    fn raw(&self, key: &str) -> Option<&Bytes> {
        self.values
            .iter()
            .find(|(name, _)| name == key.as_bytes())
            .map(|(_, value)| value)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// A value that is parsed here. `None` when the key is missing.
    pub(crate) fn optional<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>, DecodeError> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        let payload = match self.encoding {
            Encoding::Json => Payload::from_json(raw.clone()),
            Encoding::Msgpack => Payload::from_msgpack(raw.clone()),
        };
        payload.parse().map_err(|_| DecodeError::Field { field: key })
    }

    /// A value that must be there.
    pub(crate) fn required<T: DeserializeOwned>(&self, key: &'static str) -> Result<T, DecodeError> {
        self.optional(key)?.ok_or(DecodeError::Field { field: key })
    }

    /// A value that is only passed on.
    pub(crate) fn payload(&self, key: &str) -> Option<Payload> {
        let raw = self.raw(key)?.clone();
        Some(match self.encoding {
            Encoding::Json => Payload::from_json(raw),
            Encoding::Msgpack => Payload::from_msgpack(raw),
        })
    }

    /// The map itself.
    pub(crate) fn into_payload(self) -> Payload {
        match self.encoding {
            Encoding::Json => Payload::from_json(self.whole),
            Encoding::Msgpack => Payload::from_msgpack(self.whole),
        }
    }

    /// A text that is a finished client frame. MessagePack shares its bytes; JSON must unescape it.
    pub(crate) fn frame(&self, key: &'static str) -> Result<Frame, DecodeError> {
        let wrong = || DecodeError::Field { field: key };
        let raw = self.raw(key).ok_or_else(wrong)?;
        match self.encoding {
            Encoding::Json => Ok(Frame::new(serde_json::from_slice::<String>(raw).map_err(|_| wrong())?)),
            Encoding::Msgpack => {
                let (start, end) = msgpack::text(raw, 0)?.ok_or_else(wrong)?;
                Frame::from_utf8(raw.slice(start..end)).map_err(|_| wrong())
            }
        }
    }

    /// A value that is a map, opened; `None` when it is missing or something else.
    pub(crate) fn map(&self, key: &str) -> Result<Option<Self>, DecodeError> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        let is_map = match self.encoding {
            Encoding::Json => raw.first() == Some(&b'{'),
            Encoding::Msgpack => matches!(raw.first(), Some(0x80..=0x8f | 0xde | 0xdf)),
        };
        if is_map {
            Self::open_as(raw.clone(), self.encoding).map(Some)
        } else {
            Ok(None)
        }
    }
}

fn open_msgpack(bytes: &Bytes) -> Result<Vec<(Bytes, Bytes)>, DecodeError> {
    let (entries, mut at) = msgpack::map_header(bytes)?;
    // Each entry takes two bytes at least, so a hostile count allocates no more than the message itself.
    let mut values = Vec::with_capacity(entries.min(bytes.len() / 2).min(16));
    for _ in 0..entries {
        let value = msgpack::skip(bytes, at)?;
        let end = msgpack::skip(bytes, value)?;
        if let Some((start, stop)) = msgpack::text(bytes, at)? {
            values.push((bytes.slice(start..stop), bytes.slice(value..end)));
        }
        at = end;
    }
    if at == bytes.len() {
        Ok(values)
    } else {
        Err(Broken(at).into())
    }
}

fn open_json(bytes: &Bytes) -> Result<Vec<(Bytes, Bytes)>, DecodeError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let values = reader.deserialize_map(JsonEntries(bytes))?;
    reader.end()?;
    Ok(values)
}

struct JsonEntries<'a>(&'a Bytes);

impl<'de> Visitor<'de> for JsonEntries<'de> {
    type Value = Vec<(Bytes, Bytes)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::with_capacity(8);
        while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            let key = match key.0 {
                Cow::Borrowed(key) => self.0.slice_ref(key.as_bytes()),
                Cow::Owned(key) => Bytes::from(key),
            };
            values.push((key, self.0.slice_ref(value.get().as_bytes())));
        }
        Ok(values)
    }
}

/// A key, borrowed unless it has escapes; serde's own `Cow` always copies inside a tuple.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
