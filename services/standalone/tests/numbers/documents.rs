//! The documents against what is exported: the table of all metrics, and every name that an alert, a dashboard or a text uses.
//! `UPDATE_METRICS_DOCS=1 cargo test -p wsmesh-standalone --test numbers` writes the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::names::Exported;
use crate::scrape::Family;

const TABLE: &str = "services/TELEMETRY.md";
const BEGIN: &str = "<!-- metrics: begin -->\n";
const END: &str = "<!-- metrics: end -->";
const UPDATE: &str = "UPDATE_METRICS_DOCS";

/// Where names are used, from the top of the repository.
const USERS: [&str; 5] = ["charts/wsmesh", "deploy", "services", "tests/deploy", "README.md"];
const KINDS: [&str; 4] = ["md", "json", "yaml", "yml"];
/// Folders without documents of ours.
const FOREIGN: [&str; 4] = ["node_modules", "target", "dist", "schemas"];
/// Crates are called so, too.
const NO_METRICS: [&str; 10] = [
    "wsmesh_adapter",
    "wsmesh_bootstrap",
    "wsmesh_connector",
    "wsmesh_dial",
    "wsmesh_protocol",
    "wsmesh_standalone",
    "wsmesh_test_support",
    "wsmesh_tokens",
    "wsmesh_chaos",
    "wsmesh_load",
];

/// Compares all of them.
pub(crate) fn check(exported: &Exported) {
    check_table(&table(exported));
    let names: BTreeSet<&str> = exported.values().flat_map(BTreeMap::keys).map(String::as_str).collect();
    let mut unknown = Vec::new();
    for file in USERS.iter().flat_map(|place| files(&top().join(place))) {
        let text = fs::read_to_string(&file).expect("text");
        for used in used(&text) {
            if !is_exported(used, &names) {
                unknown.push(format!("{used} in {}", file.display()));
            }
        }
    }
    assert_eq!(unknown, [""; 0], "no service exports these");
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn is_exported(used: &str, names: &BTreeSet<&str>) -> bool {
    // Written as `wsmesh_redis_*`.
    if used.ends_with('_') {
        return names.iter().any(|name| name.starts_with(used));
    }
    let part = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|part| used.strip_suffix(part));
    names.contains(used) || part.is_some_and(|histogram| names.contains(histogram))
}

/// The names of metrics in a text.
fn used(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices("wsmesh_").filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        before.is_none_or(|c| !c.is_ascii_alphanumeric() && !"_-/.".contains(c))
    });
    let names = starts.map(|(at, _)| {
        let rest = &text[at..];
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]
    });
    names.filter(|name| !NO_METRICS.contains(name)).collect()
}

fn files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let has_kind = path
            .extension()
            .is_some_and(|kind| KINDS.iter().any(|known| kind == *known));
        if path.is_dir() && !FOREIGN.contains(&name.as_str()) {
            found.extend(files(&path));
        } else if path.is_file() && has_kind {
            found.push(path);
        }
    }
    found
}

/// One row for each name: who exports it, and what it says about itself.
fn table(exported: &Exported) -> String {
    let mut rows: BTreeMap<&str, Vec<(&str, &Family)>> = BTreeMap::new();
    for (service, families) in exported {
        for (name, family) in families {
            rows.entry(name).or_default().push((service, family));
        }
    }
    let mut table = "| metric | type | labels | unit | of | meaning |\n|---|---|---|---|---|---|\n".to_owned();
    for (name, of) in rows {
        let labels: BTreeSet<&str> = of
            .iter()
            .flat_map(|(_, family)| &family.labels)
            .map(String::as_str)
            .collect();
        let labels = labels
            .into_iter()
            .map(|label| format!("`{label}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let services = match of.len() {
            3 => "all".to_owned(),
            _ => of.iter().map(|(service, _)| *service).collect::<Vec<_>>().join(", "),
        };
        let same = of.iter().all(|(_, family)| family.help == of[0].1.help);
        let meaning = match same {
            true => of[0].1.help.clone(),
            false => of
                .iter()
                .map(|(service, family)| format!("{service}: {}", family.help))
                .collect::<Vec<_>>()
                .join(" "),
        };
        let (kind, unit, meaning) = (&of[0].1.kind, unit(name), meaning.replace('|', "\\|"));
        table += &format!("| `{name}` | {kind} | {labels} | {unit} | {services} | {meaning} |\n");
    }
    table
}

fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match () {
        () if name.ends_with("_seconds") => "seconds",
        () if name.ends_with("_bytes") => "bytes",
        () => "",
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no settings")]
fn is_update() -> bool {
    std::env::var_os(UPDATE).is_some()
}

fn check_table(wanted: &str) {
    let path = top().join(TABLE);
    let text = fs::read_to_string(&path).expect("it is there");
    let (before, rest) = text.split_once(BEGIN).expect("the beginning of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    if is_update() {
        fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).expect("written");
        return;
    }
    let rows = |table: &str| table.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (wanted_rows, found_rows) = (rows(wanted), rows(found));
    let missing: Vec<_> = wanted_rows.difference(&found_rows).collect();
    let wrong: Vec<_> = found_rows.difference(&wanted_rows).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{TABLE} is not what is exported: write it with {UPDATE}=1.\nmissing: {missing:#?}\nwrong: {wrong:#?}"
    );
}

#[test]
fn names_are_found_in_texts_and_those_of_crates_are_not_metrics() {
    let text = "rate(wsmesh_publish_total{node=\"a\"}[5m]) wsmesh_adapter `wsmesh_redis_*` x_wsmesh_no io/wsmesh_no wsmesh_lag_seconds_bucket";
    let expected = ["wsmesh_lag_seconds_bucket", "wsmesh_publish_total", "wsmesh_redis_"];
    assert_eq!(used(text), expected.into());
    let names = ["wsmesh_lag_seconds", "wsmesh_publish_total", "wsmesh_redis_up"].into();
    assert!(expected.iter().all(|name| is_exported(name, &names)));
    assert!(!is_exported("wsmesh_publish", &names) && !is_exported("wsmesh_game_", &names));
}
