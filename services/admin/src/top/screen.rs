//! What the person at the terminal looks at: the tab, its order, the filter, and how old what is shown is. State without I/O: keys and
//! news are passed in.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::snapshot::Snapshot;
use super::table::{Sort, Table};
use super::tabs::{TABS, Tab};

/// Longest filter.
const MAX_FILTER: usize = 64;

/// News of the stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// The stream is open.
    Connected,
    Snapshot(Box<Snapshot>),
    /// Something that happened, in words.
    Happened(String),
    /// The stream ended, and is opened again.
    Lost(String),
}

/// How the stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connection {
    Connecting,
    Live,
    /// Why it is not, and that it is tried again.
    Lost(String),
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stay,
    Quit,
}

/// What covers or takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Table,
    Help,
    /// The filter is being written.
    Filter,
}

/// The screen.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) url: String,
    pub(crate) tab: Tab,
    pub(crate) mode: Mode,
    pub(crate) filter: String,
    pub(crate) connection: Connection,
    /// Whether newer snapshots wait.
    pub(crate) is_paused: bool,
    /// The last thing that happened.
    pub(crate) happened: Option<String>,
    /// Rows above the first one that is shown. Drawing keeps it within the table.
    pub(crate) scroll: usize,
    /// Rows on the screen, as it was drawn last: how far a page is.
    pub(crate) page: usize,
    sorts: [Sort; TABS.len()],
    shown: Option<Box<Snapshot>>,
    newest: Option<Box<Snapshot>>,
}

