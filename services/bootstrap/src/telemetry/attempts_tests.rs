use std::cell::Cell;
use std::sync::Arc;

use axum::http::StatusCode;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn answer(status: u16, retry_after: Option<&str>) -> Answer {
    let mut response = Response::builder().status(status);
    if let Some(text) = retry_after {
        response = response.header(RETRY_AFTER, text);
    }
    Ok(response.body(Bytes::new()).expect("valid"))
}

/// What `send` makes of these answers, one after the other: the last status, and how many attempts there were.
fn send(attempts: &Attempts, longest: Duration, answers: &[(u16, Option<&str>)]) -> (u16, usize) {
    let made = Cell::new(0);
    let result = attempts.send(longest, |_| {
        let (status, retry_after) = answers[made.get().min(answers.len() - 1)];
        made.set(made.get() + 1);
        answer(status, retry_after)
    });
    (result.expect("an answer").status().as_u16(), made.get())
}

#[test]
fn a_collector_that_has_too_much_to_do_is_asked_again_and_one_that_refuses_is_not() {
    for status in [429, 502, 503, 504] {
        let attempts = Attempts::new();
        assert_eq!(send(&attempts, LONG, &[(status, Some("0")), (200, None)]), (200, 2));
        assert_eq!(attempts.state.lock().failure, None);
    }
    for status in [301, 400, 401, 403, 404, 413, 500] {
        let attempts = Attempts::new();
        assert_eq!(send(&attempts, LONG, &[(status, None), (200, None)]), (status, 1));
        let code = StatusCode::from_u16(status).expect("valid");
        assert_eq!(attempts.state.lock().failure, Some(Failure::Refused(code)));
    }
}

#[test]
fn nobody_waits_for_longer_than_a_batch_may_take_and_the_next_one_waits_instead() {
    let attempts = Attempts::new();
    let made = send(&attempts, Duration::from_secs(10), &[(503, Some("120"))]);
    assert_eq!(made, (503, 1), "two minutes are more than the batch may take");
    let next = attempts.state.lock().not_before.expect("told");
    assert!(next > Instant::now() + Duration::from_secs(60));
}

#[test]
fn a_collector_cannot_ask_for_hours() {
    for text in ["86400", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let attempts = Attempts::new();
        send(&attempts, Duration::ZERO, &[(429, Some(text))]);
        let next = attempts.state.lock().not_before.expect("told");
        assert!(next <= Instant::now() + LONGEST_WAIT, "{text}");
        assert!(next > Instant::now() + LONGEST_WAIT / 2, "{text}");
    }
    for text in ["soon", "-1", "", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let attempts = Attempts::new();
        send(&attempts, Duration::ZERO, &[(429, Some(text))]);
        let next = attempts.state.lock().not_before.expect("the own wait");
        assert!(next <= Instant::now() + 2 * WAITS.0, "{text}");
    }
}

#[test]
fn a_collector_that_stays_away_is_asked_less_and_less_often() {
    let attempts = Attempts::new();
    let why = Failure::NoAnswer("refused".to_owned());
    let waits: Vec<Duration> = (0..12)
        .map(|_| {
            attempts
                .failed(why.clone(), None)
                .saturating_duration_since(Instant::now())
        })
        .collect();
    assert!(waits[0] <= 2 * WAITS.0, "{waits:?}");
    assert!(waits[11] > WAITS.1 / 2 && waits[11] <= 2 * WAITS.1, "{waits:?}");
    attempts.succeeded(None);
    let first = attempts.failed(why, None).saturating_duration_since(Instant::now());
    assert!(first <= 2 * WAITS.0, "{first:?}");
}

#[test]
fn the_end_of_the_process_ends_a_wait_and_each_batch_is_sent_once() {
    let attempts = Arc::new(Attempts::new());
    send(&attempts, Duration::ZERO, &[(503, Some("300"))]);
    let waiting = {
        let attempts = attempts.clone();
        std::thread::spawn(move || send(&attempts, LONG, &[(503, None)]))
    };
    attempts.end();
    assert_eq!(waiting.join().expect("no panic"), (503, 1));
    assert_eq!(send(&attempts, LONG, &[(503, None)]), (503, 1));
}

#[test]
fn all_attempts_of_a_batch_together_take_no_longer_than_it_may() {
    let longest = Duration::from_secs(10);
    let attempts = Attempts::new();
    let told = Cell::new(None);
    let made = Cell::new(0);
    let result = attempts.send(longest, |left| {
        made.set(made.get() + 1);
        match made.get() {
            1 => answer(503, Some("0")),
            _ => {
                told.set(Some(left));
                answer(200, None)
            }
        }
    });
    assert!(result.is_ok_and(|response| response.status() == StatusCode::OK));
    let left = told.get().expect("a second attempt");
    assert!(left <= longest - WAITS.0 && left > Duration::ZERO, "{left:?}");
    // An attempt with hardly any time left would time out and hide the answer.
    let made = send(&Attempts::new(), WAITS.0, &[(503, Some("0")), (200, None)]);
    assert_eq!(made, (503, 1));
}

#[test]
fn what_was_rejected_is_of_one_batch_and_a_failure_is_not_mixed_with_it() {
    let attempts = Attempts::new();
    let rejected = Rejected {
        items: 2,
        why: "too old".to_owned(),
    };
    attempts.succeeded(Some(rejected.clone()));
    assert_eq!(attempts.outcome(&Ok(())), Err(Failure::Rejected(rejected.clone())));
    assert_eq!(attempts.outcome(&Ok(())), Ok(()), "it was taken");
    attempts.succeeded(Some(rejected.clone()));
    attempts.succeeded(None);
    assert_eq!(attempts.take_rejected(), None, "the next request was taken as a whole");
    attempts.succeeded(Some(rejected));
    send(&attempts, Duration::ZERO, &[(400, None)]);
    let error = opentelemetry_sdk::error::OTelSdkError::InternalFailure("refused".to_owned());
    let outcome = attempts.outcome(&Err(error));
    assert_eq!(outcome, Err(Failure::Refused(StatusCode::BAD_REQUEST)));
}
