//! Results as a Markdown table.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::case::Metric;

/// One metric of one case: a value per server and round.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Case and metric.
    pub(super) title: String,
    /// Of the values.
    unit: &'static str,
    /// Per server, in the order of rounds.
    pub(super) values: BTreeMap<String, Vec<f64>>,
}

impl Row {
    pub(super) fn new(title: String, metric: &Metric) -> Self {
        Self {
            title,
            unit: metric.unit,
            values: BTreeMap::new(),
        }
    }

    fn median(&self, name: &str) -> Option<f64> {
        let mut values = self.values.get(name)?.clone();
        values.sort_by(f64::total_cmp);
        let (low, high) = (
            values.get((values.len().checked_sub(1)?) / 2)?,
            values.get(values.len() / 2)?,
        );
        Some((low + high) / 2.0)
    }
}

/// A line per metric: the median of every server, and the first one's divided by each other's.
pub(super) fn markdown(rows: &[Row], names: &[String]) -> String {
    let mut text = String::from("| case |");
    let Some((tested, peers)) = names.split_first() else {
        return text;
    };
    let ratios = || peers.iter().map(|peer| format!(" {tested} / {peer} |"));
    text.extend(names.iter().map(|name| format!(" {name} |")));
    text.extend(ratios());
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(names.len() + peers.len()));
    text.push('\n');
    for row in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "| {} |", row.title);
        for name in names {
            let value = row.median(name).map_or_else(|| "-".to_owned(), number);
            let space = if row.unit.starts_with('/') { "" } else { " " };
            let _ = write!(text, " {value}{space}{} |", row.unit);
        }
        for peer in peers {
            let ratio = row.median(tested).zip(row.median(peer)).filter(|(_, peer)| *peer > 0.0);
            let ratio = ratio.map_or_else(|| "-".to_owned(), |(own, peer)| format!("{:.2}", own / peer));
            let _ = write!(text, " {ratio} |");
        }
        text.push('\n');
    }
    text
}

/// At least three significant digits, with separators of thousands.
fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => return format!("{value:.3}"),
        10.0..100.0 => return format!("{value:.1}"),
        _ => {}
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_medians_and_the_first_servers_ratios() {
        let values = [("a", vec![3.0, 1.0, 2.0]), ("b", vec![4_000.0, 5_000.0])];
        let row = Row {
            title: "case: metric".to_owned(),
            unit: "/s",
            values: values
                .into_iter()
                .map(|(name, values)| (name.to_owned(), values))
                .collect(),
        };
        let names = ["a", "b", "c"].map(str::to_owned);
        let expected = "| case | a | b | c | a / b | a / c |\n|---|--:|--:|--:|--:|--:|\n\
                        | case: metric | 2.000/s | 4,500/s | -/s | 0.00 | - |\n";
        assert_eq!(markdown(&[row], &names), expected);
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(number(1_234_567.4), "1,234,567");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(12.34), "12.3");
    }
}
