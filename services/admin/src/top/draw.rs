//! Draws the screen: two lines of totals, the tabs, the table, and a line of keys. It fits 80 columns and 24 rows, and does not fail
//! on fewer.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::numbers::{bytes, short};
use super::screen::{Connection, Mode, Screen};
use super::snapshot::{Snapshot, Stats};
use super::table::{Column, Direction, Row, Sort, Tone, aligned};
use super::tabs::TABS;

const HELP: &str = "1 2 3 4, Tab, arrows   choose a tab
s S                    sort by the next, by the previous column
r                      turn the order around
/                      filter; Enter keeps it, Esc takes it away
p, Space               pause, and go on
up down PgUp PgDn      scroll; also Home and End
?                      this help
q, Ctrl-C              quit

Yellow rows start, drain or leave; red ones need a look:
an isolated server, a node that some server does not hear.
A dash is a number that this admin does not know.";

const KEYS: &str = "? help  s sort  r reverse  / filter  p pause  q quit";

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, screen: &mut Screen) {
    let [totals, state, tabs, table, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let empty = Snapshot::default();
    let snapshot = screen.snapshot().unwrap_or(&empty);
    frame.render_widget(Line::raw(totals_of(&snapshot.stats)), totals);
    frame.render_widget(state_of(screen, snapshot), state);
    frame.render_widget(tab_line(screen), tabs);
    draw_table(frame, screen, table);
    frame.render_widget(last_line(screen), keys);
    if screen.mode == Mode::Help {
        draw_help(frame);
    }
}

fn totals_of(stats: &Stats) -> String {
    let shown = |number: Option<f64>, write: fn(f64) -> String| number.map_or_else(|| "-".to_owned(), write);
    let (totals, rates) = (&stats.totals, &stats.totals.rates);
    let whole = |number: Option<u64>| shown(number.map(|number| number as f64), short);
    format!(
        "{} servers  {} clients  in {}/s ({}B)  out {}/s ({}B)  +{} -{} clients/s",
        whole(
            totals
                .servers
                .or((!stats.servers.is_empty()).then_some(stats.servers.len() as u64))
        ),
        whole(totals.clients.or(stats.clients)),
        shown(rates.messages_in, short),
        shown(rates.bytes_in, bytes),
        shown(rates.messages_out, short),
        shown(rates.bytes_out, bytes),
        shown(rates.connects, short),
        shown(rates.disconnects, short),
    )
}

/// Where it comes from, whether it is new, and what is wrong, the worst first: what does not fit is cut.
fn state_of(screen: &Screen, snapshot: &Snapshot) -> Line<'static> {
    let bad = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
    let dim = Style::new().fg(Color::Yellow);
    let mut spans = vec![match &screen.connection {
        Connection::Live if screen.is_paused => Span::styled("paused".to_owned(), dim),
        Connection::Live => Span::styled("live".to_owned(), Style::new().fg(Color::Green)),
        Connection::Connecting => Span::styled(format!("connecting to {}", screen.url), dim),
        Connection::Lost(why) => Span::styled(format!("not live, trying again: {why}"), bad),
    }];
    let time = snapshot.as_of.as_deref().and_then(|time| time.get(11..19));
    spans.extend(time.map(|time| Span::raw(format!("  as of {time} UTC"))));
    let stats = &snapshot.stats;
    if !stats.missing.is_empty() {
        spans.push(Span::styled(format!("  {} do not answer", stats.missing.len()), bad));
    }
    let warnings = &snapshot.nodes.warnings;
    spans.extend(
        warnings
            .first()
            .map(|warning| Span::styled(format!("  {warning}"), dim)),
    );
    let lapses = snapshot.cluster.services.iter().flat_map(|service| &service.servers);
    let lapses = lapses.filter(|server| !server.lapses.is_empty()).count();
    if lapses > 0 {
        spans.push(Span::styled(format!("  {lapses} had lapses"), dim));
    }
    for (number, what) in [
        (snapshot.cluster.differences.len(), "settings differ"),
        (stats.slow_clients.len(), "slow clients"),
    ] {
        if number > 0 {
            spans.push(Span::styled(format!("  {number} {what}"), dim));
        }
    }
    Line::from(spans)
}

