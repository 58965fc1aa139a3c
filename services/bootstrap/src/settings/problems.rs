//! All problems of a configuration, in one list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Setting;

/// The layer that a setting's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// The file.
    File(PathBuf),
    /// None of them: the default applies.
    Default,
}

impl Source {
    /// Its name for people: the flag, the variable, or the key and the file.
    pub(crate) fn place(&self, setting: &Setting) -> String {
        match self {
            Self::Flag => format!("--{}", setting.flag()),
            Self::Environment => setting.variable(),
            Self::File(path) => format!("{} in {}", setting.key, path.display()),
            Self::Default => format!("--{} (not set)", setting.flag()),
        }
    }
}

/// Collects problems. A service adds its own in [`Service::config`](crate::Service::config).
#[derive(Debug, Default)]
pub struct Problems {
    lines: Vec<String>,
    places: BTreeMap<&'static str, String>,
    unreadable: BTreeSet<&'static str>,
}

impl Problems {
    /// A problem of one setting, named by its key (`token_file`). The text says what to write; the place that the value comes
    /// from is put before it. Dropped if the setting could not be read, as the caller saw only its default then.
    pub fn about(&mut self, key: &str, text: impl AsRef<str>) {
        if self.unreadable.contains(key) {
            return;
        }
        let place = self.places.get(key).map_or(key, String::as_str);
        self.lines.push(format!("{place}: {}", text.as_ref()));
    }

    /// A problem that belongs to no single setting.
    pub fn other(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    /// The problems found so far, one line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }

    /// Notes the place that a setting's value comes from.
    pub(crate) fn found(&mut self, setting: &Setting, source: &Source) {
        self.places.insert(setting.key, source.place(setting));
    }

    /// A setting's value could not be read.
    pub(crate) fn unreadable(&mut self, key: &'static str, texts: Vec<String>) {
        for text in texts {
            self.about(key, text);
        }
        self.unreadable.insert(key);
    }
}
