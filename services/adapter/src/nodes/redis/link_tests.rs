//! Tests of connections to a real Redis, and to servers that are not a Redis.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wsmesh_dial::testing::{Silent, name};

use super::*;

/// One command and its answer, as text.
pub(super) async fn answer(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
    let both = format!("{command}\r\nQUIT\r\n");
    stream.write_all(both.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("text");
    text
}

pub(super) fn port(ground: &Ground) -> u16 {
    ground.redis.as_ref().expect("a real Redis").port
}

/// The errors with which the publisher and the subscriber cannot connect.
pub(super) async fn connect_errors(endpoint: &Arc<dyn Endpoint>) -> [LinkError; 2] {
    let start = Instant::now();
    let connect_errors = [
        soon("no publisher", endpoint.publisher()).await.err().expect("P"),
        soon("no subscriber", endpoint.subscriber())
            .await
            .err()
            .expect("refused"),
    ];
    assert!(start.elapsed() < LIMIT * 3, "{:?}", start.elapsed());
    connect_errors
}

pub(super) async fn fails_with(endpoint: &Arc<dyn Endpoint>, kind: LinkErrorKind, hint: &str) {
    for error in connect_errors(endpoint).await {
        assert!(error.to_string().contains(hint), "not {hint:?}: {error}");
        assert_eq!(error.kind, kind, "{error}");
    }
}

/// Publishes and receives once.
pub(super) async fn works(endpoint: &Arc<dyn Endpoint>) {
    let ground = Ground {
        endpoint: endpoint.clone(),
        memory: None,
        redis: None,
    };
    let (publisher, channel) = (ground.publisher().await, Channel::from("wsmesh:c"));
    let mut listener = ground.listening(&channel).await;
    assert_eq!(publisher.publish(&channel, number(5)).await.ok(), Some(1));
    assert_eq!(listener.number().await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_carry_the_servers_name_and_dropping_them_closes_them() {
    let ground = redis();
    let channel = Channel::from("c");
    let (publisher, listener) = (ground.publisher().await, ground.listening(&channel).await);
    assert_eq!(publisher.publish(&channel, number(1)).await.ok(), Some(1));
    let named = |list: &str| list.matches("name=a_test").count();
    assert_eq!(named(&answer(port(&ground), "CLIENT LIST").await), 2);
    drop((publisher, listener));
    soon("both are closed", async {
        while named(&answer(port(&ground), "CLIENT LIST").await) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_whose_connection_redis_killed_ends() {
    let ground = redis();
    let mut listener = ground.listening(&Channel::from("c")).await;
    answer(port(&ground), "CLIENT KILL TYPE pubsub").await;
    let error = soon("the end", listener.subscriber.next()).await.expect_err("ended");
    assert_eq!(error.kind, LinkErrorKind::Closed, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_redis_costs_no_more_than_the_time_limit() {
    let ground = redis();
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    ground.pause();
    let start = Instant::now();
    let error = soon("a time-out", publisher.publish(&channel, number(1)))
        .await
        .expect_err("hung");
    assert_eq!(error.kind, LinkErrorKind::TimedOut, "{error}");
    assert!(start.elapsed() < LIMIT * 2, "{:?}", start.elapsed());
    fails_with(
        &ground.endpoint,
        LinkErrorKind::TimedOut,
        "did not answer in time (is it hung",
    )
    .await;
    ground.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_names_a_wrong_missing_or_needless_password() {
    let locked = redis_with(&["--requirepass", "s3 cret@"], ":s3%20cret%40@");
    works(&locked.endpoint).await;
    let host = format!("127.0.0.1:{}", port(&locked));
    let with = |login: &str| endpoint_of(&format!("redis://{login}{host}"));
    fails_with(&with(":wrong@"), LinkErrorKind::Auth, "check user and password").await;
    fails_with(
        &with("nobody:s3%20cret%40@"),
        LinkErrorKind::Auth,
        "check user and password",
    )
    .await;
    fails_with(&with(""), LinkErrorKind::Auth, "give the server the password").await;
    let open = redis();
    let needless = endpoint_of(&format!("redis://:needless@127.0.0.1:{}", port(&open)));
    fails_with(
        &needless,
        LinkErrorKind::Auth,
        "has no password: take it out of the server's --redis-password-file and --redis",
    )
    .await;
    for error in connect_errors(&with(":wrong@")).await {
        assert!(!error.to_string().contains("wrong"), "shows a password: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_exactly_the_rights_from_the_hint_works_and_other_channels_are_forbidden() {
    let ground = redis();
    answer(
        port(&ground),
        "ACL SETUSER app on >pw resetchannels &wsmesh:* -@all +publish +subscribe +unsubscribe +ping",
    )
    .await;
    let endpoint = endpoint_of(&format!("redis://app:pw@127.0.0.1:{}", port(&ground)));
    works(&endpoint).await;
    let publisher = endpoint.publisher().await.expect("connects");
    let elsewhere = Channel::from("elsewhere");
    let error = publisher.publish(&elsewhere, number(1)).await.expect_err("not allowed");
    assert_eq!(error.kind, LinkErrorKind::Forbidden, "{error}");
    let allowed = Channel::from("wsmesh:c");
    let mut listener = Listener {
        subscriber: endpoint.subscriber().await.expect("connects"),
        arrived: VecDeque::new(),
    };
    for channels in [vec![allowed.clone(), elsewhere], vec![allowed.clone()]] {
        listener.subscriber.subscribe(&channels).await.expect("asked");
    }
    assert_eq!(
        listener.next().await,
        Arrival::Rejected,
        "one answer for the whole call"
    );
    assert_eq!(listener.next().await, Arrival::Confirmed);
    assert_eq!(
        publisher.publish(&allowed, number(1)).await.ok(),
        Some(1),
        "both connections stay open"
    );
    assert_eq!(listener.number().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_the_user_may_not_use_ends_the_connection() {
    let ground = redis();
    answer(
        port(&ground),
        "ACL SETUSER access-a-channel on >pw &* -@all +publish +ping",
    )
    .await;
    let endpoint = endpoint_of(&format!("redis://access-a-channel:pw@127.0.0.1:{}", port(&ground)));
    let mut subscriber = endpoint.subscriber().await.expect("connects");
    subscriber.subscribe(&[Channel::from("c")]).await.expect("asked");
    let error = soon("an answer", subscriber.next()).await.expect_err("not allowed");
    assert_eq!(error.kind, LinkErrorKind::Auth, "{error}");
    assert!(error.to_string().contains("+subscribe"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_of_a_url_is_logged_in_even_without_a_password() {
    let ground = redis();
    let port = port(&ground);
    for user in ["open on nopass", "locked on >pw"] {
        answer(port, &format!("ACL SETUSER {user} &* +@all")).await;
    }
    let open = endpoint_of(&format!("redis://open@127.0.0.1:{port}"));
    works(&open).await;
    let held = soon("a publisher", open.publisher()).await.expect("connects");
    let list = answer(port, "CLIENT LIST").await;
    assert!(list.contains("name=a_test") && list.contains("user=open"), "{list}");
    drop(held);
    let locked = endpoint_of(&format!("redis://locked@127.0.0.1:{port}"));
    fails_with(&locked, LinkErrorKind::Auth, "requires a password for this user").await;
    let unknown = endpoint_of(&format!("redis://nobody@127.0.0.1:{port}"));
    fails_with(&unknown, LinkErrorKind::Auth, "requires a password for this user").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_a_full_redis_says_what_to_raise() {
    let ground = redis_with(&["--maxclients", "2"], "");
    let held = (ground.publisher().await, ground.listener().await);
    for error in connect_errors(&ground.endpoint).await {
        assert!(error.to_string().contains("maxclients"), "{error}");
        assert_eq!(error.kind, LinkErrorKind::Rejected, "{error}");
    }
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_distinguishes_a_closed_port_from_an_unknown_host() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("bound");
    drop(free);
    let dead = endpoint_of(&format!("redis://{address}"));
    fails_with(&dead, LinkErrorKind::Connect, "is Redis running there?").await;
    let unknown = endpoint_of("redis://no-such-host.invalid");
    fails_with(&unknown, LinkErrorKind::Connect, "is the host name right?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_address_of_a_host_costs_less_than_the_time_limit() {
    let (ground, silent) = (redis(), Silent::start().await);
    let live = SocketAddr::from(([127, 0, 0, 1], port(&ground)));
    name("redis.test", &[silent.address(), live]);
    works(&endpoint_of("redis://redis.test")).await;
}

// ------------------------------------------------------------------- servers that are not a Redis, or a broken one

/// A server that does the same with every connection.
pub(super) async fn impostor<F>(each: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    address.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_never_answers_costs_no_more_than_the_time_limit() {
    let silent = impostor(|stream| async move {
        let _held = stream;
        std::future::pending().await
    });
    let endpoint = endpoint_of(&format!("redis://{}", silent.await));
    fails_with(&endpoint, LinkErrorKind::TimedOut, "did not answer in time").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_is_not_mistaken_for_a_redis() {
    let web = impostor(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let endpoint = endpoint_of(&format!("redis://{}", web.await));
    fails_with(&endpoint, LinkErrorKind::Protocol, "is this a Redis server?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_for_a_port_that_closes_at_once_names_likely_reasons() {
    let shut = impostor(|stream| async move { drop(stream) });
    let endpoint = endpoint_of(&format!("redis://{}", shut.await));
    fails_with(&endpoint, LinkErrorKind::Connect, "does it require TLS").await;
}

/// Imitates a Redis: answers the login, then sends bytes in pieces of this size.
pub(super) async fn played(sent: &'static [u8], piece: usize) -> Arc<dyn Endpoint> {
    let address = impostor(move |mut stream| async move {
        stream.set_nodelay(true).expect("a socket");
        let mut asked = [0; 1024];
        for greeting in [&b"+PONG\r\n"[..], b"+OK\r\n"] {
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(greeting).await;
        }
        // A subscriber asks for its limit, its number and the run id, a publisher for the run id: all may be refused.
        let length = stream.read(&mut asked).await.unwrap_or_default();
        if asked[..length].windows(6).any(|word| word == b"CONFIG") {
            let _ = stream.write_all("-ERR unknown command\r\n".repeat(3).as_bytes()).await;
        } else {
            let _ = stream.write_all(b"-ERR unknown command\r\n").await;
            let _ = stream.read(&mut asked).await;
        }
        for piece in sent.chunks(piece) {
            let _ = stream.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        let _ = stream.read(&mut asked).await;
    });
    endpoint_of(&format!("redis://{}", address.await))
}

async fn pretend(sent: &'static [u8], piece: usize) -> Listener {
    let endpoint = played(sent, piece).await;
    let subscriber = soon("connects", endpoint.subscriber()).await.expect("connects");
    Listener {
        subscriber,
        arrived: VecDeque::new(),
    }
}

const TWO: &[u8] = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n\
    *3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n22\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn messages_may_arrive_in_pieces_of_any_size() {
    for piece in [1, 2, 3, 7, 40] {
        let mut listener = pretend(TWO, piece).await;
        assert_eq!(listener.number().await, 1);
        listener.confirmed(1).await;
        assert_eq!(listener.number().await, 22);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arrivals_before_broken_bytes_are_handed_over_first() {
    for (broken, kind) in [
        (
            &b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n!broken\r\n"[..],
            LinkErrorKind::Protocol,
        ),
        (
            b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n*1\r\n$1\r\nx\r\n",
            LinkErrorKind::Protocol,
        ),
        (
            b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n-NOPERM no\r\n",
            LinkErrorKind::Auth,
        ),
    ] {
        let mut listener = pretend(broken, 1000).await;
        assert_eq!(listener.number().await, 1, "{broken:?}");
        let error = soon("the end", listener.subscriber.next()).await.expect_err("broken");
        assert_eq!(error.kind, kind, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_length_allocates_nothing() {
    for hostile in [
        &b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$999999999999\r\n"[..],
        b"*99999999999\r\n",
    ] {
        let mut listener = pretend(hostile, 1000).await;
        let nothing = timeout(Duration::from_millis(100), listener.subscriber.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_inside_arrays_that_would_overflow_the_stack_end_the_connection() {
    let bomb = || "*1\r\n".repeat(100_000);
    let at_once = impostor(move |mut stream| async move {
        let _ = stream.write_all(bomb().as_bytes()).await;
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let endpoint = endpoint_of(&format!("redis://{}", at_once.await));
    fails_with(&endpoint, LinkErrorKind::Protocol, "is this a Redis server?").await;
    // This one answers as a Redis does, until it is asked to subscribe.
    let later = impostor(move |mut stream| async move {
        let mut asked = [0; 4096];
        for answer in ["+PONG\r\n", "+OK\r\n", "*0\r\n:1\r\n$0\r\n\r\n"] {
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        let _ = stream.read(&mut asked).await;
        let message = format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n{}", bomb());
        let _ = stream.write_all(message.as_bytes()).await;
        let _ = stream.read(&mut asked).await;
    });
    let endpoint = endpoint_of(&format!("redis://{}", later.await));
    let mut subscriber = soon("a subscriber", endpoint.subscriber()).await.expect("connects");
    subscriber.subscribe(&[Channel::from("c")]).await.expect("asked");
    let error = soon("an error", subscriber.next()).await.expect_err("a bomb");
    assert_eq!(error.kind, LinkErrorKind::Protocol, "{error}");
}
