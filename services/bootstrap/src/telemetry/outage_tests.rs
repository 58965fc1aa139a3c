use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use tracing_subscriber::layer::SubscriberExt;

use super::super::failure::Rejected;
use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines about these results, each with what did not fit meanwhile.
fn lines(signal: Signal, results: &[(Result<(), Failure>, usize)]) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let outage = Outage::new(signal, "http://collector/".to_owned());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        results
            .iter()
            .for_each(|(result, overflow)| outage.log(result, *overflow));
    });
    let text = String::from_utf8(lines.0.lock().clone()).expect("text");
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
