//! `--print-config`: the effective configuration, in the format of the configuration file. Without secrets.

use std::fmt::Write as _;

use crate::settings::{Raw, Shown, Source, Taken, Values};

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
    let whole = toml::Table::from_iter([(key, value.clone())]);
    let _ = write!(out, "\n# {}\n{whole}", taken.source.place(&taken.setting));
}
