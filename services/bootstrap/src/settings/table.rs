//! Settings with structure: tables of the file. They have no flag and no variable.

use std::ops::Deref;

use serde::de::DeserializeOwned;

use super::{Field, Raw, Shape, Shown};

/// One `[key]` table of the file, read by serde; unknown keys inside are problems. Its default is that of `T`.
/// It is shown by `--print-config` as it stands, so it is no place for secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table<T>(pub T);

/// Any number of `[[key]]` tables of the file, each read by serde; unknown keys inside are problems.
/// They are shown by `--print-config` as they stand, so they are no place for secrets.
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
            return Err(vec!["write it as [[tables]] of the file".to_owned()]);
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

fn strict<T: DeserializeOwned>(table: &toml::Value, place: &str) -> Result<T, Vec<String>> {
    let mut problems = Vec::new();
    let value = serde_ignored::deserialize(table.clone(), |path| {
        problems.push(format!("{place}unknown key {path}: remove it or correct its spelling"));
    });
    match value {
        Ok(value) if problems.is_empty() => return Ok(value),
        Ok(_) => {}
        Err(error) => problems.push(format!("{place}{}", error.to_string().trim_end().replace('\n', " "))),
    }
    Err(problems)
}
