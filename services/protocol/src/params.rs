//! Connect parameters: the path and query of the URL that a client connects to.

use std::collections::BTreeMap;

use serde::Serialize;

/// How the URL is read. The defaults are those of the JavaScript package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamOptions {
    /// Whether keys are lower-cased. Default: no.
    pub lower_case_keys: bool,
    /// Whether the slash at the beginning of the path is removed. Default: yes.
    pub trim_leading_slash: bool,
}

impl Default for ParamOptions {
    fn default() -> Self {
        Self {
            lower_case_keys: false,
            trim_leading_slash: true,
        }
    }
}

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Param {
    /// Given once.
    One(String),
    /// Given more than once, in order.
    Many(Vec<String>),
}

/// The parameters in a client's URL. Only path and query are read; nothing else of the request matters.
///
/// ```
/// use wsmesh_protocol::{Param, ParamOptions, Params};
///
/// let params = Params::parse("/chat", "id=888&name=sam+%26+co&tag=a&tag=b", ParamOptions::default());
/// assert_eq!(params.path, "chat");
/// assert_eq!(params.one("name"), Some("sam & co"));
/// assert_eq!(params.values["tag"], Param::Many(vec!["a".into(), "b".into()]));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Params {
    /// The path.
    pub path: String,
    /// The query's keys and values, decoded.
    pub values: BTreeMap<String, Param>,
}

impl Params {
    /// Reads path and query (without the question mark). Any text can be read; broken escapes stay as they are.
    pub fn parse(path: &str, query: &str, options: ParamOptions) -> Self {
        let path = if options.trim_leading_slash {
            path.strip_prefix('/').unwrap_or(path)
        } else {
            path
        };
        let mut values = BTreeMap::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let key = if options.lower_case_keys {
                key.to_lowercase()
            } else {
                key.into_owned()
            };
            let value = value.into_owned();
            let both = match values.remove(&key) {
                None => Param::One(value),
                Some(Param::One(first)) => Param::Many(vec![first, value]),
                Some(Param::Many(mut list)) => {
                    list.push(value);
                    Param::Many(list)
                }
            };
            values.insert(key, both);
        }
        Self {
            path: path.to_owned(),
            values,
        }
    }

    /// The value of a key; the first one if the key was given more than once.
    pub fn one(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Param::One(value) => Some(value),
            Param::Many(values) => values.first().map(String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lower_cased_and_the_slash_is_kept_only_if_the_options_say_so() {
        let options = ParamOptions {
            lower_case_keys: true,
            trim_leading_slash: false,
        };
        let params = Params::parse("/Chat", "ID=1&id=2", options);
        assert_eq!(params.path, "/Chat");
        assert_eq!(params.values["id"], Param::Many(vec!["1".into(), "2".into()]));
        let params = Params::parse("/Chat", "ID=1", ParamOptions::default());
        assert_eq!(
            (params.path.as_str(), params.one("id"), params.one("ID")),
            ("Chat", None, Some("1"))
        );
    }

    #[test]
    fn any_query_can_be_read() {
        let params = Params::parse("", "&&=&a&b=%zz&c=%ff", ParamOptions::default());
        assert_eq!(params.one("a"), Some(""));
        assert_eq!(params.one("b"), Some("%zz"));
    }
}
