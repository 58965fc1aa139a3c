//! The reference of a service's settings: a table in its README, written from the declarations. A test in each service
//! compares the two, so that the reference always matches the code. `make settings-docs` writes it again.

use std::path::Path;

use crate::config::{common, declared};
use crate::service::Service;
use crate::settings::{Setting, Shape, Shown};

const BEGIN: &str = "<!-- settings: begin -->";
const END: &str = "<!-- settings: end -->";

/// If this variable is set, [`Reference::check`] writes the block instead of comparing it.
const UPDATE: &str = "UPDATE_SETTINGS_DOCS";

/// The settings that one README describes.
#[derive(Debug)]
pub struct Reference {
    settings: Vec<Setting>,
    /// Common settings with another default than usual.
    other_defaults: Vec<Setting>,
}

impl Reference {
    /// A service's own settings.
    pub fn of<S: Service>() -> Self {
        let (common, all) = (common(), declared::<S>());
        let (first, settings) = all.split_at(common.len());
        let other_defaults = first
            .iter()
            .zip(&common)
            .filter(|(here, usual)| here.default != usual.default);
        Self {
            settings: settings.to_vec(),
            other_defaults: other_defaults.map(|(here, _)| here.clone()).collect(),
        }
    }

    /// The settings that every service has.
    pub fn common() -> Self {
        Self {
            settings: common(),
            other_defaults: Vec::new(),
        }
    }

    /// For a test that pins the settings: compares each setting and its default with the lines of this text, sorted. Settings of
    /// the reference are compared, and common ones that have another default.
    ///
    /// # Errors
    /// The lines that are only in the code (`+`) or only in the text (`-`).
    pub fn check_defaults(&self, pinned: &str) -> Result<(), String> {
        let settings = self.settings.iter().chain(&self.other_defaults);
        let mut lines: Vec<_> = settings.map(default_line).collect();
        lines.sort();
        let pinned: Vec<_> = pinned.lines().collect();
        if lines == pinned {
            return Ok(());
        }
        let added = lines.iter().filter(|line| !pinned.contains(&line.as_str()));
        let removed = pinned.iter().filter(|line| !lines.iter().any(|own| own == *line));
        let added = added.map(|line| format!("+{line}"));
        let changes: Vec<_> = added.chain(removed.map(|line| format!("-{line}"))).collect();
        Err(format!("a setting or its default has changed:\n{}", changes.join("\n")))
    }

    /// Compares the block between the marks of this README with the declarations; or writes it, if `UPDATE_SETTINGS_DOCS` is set.
    ///
    /// # Errors
    /// When they differ, or when there is no such file or no mark in it. The sentence says what to do.
    pub fn check(&self, readme: impl AsRef<Path>) -> Result<(), String> {
        let readme = readme.as_ref();
        let shown = readme.display();
        let text = std::fs::read_to_string(readme).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let (before, rest) = text
            .split_once(BEGIN)
            .ok_or_else(|| format!("{shown} has no line {BEGIN}: add it where the settings belong"))?;
        let (written, after) = rest
            .split_once(END)
            .ok_or_else(|| format!("{shown} has no line {END}: add it behind {BEGIN}"))?;
        let block = format!("\n{}", self.markdown());
        if written == block {
            return Ok(());
        }
        if !is_update() {
            return Err(format!(
                "the settings in {shown} are not those in the code: run `make settings-docs`"
            ));
        }
        let updated = format!("{before}{BEGIN}{block}{END}{after}");
        std::fs::write(readme, updated).map_err(|error| format!("cannot write {shown}: {error}"))
    }

    fn markdown(&self) -> String {
        let mut text =
            "<!-- Written by `make settings-docs` from the declarations in the code: change it there. -->\n".to_owned();
        // The service's own settings come first, each group below a heading of its own.
        let mut groups: Vec<_> = self.settings.iter().map(|setting| setting.group).collect();
        groups.sort_by_key(|group| !group.is_empty());
        groups.dedup();
        for group in groups {
            text.push_str(&heading(group));
            let settings = self.settings.iter().filter(|setting| setting.group == group);
            settings.for_each(|setting| text.push_str(&row(setting)));
        }
        if !self.other_defaults.is_empty() {
            let flag = |setting: &Setting| {
                let value = setting.default_text().unwrap_or_default();
                format!("`--{} {value}`", setting.flag())
            };
            let list: Vec<_> = self.other_defaults.iter().map(flag).collect();
            text.push_str(&format!(
                "\nCommon settings with another default: {}.\n",
                list.join(", ")
            ));
        }
        text
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a switch of the tests, not a setting of a service"
)]
fn is_update() -> bool {
    std::env::var_os(UPDATE).is_some()
}

fn heading(group: &str) -> String {
    let mut letters = group.chars();
    let title = match letters.next() {
        Some(first) => format!("\n**{}{}**\n", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    };
    format!("{title}\n| Setting | Default | Allowed | Meaning |\n|---|---|---|---|\n")
}

fn row(setting: &Setting) -> String {
    let name = match setting.shape {
        Shape::Table if setting.hint.starts_with("[[") => format!("`[[{}]]` in the file", setting.key),
        Shape::Table => format!("`[{}]` in the file", setting.key),
        Shape::One if setting.switch => format!("`--{}`", setting.flag()),
        Shape::One | Shape::Many => format!("`--{} {}`", setting.flag(), setting.hint),
    };
    let default = setting
        .default_text()
        .map_or("–".to_owned(), |text| format!("`{text}`"));
    let allowed = if setting.allowed.is_empty() {
        "–"
    } else {
        &setting.allowed
    };
    let text = setting.text().replace('<', "\\<").replace('*', "\\*");
    let cells = [name, default, allowed.to_owned(), text].map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}

fn default_line(setting: &Setting) -> String {
    match &setting.default {
        Shown::Plain(value) => format!("{} = {value}", setting.key),
        Shown::Unset | Shown::Hidden | Shown::AsGiven => format!("# {} is not set", setting.key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

    #[test]
    fn the_readme_has_the_common_settings_as_declared() {
        assert_eq!(Reference::common().check(README), Ok(()));
    }

    #[test]
    fn common_settings_keep_their_names_and_defaults() {
        let pinned = include_str!("../tests/common_settings.txt");
        assert_eq!(Reference::common().check_defaults(pinned), Ok(()));
        let changed = pinned.replacen("csbp:", "other:", 1);
        let problem = Reference::common()
            .check_defaults(&changed)
            .expect_err("another default");
        for line in [r#"+bridge_prefix = "csbp:""#, r#"-bridge_prefix = "other:""#] {
            assert!(problem.contains(line), "{problem}");
        }
    }

    #[test]
    fn a_readme_that_differs_names_the_command_that_writes_it() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let check = |text: &str| {
            std::fs::write(file.path(), text).expect("written");
            Reference::common().check(file.path()).expect_err("differs")
        };
        assert!(check("# Title\n").contains("has no line <!-- settings: begin -->"));
        assert!(check(BEGIN).contains("has no line <!-- settings: end -->"));
        if !is_update() {
            assert!(check(&format!("{BEGIN}\n{END}\n")).contains("run `make settings-docs`"));
        }
    }

    #[test]
    fn a_row_has_flag_default_allowed_values_and_text_and_no_stray_bar() {
        let mut setting = Setting::new::<String>("max_clients", " Most *clients*.\n For a|b.\n", &"ten".to_owned());
        setting.allowed = "1 to 10".to_owned();
        let expected = "| `--max-clients TEXT` | `ten` | 1 to 10 | Most \\*clients\\*. For a\\|b. |\n";
        assert_eq!(row(&setting), expected);
    }
}
