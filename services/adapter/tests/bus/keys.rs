//! What the adapter promises about idempotency keys, on both buses: a request that is repeated with its key is carried out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use wsmesh_adapter::{MAX_KEY_BYTES, Missing, PublishError, Refusal, Reply, RequestError, RequestOptions, Target};

use crate::support::ground::{Ground, suite, text, value};
use crate::support::*;

suite![
    a_repeat_waits_for_the_answer_of_the_first_and_gets_the_same_answer_afterwards,
    a_repeat_is_carried_out_although_the_first_caller_gave_up_while_it_was_queued,
    the_answer_for_a_caller_that_gave_up_is_kept_for_its_repeat,
    another_request_with_the_same_key_is_refused,
    a_refusal_is_repeated_and_what_was_not_carried_out_is_tried_again,
    a_handler_that_ended_without_an_answer_is_not_called_again,
    every_listener_of_an_event_gets_a_request_with_a_key_once,
    a_key_that_is_empty_or_too_long_is_an_error,
];

const LONG: Duration = Duration::from_secs(60);

fn keyed(key: &str, limit: Duration) -> RequestOptions {
    RequestOptions {
        timeout: Some(limit),
        key: Some(key.to_owned()),
        ..RequestOptions::default()
    }
}

type Asked = JoinHandle<Result<Reply, RequestError>>;

/// Asks server two to work.
fn ask(from: &Server, payload: &str, options: RequestOptions) -> Asked {
    let (adapter, payload) = (from.adapter.clone(), text(payload));
    tokio::spawn(async move {
        let two = Target::Server(server("two"));
        adapter.call(two, "work", payload, options).await
    })
}

async fn answer(asked: Asked) -> Value {
    let reply = soon("an answer", asked).await.expect("no panic").expect("answered");
    value(&reply.payload)
}

fn repeated(at: &Server, result: &str) -> u64 {
    counted(at, "wsmesh_repeated_requests_total", &[result])
}

/// Counts its requests and answers each with its number, once it is let through.
struct Worker {
    gate: Arc<Semaphore>,
    handled: Arc<AtomicUsize>,
}

impl Worker {
    fn at(server: &Server) -> Self {
        let (gate, handled) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, counting) = (gate.clone(), handled.clone());
        server.adapter.on_request("work", move |_| {
            let (opened, counting) = (opened.clone(), counting.clone());
            async move {
                let number = counting.fetch_add(1, Ordering::Relaxed);
                opened.acquire().await.expect("open").forget();
                Ok::<_, Refusal>(number)
            }
        });
        Self { gate, handled }
    }

    fn handled(&self) -> usize {
        self.handled.load(Ordering::Relaxed)
    }
}

async fn a_repeat_waits_for_the_answer_of_the_first_and_gets_the_same_answer_afterwards(ground: Ground) {
    let (one, two) = ground.pair().await;
    let three = Server::ready(ground.options("three", "ws-node")).await;
    acquainted(&[&one, &two, &three]).await;
    let worker = Worker::at(&two);
    let first = ask(&one, "x", keyed("k", LONG));
    until("the first one runs", || worker.handled() == 1).await;
    let repeats: Vec<_> = [&one, &two, &three].map(|from| ask(from, "x", keyed("k", LONG))).into();
    until("its repeats wait", || repeated(&two, "waited") == 3).await;
    worker.gate.add_permits(1);
    for asked in repeats.into_iter().chain([first]) {
        assert_eq!(answer(asked).await, 0);
    }
    for from in [&one, &two, &three] {
        assert_eq!(answer(ask(from, "x", keyed("k", LONG))).await, 0);
    }
    assert_eq!((worker.handled(), repeated(&two, "answered")), (1, 3));
    worker.gate.add_permits(2);
    assert_eq!(answer(ask(&one, "x", keyed("another", LONG))).await, 1);
    let without = RequestOptions::default();
    assert_eq!(answer(ask(&one, "x", without)).await, 2);
}

async fn a_repeat_is_carried_out_although_the_first_caller_gave_up_while_it_was_queued(ground: Ground) {
    let (one, two) = ground.pair().await;
    let worker = Worker::at(&two);
    let before = ask(&one, "x", RequestOptions::default());
    until("another request runs", || worker.handled() == 1).await;
    let first = ask(&one, "x", keyed("k", Duration::from_millis(200)));
    let repeat = ask(&one, "x", keyed("k", LONG));
    let error = soon("an answer", first)
        .await
        .expect("no panic")
        .expect_err("it gave up");
    assert!(
        matches!(
            error,
            RequestError::Missing {
                why: Missing::TimedOut,
                ..
            }
        ),
        "{error}"
    );
    worker.gate.add_permits(2);
    drop(before);
    assert_eq!(answer(repeat).await, 1);
    assert_eq!(worker.handled(), 2);
}

