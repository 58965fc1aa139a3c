use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

use super::super::screen::News;
use super::super::snapshot::tests::snapshot;
use super::*;

/// What is on a terminal of this size, without the blanks at the ends of lines.
fn drawn(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, screen)).expect("drawn");
    let buffer = terminal.backend().buffer();
    let line = |row| {
        let cells = (0..width).map(|column| buffer[(column, row)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

fn screen() -> Screen {
    let mut screen = Screen::new("http://127.0.0.1:9100");
    screen.on_news(News::Snapshot(Box::new(snapshot())));
    screen
}

fn press(screen: &mut Screen, keys: &str) {
    for key in keys.chars() {
        screen.on_key(KeyCode::Char(key).into());
    }
}

#[test]
fn servers_fit_80_columns() {
    let lines = drawn(&mut screen(), 80, 24);
    assert_eq!(
        lines[..7],
        [
            "3 servers  1.2k clients  in 120/s (20KB)  out 4.8k/s (1.2MB)  +2 -0.4 clients/s",
            "live  as of 09:00:00 UTC  1 of 3 servers do not hear node redis-1  1 had lapses",
            " 1 Servers   2 Nodes   3 Rooms   4 Namespaces",
            "SERVER  SERVICE  STATE    CLIENTS↓  ROOMS  IN/s  OUT/s  P50 ms  P99 ms  NODES",
            "ws-0    ws-node  serving      1.2k     30   120   4.8k     0.8      12      2",
            "ws-1    ws-node  draining       15      3     -      -       -       -      1",
            "admin-0 admin    serving         0      0     -      -     0.5       2      2",
        ]
    );
    assert_eq!(lines[23], KEYS);
    assert!(lines[7..23].iter().all(String::is_empty));
}

#[test]
fn a_wide_terminal_shows_every_column() {
    let lines = drawn(&mut screen(), 160, 24);
    assert!(
        lines[3].contains("SERVICE") && lines[3].contains("VERSION"),
        "{}",
        lines[3]
    );
    assert!(
        lines[4].contains("ws-node") && lines[4].contains("1.2M"),
        "{}",
        lines[4]
    );
}

#[test]
fn nodes_show_what_each_redis_says_and_who_hears_it() {
    let mut screen = screen();
    press(&mut screen, "2");
    let lines = drawn(&mut screen, 80, 24);
    assert_eq!(
        lines[3..6],
        [
            "NODE↑   STATE  HEARD   OPS/s  MEMORY  LIMIT  B IN/s  B OUT/s  CLIENTS PROBLEM",
            "redis-0 active 3/3      5.1k    2.0M   256M    879K     2.6M        9",
            "redis-1 active 2/3         -       -      -       -        -        - timed out",
        ]
    );
}

#[test]
fn rooms_and_namespaces_are_shown() {
    let mut screen = screen();
    press(&mut screen, "3");
    let lines = drawn(&mut screen, 80, 24);
    assert_eq!(lines[4], "lobby   chat            900           3");
    press(&mut screen, "4");
    let lines = drawn(&mut screen, 80, 24);
    assert_eq!(lines[4], "chat           31     1.1k         118");
}

#[test]
fn a_lost_stream_a_pause_and_a_filter_are_said() {
    let mut screen = screen();
    press(&mut screen, "p/ws-1");
    let lines = drawn(&mut screen, 80, 24);
    assert!(lines[1].starts_with("paused  as of 09:00:00"), "{}", lines[1]);
    assert!(lines[2].ends_with("/ws-1_"), "{}", lines[2]);
    assert!(lines[4].starts_with("ws-1 ") && lines[5].is_empty());
    screen.on_news(News::Lost("connection refused".to_owned()));
    screen.on_news(News::Happened("job add redis-3: done".to_owned()));
    let lines = drawn(&mut screen, 80, 24);
    assert!(
        lines[1].starts_with("not live, trying again: connection refused"),
        "{}",
        lines[1]
    );
    assert!(lines[23].ends_with("| job add redis-3: done"), "{}", lines[23]);
}

#[test]
fn before_the_first_snapshot_there_is_no_number_to_be_believed() {
    let lines = drawn(&mut Screen::new("http://127.0.0.1:9100"), 80, 24);
    assert_eq!(
        lines[0],
        "- servers  - clients  in -/s (-B)  out -/s (-B)  +- -- clients/s"
    );
    assert_eq!(lines[1], "connecting to http://127.0.0.1:9100");
    assert_eq!(lines[4], "nothing has arrived yet");
}

#[test]
fn the_help_lists_the_keys() {
    let mut screen = screen();
    press(&mut screen, "?");
    let text = drawn(&mut screen, 80, 24).join("\n");
    for line in HELP.lines() {
        assert!(text.contains(line), "the whole of {line:?} in\n{text}");
    }
    for key in ["Keys", "sort by the next", "pause", "Ctrl-C", "A dash is a number"] {
        assert!(text.contains(key), "{key} in\n{text}");
    }
}

#[test]
fn no_size_of_a_terminal_is_too_small_to_be_drawn() {
    let mut screen = screen();
    for (width, height) in [(1, 1), (80, 1), (3, 24), (20, 5), (0, 0), (300, 90)] {
        for mode in ["", "?", " ", "/x"] {
            press(&mut screen, mode);
            drawn(&mut screen, width, height);
            screen.mode = Mode::Table;
        }
    }
}

#[test]
fn more_rows_than_fit_can_be_scrolled_to_and_not_beyond() {
    let mut many = snapshot();
    let server = many.stats.servers[1].clone();
    many.stats.servers.extend((0..100).map(|number| {
        let mut server = server.clone();
        server.name = format!("more-{number:03}");
        server.clients = Some(10_000 - number);
        server
    }));
    let mut screen = screen();
    screen.on_news(News::Snapshot(Box::new(many)));
    assert!(drawn(&mut screen, 80, 24)[4].starts_with("more-000"));
    screen.on_key(KeyCode::PageDown.into());
    assert!(drawn(&mut screen, 80, 24)[4].starts_with("more-019"));
    screen.on_key(KeyCode::End.into());
    let lines = drawn(&mut screen, 80, 24);
    assert!(lines[22].starts_with("admin-0"), "{}", lines[22]);
    assert!(
        drawn(&mut screen, 80, 200)[4].starts_with("more-000"),
        "a larger terminal shows all"
    );
}
