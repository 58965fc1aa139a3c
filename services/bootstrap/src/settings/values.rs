//! The layers of a configuration. A setting is taken from the highest layer that has it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::problems::{Problems, Source};
use super::{Field, Raw, Setting, Shown};

/// Environment variables, by name.
pub(crate) type Environment = BTreeMap<String, String>;

/// The given values, layer by layer. [`Settings::take`](crate::Settings::take) reads them.
#[derive(Debug, Default)]
pub struct Values {
    pub(crate) declared: Vec<Setting>,
    pub(crate) flags: BTreeMap<&'static str, Vec<String>>,
    pub(crate) environment: Environment,
    pub(crate) file: Option<(PathBuf, toml::Table)>,
    pub(crate) defaults: BTreeMap<&'static str, String>,
    pub(crate) problems: Problems,
    pub(crate) taken: Vec<Taken>,
}

/// An effective setting, for `--print-config`.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) setting: Setting,
    pub(crate) raw: Option<Raw>,
    pub(crate) shown: Shown,
    pub(crate) source: Source,
}

impl Values {
    /// Takes one setting: flag > environment > file > default. A value that cannot be read becomes a problem, and `default` is
    /// returned instead.
    pub fn take<T: Field>(&mut self, key: &'static str, default: T) -> T {
        let Some(setting) = self.declared.iter().find(|setting| setting.key == key).cloned() else {
            self.problems
                .other(format!("{key} is taken but not declared: a bug in the program"));
            return default;
        };
        let (source, raw) = self.given(&setting);
        self.problems.found(&setting, &source);
        let value = match raw.as_ref().map(T::read) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(texts)) => {
                self.problems.unreadable(setting.key, texts);
                default
            }
        };
        let shown = value.show();
        self.taken.push(Taken {
            setting,
            raw,
            shown,
            source,
        });
        value
    }

    fn given(&self, setting: &Setting) -> (Source, Option<Raw>) {
        if let Some(texts) = self.flags.get(setting.key) {
            return (Source::Flag, Some(Raw::Text(texts.clone())));
        }
        // Compose files and charts set a variable to the empty text to say "not set".
        if let Some(text) = self
            .environment
            .get(&setting.variable())
            .filter(|text| !text.is_empty())
        {
            return (Source::Environment, Some(Raw::Text(vec![text.clone()])));
        }
        if let Some((path, table)) = &self.file
            && let Some(value) = table.get(setting.key)
        {
            return (Source::File(path.clone()), Some(Raw::Toml(value.clone())));
        }
        let default = self.defaults.get(setting.key);
        (Source::Default, default.map(|text| Raw::Text(vec![text.clone()])))
    }
}
