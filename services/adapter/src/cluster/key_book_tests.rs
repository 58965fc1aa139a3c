use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn key(name: &str) -> Key {
    Key {
        event: "buy".into(),
        key: name.into(),
    }
}

fn reply(json: &str) -> Answered {
    Ok(Payload::from_json(json.to_owned()))
}

fn enter(book: &mut KeyBook<u32>, name: &str, number: u32, now: Instant) -> Entered<u32> {
    book.enter(key(name), Some(7), &Deadline::At(now + 4 * SECOND), number, now)
}

/// The first request with this key.
fn run(book: &mut KeyBook<u32>, name: &str, now: Instant) -> Run {
    match enter(book, name, 0, now) {
        Entered::First(_, run, _) => run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn repeats_whose_time_is_over_make_room_for_others() {
    let (mut book, now) = (KeyBook::default(), Instant::now());
    let first = run(&mut book, "a", now);
    assert!(book.take(&first, now));
    for number in 1..=MOST_WAITING as u32 {
        assert!(matches!(enter(&mut book, "a", number, now), Entered::Waits));
    }
    assert!(matches!(enter(&mut book, "a", 99, now), Entered::Full(99)));
    let later = now + 5 * SECOND;
    assert!(matches!(enter(&mut book, "a", 100, later), Entered::Waits));
    assert_eq!(book.settle(&first, &reply("1"), later), [100]);
}

#[test]
fn a_run_that_never_ends_gives_its_key_back_when_an_answer_would_be_forgotten() {
    let (mut book, now) = (KeyBook::default(), Instant::now());
    let hung = run(&mut book, "a", now);
    assert!(book.take(&hung, now));
    let before = now + 4 * SECOND + KEPT_FOR - SECOND;
    assert!(matches!(enter(&mut book, "a", 1, before), Entered::Waits));
    let second = run(&mut book, "a", before + SECOND);
    assert!(book.take(&second, before + SECOND));
    assert!(
        book.settle(&hung, &reply("0"), before + SECOND).is_empty(),
        "it is somebody else's key now"
    );
    assert_eq!(
        book.settle(&second, &reply("1"), before + SECOND),
        [1],
        "who still waited gets the answer"
    );
    assert!(matches!(
        enter(&mut book, "a", 2, before + SECOND),
        Entered::Answered(2, Ok(_))
    ));
}

#[test]
fn a_repeat_waits_while_the_first_runs_and_gets_its_answer_afterwards() {
    let (mut book, now) = (KeyBook::default(), Instant::now());
    let first = run(&mut book, "a", now);
    assert!(book.take(&first, now));
    assert!(matches!(enter(&mut book, "a", 1, now), Entered::Waits));
    assert!(matches!(enter(&mut book, "a", 2, now), Entered::Waits));
    assert_eq!(book.settle(&first, &reply("1"), now), [1, 2]);
    assert!(
        book.settle(&first, &reply("2"), now).is_empty(),
        "the first answer counts"
    );
    let Entered::Answered(3, answer) = enter(&mut book, "a", 3, now + 119 * SECOND) else {
        panic!("it is stored")
    };
    assert_eq!(answer, reply("1"));
    run(&mut book, "a", now + KEPT_FOR);
    run(&mut book, "b", now);
}

#[test]
fn a_refusal_is_kept_unless_it_says_that_nothing_was_carried_out() {
    let now = Instant::now();
    let refused = |code: &str| reply(&format!(r#"{{"error":"no","errorCode":"{code}"}}"#));
    for (answer, is_kept) in [
        (refused("NOT_ALLOWED"), true),
        (refused("CONFLICT"), true),
        (refused("OVERLOADED"), false),
        (refused("UNAVAILABLE"), false),
        (refused("RATE_LIMITED"), false),
        (Err(Missing::NoReply), true),
        (Err(Missing::Overloaded), false),
        (Err(Missing::Unhandled), false),
    ] {
        let mut book = KeyBook::default();
        let first = run(&mut book, "a", now);
        assert!(book.take(&first, now));
        book.settle(&first, &answer, now);
        let again = enter(&mut book, "a", 1, now);
        assert_eq!(matches!(again, Entered::Answered(..)), is_kept, "{answer:?}");
        assert_eq!(matches!(again, Entered::First(..)), !is_kept, "{answer:?}");
    }
}

#[test]
fn a_request_whose_listener_ended_before_it_got_it_may_be_repeated() {
    let (mut book, now) = (KeyBook::default(), Instant::now());
    let first = run(&mut book, "a", now);
    book.settle(&first, &Err(Missing::NoReply), now);
    run(&mut book, "a", now);
}

#[test]
fn another_request_with_the_same_key_is_a_conflict_before_and_after_the_answer() {
    let (mut book, now) = (KeyBook::default(), Instant::now());
    let first = run(&mut book, "a", now);
    let other = |book: &mut KeyBook<u32>| book.enter(key("a"), Some(8), &Deadline::Never, 1, now);
    assert!(matches!(other(&mut book), Entered::Conflict(1)));
    book.settle(&first, &reply("1"), now);
    assert!(matches!(other(&mut book), Entered::Conflict(1)));
    let without = book.enter(key("a"), None, &Deadline::Never, 1, now);
    assert!(matches!(without, Entered::Answered(..)), "nothing to compare");
    let elsewhere = Key {
        event: "sell".into(),
        ..key("a")
    };
    assert!(matches!(
        book.enter(elsewhere, Some(8), &Deadline::Never, 1, now),
        Entered::First(..)
    ));
}

#[test]
fn a_repeat_keeps_the_request_wanted_after_the_first_has_given_up() {
    let (mut book, now) = (KeyBook::default(), Instant::now());
    let first = run(&mut book, "a", now);
    enter(&mut book, "a", 1, now + 2 * SECOND);
    assert!(book.take(&first, now + 5 * SECOND), "the repeat waits until second 6");
    let unwanted = run(&mut book, "b", now);
    assert!(!book.take(&unwanted, now + 4 * SECOND));
    run(&mut book, "b", now + 4 * SECOND);
}

#[test]
fn a_late_answer_does_not_settle_a_newer_request_with_the_same_key() {
    let (mut book, now) = (KeyBook::default(), Instant::now());
    let old = run(&mut book, "a", now);
    assert!(!book.take(&old, now + 4 * SECOND));
    let new = run(&mut book, "a", now + 4 * SECOND);
    book.settle(&old, &reply("1"), now + 5 * SECOND);
    assert!(book.take(&new, now + 5 * SECOND));
}

#[test]
fn the_book_is_bounded_in_bytes_and_number_and_counts_what_it_evicts() {
    let (mut book, now) = (KeyBook::default(), Instant::now());
    let answer = reply(&format!("\"{}\"", "x".repeat(1024 * 1024)));
    for n in 0..40 {
        let first = run(&mut book, &n.to_string(), now);
        book.settle(&first, &answer, now);
        assert!(book.bytes <= MOST_BYTES);
    }
    assert!(book.take_evicted() >= 8);
    run(&mut book, "0", now);
    assert!(matches!(enter(&mut book, "39", 1, now), Entered::Answered(..)));
    // Everything is given back.
    run(&mut book, "later", now + KEPT_FOR);
    let left: usize = book.keys.keys().map(|key| cost(key, None)).sum();
    assert_eq!((book.answered.len(), book.bytes), (0, left));
}

#[test]
fn what_runs_is_never_forgotten_and_too_much_is_refused() {
    let (mut book, now) = (KeyBook::default(), Instant::now());
    for n in 0..MOST_KEYS.min(MOST_BYTES / OVERHEAD) {
        run(&mut book, &n.to_string(), now);
        if book.bytes > MOST_BYTES {
            break;
        }
    }
    assert!(matches!(enter(&mut book, "x", 1, now), Entered::Full(1)));
    assert!(matches!(enter(&mut book, "0", 1, now), Entered::Waits), "it still runs");
    for n in 2..=MOST_WAITING as u32 {
        assert!(matches!(enter(&mut book, "0", n, now), Entered::Waits));
    }
    assert!(matches!(enter(&mut book, "0", 99, now), Entered::Full(99)));
    assert_eq!(book.take_evicted(), 0);
}

#[test]
fn the_codes_are_those_of_the_client_protocol() {
    use wsmesh_protocol::ErrorCode;
    let codes = [ErrorCode::Overloaded, ErrorCode::Unavailable, ErrorCode::RateLimited];
    assert_eq!(NOT_CARRIED_OUT, codes.map(ErrorCode::as_str));
}
