//! Reads the text form of metrics.

use std::collections::{BTreeMap, BTreeSet};

/// One name and what is said about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// Names of labels, without those that the kind implies.
    pub(crate) labels: BTreeSet<String>,
    pub(crate) series: usize,
}

/// All families, by name.
pub(crate) fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        let comment = |what: &str| line.strip_prefix(what).and_then(|rest| rest.split_once(' '));
        if let Some((name, help)) = comment("# HELP ") {
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = comment("# TYPE ") {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
            current = name.to_owned();
        } else if !line.is_empty() && !line.starts_with('#') {
            assert!(line.starts_with(&current), "a series of {current}: {line}");
            let family = families.entry(current.clone()).or_default();
            family.series += 1;
            family.labels.extend(labels(line));
        }
    }
    families
}

/// How many series there are.
pub(crate) fn series(text: &str) -> usize {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .count()
}

fn labels(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    let Some((_, mut rest)) = line.split_once('{') else {
        return names;
    };
    while let Some((name, more)) = rest.split_once("=\"") {
        let name = name.trim_start_matches(',');
        if !["le", "quantile"].contains(&name) {
            names.push(name.to_owned());
        }
        let mut escaped = false;
        let end = more.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = &more[end.expect("the end of a label's value") + 1..];
        if rest.starts_with('}') {
            break;
        }
    }
    names
}

#[test]
fn a_text_is_read_also_with_strange_values_of_labels() {
    let text = "# HELP a_total All of it.\n# TYPE a_total counter\na_total{x=\"} \\\",b=\\\\\",y=\"\"} 1\na_total{x=\"1\",z=\"2\"} 2\n\
                # TYPE b histogram\nb_bucket{le=\"1\"} 1\nb_sum 2\nb_count 1\n";
    let found = families(text);
    assert_eq!(found["a_total"].labels, ["x", "y", "z"].map(str::to_owned).into());
    assert_eq!((found["a_total"].series, found["b"].series, series(text)), (2, 3, 5));
    assert_eq!(
        (&*found["a_total"].help, &*found["b"].kind),
        ("All of it.", "histogram")
    );
    assert!(found["b"].labels.is_empty());
}
