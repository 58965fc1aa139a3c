//! Tests of the publisher: answers that are late, wrong, in pieces or missing.

use super::link::Publishing;
use super::redis_links::{played, port};
use super::*;

async fn publishing_to(sent: &'static [u8], piece: usize) -> Arc<dyn Publisher> {
    let endpoint = played(sent, piece).await;
    soon("connects", endpoint.publisher()).await.expect("connects")
}

// On one thread, so that all three are queued before the first is written.
#[tokio::test]
async fn each_message_gets_its_own_answer_however_the_answers_are_split() {
    let channel = Channel::from("c");
    for piece in [1, 2, 3, 100] {
        let publisher = publishing_to(b":1\r\n-NOPERM no\r\n:300\r\n", piece).await;
        let publishing = (0..3).map(|n| publisher.publish(&channel, number(n)));
        let [first, second, third] = &soon("answers", futures_util::future::join_all(publishing)).await[..] else {
            panic!("three answers");
        };
        assert_eq!((first.clone().ok(), third.clone().ok()), (Some(1), Some(300)));
        assert_eq!(second.clone().expect_err("refused").kind, LinkErrorKind::Auth);
    }
}

// On one thread, so that both answers are read in one turn and no message is queued between them: the second answer
// would be valid then.
#[tokio::test]
async fn an_unexpected_answer_ends_the_connection() {
    for wrong in [&b":1\r\n:1\r\n"[..], b"+OK\r\n", b"*1\r\n$1\r\nx\r\n", b"!broken\r\n"] {
        let publisher = publishing_to(wrong, 100).await;
        let channel = Channel::from("c");
        let error = soon("the end", async {
            loop {
                if let Err(error) = publisher.publish(&channel, number(1)).await {
                    break error;
                }
            }
        })
        .await;
        assert_eq!(error.kind, LinkErrorKind::Protocol, "{wrong:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_hung_redis_a_bounded_number_of_messages_waits_and_all_fail() {
    let ground = redis();
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    ground.pause();
    let large = Bytes::from(vec![b'x'; 1024 * 1024]);
    let start = Instant::now();
    let mut publishing = Vec::new();
    for _ in 0..200 {
        publishing.push(publisher.publish(&channel, large.clone()));
        tokio::task::yield_now().await;
    }
    let results = soon("an end", futures_util::future::join_all(publishing)).await;
    assert!(start.elapsed() < LIMIT * 2, "{:?}", start.elapsed());
    let refused = results.iter().filter(|result| match result {
        Ok(_) => panic!("a hung Redis does not answer"),
        Err(error) => error.to_string().contains("accepts no more"),
    });
    let refused = refused.count();
    assert!((1..150).contains(&refused), "{refused} of 200 MiB were rejected");
    let later = soon("refused", publisher.publish(&channel, number(1))).await;
    assert_eq!(later.expect_err("given up").kind, LinkErrorKind::TimedOut);
    ground.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_messages_fail_when_the_publisher_is_dropped() {
    let ground = redis();
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    ground.pause();
    let waiting = publisher.publish(&channel, number(1));
    let start = Instant::now();
    drop(publisher);
    let error = soon("the end", waiting).await.expect_err("given up");
    assert_eq!(error.kind, LinkErrorKind::Closed, "{error}");
    assert!(start.elapsed() < LIMIT / 2, "{:?}", start.elapsed());
    ground.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_publisher_still_probes_and_resumes_with_redis() {
    let ground = redis();
    let url = NodeUrl::parse(&format!("redis://127.0.0.1:{}", port(&ground))).expect("a valid URL");
    // A limit so long that even a busy machine fills the queue before the first command times out.
    let endpoint = redis_endpoint(&url, "a test", LIMIT * 30);
    let publisher = soon("connects", endpoint.publisher()).await.expect("connects");
    let channel = Channel::from("c");
    ground.pause();
    let mut publishing = Vec::new();
    let full = loop {
        match publisher.publish(&channel, number(1)) {
            Publishing::Done(refused) => break refused.await.expect_err("too much"),
            waiting => publishing.push(waiting),
        }
        assert!(publishing.len() < 1_000_000, "no bound");
    };
    assert_eq!(full.kind, LinkErrorKind::Full, "{full}");
    let probe = publisher.probe(&channel, number(2));
    ground.resume();
    let results = soon("answers", futures_util::future::join_all(publishing)).await;
    assert!(results.iter().all(Result::is_ok), "nothing was given up");
    assert_eq!(soon("the probe", probe).await.ok(), Some(0));
    assert_eq!(
        publisher.publish(&channel, number(3)).await.ok(),
        Some(0),
        "the same connection"
    );
}

// On one thread, so that the publisher does not run while the test sleeps.
#[tokio::test]
async fn a_process_that_was_stopped_reads_answers_before_it_checks_time_limits() {
    let ground = redis();
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    for _ in 0..5 {
        let waiting = publisher.publish(&channel, number(1));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        std::thread::sleep(LIMIT + LIMIT / 10);
        assert_eq!(soon("an answer", waiting).await.ok(), Some(0));
    }
}
