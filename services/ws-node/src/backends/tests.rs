//! Calls to a backend of the test: what the tests of rules do not see.

use std::time::Duration;

use bytes::Bytes;
use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use wsmesh_bootstrap::{Secret, SecretFile};

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

async fn listener() -> (TcpListener, Destination) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/in?x=1", listener.local_addr().expect("bound"));
    (listener, Destination::new(url.parse().expect("a URL"), LIMIT))
}

fn backend(destination: Destination) -> Backend {
    let metrics = BackendMetrics::register(&Registry::new()).expect("new");
    Backend::new("test", destination, &Shared::new(Handle::current(), metrics)).expect("good")
}

/// Reads until the end of the body is there; answers with this.
async fn answer(stream: &mut TcpStream, body: &str, answer: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(body.as_bytes()) {
        assert_ne!(stream.read_buf(&mut read).await.expect("a request"), 0);
    }
    stream.write_all(answer.as_bytes()).await.expect("sent");
    String::from_utf8(read).expect("text")
}

#[tokio::test]
async fn a_batch_is_signed_and_has_no_headers_of_a_single_event() {
    let (listener, destination) = listener().await;
    let backend = backend(Destination {
        signing_key: Some(SecretFile::from_secret(Secret::new(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ))),
        ..destination
    });
    let posted = backend.post_batch("batch-7".to_owned(), Bytes::from_static(b"[{}]"), LIMIT);
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("called");
        let busy = "HTTP/1.1 503 X\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
        answer(&mut stream, "[{}]", busy).await
    };
    let (answered, request) = tokio::join!(posted, serve);
    let answered = answered.expect("answered");
    assert_eq!(answered.status, 503);
    assert_eq!(answered.retry_after, Some(Duration::from_secs(7)));
    assert!(request.starts_with("POST /in?x=1 HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("content-type: application/cloudevents-batch+json\r\n"),
        "{request}"
    );
    assert!(
        request.contains("webhook-id: batch-7\r\n") && request.contains("webhook-signature: v1,"),
        "{request}"
    );
    assert!(!request.contains("ce-"), "{request}");
}

#[tokio::test]
async fn dropping_a_call_closes_its_connection() {
    let (listener, destination) = listener().await;
    let backend = backend(destination);
    let posted = backend.post_batch("1".to_owned(), Bytes::from_static(b"[]"), LIMIT);
    let (mut stream, _) = listener.accept().await.expect("called");
    answer(&mut stream, "[]", "").await;
    drop(posted);
    let ended = tokio::time::timeout(LIMIT, stream.read_u8()).await.expect("in time");
    assert!(ended.is_err(), "the connection has ended");
}

#[tokio::test]
async fn a_call_that_is_given_up_while_it_probes_a_backend_does_not_leave_the_breaker_stuck() {
    let (listener, destination) = listener().await;
    let backend = backend(Destination {
        breaker: BreakerLimits {
            failures: 1,
            open: Duration::from_millis(20),
        },
        ..destination
    });
    let post = |within| backend.post_batch("1".to_owned(), Bytes::from_static(b"[]"), within);
    let failed = async {
        let (stream, _) = listener.accept().await.expect("called");
        drop(stream);
    };
    let (failure, ()) = tokio::join!(post(LIMIT), failed);
    assert_eq!(failure, Err(Failure::Unavailable));
    // Ends before the backend has answered, again and again.
    let mut probed = Vec::new();
    while probed.len() < 3 {
        let probe = post(Duration::from_millis(200));
        tokio::select! {
            failure = probe => assert!(matches!(failure, Err(Failure::Unavailable | Failure::TimedOut)), "{failure:?}"),
            connection = listener.accept() => probed.push(connection.expect("called")),
        }
    }
    let serve = async {
        loop {
            let (mut stream, _) = listener.accept().await.expect("called");
            answer(&mut stream, "[]", "HTTP/1.1 204 X\r\n\r\n").await;
        }
    };
    let recovered = async { while post(LIMIT).await.is_err() {} };
    tokio::select! {
        () = recovered => {}
        () = serve => {}
        () = tokio::time::sleep(LIMIT) => panic!("the breaker is stuck"),
    }
}

#[tokio::test]
async fn the_breaker_counts_calls_that_had_most_of_their_time_and_not_those_of_impatient_callers() {
    let (_listener, destination) = listener().await;
    let limit = Duration::from_millis(200);
    let backend = backend(Destination {
        timeout: limit,
        breaker: BreakerLimits {
            failures: 2,
            open: LIMIT,
        },
        ..destination
    });
    let post = |within| backend.post_batch("1".to_owned(), Bytes::from_static(b"[]"), within);
    for _ in 0..4 {
        assert_eq!(post(limit / 4).await, Err(Failure::TimedOut), "impatient");
    }
    // Events wait for their turn, so they never have all of it.
    for _ in 0..2 {
        assert_eq!(post(limit * 3 / 4).await, Err(Failure::TimedOut));
    }
    assert_eq!(post(limit).await, Err(Failure::Unavailable));
}
