//! Declaring settings: one declaration per setting gives its flag, environment variable, file key, default, check and
//! documentation.
//!
//! `max_clients: usize = 10` is `--max-clients`, `WSMESH_MAX_CLIENTS` and `max_clients` in the file. How a value is
//! written is decided by its type: see [`Value`] (one value) and [`Field`] (also optional, several, or a table of the file);
//! which values are allowed, by its [`Check`].

mod check;
mod choice;
mod declare;
mod field;
mod http_url;
mod mesh;
mod problems;
mod redis_service;
mod scalars;
mod secret;
mod table;
mod value;
mod values;

pub use check::{
    Bounded, Bounds, Check, Each, LONGEST_DURATION, MaxBytes, SHORTEST_LIMIT, Text, Verdict, at_least, at_most, each,
    max_bytes, text, within,
};
pub use choice::not_a_choice;
pub use field::{Field, Raw, Shape, Shown};
pub use http_url::HttpUrl;
pub use problems::Problems;
pub(crate) use problems::Source;
pub use redis_service::RedisService;
pub(crate) use redis_service::is_label;
pub use secret::{Secret, SecretFile};
pub use table::{Table, Tables};
pub use value::Value;
pub use values::Values;
pub(crate) use values::{Environment, Taken};

/// One declared setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its key in the file: `max_clients`.
    pub key: &'static str,
    /// Its documentation, in sentences.
    pub doc: &'static str,
    /// The form of a value in help: `ADDR`.
    pub hint: &'static str,
    /// One value, several, or a table of the file.
    pub shape: Shape,
    /// Whether it can be given without a value, as `--key`.
    pub switch: bool,
    /// The default, for people.
    pub default: Shown,
    /// Which values are allowed, where the type allows more: `1 to 1024`. Else empty.
    pub allowed: String,
    /// The heading of the group that it was declared in. Empty for settings of the service's own struct.
    pub group: &'static str,
}

impl Setting {
    /// A setting of type `T`.
    pub fn new<T: Field>(key: &'static str, doc: &'static str, default: &T) -> Self {
        Self {
            key,
            doc,
            hint: T::HINT,
            shape: T::SHAPE,
            switch: T::SWITCH,
            default: default.show(),
            allowed: String::new(),
            group: "",
        }
    }

    /// With the values that its check allows.
    #[must_use]
    pub fn checked<T: Field>(self, check: &impl Check<T>) -> Self {
        Self {
            allowed: check.allowed(),
            ..self
        }
    }

    /// In the group with this heading, unless it is in an inner one.
    #[must_use]
    pub fn grouped(mut self, heading: &'static str) -> Self {
        if self.group.is_empty() {
            self.group = heading;
        }
        self
    }

    /// The flag, without dashes: `max-clients`.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The environment variable: `WSMESH_MAX_CLIENTS`.
    pub fn variable(&self) -> String {
        format!("WSMESH_{}", self.key.to_uppercase())
    }

    /// The default for people. None if there is none, it is empty, or its text says it.
    pub(crate) fn default_text(&self) -> Option<String> {
        match &self.default {
            Shown::Plain(toml::Value::String(text)) if text.is_empty() => None,
            Shown::Plain(toml::Value::Array(values)) if values.is_empty() => None,
            Shown::Plain(toml::Value::String(text)) => Some(text.clone()),
            Shown::Plain(value) => Some(value.to_string()),
            Shown::Unset | Shown::Hidden | Shown::AsGiven => None,
        }
    }

    /// Its documentation on one line.
    pub(crate) fn text(&self) -> String {
        let lines = self.doc.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    }
}

/// A struct of settings, written with [`settings!`](crate::settings!).
pub trait Settings: Default {
    /// All of them, in the order of declaration.
    fn declared() -> Vec<Setting>;
    /// Takes each from the given values. A value with problems is replaced by the default, and the problems are noted.
    fn take(values: &mut Values) -> Self;
    /// Checks each setting on its own. Problems are noted by the setting's key.
    fn check(&self, problems: &mut Problems);
}

crate::settings! {
    /// For a service without settings of its own.
    pub struct NoSettings {}
}
