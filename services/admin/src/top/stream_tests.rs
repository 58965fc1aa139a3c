//! The admin is a server on loopback that follows a script.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::stream;
use tokio::net::TcpListener;

use super::super::snapshot::tests::sent;
use super::*;

async fn serve(router: Router) -> SocketAddr {
    // An error means that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

fn source(address: SocketAddr, path: &str, token_file: Option<&Path>) -> Source {
    Source::new(&format!("http://{address}{path}"), token_file, None).expect("valid")
}

/// The next news, in time.
async fn next(news: &mut mpsc::Receiver<News>) -> News {
    let next = timeout(Duration::from_secs(10), news.recv()).await;
    next.expect("in time").expect("followed")
}

#[tokio::test]
async fn a_stream_in_odd_chunks_is_read_and_opened_again_when_it_ends() {
    let answer = || async {
        let job = r#"{"what":"add","node":"redis-3","state":"done","more":1}"#;
        let scale = r#"{"what":"scale","node":null,"replicas":{"from":3,"to":5},"state":"running"}"#;
        let text = format!(
            ":\n\nevent: snapshot\ndata: {}\n\nevent: audit\ndata: {{}}\n\nevent: job\ndata: {job}\n\nevent: job\ndata: {scale}\n\nevent: topology\ndata: \
             {{\"text\":\"redis-3 is active\"}}\n\n",
            sent()
        );
        let chunks: Vec<Vec<u8>> = text.as_bytes().chunks(7).map(<[u8]>::to_vec).collect();
        Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)))
    };
    let address = serve(Router::new().route("/admin/api/v1/events", get(answer))).await;
    let (sender, mut news) = mpsc::channel(1);
    let following = tokio::spawn(source(address, "/admin/", None).follow(sender));
    for _ in 0..2 {
        assert_eq!(next(&mut news).await, News::Connected);
        let News::Snapshot(snapshot) = next(&mut news).await else {
            panic!("no snapshot");
        };
        assert_eq!(snapshot.stats.clients, Some(1215));
        assert_eq!(
            next(&mut news).await,
            News::Happened("job add redis-3: done".to_owned())
        );
        assert_eq!(
            next(&mut news).await,
            News::Happened("job scale 3 to 5 replicas: running".to_owned())
        );
        assert_eq!(next(&mut news).await, News::Happened("redis-3 is active".to_owned()));
        assert_eq!(
            next(&mut news).await,
            News::Lost("the admin ended the stream".to_owned())
        );
    }
    drop(news);
    let ended = timeout(Duration::from_secs(10), following).await;
    ended.expect("it ends when nobody listens").expect("without a panic");
}

#[tokio::test]
async fn a_token_is_sent_and_a_rejection_says_what_to_do() {
    let answer = |headers: HeaderMap| async move {
        match headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) {
            Some(b"Bearer t0ken-of-the-tests") => {
                Body::from("event: topology\ndata: {\"text\":\"hello\"}\n\n").into_response()
            }
            _ => (StatusCode::UNAUTHORIZED, r#"{"detail":"send a token"}"#).into_response(),
        }
    };
    let address = serve(Router::new().route("/api/v1/events", get(answer))).await;
    let told = async |source: Source| {
        let (sender, mut news) = mpsc::channel(1);
        let following = tokio::spawn(source.follow(sender));
        let told = next(&mut news).await;
        following.abort();
        told
    };
    let News::Lost(why) = told(source(address, "", None)).await else {
        panic!("it was let in");
    };
    assert!(
        why.ends_with("says 401 Unauthorized: send a token; name the file with your token: --token-file FILE"),
        "{why}"
    );
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"t0ken-of-the-tests\n").expect("written");
    assert_eq!(told(source(address, "", Some(file.path()))).await, News::Connected);
    let News::Lost(why) = told(source(address, "/elsewhere", None)).await else {
        panic!("nothing is there");
    };
    assert!(why.contains("404") && why.contains("path prefix"), "{why}");
}

#[tokio::test]
async fn a_dead_port_is_named_with_its_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (sender, mut news) = mpsc::channel(1);
    let following = tokio::spawn(source(address, "", None).follow(sender));
    let News::Lost(why) = next(&mut news).await else {
        panic!("nobody is there");
    };
    assert!(why.starts_with(&format!("http://{address}/api/v1/events: ")), "{why}");
    assert!(why.to_lowercase().contains("connection refused"), "{why}");
    following.abort();
}

#[tokio::test]
async fn a_snapshot_that_is_no_json_is_told_and_the_stream_opened_again() {
    let answer = || async { "event: snapshot\ndata: {\"stats\n\n" };
    let address = serve(Router::new().route("/api/v1/events", get(answer))).await;
    let (sender, mut news) = mpsc::channel(1);
    let following = tokio::spawn(source(address, "", None).follow(sender));
    assert_eq!(next(&mut news).await, News::Connected);
    let News::Lost(why) = next(&mut news).await else {
        panic!("it was read");
    };
    assert!(why.starts_with("a snapshot cannot be read"), "{why}");
    assert_eq!(next(&mut news).await, News::Connected);
    following.abort();
}

#[test]
fn wrong_arguments_are_told_before_anything_is_drawn() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let said = |url: &str, token: Option<&str>, ca: Option<&str>| {
        let refused = Source::new(url, token.map(Path::new), ca.map(Path::new));
        format!("{:#}", refused.expect_err("refused"))
    };
    for url in ["", "127.0.0.1:9100", "ftp://a", "http://"] {
        assert!(
            said(url, None, None).contains("for example http://127.0.0.1:9100"),
            "{url}"
        );
    }
    assert!(said("http://a", Some("/no/such/file"), None).contains("--token-file /no/such/file"));
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a path").to_owned();
    assert!(said("https://a", None, Some(&path)).contains("no certificate in it"));
    file.write_all(b"two\nlines\n").expect("written");
    let refused = said("http://a", Some(&path), None);
    assert!(
        refused.ends_with("not a token") && !refused.contains("lines"),
        "{refused}"
    );
}

#[test]
fn what_tls_says_of_a_certificate_is_put_into_words_that_say_what_to_do() {
    let cause = |text: &str| plain_cause(&std::io::Error::other(text.to_owned()));
    let own = cause("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))");
    assert!(
        own.starts_with("the certificate of this admin is one of an authority"),
        "{own}"
    );
    let unknown = cause("invalid peer certificate: UnknownIssuer");
    assert!(unknown.contains("--ca FILE"), "{unknown}");
    let elsewhere = cause("invalid peer certificate: certificate not valid for name \"a\"; NotValidForNameContext");
    assert!(elsewhere.contains("--url"), "{elsewhere}");
    assert_eq!(cause("Connection refused"), "Connection refused");
}
