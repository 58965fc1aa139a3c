//! `--print-config`: the effective configuration, in the format of the configuration file. Without secrets.

use std::fmt::Write as _;

use crate::settings::{HttpUrl, Raw, Shown, Source, Taken, Values};

impl Values {
    /// TOML with the source of each value as a comment. A setting that is not set, or secret, is only a comment.
    pub(super) fn show(&self, title: &str) -> String {
        let mut text = format!("# {title}\n");
        let (mut lines, mut tables) = (String::new(), String::new());
        for taken in &self.taken {
            match (&taken.shown, &taken.raw) {
                (Shown::AsGiven, Some(Raw::Toml(value))) => table(&mut tables, taken, value),
                _ => line(&mut lines, taken),
            }
        }
        text.push_str(&lines);
        text.push_str(&tables);
        text
    }
}

fn line(out: &mut String, taken: &Taken) {
    let key = taken.setting.key;
    let source = match &taken.source {
        Source::Default => "default".to_owned(),
        given => given.place(&taken.setting),
    };
    // Writing to a String cannot fail.
    let _ = match (&taken.shown, &taken.source) {
        (Shown::Plain(value), _) => writeln!(out, "{key} = {value}  # {source}"),
        (Shown::Hidden, _) => writeln!(out, "# {key} is set and not shown  # {source}"),
        (Shown::Unset | Shown::AsGiven, Source::Default) => writeln!(out, "# {key} is not set"),
        (Shown::Unset | Shown::AsGiven, _) => writeln!(out, "{key} = \"none\"  # {source}"),
    };
}

fn table(out: &mut String, taken: &Taken, value: &toml::Value) {
    let key = taken.setting.key.to_owned();
    let whole = toml::Table::from_iter([(key, without_secrets(value.clone()))]);
    let _ = write!(out, "\n# {}\n{whole}", taken.source.place(&taken.setting));
}

/// With URLs of web servers as [`HttpUrl`] shows them: user, password and query may be secret. Other secrets are in files.
fn without_secrets(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::String(text) => match text.parse::<HttpUrl>() {
            Ok(url) if url.authorization().is_some() || url.as_url().query().is_some() => url.to_string().into(),
            _ => text.into(),
        },
        toml::Value::Array(values) => toml::Value::Array(values.into_iter().map(without_secrets).collect()),
        toml::Value::Table(table) => {
            let shown = table.into_iter().map(|(key, value)| (key, without_secrets(value)));
            toml::Value::Table(shown.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_tables_are_shown_without_what_may_be_secret() {
        let text = r#"
            [[rules]]
            event = "a"
            url = "https://me:cret@host:1/p?key=cret"
            [[rules]]
            event = "what is http://a?b"
            url = "http://host/p"
        "#;
        let given: toml::Table = text.parse().expect("TOML");
        let shown = without_secrets(given.clone().into());
        assert!(!shown.to_string().contains("cret"), "{shown}");
        assert_eq!(shown["rules"][0]["url"].as_str(), Some("https://host:1/p?…"));
        assert_eq!(shown["rules"][1], given["rules"][1]);
    }
}
