//! A payload: any JSON value, as raw bytes with their encoding. Parsed only where its content is needed.
//!
//! Passing a payload on never parses it. Changing its encoding goes value by value, without building a tree.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::msgpack;

/// The encoding of an envelope or a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// MessagePack: smaller. The default of the JavaScript package, and so of wsmesh.
    #[default]
    Msgpack,
    /// JSON: readable for people.
    Json,
}

/// Why a payload could not be written, read or converted.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The value cannot be written as JSON, or the bytes are not JSON of the expected shape.
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

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// When `value` cannot be JSON, for example a map whose keys are not strings.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        Ok(Self::from_json(serde_json::to_vec(value)?))
    }

    /// Takes bytes that already are one JSON value. They are not checked before they are parsed.
    pub fn from_json(json: impl Into<Bytes>) -> Self {
        Self {
            bytes: json.into(),
            encoding: Encoding::Json,
        }
    }

    /// Takes bytes that already are one MessagePack value. They are not checked before they are parsed.
    pub fn from_msgpack(msgpack: impl Into<Bytes>) -> Self {
        Self {
            bytes: msgpack.into(),
            encoding: Encoding::Msgpack,
        }
    }

    /// Parses the value.
    ///
    /// # Errors
    /// When the bytes do not have the shape of `T`, or nest deeper than 128 levels.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        match self.encoding {
            Encoding::Json => Ok(serde_json::from_slice(&self.bytes)?),
            Encoding::Msgpack => {
                one_value(&self.bytes)?;
                Ok(from_msgpack(&self.bytes)?)
            }
        }
    }

    /// The value in the given encoding. Shares the bytes if they already have this encoding.
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
                one_value(&self.bytes)?;
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

    /// The encoding of the bytes.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bytes, in their encoding.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same, in memory of its own: what was received is a part of a large buffer, which it keeps.
    pub(crate) fn in_memory_of_its_own(mut self) -> Self {
        self.bytes = Bytes::copy_from_slice(&self.bytes);
        self
    }
}

/// The deepest nesting that is parsed: the limit of serde_json, used for both encodings.
const MAX_DEPTH: usize = 128;

/// Parses bytes that are exactly one value.
pub(super) fn from_msgpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    // Values were written as JSON first, so an IP address, for example, is a text.
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable();
    reader.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut reader)
}

/// Rejects bytes that end inside a value or continue after it, which the parser would not notice.
fn one_value(bytes: &[u8]) -> Result<(), rmp_serde::decode::Error> {
    if msgpack::skip(bytes, 0) == Ok(bytes.len()) {
        Ok(())
    } else {
        Err(serde::de::Error::custom("not exactly one value"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn as_json(msgpack: &[u8]) -> Result<String, PayloadError> {
        let json = Payload::from_msgpack(msgpack.to_vec()).to_json()?;
        Ok(String::from_utf8(json.to_vec()).expect("JSON is UTF-8"))
    }

    #[test]
    fn a_value_stays_the_same_through_both_changes_of_encoding() {
        let value = json!({"int": 1, "neg": -7, "big": 9_007_199_254_740_991_u64, "max": u64::MAX, "min": i64::MIN,
            "float": 1.5, "t": true, "nul": null, "str": "héllo 世界 🚀", "arr": [1, "two", [3]], "obj": {"k": {}}});
        let payload = Payload::new(&value).expect("JSON");
        let msgpack = Payload::from_msgpack(payload.encoded(Encoding::Msgpack).expect("converts"));
        assert_eq!(msgpack.parse::<Value>().expect("parses"), value);
        let back = Payload::from_json(msgpack.to_json().expect("converts"));
        assert_eq!(back.parse::<Value>().expect("parses"), value);
    }

    #[test]
    fn what_json_writes_as_a_text_is_read_from_both_encodings() {
        let address = std::net::IpAddr::from([192, 0, 2, 7]);
        let payload = Payload::new(&Some(address)).expect("JSON");
        let msgpack = Payload::from_msgpack(payload.encoded(Encoding::Msgpack).expect("converts"));
        assert_eq!(
            msgpack.parse::<Option<std::net::IpAddr>>().expect("parses"),
            Some(address)
        );
    }

    #[test]
    fn the_same_encoding_shares_the_bytes() {
        let payload = Payload::from_json(r#"{"a": 1}"#.to_owned());
        let encoded = payload.encoded(Encoding::Json).expect("as it is");
        assert_eq!(encoded.as_ptr(), payload.bytes().as_ptr());
    }

    #[test]
    fn values_that_json_lacks_are_converted_or_rejected() {
        assert_eq!(as_json(&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]).expect("NaN"), "null");
        assert_eq!(as_json(&[0xc4, 2, 1, 255]).expect("binary"), "[1,255]");
        assert_eq!(as_json(&[0x81, 1, 2]).expect("a number as key"), r#"{"1":2}"#);
        assert!(as_json(&[0x81, 0x90, 2]).is_err(), "a list as key");
        assert_eq!(as_json(&[0xd4, 0, 7]).expect("an extension"), "[0,[7]]");
    }

    #[test]
    fn bytes_after_the_value_are_rejected() {
        assert!(Payload::from_json("1 2").parse::<Value>().is_err());
        assert!(Payload::from_msgpack(vec![1, 2]).parse::<Value>().is_err());
        assert!(as_json(&[1, 2]).is_err());
        assert!(Payload::from_json("1 2").encoded(Encoding::Msgpack).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for payload in [Payload::from_json(bytes.clone()), Payload::from_msgpack(bytes)] {
                let _ = payload.parse::<Value>();
                let _ = payload.encoded(Encoding::Json);
                let _ = payload.encoded(Encoding::Msgpack);
            }
        }
    }
}
