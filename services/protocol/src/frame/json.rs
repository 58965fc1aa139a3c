//! Values that are JSON already and are copied into a frame unchanged.

use serde_json::value::RawValue;

/// Something that already is exactly one JSON value.
pub trait Json {
    /// The value's text.
    fn json(&self) -> &str;
}

impl Json for RawValue {
    fn json(&self) -> &str {
        self.get()
    }
}

impl Json for str {
    fn json(&self) -> &str {
        self
    }
}

impl Json for String {
    fn json(&self) -> &str {
        self
    }
}

impl Json for bytes::Bytes {
    /// Bytes that are not UTF-8 are not JSON: `null` is written instead.
    fn json(&self) -> &str {
        std::str::from_utf8(self).unwrap_or("null")
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn json(&self) -> &str {
        (**self).json()
    }
}

impl<T: Json + ?Sized> Json for Box<T> {
    fn json(&self) -> &str {
        (**self).json()
    }
}