async fn the_answer_for_a_caller_that_gave_up_is_kept_for_its_repeat(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut listener = two.adapter.listen("work");
    let first = ask(&one, "x", keyed("k", Duration::from_secs(1)));
    let event = soon("the request", listener.next()).await.expect("listening");
    assert_eq!(event.key.as_deref(), Some("k"));
    soon("an answer", first)
        .await
        .expect("no panic")
        .expect_err("it gave up");
    soon("the end of its time", event.abandoned()).await;
    event.reply(text("done")).await.expect("kept");
    assert_eq!(answer(ask(&one, "x", keyed("k", LONG))).await, "done");
}

async fn another_request_with_the_same_key_is_refused(ground: Ground) {
    let (one, two) = ground.pair().await;
    let worker = Worker::at(&two);
    worker.gate.add_permits(3);
    assert_eq!(answer(ask(&one, "x", keyed("k", LONG))).await, 0);
    let refused = answer(ask(&one, "y", keyed("k", LONG))).await;
    assert_eq!(refused["errorCode"], "CONFLICT");
    assert_eq!(repeated(&two, "conflict"), 1);
    // The requester says what makes two requests different.
    let same = |key| RequestOptions {
        fingerprint: Some(7),
        ..keyed(key, LONG)
    };
    assert_eq!(answer(ask(&one, "x", same("f"))).await, 1);
    assert_eq!(answer(ask(&one, "y", same("f"))).await, 1);
    assert_eq!(worker.handled(), 2);
}

async fn a_refusal_is_repeated_and_what_was_not_carried_out_is_tried_again(ground: Ground) {
    let (one, two) = ground.pair().await;
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = handled.clone();
    two.adapter.on_request("work", move |event| {
        let number = counting.fetch_add(1, Ordering::Relaxed);
        async move {
            let code: String = event.payload.parse().expect("a text");
            Err::<(), _>(Refusal::new(code, number.to_string()))
        }
    });
    for (code, numbers) in [("NOT_ALLOWED", ["0", "0"]), ("OVERLOADED", ["1", "2"])] {
        for number in numbers {
            let refused = answer(ask(&one, code, keyed(code, LONG))).await;
            assert_eq!(refused, json!({"error": number, "errorCode": code}));
        }
    }
    assert_eq!(handled.load(Ordering::Relaxed), 3);
}

async fn a_handler_that_ended_without_an_answer_is_not_called_again(ground: Ground) {
    let (one, two) = ground.pair().await;
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = handled.clone();
    two.adapter.on("work", move |event| {
        counting.fetch_add(1, Ordering::Relaxed);
        drop(event);
        std::future::ready(())
    });
    for _ in 0..2 {
        let asked = soon("an answer", ask(&one, "x", keyed("k", LONG)))
            .await
            .expect("no panic");
        let error = asked.expect_err("there is none");
        assert!(
            matches!(
                error,
                RequestError::Missing {
                    why: Missing::NoReply,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(handled.load(Ordering::Relaxed), 1);
}

async fn every_listener_of_an_event_gets_a_request_with_a_key_once(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut listeners = [two.adapter.listen("work"), two.adapter.listen("work")];
    let asked = ask(&one, "x", keyed("k", LONG));
    let event = soon("the request", listeners[0].next()).await.expect("listening");
    event.reply(text("first")).await.expect("sent");
    assert_eq!(answer(asked).await, "first");
    let event = soon("the request", listeners[1].next()).await.expect("listening");
    event.reply(text("second")).await.expect("ignored");
    assert_eq!(answer(ask(&one, "x", keyed("k", LONG))).await, "first");
}

async fn a_key_that_is_empty_or_too_long_is_an_error(ground: Ground) {
    let (one, two) = ground.pair().await;
    let worker = Worker::at(&two);
    worker.gate.add_permits(1);
    for bytes in [0, MAX_KEY_BYTES + 1] {
        let asked = ask(&one, "x", keyed(&"k".repeat(bytes), LONG)).await.expect("no panic");
        let error = asked.expect_err("not sent");
        assert!(
            matches!(error, RequestError::Publish(PublishError::Key(length)) if length == bytes),
            "{error}"
        );
    }
    let longest = keyed(&"k".repeat(MAX_KEY_BYTES), LONG);
    assert_eq!(answer(ask(&one, "x", longest)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_alone_carries_out_its_own_requests_once() {
    let alone = Server::ready(options("two", "ws-node", wsmesh_adapter::Bus::Alone)).await;
    let worker = Worker::at(&alone);
    worker.gate.add_permits(2);
    for _ in 0..2 {
        assert_eq!(answer(ask(&alone, "x", keyed("k", LONG))).await, 0);
    }
    let refused = answer(ask(&alone, "y", keyed("k", LONG))).await;
    assert_eq!(refused["errorCode"], "CONFLICT");
    assert_eq!(worker.handled(), 1);
}
