//! Signatures, tokens and TLS.

use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wsmesh_bootstrap::{Secret, SecretFile};

use crate::common::{PATIENCE, Server, demo};
use crate::server::{Act, Backend, Request, Served, answer, rule};

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_and_carry_the_token() {
    let backend = Backend::start(|_| Act::Send(answer(204, ""))).await;
    let mut settings = demo();
    let secret = |text: &str| Some(SecretFile::from_secret(Secret::new(text)));
    settings.rules.push(ws_node::Rule {
        signing_key_file: secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        bearer_token_file: secret("token-7"),
        ..backend.rule("ask")
    });
    let shown = format!("{settings:?}");
    assert!(!shown.contains("MfKQ9r8") && !shown.contains("token-7"), "{shown}");
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    assert_eq!(ann.request("ask", json!({"n": 1})).await, json!({"ok": true}));
    let request = &backend.requests()[0];
    assert_eq!(request.header("authorization"), "Bearer token-7");
    assert_eq!(request.header("webhook-id"), request.header("ce-id"));
    let at: i64 = request.header("webhook-timestamp").parse().expect("seconds");
    assert!((jiff::Timestamp::now().as_second() - at).abs() < 60);
    // tests/backends/conformance checks it with the reference library.
    let signature = request.header("webhook-signature");
    assert!(signature.starts_with("v1,") && signature.len() == 47, "{signature}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_token_and_signing_key_are_used_without_a_restart_and_the_key_before_signs_too() {
    let backend = Backend::start(|_| Act::Send(answer(204, ""))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (key, token) = (folder.path().join("key"), folder.path().join("token"));
    std::fs::write(&key, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("written");
    std::fs::write(&token, "token-7").expect("written");
    let mut settings = demo();
    settings.rules.push(ws_node::Rule {
        signing_key_file: Some(SecretFile::read(&key).expect("readable")),
        bearer_token_file: Some(SecretFile::read(&token).expect("readable")),
        ..backend.rule("ask")
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    std::fs::write(&key, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx").expect("written");
    std::fs::write(&token, "token-8").expect("written");
    let asking = async {
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(200));
        loop {
            pace.tick().await;
            ann.request("ask", json!({"n": 1})).await;
            let requests = backend.requests();
            let last = requests.last().expect("just sent");
            let signatures = last.header("webhook-signature").split(' ').count();
            if last.header("authorization") == "Bearer token-8" && signatures == 2 {
                return;
            }
        }
    };
    let within = wsmesh_bootstrap::REREAD * 10;
    tokio::time::timeout(within, asking).await.expect("read again");
    let first = &backend.requests()[0];
    assert_eq!(first.header("authorization"), "Bearer token-7");
}

/// Serves TLS with a certificate for localhost; the certificate, and what came.
async fn secure(alpn: &[&str]) -> (u16, String, Arc<Mutex<Vec<Request>>>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signed");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .expect("fits");
    tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
    let served = Served {
        script: Arc::new(|request| Act::Send(answer(200, &request.body))),
        requests: Arc::clone(&requests),
        under_way: Arc::default(),
    };
    // Ends with the test's runtime.
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    tokio::spawn(serve_h2(stream));
                } else {
                    tokio::spawn(served.clone().serve(stream, 0));
                }
            }
        }
    });
    (port, certificate.pem(), requests)
}

/// Answers each request with its version of HTTP.
async fn serve_h2(stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
        let body = format!(
            "\"{:?} {}\"",
            request.version(),
            request.headers()["ce-client"].to_str().expect("text")
        );
        Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
    });
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = served.serve_connection(TokioIo::new(stream), service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn https_needs_a_certificate_that_is_trusted_and_uses_h2_where_it_is_offered() {
    let (port, certificate, requests) = secure(&["http/1.1"]).await;
    let (h2_port, h2_certificate, _) = secure(&["h2", "http/1.1"]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).expect("written");
        Some(path)
    };
    let to = |event: &str, port: u16, ca_file| ws_node::Rule {
        ca_file,
        ..rule(event, &format!("https://localhost:{port}/"))
    };
    let mut settings = demo();
    settings.rules.extend([
        to("trusted", port, file("1.pem", &certificate)),
        to("h2", h2_port, file("2.pem", &h2_certificate)),
        to("unknown", port, None),
        to("wrongName", port, file("3.pem", &certificate)),
    ]);
    let wrong_name = format!("https://127.0.0.1:{port}/");
    settings.rules.last_mut().expect("there").url = Some(wrong_name.parse().expect("a URL"));
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    assert_eq!(ann.request("trusted", json!(7)).await, json!(7));
    assert_eq!(requests.lock().len(), 1);
    let answered = tokio::time::timeout(PATIENCE, ann.request("h2", json!(7)))
        .await
        .expect("answered");
    assert_eq!(answered, "HTTP/2.0 ann");
    assert_eq!(ann.request("unknown", json!(1)).await["errorCode"], "UNAVAILABLE");
    assert_eq!(ann.request("wrongName", json!(1)).await["errorCode"], "UNAVAILABLE");
    assert_eq!(
        requests.lock().len(),
        1,
        "nothing is sent to a server that is not trusted"
    );
}
