//! How a setting is read: as one value, none, several, or a table of the file.

use super::Value;

/// A setting's value before it is read.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    /// From flags, the environment or a default of the service: one text per flag.
    Text(Vec<String>),
    /// From the file.
    Toml(toml::Value),
}

/// How many values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One.
    One,
    /// Any number: a repeated flag, separated by commas, or a list in the file.
    Many,
    /// A table, or an array of tables, of the file.
    Table,
}

/// A setting's value for people.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// Nothing is set.
    Unset,
    /// A value that may be shown.
    Plain(toml::Value),
    /// A secret.
    Hidden,
    /// A table, shown exactly as in the file.
    AsGiven,
}

/// The type of a setting: a [`Value`], `Option` or `Vec` of one, [`Table`](super::Table) or [`Tables`](super::Tables).
pub trait Field: Sized {
    /// How many values it takes.
    const SHAPE: Shape;
    /// What a value looks like in help.
    const HINT: &'static str;
    /// Whether `--flag` alone means `true`.
    const SWITCH: bool = false;

    /// Reads the given value.
    ///
    /// # Errors
    /// Every problem, each a sentence that says what to write.
    fn read(raw: &Raw) -> Result<Self, Vec<String>>;

    /// The value for people.
    fn show(&self) -> Shown;
}

impl<T: Value> Field for T {
    const SHAPE: Shape = Shape::One;
    const HINT: &'static str = T::HINT;
    const SWITCH: bool = T::SWITCH;

    fn read(raw: &Raw) -> Result<Self, Vec<String>> {
        let text = match raw {
            Raw::Text(texts) => texts.last().cloned().unwrap_or_default(),
            Raw::Toml(value) => scalar(value).ok_or_else(|| vec![format!("write one value ({})", T::HINT)])?,
        };
        T::parse(&text).map_err(|problem| vec![problem])
    }

    fn show(&self) -> Shown {
        T::show(self).map_or(Shown::Hidden, Shown::Plain)
    }
}

/// `none` unsets it where there is a default.
impl<T: Value> Field for Option<T> {
    const SHAPE: Shape = Shape::One;
    const HINT: &'static str = T::HINT;
    const SWITCH: bool = T::SWITCH;

    fn read(raw: &Raw) -> Result<Self, Vec<String>> {
        let none = match raw {
            Raw::Text(texts) => texts.last().is_none_or(|text| text == NONE),
            Raw::Toml(value) => value.as_str() == Some(NONE),
        };
        if none {
            Ok(None)
        } else {
            <T as Field>::read(raw).map(Some)
        }
    }

    fn show(&self) -> Shown {
        self.as_ref().map_or(Shown::Unset, Field::show)
    }
}

const NONE: &str = "none";

impl<T: Value> Field for Vec<T> {
    const SHAPE: Shape = Shape::Many;
    const HINT: &'static str = T::HINT;

    fn read(raw: &Raw) -> Result<Self, Vec<String>> {
        let texts = match raw {
            Raw::Text(texts) => split(texts.iter().map(String::as_str)),
            Raw::Toml(toml::Value::Array(values)) => values
                .iter()
                .map(scalar)
                .collect::<Option<_>>()
                .ok_or_else(|| vec![format!("write a list of single values ({})", T::HINT)])?,
            Raw::Toml(value) => {
                let text = scalar(value).ok_or_else(|| vec![format!("write a list of values ({})", T::HINT)])?;
                split([text.as_str()])
            }
        };
        let (mut values, mut problems) = (Vec::new(), Vec::new());
        for text in texts {
            match T::parse(&text) {
                Ok(value) => values.push(value),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(values) } else { Err(problems) }
    }

    fn show(&self) -> Shown {
        let shown: Option<Vec<_>> = self.iter().map(Value::show).collect();
        shown.map_or(Shown::Hidden, |values| Shown::Plain(toml::Value::Array(values)))
    }
}

fn split<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    texts
        .into_iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Array(_) | toml::Value::Table(_) => None,
        other => Some(other.to_string()),
    }
}
