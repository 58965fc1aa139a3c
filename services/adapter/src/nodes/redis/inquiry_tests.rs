//! Tests of questions to a real Redis, and to servers that only imitate one.

use super::redis_links::{answer, impostor, port};
use super::*;
use crate::nodes::inquiry::Inquiry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wsmesh_dial::testing::{Silent, name};

async fn inquiry(endpoint: &Arc<dyn Endpoint>) -> Result<Box<dyn Inquiry>, LinkError> {
    let start = Instant::now();
    let opened = soon("a connection", endpoint.inquiry()).await;
    assert!(start.elapsed() < LIMIT * 3, "{:?}", start.elapsed());
    opened
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_to_a_hung_redis_ends_with_the_time_limit() {
    let ground = redis();
    let mut open = inquiry(&ground.endpoint).await.expect("connects");
    ground.pause();
    let start = Instant::now();
    let error = soon("an error", open.facts(&[])).await.expect_err("hung");
    assert_eq!(error.kind, LinkErrorKind::TimedOut, "{error}");
    assert!(start.elapsed() < LIMIT * 2, "{:?}", start.elapsed());
    let error = inquiry(&ground.endpoint).await.err().expect("hung");
    assert!(error.to_string().contains("in time"), "{error}");
    ground.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_redis_closed_says_so_at_once_and_is_not_opened_again() {
    let ground = redis();
    let mut open = inquiry(&ground.endpoint).await.expect("connects");
    answer(port(&ground), "CLIENT KILL TYPE normal").await;
    let start = Instant::now();
    for _ in 0..2 {
        let error = soon("an error", open.facts(&[])).await.expect_err("closed");
        assert_eq!(error.kind, LinkErrorKind::Closed, "{error}");
    }
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    let list = answer(port(&ground), "CLIENT LIST").await;
    assert!(!list.contains("name=a_test"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_or_closing_a_connection_ends_it_at_redis() {
    let ground = redis();
    let dropped = inquiry(&ground.endpoint).await.expect("connects");
    let closed = inquiry(&ground.endpoint).await.expect("connects");
    let named = async || {
        answer(port(&ground), "CLIENT LIST")
            .await
            .matches("name=a_test")
            .count()
    };
    assert_eq!(named().await, 2);
    drop(dropped);
    closed.close().await;
    soon("both are closed", async {
        while named().await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_is_reported_as_the_links_report_it() {
    let locked = redis_with(&["--requirepass", "s3cret"], ":s3cret@");
    let mut open = inquiry(&locked.endpoint).await.expect("connects");
    assert!(open.about().await.expect("answers").run_id.is_some());
    let host = format!("127.0.0.1:{}", port(&locked));
    for (login, hint) in [
        (":wrong@", "check user and password"),
        ("", "give the server the password"),
    ] {
        let error = inquiry(&endpoint_of(&format!("redis://{login}{host}"))).await.err();
        let error = error.expect("refused");
        assert_eq!(error.kind, LinkErrorKind::Auth, "{error}");
        assert!(
            error.to_string().contains(hint) && !error.to_string().contains("wrong@"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_password_is_logged_in() {
    let ground = redis();
    answer(port(&ground), "ACL SETUSER open on nopass &* +@all").await;
    let mut open = inquiry(&endpoint_of(&format!("redis://open@127.0.0.1:{}", port(&ground))))
        .await
        .expect("connects");
    open.about().await.expect("answers");
    let list = answer(port(&ground), "CLIENT LIST").await;
    assert!(list.contains("name=a_test") && list.contains("user=open"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_address_of_a_host_costs_less_than_the_limit_of_a_question() {
    let (ground, silent) = (redis(), Silent::start().await);
    let live = std::net::SocketAddr::from(([127, 0, 0, 1], port(&ground)));
    name("inquiry.test", &[silent.address(), live]);
    let mut open = inquiry(&endpoint_of("redis://inquiry.test")).await.expect("connects");
    open.about().await.expect("answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_only_imitate_redis_fail_or_leave_facts_out() {
    // Answers every command with the same text, as often as it was sent.
    for (said, works) in [
        (&b"-ERR unknown command\r\n"[..], true),
        (b"+OK\r\n", true),
        (b"$-1\r\n", true),
        (b"*0\r\n", true),
        (b":7\r\n", true),
        (b"-LOADING Redis is loading the dataset in memory\r\n", false),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
        (b"\x15\x03\x01", false),
    ] {
        let address = impostor(move |mut stream| async move {
            let mut asked = [0; 4096];
            // The first command is PING, which must work.
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(b"+PONG\r\n").await;
            while let Ok(length @ 1..) = stream.read(&mut asked).await {
                let commands = asked[..length].iter().filter(|byte| **byte == b'*').count();
                for _ in 0..commands {
                    let _ = stream.write_all(said).await;
                }
            }
        });
        let endpoint = endpoint_of(&format!("redis://{}", address.await));
        let answered = match inquiry(&endpoint).await {
            Ok(mut open) => soon("an answer", open.facts(&[])).await,
            Err(error) => Err(error),
        };
        let shown = String::from_utf8_lossy(said);
        match answered {
            Ok(facts) => assert!(
                works && facts.run_id.is_none() && facts.slow_log.is_empty(),
                "{shown}: {facts:?}"
            ),
            Err(error) => assert!(!works, "{shown}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_answers_without_end_or_too_deep_only_fails_its_interview() {
    let endless = || "$9000000\r\n".to_owned() + &"x".repeat(5_000_000);
    let deep = || "*1\r\n".repeat(100_000);
    for (said, why) in [(endless(), "more than"), (deep(), "that is not Redis")] {
        let said: Arc<str> = said.into();
        let address = impostor(move |mut stream| {
            let said = said.clone();
            async move {
                let mut asked = [0; 4096];
                for answer in ["+PONG\r\n", "+OK\r\n", &*said] {
                    let _ = stream.read(&mut asked).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                let _ = stream.read(&mut asked).await;
            }
        });
        let endpoint = endpoint_of(&format!("redis://{}", address.await));
        let mut interview = soon("a connection", endpoint.interview()).await.expect("connects");
        let error = soon("an error", interview.about()).await.expect_err("hostile");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_against_a_command_is_shortened() {
    let address = impostor(move |mut stream| async move {
        let mut asked = [0; 4096];
        let long = format!("${}\r\n{}\r\n", 5000, "x".repeat(5000));
        for answer in ["+PONG\r\n", "+OK\r\n", "+app\r\n", &long, &long] {
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let endpoint = endpoint_of(&format!("redis://{}", address.await));
    let mut interview = soon("a connection", endpoint.interview()).await.expect("connects");
    let channels = [Channel::from("c")];
    let rights = soon("rights", interview.rights(&channels)).await.expect("answers");
    let denied = rights.and_then(|rights| rights.publish_denied).expect("denied");
    assert_eq!(denied, "x".repeat(160) + "…");
}
