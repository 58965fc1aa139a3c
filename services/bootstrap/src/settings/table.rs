//! Settings with structure: tables of the file. They have no flag and no variable.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;

use super::{Field, Raw, Shape, Shown};

/// One `[key]` table of the file, read by serde; unknown keys inside are problems. Its default is that of `T`.
/// `--print-config` shows it unchanged except for URLs, so it must not hold other secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table<T>(pub T);

/// Any number of `[[key]]` tables of the file, each read by serde; unknown keys inside are problems.
/// `--print-config` shows them unchanged except for URLs, so they must not hold other secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables<T>(pub Vec<T>);

impl<T> Default for Tables<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Table<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for Tables<T> {
    type Target = Vec<T>;
    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T> DerefMut for Tables<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<T> From<Vec<T>> for Tables<T> {
    fn from(tables: Vec<T>) -> Self {
        Self(tables)
    }
}

impl<T: DeserializeOwned> Field for Table<T> {
    const SHAPE: Shape = Shape::Table;
    const HINT: &'static str = "[table]";

    fn read(raw: &Raw) -> Result<Self, Vec<String>> {
        match raw {
            Raw::Toml(table @ toml::Value::Table(_)) => strict(table, "").map(Self),
            _ => Err(vec!["write it as a [table] of the file".to_owned()]),
        }
    }

    fn show(&self) -> Shown {
        Shown::AsGiven
    }
}

impl<T: DeserializeOwned> Field for Tables<T> {
    const SHAPE: Shape = Shape::Table;
    const HINT: &'static str = "[[tables]]";

