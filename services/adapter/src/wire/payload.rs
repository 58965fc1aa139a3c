//! A payload: any JSON value as raw bytes plus their encoding. Parsed only by whoever needs what is inside.
//!
//! Moving a payload never looks into it, except to change its encoding, which goes value by value without a tree.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How an envelope or a payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// MessagePack: smaller; the original's default, so ours too.
    #[default]
    Msgpack,
    /// JSON: readable on the wire.
    Json,
}

/// Why a payload could not be written, read or converted.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The value cannot be written, or the bytes are not JSON of the expected shape.
    #[error("not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The bytes are not MessagePack of the expected shape.
    #[error("not the expected MessagePack: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    /// The value cannot be written as MessagePack.
    #[error("cannot be written as MessagePack: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// Any JSON value, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    bytes: Bytes,
    encoding: Encoding,
}

impl Payload {
    /// The JSON value `null`.
    pub fn null() -> Self {
        Self::from_json(Bytes::from_static(b"null"))
    }

    /// Writes `value`.
    ///
    /// # Errors
    /// When `value` cannot be JSON, for example a map whose keys are not strings.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        Ok(Self::from_json(serde_json::to_vec(value)?))
    }

    /// Takes bytes that already are one JSON value. They are trusted here and checked when somebody parses them.
    pub fn from_json(json: impl Into<Bytes>) -> Self {
        Self {
            bytes: json.into(),
            encoding: Encoding::Json,
        }
    }

    /// Takes bytes that already are one MessagePack value.
    pub fn from_msgpack(msgpack: impl Into<Bytes>) -> Self {
        Self {
            bytes: msgpack.into(),
            encoding: Encoding::Msgpack,
        }
    }

    /// Reads the value.
    ///
    /// # Errors
    /// When the bytes do not have the shape of `T`, or nest deeper than 128 levels.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        match self.encoding {
            Encoding::Json => Ok(serde_json::from_slice(&self.bytes)?),
            Encoding::Msgpack => {
                let mut reader = rmp_serde::Deserializer::from_read_ref(&self.bytes[..]);
                reader.set_max_depth(MAX_DEPTH);
                Ok(T::deserialize(&mut reader)?)
            }
        }
    }

    /// The value in the asked encoding. Shares the bytes when they are in it already.
    ///
    /// # Errors
    /// When the bytes are broken or nest deeper than 128 levels.
    pub fn encoded(&self, encoding: Encoding) -> Result<Bytes, PayloadError> {
        match (self.encoding, encoding) {
            (Encoding::Json, Encoding::Msgpack) => {
                let mut out = Vec::with_capacity(self.bytes.len());
                let mut reader = serde_json::Deserializer::from_slice(&self.bytes);
                let mut writer = rmp_serde::Serializer::new(&mut out);
                serde_transcode::transcode(&mut reader, &mut writer)?;
                reader.end()?;
                Ok(out.into())
            }
            (Encoding::Msgpack, Encoding::Json) => {
                let mut out = Vec::with_capacity(self.bytes.len() * 2);
                let mut reader = rmp_serde::Deserializer::from_read_ref(&self.bytes[..]);
                reader.set_max_depth(MAX_DEPTH);
                let mut writer = serde_json::Serializer::new(&mut out);
                serde_transcode::transcode(&mut reader, &mut writer)?;
                Ok(out.into())
            }
            _ => Ok(self.bytes.clone()),
        }
    }

    /// The value as JSON text bytes, for a client frame.
    ///
    /// # Errors
    /// As [`Payload::encoded`].
    pub fn to_json(&self) -> Result<Bytes, PayloadError> {
        self.encoded(Encoding::Json)
    }

    /// How the bytes are written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bytes as they are.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Deepest nesting that is parsed: serde_json's own limit, used for both encodings.
const MAX_DEPTH: usize = 128;
