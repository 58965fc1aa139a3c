//! Reading the JSON that callers send. An object must be an object: a list of its values would be read as one otherwise, and break
//! when a field is added. What is wrong is said in words of JSON, not in those of this program.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Unexpected, Visitor};

/// A value that is written as a JSON object, and not as a list of its fields.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// As [`Object`], for a field or a variant (`deserialize_with`).
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// As [`object`], for one that may be null.
pub(crate) fn object_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|Object(value)| value))
}

/// For a field that may be null or left out: a whole number, also written as `7.0`, which is the same in JSON.
pub(crate) fn whole_or_null<'de, T: TryFrom<u64>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|Whole(number)| number))
}

/// As [`whole_or_null`], for a field that there must be.
pub(crate) fn whole_number<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// The whole number that this is, if it is one and is counted exactly.
pub(crate) fn whole(number: f64) -> Option<u64> {
    /// 2 to the power of 53: above it, not every whole number can be written as a floating-point number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

struct Whole<T>(T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<T>(PhantomData<T>);
        impl<T: TryFrom<u64>> Visitor<'_> for Number<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::any::type_name::<T>())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
                T::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
                Err(E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
                match whole(number) {
                    Some(number) => self.visit_u64(number),
                    None => Err(E::invalid_type(Unexpected::Float(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(Number(PhantomData)).map(Self)
    }
}

/// What a parser says, in words of JSON. Only its own words are changed: those at the ends of the text, never what a caller sent.
pub(crate) fn in_words(text: &str) -> String {
    let (found, expected) = match text.rsplit_once(", expected ") {
        Some((found, expected)) => (found, Some(expected)),
        None => (text, None),
    };
    let found = in_own_words(found);
    let Some(expected) = expected else {
        return found;
    };
    let (expected, place) = match expected.find(" at line ") {
        Some(place) => expected.split_at(place),
        None => (expected, ""),
    };
    let expected = match expected {
        "u32" | "u64" | "usize" => "a whole number from 0",
        "u16" => "a whole number from 0 to 65535",
        "a sequence" => "an array",
        "unit" | "unit variant" => "a string",
        "a JSON object" | "a map" | "newtype variant" => return format!("{found}: send a JSON object{place}"),
        other if other.starts_with("struct ") => return format!("{found}: send a JSON object{place}"),
        other => other,
    };
    format!("{found}, expected {expected}{place}")
}

/// What was found instead.
fn in_own_words(found: &str) -> String {
    let kinds = [
        ("sequence", "array"),
        ("map", "object"),
        ("unit variant", "a name alone"),
        ("newtype variant", "object"),
    ];
    let replaced = kinds.iter().find_map(|(theirs, ours)| {
        let before = found.strip_suffix(theirs)?.strip_suffix("invalid type: ")?;
        Some(format!("{before}invalid type: {ours}"))
    });
    replaced.unwrap_or_else(|| found.to_owned())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        #[serde(default, deserialize_with = "whole_or_null")]
        count: Option<u64>,
        #[serde(default, deserialize_with = "whole_or_null")]
        code: Option<u16>,
        #[serde(default)]
        list: Vec<String>,
        #[serde(default, deserialize_with = "whole_number")]
        size: u32,
        value: Option<Box<RawValue>>,
        #[serde(default, deserialize_with = "object_or_null")]
        inner: Option<Box<Sample>>,
    }

    fn read(json: &str) -> Result<Sample, String> {
        let read = serde_json::from_str::<Object<Sample>>(json);
        read.map(|Object(sample)| sample)
            .map_err(|error| in_words(&error.to_string()))
    }

    #[test]
    fn an_object_is_read_with_its_raw_values_as_they_are_written() {
        let sample = read(r#"{"name":"a","value":{"big":12345678901234567890},"inner":{"name":"b"}}"#).expect("read");
        assert_eq!(sample.value.expect("a value").get(), r#"{"big":12345678901234567890}"#);
        assert_eq!(sample.inner.expect("an inner one").name, "b");
        assert_eq!((sample.count, sample.code, sample.list.len()), (None, None, 0));
        assert!(read(r#"{"name":"a","inner":null}"#).is_ok());
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        for (json, count) in [
            ("7", 7),
            ("7.0", 7),
            ("0.0", 0),
            ("1e3", 1_000),
            ("9007199254740992.0", 1 << 53),
        ] {
            let sample = read(&format!(r#"{{"name":"a","count":{json}}}"#)).expect(json);
            assert_eq!(sample.count, Some(count), "{json}");
        }
        assert_eq!(read(r#"{"name":"a","size":3.0}"#).expect("a size").size, 3);
        let text = read(r#"{"name":"a","size":3.5}"#).expect_err("no size");
        assert!(text.contains("expected a whole number from 0"), "{text}");
        for json in ["7.5", "-1.0", "1e300", "65536.0"] {
            let text = read(&format!(r#"{{"name":"a","code":{json}}}"#)).expect_err(json);
            assert!(
                text.contains("expected a whole number from 0 to 65535"),
                "{json}: {text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_words_of_this_program() {
        for (json, said) in [
            (r#"["a"]"#, "invalid type: array: send a JSON object"),
            (r#""a""#, "invalid type: string \"a\": send a JSON object"),
            ("null", "invalid type: null: send a JSON object"),
            (
                r#"{"name":"a","inner":["b"]}"#,
                "invalid type: array: send a JSON object",
            ),
            (r#"{"name":{}}"#, "invalid type: object, expected a string"),
            (
                r#"{"name":"a","count":"1"}"#,
                "invalid type: string \"1\", expected a whole number from 0",
            ),
            (
                r#"{"name":"a","count":-1}"#,
                "invalid value: integer `-1`, expected a whole number from 0",
            ),
            (
                r#"{"name":"a","code":70000}"#,
                "invalid value: integer `70000`, expected a whole number from 0 to 65535",
            ),
            (r#"{"name":"a","list":{}}"#, "invalid type: object, expected an array"),
            (r#"{"nam":"a"}"#, "unknown field `nam`"),
            ("{}", "missing field `name`"),
            ("{", "EOF"),
        ] {
            let text = read(json).expect_err(json);
            assert!(text.starts_with(said), "{json}: {text}");
            for theirs in ["u64", "u16", "struct", "sequence", "variant"] {
                assert!(!text.contains(theirs), "{text}");
            }
        }
    }

    #[test]
    fn what_a_caller_sent_is_repeated_as_it_was() {
        let text = read(r#"{"name":"a","count":"x, expected u64"}"#).expect_err("no number");
        assert!(
            text.starts_with("invalid type: string \"x, expected u64\", expected a whole number"),
            "{text}"
        );
    }
}