    fn read(raw: &Raw) -> Result<Self, Vec<String>> {
        let Raw::Toml(toml::Value::Array(tables)) = raw else {
            return Err(vec![
                "write it as tables of the file, each below a line with its name in double brackets, as in [[NAME]]"
                    .to_owned(),
            ]);
        };
        let (mut values, mut problems) = (Vec::new(), Vec::new());
        for (index, table) in tables.iter().enumerate() {
            match strict(table, &format!("number {}: ", index + 1)) {
                Ok(value) => values.push(value),
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() {
            Ok(Self(values))
        } else {
            Err(problems)
        }
    }

    fn show(&self) -> Shown {
        Shown::AsGiven
    }
}

/// Reads a table, or lists all its problems. Serde stops at the first error. So the wrong entry is removed, or replaced by a
/// value of its type if it is required, and the rest is read again.
fn strict<T: DeserializeOwned>(table: &toml::Value, place: &str) -> Result<T, Vec<String>> {
    let mut entries: Vec<(String, toml::Value)> = match table {
        toml::Value::Table(table) => table.clone().into_iter().collect(),
        _ => return Err(vec![format!("{place}write it as a table of keys and values")]),
    };
    let mut problems = Vec::new();
    let mut taken_out = BTreeSet::new();
    loop {
        let attempt = Attempt::<T>::make(&entries);
        for path in attempt.unknown {
            let problem = format!("{place}unknown key {path}: remove it or correct its spelling");
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        let error = match attempt.read {
            Ok(value) if problems.is_empty() => return Ok(value),
            Ok(_) => return Err(problems),
            Err(error) => error.to_string().trim_end().replace('\n', " "),
        };
        // There may be no entry left, if `T` is not read from a table.
        if let Some(at) = attempt.stopped_at.filter(|at| *at < entries.len()) {
            let (key, _) = entries.remove(at);
            let named = if error.contains(&format!("`{key}`")) {
                error
            } else {
                format!("{key}: {error}")
            };
            problems.push(format!("{place}{named}"));
            taken_out.insert(key);
            continue;
        }
        // All entries are valid, so one is missing, or they do not fit together.
        let missing = error
            .strip_prefix("missing field `")
            .and_then(|rest| rest.split('`').next())
            .map(str::to_owned);
        if !missing.as_ref().is_some_and(|key| taken_out.contains(key)) {
            problems.push(format!("{place}{error}"));
        }
        let stand_in = missing.filter(|key| entries.iter().all(|(other, _)| other != key));
        match stand_in.and_then(|key| with_stand_in::<T>(&entries, &key)) {
            Some(more) => entries = more,
            None => return Err(problems),
        }
    }
}

/// One attempt to read a table.
struct Attempt<T> {
    read: Result<T, toml::de::Error>,
    /// The entry at which reading stopped, if it did not reach the end.
    stopped_at: Option<usize>,
    /// Unknown keys, in tables whose type does not reject them itself.
    unknown: Vec<String>,
}

impl<T: DeserializeOwned> Attempt<T> {
    fn make(entries: &[(String, toml::Value)]) -> Self {
        let (begun, mut unknown) = (Cell::new(0_usize), Vec::new());
        let counted = entries.iter().cloned().inspect(|_| begun.set(begun.get() + 1));
        let ended = Cell::new(false);
        let counted = counted.map(Some).chain(std::iter::once_with(|| {
            ended.set(true);
            None
        }));
        let read = serde_ignored::deserialize(MapDeserializer::new(counted.flatten()), |path| {
            unknown.push(path.to_string());
        });
        Self {
            read,
            stopped_at: (!ended.get()).then(|| begun.get().saturating_sub(1)),
            unknown,
        }
    }
}

/// The entries plus one with this key, with a value of the expected type. None if no simple value fits.
fn with_stand_in<T: DeserializeOwned>(
    entries: &[(String, toml::Value)],
    key: &str,
) -> Option<Vec<(String, toml::Value)>> {
    let values = [
        toml::Value::String("x".to_owned()),
        toml::Value::Integer(1),
        toml::Value::Boolean(true),
        toml::Value::Float(1.0),
        toml::Value::Array(Vec::new()),
        toml::Value::Table(toml::Table::new()),
    ];
    let with = |value| {
        let more = entries.iter().cloned().chain([(key.to_owned(), value)]);
        more.collect::<Vec<_>>()
    };
    values
        .into_iter()
        .map(with)
        .find(|more| Attempt::<T>::make(more).stopped_at.is_none())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        event: String,
        service: Name,
        #[serde(default)]
        pick: Pick,
        timeout_ms: Option<u64>,
        weight: u8,
    }

    /// Not empty.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(try_from = "String")]
    struct Name(String);

    impl TryFrom<String> for Name {
        type Error = &'static str;
        fn try_from(name: String) -> Result<Self, Self::Error> {
            if name.is_empty() {
                return Err("a name has a character");
            }
            Ok(Self(name))
        }
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Pick {
        #[default]
        LeastBusy,
        Client,
    }

    fn rule(text: &str) -> Result<Rule, Vec<String>> {
        strict(&toml::Value::Table(text.parse().expect("TOML")), "number 1: ")
    }

    #[test]
    fn a_table_without_problems_is_read() {
        let read = rule("event = \"a\"\nservice = \"s\"\npick = \"client\"\nweight = 3").expect("good");
        assert_eq!((read.event.as_str(), read.pick, read.weight), ("a", Pick::Client, 3));
    }

    #[test]
    fn every_problem_of_a_table_is_reported_with_its_key() {
        let wrong = "event = 7\nservice = \"\"\npick = \"random\"\ntimeout_ms = \"3s\"\nretries = 3\ncolour = 1";
        let problems = rule(wrong).expect_err("much is wrong");
        assert_eq!(problems.len(), 7, "{problems:#?}");
        for key in ["event", "service", "pick", "timeout_ms", "retries", "colour", "weight"] {
            let about = problems.iter().filter(|problem| problem.contains(key));
            assert!(about.count() >= 1, "{key} is missing: {problems:#?}");
        }
        assert!(problems.iter().all(|problem| problem.starts_with("number 1: ")));
    }

    #[test]
    fn a_type_that_is_not_read_from_a_table_is_a_problem_and_not_a_panic() {
        for text in ["", "a = 1"] {
            let table = toml::Value::Table(text.parse().expect("TOML"));
            assert!(strict::<String>(&table, "").is_err(), "{text}");
        }
    }

    #[test]
    fn every_missing_key_is_reported() {
        let problems = rule("").expect_err("much is missing");
        assert_eq!(
            problems,
            ["event", "service", "weight"].map(|key| format!("number 1: missing field `{key}`"))
        );
    }
}
