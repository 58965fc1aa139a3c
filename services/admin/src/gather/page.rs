//! Pages of long lists: how many entries a page has, and the cursor that leads to the next one. Callers take a cursor from `next` of
//! an answer and send it back. What is in it is nobody's business but ours; what is not one of this list is rejected.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};

/// Longest page of a list: about a megabyte of JSON.
const MAX_LIMIT: usize = 10_000;
/// Length of a page if the request does not say.
const DEFAULT_LIMIT: usize = 1_000;

/// Which part of a long list to return: the query parameters of a list that has no others. `T` is what its entries are sorted by.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page<T: DeserializeOwned> {
    #[serde(default)]
    limit: Limit,
    #[serde(bound = "T: DeserializeOwned")]
    cursor: Option<Cursor<T>>,
}

/// Most entries of a page: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) usize);

/// The last entry of a page, as text that only admins read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor<T>(pub(crate) T);

impl<T: DeserializeOwned> Page<T> {
    /// The page of so many entries after this one.
    #[cfg(test)]
    pub(crate) fn new(limit: usize, cursor: Option<Cursor<T>>) -> Self {
        Self {
            limit: Limit(limit),
            cursor,
        }
    }

    /// Most entries.
    pub(crate) fn limit(&self) -> usize {
        self.limit.0
    }

    /// Only entries after this one.
    pub(crate) fn after(&self) -> Option<&T> {
        self.cursor.as_ref().map(|Cursor(entry)| entry)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom(format!("write a whole number from 1 to {MAX_LIMIT}"));
        // A query has only strings; a number that is too large is as wrong as a word.
        let text = String::deserialize(deserializer)?;
        let limit = text.parse().map_err(|_| wrong())?;
        (1..=MAX_LIMIT)
            .contains(&limit)
            .then_some(Self(limit))
            .ok_or_else(wrong)
    }
}

impl<T: Serialize> Serialize for Cursor<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = serde_json::to_vec(&self.0).map_err(ser::Error::custom)?;
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(entry))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Cursor<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let entry = URL_SAFE_NO_PAD.decode(&text).ok();
        let entry = entry.and_then(|entry| serde_json::from_slice(&entry).ok());
        let wrong =
            "not a cursor of this list: send what `next` of the page before says, or leave it out for the first page";
        entry.map(Self).ok_or_else(|| D::Error::custom(wrong))
    }
}

impl<T: DeserializeOwned> IntoParams for Page<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name, description, schema: ObjectBuilder| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(utoipa::openapi::Required::False)
                .description(Some(description))
                .schema(Some(schema))
                .build()
        };
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(MAX_LIMIT))
            .default(Some(DEFAULT_LIMIT.into()));
        let cursor = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("cursor".to_owned())));
        vec![
            parameter("limit", "Most entries of a page.", limit),
            parameter("cursor", "The `next` of the page before.", cursor),
        ]
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::{ClientId, Room};

    use super::*;

    fn text<T: Serialize>(entry: T) -> String {
        let json = serde_json::to_value(Cursor(entry)).expect("JSON");
        json.as_str().expect("a string").to_owned()
    }

    fn read<T: DeserializeOwned>(text: &str) -> Result<Cursor<T>, String> {
        serde_json::from_value(text.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cursor_leads_back_to_its_entry_and_needs_no_escaping_in_a_url() {
        let room = Room::new("chat", "x/y z?ä").expect("a room");
        let cursor = text(&room);
        assert!(
            cursor
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
            "{cursor}"
        );
        assert_eq!(read(&cursor), Ok(Cursor(room)));
    }

    #[test]
    fn what_is_not_a_cursor_of_this_list_is_rejected() {
        let of_another_list = text(ClientId::new("ann").expect("an id"));
        let name_too_long = text(("chat", "x".repeat(300)));
        for wrong in ["", "ann", "====", "bnVsbA", &of_another_list, &name_too_long] {
            let why = read::<Room>(wrong).expect_err(wrong);
            assert!(why.contains("not a cursor of this list"), "{wrong}: {why}");
        }
    }

    #[test]
    fn a_page_has_one_to_ten_thousand_entries() {
        for (json, limit) in [("{}", 1_000), (r#"{"limit":"1"}"#, 1), (r#"{"limit":"10000"}"#, 10_000)] {
            let page: Page<ClientId> = serde_json::from_str(json).expect(json);
            assert_eq!((page.limit(), page.after()), (limit, None));
        }
        for wrong in ["0", "10001", "-1", "1.5", "", "many", "99999999999999999999999"] {
            let json = format!(r#"{{"limit":"{wrong}"}}"#);
            let why = serde_json::from_str::<Page<ClientId>>(&json).expect_err(wrong);
            assert!(why.to_string().contains("1 to 10000"), "{why}");
        }
    }
}
