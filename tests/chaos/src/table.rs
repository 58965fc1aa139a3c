//! The outcome of every scenario, as a table of plain text.

use crate::run::Report;

const HEADINGS: [&str; 15] = [
    "scenario",
    "msg/s",
    "sent",
    "refused",
    "delivered",
    "lost",
    "doubled",
    "late",
    "gap ms",
    "excluded",
    "req ok",
    "error",
    "silent",
    "twice",
    "verdict",
];

/// The table.
pub fn table(reports: &[Report]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(reports.iter().map(row));
    let columns = HEADINGS.len();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let cell = match column {
                0 => format!("{cell:<width$}"),
                _ if column + 1 == columns => format!("  {cell}"),
                _ => format!("  {cell:>width$}"),
            };
            text.push_str(&cell);
        }
        text.push('\n');
    }
    text
}

fn row(report: &Report) -> Vec<String> {
    let tally = &report.tally;
    let counts = [
        tally.sent,
        tally.refused,
        tally.delivered,
        tally.lost,
        tally.doubled,
        tally.late,
        tally.gap_ms,
        tally.excluded,
        tally.requests.ok,
        tally.requests.error,
        tally.requests.silent,
        tally.requests.twice,
    ];
    let mut row = vec![report.scenario.to_owned(), format!("{:.0}", tally.rate)];
    row.extend(counts.iter().map(ToString::to_string));
    row.push(report.verdict().to_owned());
    row
}