fn tab_line(screen: &Screen) -> Line<'static> {
    let mut spans = Vec::new();
    for (place, tab) in TABS.into_iter().enumerate() {
        let style = match tab == screen.tab {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new(),
        };
        spans.push(Span::styled(format!(" {} {} ", place + 1, tab.title()), style));
        spans.push(Span::raw(" "));
    }
    if !screen.filter.is_empty() || screen.mode == Mode::Filter {
        let cursor = if screen.mode == Mode::Filter { "_" } else { "" };
        spans.push(Span::styled(
            format!("/{}{cursor}", screen.filter),
            Style::new().fg(Color::Cyan),
        ));
    }
    Line::from(spans)
}

fn draw_table(frame: &mut Frame<'_>, screen: &mut Screen, area: Rect) {
    let table = screen.table();
    let sort = screen.sort();
    // The titles take a line.
    let page = usize::from(area.height).saturating_sub(1);
    screen.page = page.max(1);
    screen.scroll = screen.scroll.min(table.rows.len().saturating_sub(page));
    let columns = table.fit(usize::from(area.width));
    let mut lines = vec![titles(table.columns, &columns, sort)];
    lines.extend(
        table
            .rows
            .iter()
            .skip(screen.scroll)
            .take(page)
            .map(|row| row_line(row, table.columns, &columns)),
    );
    if table.rows.is_empty() {
        lines.push(Line::styled(nothing(screen), Style::new().add_modifier(Modifier::DIM)));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn nothing(screen: &Screen) -> &'static str {
    match (screen.snapshot(), screen.filter.is_empty()) {
        (None, _) => "nothing has arrived yet",
        (Some(_), false) => "nothing contains the filter; Esc takes it away",
        (Some(_), true) => "there are none",
    }
}

fn titles(all: &[Column], columns: &[(usize, usize)], sort: Sort) -> Line<'static> {
    let titles = columns.iter().map(|(index, width)| {
        let column = all[*index];
        let mark = match (*index == sort.column, sort.direction) {
            (false, _) => "",
            (true, Direction::Up) => "↑",
            (true, Direction::Down) => "↓",
        };
        aligned(&format!("{}{mark}", column.title), *width, column)
    });
    Line::styled(
        titles.collect::<Vec<_>>().join(" "),
        Style::new().add_modifier(Modifier::BOLD),
    )
}

fn row_line(row: &Row, all: &[Column], columns: &[(usize, usize)]) -> Line<'static> {
    let cells = columns
        .iter()
        .map(|(index, width)| aligned(&row.cells[*index].text, *width, all[*index]));
    let style = match row.tone {
        Tone::Plain => Style::new(),
        Tone::Dim => Style::new().fg(Color::Yellow),
        Tone::Alarm => Style::new().fg(Color::Red),
    };
    Line::styled(cells.collect::<Vec<_>>().join(" "), style)
}

fn last_line(screen: &Screen) -> Line<'static> {
    let happened = screen.happened.as_deref().unwrap_or_default();
    let text = match happened.is_empty() {
        true => KEYS.to_owned(),
        false => format!("{KEYS}  | {happened}"),
    };
    Line::styled(text, Style::new().add_modifier(Modifier::DIM))
}

fn draw_help(frame: &mut Frame<'_>) {
    let area = frame.area();
    // The border takes a column and a line at each side.
    let longest = HELP.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    let fitting = |of: usize, most: u16| u16::try_from(of + 2).unwrap_or(most).min(most);
    let width = fitting(longest, area.width);
    let height = fitting(HELP.lines().count(), area.height);
    let inside = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, inside);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" Keys ")), inside);
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