impl Screen {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            tab: Tab::Servers,
            mode: Mode::Table,
            filter: String::new(),
            connection: Connection::Connecting,
            is_paused: false,
            happened: None,
            scroll: 0,
            page: 1,
            sorts: TABS.map(Tab::sort),
            shown: None,
            newest: None,
        }
    }

    /// What is shown: the newest, or what was when it was paused.
    pub(crate) fn snapshot(&self) -> Option<&Snapshot> {
        self.shown.as_deref()
    }

    pub(crate) fn sort(&self) -> Sort {
        self.sorts[self.tab.place()]
    }

    /// The table of the tab, in its order, filtered.
    pub(crate) fn table(&self) -> Table {
        let empty = Snapshot::default();
        let mut table = self.tab.table(self.snapshot().unwrap_or(&empty));
        table.filter(&self.filter);
        table.sort(self.sort());
        table
    }

    pub(crate) fn on_news(&mut self, news: News) {
        match news {
            News::Connected => self.connection = Connection::Live,
            News::Happened(text) => self.happened = Some(text),
            News::Lost(why) => self.connection = Connection::Lost(why),
            News::Snapshot(snapshot) => {
                self.connection = Connection::Live;
                if !self.is_paused {
                    self.shown = Some(snapshot.clone());
                }
                self.newest = Some(snapshot);
            }
        }
    }

    pub(crate) fn on_key(&mut self, key: KeyEvent) -> Outcome {
        // Some terminals tell of releases, too.
        if key.kind == KeyEventKind::Release {
            return Outcome::Stay;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Outcome::Quit;
        }
        match self.mode {
            Mode::Filter => self.write_filter(key.code),
            Mode::Help => self.mode = Mode::Table,
            Mode::Table => return self.on_table_key(key.code),
        }
        Outcome::Stay
    }

    fn write_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.mode = Mode::Table,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Table;
            }
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(char) if self.filter.chars().count() < MAX_FILTER => self.filter.push(char),
            _ => {}
        }
        self.scroll = 0;
    }

    fn on_table_key(&mut self, code: KeyCode) -> Outcome {
        let place = self.tab.place();
        match code {
            KeyCode::Char('q') => return Outcome::Quit,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('p' | ' ') => self.pause(),
            KeyCode::Char(digit @ '1'..='4') => self.go_to(digit as usize - '1' as usize),
            KeyCode::Tab | KeyCode::Right => self.go_to(place + 1),
            KeyCode::BackTab | KeyCode::Left => self.go_to(place + TABS.len() - 1),
            KeyCode::Char('s' | '>') => self.sort_by(1),
            KeyCode::Char('S' | '<') => self.sort_by(self.tab.columns().len() - 1),
            KeyCode::Char('r') => self.sorts[place].direction = self.sorts[place].direction.reversed(),
            KeyCode::Down | KeyCode::Char('j') => self.scroll += 1,
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::PageDown => self.scroll += self.page,
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(self.page),
            KeyCode::Home => self.scroll = 0,
            KeyCode::End => self.scroll = usize::MAX / 2,
            _ => {}
        }
        Outcome::Stay
    }

    fn pause(&mut self) {
        self.is_paused = !self.is_paused;
        if !self.is_paused {
            self.shown.clone_from(&self.newest);
        }
    }

    fn go_to(&mut self, place: usize) {
        self.tab = TABS[place % TABS.len()];
        self.scroll = 0;
    }

    fn sort_by(&mut self, further: usize) {
        let columns = self.tab.columns().len();
        let sort = &mut self.sorts[self.tab.place()];
        sort.column = (sort.column + further) % columns;
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::snapshot;
    use super::super::table::Direction;
    use super::*;

    fn screen() -> Screen {
        let mut screen = Screen::new("http://127.0.0.1:9100");
        screen.on_news(News::Snapshot(Box::new(snapshot())));
        screen
    }

    fn press(screen: &mut Screen, codes: impl IntoIterator<Item = KeyCode>) {
        for code in codes {
            assert_eq!(screen.on_key(code.into()), Outcome::Stay, "{code}");
        }
    }

    fn write(screen: &mut Screen, text: &str) {
        press(screen, text.chars().map(KeyCode::Char));
    }

    fn first(screen: &Screen) -> String {
        screen
            .table()
            .rows
            .first()
            .map_or_else(String::new, |row| row.cells[0].text.clone())
    }

    #[test]
    fn q_and_control_c_quit_and_a_released_key_does_nothing() {
        let mut screen = screen();
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(screen.on_key(KeyCode::Char('q').into()), Outcome::Quit);
        press(&mut screen, [KeyCode::Char('/')]);
        assert_eq!(
            screen.on_key(KeyCode::Char('q').into()),
            Outcome::Stay,
            "it is a letter of the filter"
        );
        assert_eq!(screen.on_key(control_c), Outcome::Quit);
        let released = KeyEvent {
            kind: KeyEventKind::Release,
            ..control_c
        };
        assert_eq!(screen.on_key(released), Outcome::Stay);
    }

    #[test]
    fn each_tab_keeps_its_order() {
        let mut screen = screen();
        assert_eq!(first(&screen), "ws-0", "most clients first");
        write(&mut screen, "r");
        assert_eq!(first(&screen), "admin-0");
        press(&mut screen, [KeyCode::Char('2')]);
        assert_eq!((screen.tab, screen.sort()), (Tab::Nodes, Tab::Nodes.sort()));
        write(&mut screen, "sS>");
        assert_eq!(screen.sort().column, 1);
        write(&mut screen, "<<");
        assert_eq!(screen.sort().column, Tab::Nodes.columns().len() - 1);
        press(&mut screen, [KeyCode::Tab, KeyCode::Right, KeyCode::Tab]);
        assert_eq!((screen.tab, screen.sort().direction), (Tab::Servers, Direction::Up));
        press(&mut screen, [KeyCode::BackTab]);
        assert_eq!(screen.tab, Tab::Namespaces);
    }

    #[test]
    fn a_filter_is_written_kept_and_taken_away() {
        let mut screen = screen();
        write(&mut screen, "/WS-1");
        assert_eq!((screen.mode, first(&screen).as_str()), (Mode::Filter, "ws-1"));
        press(&mut screen, [KeyCode::Backspace, KeyCode::Enter]);
        assert_eq!(
            (screen.mode, screen.filter.as_str(), screen.table().rows.len()),
            (Mode::Table, "WS-", 2)
        );
        press(&mut screen, [KeyCode::Esc]);
        assert_eq!(screen.table().rows.len(), 3);
        write(&mut screen, &format!("/{}", "x".repeat(200)));
        assert_eq!(screen.filter.len(), MAX_FILTER);
        press(&mut screen, [KeyCode::Esc]);
        assert_eq!((screen.mode, screen.filter.as_str()), (Mode::Table, ""));
    }

    #[test]
    fn a_paused_screen_keeps_what_it_shows_and_catches_up_afterwards() {
        let mut screen = screen();
        write(&mut screen, "p");
        let mut newer = snapshot();
        newer.stats.clients = Some(7);
        screen.on_news(News::Snapshot(Box::new(newer)));
        assert_eq!(screen.snapshot().and_then(|shown| shown.stats.clients), Some(1215));
        write(&mut screen, "p");
        assert_eq!(screen.snapshot().and_then(|shown| shown.stats.clients), Some(7));
    }

    #[test]
    fn what_was_shown_stays_when_the_stream_is_lost() {
        let mut screen = screen();
        screen.on_news(News::Lost("connection refused".to_owned()));
        assert_eq!(screen.connection, Connection::Lost("connection refused".to_owned()));
        assert!(screen.snapshot().is_some());
        screen.on_news(News::Connected);
        assert_eq!(screen.connection, Connection::Live);
    }

    #[test]
    fn any_key_leaves_the_help() {
        let mut screen = screen();
        write(&mut screen, "?");
        assert_eq!(screen.mode, Mode::Help);
        write(&mut screen, "q");
        assert_eq!(screen.mode, Mode::Table);
    }

    #[test]
    fn scrolling_never_goes_above_the_first_row() {
        let mut screen = screen();
        screen.page = 10;
        press(
            &mut screen,
            [KeyCode::Up, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Down],
        );
        assert_eq!(screen.scroll, 11);
        press(&mut screen, [KeyCode::Home]);
        assert_eq!(screen.scroll, 0);
    }
}
