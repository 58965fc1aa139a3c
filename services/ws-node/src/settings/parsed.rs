//! Values inside tables of the file that are written as text, as single settings are.

use serde::{Deserialize, Deserializer, de};
use wsmesh_bootstrap::Value;

/// Reads a value from its text. A file that a secret is read from must be there.
pub(crate) fn parsed<'de, D: Deserializer<'de>, T: Value>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    T::parse(&text).map_err(de::Error::custom)
}

/// As [`parsed`], for a key that may be left out.
pub(crate) fn parsed_if_any<'de, D: Deserializer<'de>, T: Value>(deserializer: D) -> Result<Option<T>, D::Error> {
    parsed(deserializer).map(Some)
}
