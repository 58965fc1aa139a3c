//! The configuration file: TOML. Unknown keys are problems.

use std::path::{Path, PathBuf};

use super::unknown::suggestion;
use crate::settings::Setting;

/// Reads the file. Problems name the file, and the line if there is one.
pub(super) fn read(path: &Path, declared: &[Setting], problems: &mut Vec<String>) -> Option<(PathBuf, toml::Table)> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!(
                "cannot read {shown}: {error}; name the file with --config or WSMESH_CONFIG"
            ));
            return None;
        }
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let error: toml::de::Error = error;
            let line = error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            problems.push(format!(
                "{shown}, line {line}: not TOML: {}",
                error.message().replace('\n', " ")
            ));
            return None;
        }
    };
    for key in table.keys() {
        if !declared.iter().any(|setting| setting.key == key) {
            let hint = suggestion(key, declared.iter().map(|setting| setting.key.to_owned()));
            problems.push(format!("{key} in {shown}: unknown setting{hint}"));
        }
    }
    Some((path.to_owned(), table))
}
