use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;

use super::super::written::Written;
use super::*;

/// Lines of this thread go through the filter, until the guard is dropped.
fn logging() -> (Repeats, Written, tracing::subscriber::DefaultGuard) {
    let (repeats, written) = (Repeats::default(), Written::default());
    let writer = written.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .with_filter(repeats.filter());
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    (repeats, written, guard)
}

fn count(written: &Written, part: &str) -> usize {
    written.text().lines().filter(|line| line.contains(part)).count()
}

#[test]
fn the_first_lines_of_a_place_are_shown_and_the_others_summed_up_in_one() {
    let (repeats, written, _guard) = logging();
    for number in 0..317 {
        tracing::warn!(number, "the backend {} does not answer", "orders");
        if number < 3 {
            tracing::warn!("another place");
        }
    }
    assert_eq!((count(&written, "does not answer"), count(&written, "another")), (5, 3));
    repeats.sum_up();
    let text = written.text();
    let sum = text.lines().last().expect("a sum");
    assert!(sum.contains("WARN"), "{sum}");
    assert!(
        sum.contains("312 more of these in the last minute: the backend orders does not answer"),
        "{sum}"
    );
    assert!(
        sum.contains("lines=312") && sum.contains(r#"module="wsmesh_bootstrap::telemetry::repeats::tests""#),
        "{sum}"
    );
    assert_eq!(count(&written, "more of these"), 1, "nothing was held back elsewhere");
}

#[test]
fn every_minute_begins_with_lines_that_are_shown_and_nothing_is_told_twice() {
    let (repeats, written, _guard) = logging();
    for minute in 1..=3 {
        for _ in 0..7 {
            tracing::error!("broken");
        }
        repeats.sum_up();
        assert_eq!(count(&written, "2 more of these in the last minute: broken"), minute);
    }
    assert_eq!(count(&written, " broken"), 15 + 3);
    assert!(written.text().lines().all(|line| line.contains("ERROR")));
    let before = written.text();
    repeats.sum_up();
    assert_eq!(written.text(), before, "a quiet minute says nothing");
}

#[test]
fn lines_below_a_warning_are_never_held_back() {
    let (repeats, written, _guard) = logging();
    for _ in 0..50 {
        tracing::info!("a life event");
        tracing::debug!("a detail");
    }
    repeats.sum_up();
    assert_eq!((count(&written, "life event"), count(&written, "a detail")), (50, 50));
    assert_eq!(written.text().lines().count(), 100);
}

#[test]
fn a_long_line_is_cut_where_it_is_summed_up_and_a_value_may_log_itself() {
    /// Logs while it is formatted.
    struct Chatty;
    impl fmt::Display for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::warn!("formatted");
            f.write_str("chatty")
        }
    }
    let (repeats, written, _guard) = logging();
    for _ in 0..10 {
        tracing::warn!("{Chatty} {}", "ä".repeat(1000));
    }
    repeats.sum_up();
    let text = written.text();
    let sum = text
        .lines()
        .find(|line| line.contains("5 more of these in the last minute: chatty"));
    let sum = sum.expect("a sum");
    assert!(
        sum.contains(&format!("chatty {}…", "ä".repeat(EXAMPLE_CHARS - 7))),
        "{sum}"
    );
}

#[test]
fn more_places_than_are_remembered_are_shown() {
    let (repeats, written, _guard) = logging();
    let place = || Place {
        is_error: false,
        module: String::new(),
        lines: 1,
        example: None,
    };
    repeats
        .0
        .lock()
        .extend((0..MOST_PLACES as u64).map(|key| (key, place())));
    for _ in 0..10 {
        tracing::warn!("one more");
    }
    assert_eq!(count(&written, "one more"), 10);
    assert_eq!(repeats.0.lock().len(), MOST_PLACES);
}

#[tokio::test(start_paused = true)]
async fn held_back_lines_are_summed_up_within_a_minute() {
    let (repeats, written, _guard) = logging();
    let keeping = repeats.keep();
    tokio::pin!(keeping);
    for _ in 0..6 {
        tracing::warn!("again");
    }
    let _still = tokio::time::timeout(MINUTE - Duration::from_secs(1), &mut keeping).await;
    assert_eq!(count(&written, "1 more of these"), 0);
    let _still = tokio::time::timeout(Duration::from_secs(2), &mut keeping).await;
    assert_eq!(count(&written, "1 more of these"), 1);
}
