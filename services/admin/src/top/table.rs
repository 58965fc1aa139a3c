//! A table whose rows can be sorted and filtered, and whose less important columns are left out where they do not fit. Plain values.

use std::cmp::Ordering;

/// Longest text of a cell; more of it is cut.
const MAX_WIDTH: usize = 28;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Those with a high number are left out first.
    pub(crate) rank: u8,
    pub(crate) is_number: bool,
}

impl Column {
    pub(crate) const fn text(title: &'static str, rank: u8) -> Self {
        Self {
            title,
            rank,
            is_number: false,
        }
    }

    pub(crate) const fn number(title: &'static str, rank: u8) -> Self {
        Self {
            title,
            rank,
            is_number: true,
        }
    }
}

/// What a cell shows, and how it is ordered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    number: Option<f64>,
}

impl Cell {
    /// Characters that a terminal obeys are left out.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.retain(|char| !char.is_control());
        Self { text, number: None }
    }

    /// A dash if it is not known.
    pub(crate) fn number(number: Option<f64>, write: impl Fn(f64) -> String) -> Self {
        Self {
            text: number.map_or_else(|| "-".to_owned(), write),
            number,
        }
    }
}

/// Whether a row needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// It is on its way in or out.
    Dim,
    /// Something is wrong.
    Alarm,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// One for each column.
    pub(crate) cells: Vec<Cell>,
    pub(crate) tone: Tone,
}

/// The table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: &'static [Column],
    pub(crate) rows: Vec<Row>,
}

/// By which column rows are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) column: usize,
    pub(crate) direction: Direction,
}

/// Which rows come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

impl Direction {
    pub(crate) fn reversed(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

impl Table {
    /// Orders the rows; equal ones by their first column. What is not known comes last.
    pub(crate) fn sort(&mut self, sort: Sort) {
        self.rows.sort_by(|a, b| {
            let order = compare(a.cells.get(sort.column), b.cells.get(sort.column), sort.direction);
            order.then_with(|| compare(a.cells.first(), b.cells.first(), Direction::Up))
        });
    }

    /// Keeps the rows with a cell that contains the text, in whatever case.
    pub(crate) fn filter(&mut self, text: &str) {
        let text = text.to_lowercase();
        self.rows
            .retain(|row| row.cells.iter().any(|cell| cell.text.to_lowercase().contains(&text)));
    }

    /// The columns that fit, with their widths. The first column is always among them.
    pub(crate) fn fit(&self, width: usize) -> Vec<(usize, usize)> {
        let widest = |index: usize| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(index));
            let widest = cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default();
            // Room for the mark of the sorted column.
            widest.max(self.columns[index].title.chars().count() + 1).min(MAX_WIDTH)
        };
        let mut fitting: Vec<_> = (0..self.columns.len()).map(|index| (index, widest(index))).collect();
        let total = |columns: &[(usize, usize)]| columns.iter().map(|(_, width)| width + 1).sum::<usize>();
        while fitting.len() > 1 && total(&fitting) > width + 1 {
            let least = fitting.iter().enumerate().skip(1);
            let Some((least, _)) = least.max_by_key(|(_, (index, _))| self.columns[*index].rank) else {
                break;
            };
            fitting.remove(least);
        }
        fitting
    }

    /// All of it as text, for scripts: columns in line, no line longer than its content.
    pub(crate) fn plain(&self) -> String {
        let fitting = self.fit(usize::MAX / 2);
        let titles = self.columns.iter().map(|column| column.title.to_owned()).collect();
        let rows = self
            .rows
            .iter()
            .map(|row| row.cells.iter().map(|cell| cell.text.clone()).collect());
        let mut text = String::new();
        for line in std::iter::once::<Vec<String>>(titles).chain(rows) {
            let cells = fitting
                .iter()
                .filter_map(|(index, width)| Some(aligned(line.get(*index)?, *width, self.columns[*index])));
            text.push_str(cells.collect::<Vec<_>>().join(" ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// A text in a column of this width.
pub(crate) fn aligned(text: &str, width: usize, column: Column) -> String {
    let length = text.chars().count();
    let text = match length > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    };
    match column.is_number {
        true => format!("{text:>width$}"),
        false => format!("{text:<width$}"),
    }
}

fn compare(a: Option<&Cell>, b: Option<&Cell>, direction: Direction) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else {
        return Ordering::Equal;
    };
    let directed = |order: Ordering| match direction {
        Direction::Up => order,
        Direction::Down => order.reverse(),
    };
    let unknown = |cell: &Cell| cell.number.is_none() && cell.text == "-";
    match (a.number, b.number) {
        (Some(a), Some(b)) => directed(a.total_cmp(&b)),
        _ if unknown(a) || unknown(b) => unknown(a).cmp(&unknown(b)),
        _ => directed(a.text.cmp(&b.text)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::numbers::short;
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("NAME", 0),
        Column::number("CLIENTS", 1),
        Column::text("VERSION", 2),
    ];

    fn table() -> Table {
        let row = |name: &str, clients, version: &str| Row {
            cells: vec![Cell::text(name), Cell::number(clients, short), Cell::text(version)],
            tone: Tone::Plain,
        };
        Table {
            columns: COLUMNS,
            rows: vec![
                row("b", Some(9.0), "0.1.0"),
                row("c", None, "0.1.0"),
                row("a", Some(1_200.0), "0.2.0"),
                row("d", Some(9.0), "0.1.0"),
            ],
        }
    }

    fn names(table: &Table) -> String {
        table.rows.iter().map(|row| row.cells[0].text.as_str()).collect()
    }

    #[test]
    fn rows_are_sorted_by_number_and_what_is_unknown_comes_last_both_ways() {
        let mut table = table();
        for (column, direction, order) in [
            (1, Direction::Down, "abdc"),
            (1, Direction::Up, "bdac"),
            (0, Direction::Down, "dcba"),
            (2, Direction::Up, "bcda"),
        ] {
            table.sort(Sort { column, direction });
            assert_eq!(names(&table), order, "{column} {direction:?}");
        }
    }

    #[test]
    fn a_filter_keeps_rows_that_contain_it_anywhere() {
        let mut table = table();
        table.filter("0.2");
        assert_eq!(names(&table), "a");
        table.filter("A");
        assert_eq!(names(&table), "a");
        table.filter("zzz");
        assert_eq!(names(&table), "");
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_the_least_important_first() {
        let fitting = |width| {
            table()
                .fit(width)
                .into_iter()
                .map(|(index, _)| index)
                .collect::<Vec<_>>()
        };
        assert_eq!(fitting(80), [0, 1, 2]);
        assert_eq!(fitting(15), [0, 1]);
        assert_eq!(fitting(3), [0], "the first is always there");
    }

    #[test]
    fn what_a_server_says_cannot_command_the_terminal() {
        assert_eq!(Cell::text("\u{1b}[2Ja\nb").text, "[2Jab");
    }

    #[test]
    fn plain_text_is_in_columns() {
        let mut table = table();
        table.sort(Sort {
            column: 0,
            direction: Direction::Up,
        });
        assert_eq!(
            table.plain(),
            "NAME   CLIENTS VERSION\n\
             a         1.2k 0.2.0\n\
             b            9 0.1.0\n\
             c            - 0.1.0\n\
             d            9 0.1.0\n"
        );
        assert_eq!(aligned("a long name", 6, COLUMNS[0]), "a lon…");
    }
}
