use axum::http::StatusCode;
use tracing::level_filters::LevelFilter;

use super::super::failure::Rejected;
use super::super::written::logged;
use super::*;

/// The lines about these results, each with what did not fit meanwhile.
fn lines(signal: Signal, results: &[(Result<(), Failure>, usize)]) -> Vec<String> {
    let at_once: Vec<_> = results
        .iter()
        .cloned()
        .map(|(result, overflow)| (0, result, overflow))
        .collect();
    lines_at(signal, &at_once)
}

/// The same, each so many seconds after the first one.
fn lines_at(signal: Signal, results: &[(u64, Result<(), Failure>, usize)]) -> Vec<String> {
    let outage = Outage::new(signal, "http://collector/".to_owned());
    let begin = Instant::now();
    let text = logged(LevelFilter::TRACE, || {
        for (seconds, result, overflow) in results {
            outage.log_at(result, *overflow, begin + Duration::from_secs(*seconds));
        }
    });
    text.lines().map(str::to_owned).collect()
}

fn broken() -> Result<(), Failure> {
    Err(Failure::NoAnswer("broken".to_owned()))
}

fn rejected(items: u64) -> Result<(), Failure> {
    let why = "too old".to_owned();
    Err(Failure::Rejected(Rejected { items, why }))
}

#[test]
fn a_change_is_one_line_and_what_stays_as_it_is_is_none() {
    let results = [Ok(()), Ok(()), broken(), broken(), broken(), Ok(()), Ok(())];
    let lines = lines(Signal::Metrics, &results.map(|result| (result, 0)));
    let [first, second] = &lines[..] else {
        panic!("two lines: {lines:#?}")
    };
    assert!(
        first.contains("WARN") && first.contains("metrics cannot be sent") && first.contains("broken"),
        "{first}"
    );
    assert!(
        second.contains("INFO") && second.contains("metrics are sent again"),
        "{second}"
    );
}

#[test]
fn each_signal_says_the_same_about_the_same_answer_and_what_to_do_about_it() {
    for signal in Signal::ALL {
        let what = signal.plural();
        let refused = Err(Failure::Refused(StatusCode::NOT_FOUND));
        let lines = lines(signal, &[(refused, 0), (broken(), 0), (rejected(3), 0)]);
        let [refused, unanswered, rejected] = &lines[..] else {
            panic!("three lines: {lines:#?}")
        };
        for (line, parts) in [
            (
                refused,
                [&*format!("the collector refuses {what}"), "404", signal.path()],
            ),
            (unanswered, [&format!("{what} cannot be sent"), "broken", "certificate"]),
            (
                rejected,
                [
                    &format!("the collector rejects some of the {what}"),
                    "rejected=3",
                    "too old",
                ],
            ),
        ] {
            assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} in {line}");
        }
    }
}

#[test]
fn a_part_that_is_rejected_now_and_then_is_one_line() {
    let results = [rejected(1), Ok(()), rejected(2), Ok(()), Ok(())];
    let lines = lines(Signal::Logs, &results.map(|result| (result, 5)));
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

/// There are these lines, each of this level and with this text.
fn assert_lines(lines: &[String], expected: &[(&str, &str)]) {
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (level, text)) in lines.iter().zip(expected) {
        assert!(line.contains(level) && line.contains(text), "{level}, {text} in {line}");
    }
}

const REJECTS: (&str, &str) = ("WARN", "the collector rejects some of the logs");
const OVERFLOWS: (&str, &str) = ("WARN", "more lines are logged than the collector takes");
const ALL_AGAIN: (&str, &str) = ("INFO", "all logs are sent again");

#[test]
fn what_happens_now_and_then_is_over_a_minute_after_it_happened_last_and_then_is_told_anew() {
    let rejections = [
        (0, rejected(1), 0),
        (50, rejected(1), 0),
        (109, Ok(()), 0),
        (110, Ok(()), 0),
        (111, Ok(()), 0),
        (112, rejected(1), 0),
    ];
    assert_lines(&lines_at(Signal::Logs, &rejections), &[REJECTS, ALL_AGAIN, REJECTS]);
    let overflows = [
        (0, Ok(()), 3),
        (59, Ok(()), 0),
        (61, Ok(()), 3),
        (120, Ok(()), 0),
        (121, Ok(()), 0),
    ];
    // Calm for 59 seconds is not calm.
    assert_lines(&lines_at(Signal::Logs, &overflows), &[OVERFLOWS, ALL_AGAIN]);
}

#[test]
fn an_overflow_shows_only_once_nothing_is_rejected_any_more() {
    let results = [
        (0, rejected(1), 0),
        (30, Ok(()), 3),
        (60, Ok(()), 3),
        (90, Ok(()), 0),
        (120, Ok(()), 0),
    ];
    assert_lines(&lines_at(Signal::Logs, &results), &[REJECTS, OVERFLOWS, ALL_AGAIN]);
}

#[test]
fn a_failure_shows_at_once_whatever_was_before_and_its_end_without_delay() {
    let results = [(0, Ok(()), 3), (1, broken(), 3), (2, Ok(()), 3), (3, Ok(()), 3)];
    let failed = ("WARN", "logs cannot be sent");
    let again = ("INFO", "logs are sent again");
    assert_lines(
        &lines_at(Signal::Logs, &results),
        &[OVERFLOWS, failed, again, OVERFLOWS],
    );
}
