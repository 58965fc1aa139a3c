//! The same engine over TLS.

mod common;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use common::{PATIENCE, Server, demo};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use ws_node::{EdgeSettings, TlsFiles};
use wsmesh_adapter::{ClientId, Frame, Scope};

/// A certificate for `localhost`, in files of a temporary folder.
struct Certificate {
    folder: tempfile::TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| {
            let mut file = std::fs::File::create(folder.path().join(name)).expect("a file");
            file.write_all(text.as_bytes()).expect("written");
        };
        write("tls.crt", made.cert.pem());
        write("tls.key", made.signing_key.serialize_pem());
        Self {
            folder,
            der: made.cert.der().clone(),
        }
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.folder.path().join("tls.crt"),
            key: self.folder.path().join("tls.key"),
        }
    }

    async fn connect(&self, server: &Server) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, server.raw().await);
        timeout(PATIENCE, connecting).await.expect("in time").expect("connects")
    }

    async fn client(&self, server: &Server, id: &str) -> WebSocketStream<TlsStream<TcpStream>> {
        let stream = self.connect(server).await;
        let upgrading = client_async(format!("wss://localhost/?id={id}"), stream);
        let (mut socket, _) = timeout(PATIENCE, upgrading).await.expect("in time").expect("upgrades");
        socket
            .send(Message::text(r#"{"event":"echo","payload":1,"callbackId":"0"}"#))
            .await
            .expect("sent");
        assert_eq!(
            next(&mut socket).await,
            json!({"payload": {"ok": true}, "callbackId": "0"})
        );
        socket
    }
}

async fn next(socket: &mut WebSocketStream<TlsStream<TcpStream>>) -> Value {
    loop {
        let message = timeout(PATIENCE, socket.next()).await.expect("in time");
        match message.expect("open").expect("no error") {
            // On a slow machine the first one comes before the end of the test.
            Message::Ping(_) => {}
            message => return serde_json::from_str(message.to_text().expect("text")).expect("JSON"),
        }
    }
}

fn with_tls(certificate: &Certificate) -> EdgeSettings {
    with_files(certificate.files())
}

fn with_files(files: TlsFiles) -> EdgeSettings {
    EdgeSettings {
        tls_certificate_file: Some(files.certificate),
        tls_key_file: Some(files.key),
        ..demo()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_talk_and_are_told_why_their_connection_ends() {
    let certificate = Certificate::new();
    let server = Server::alone(with_tls(&certificate)).await;
    let mut ann = certificate.client(&server, "ann").await;
    // Larger than a TLS record, larger than one read.
    let text = "x".repeat(60_000);
    let frame = json!({"event": "echo", "payload": text, "callbackId": "1"}).to_string();
    ann.send(Message::text(frame)).await.expect("sent");
    assert_eq!(
        next(&mut ann).await,
        json!({"payload": {"ok": true}, "callbackId": "1"})
    );
    let leaving = tokio::spawn(server.shut_down());
    let message = timeout(PATIENCE, ann.next())
        .await
        .expect("in time")
        .expect("open")
        .expect("no error");
    let Message::Close(Some(close)) = message else {
        panic!("{message:?}")
    };
    assert_eq!(u16::from(close.code), 1012);
    leaving.await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_in_order_through_a_stream_that_was_full() {
    let certificate = Certificate::new();
    let settings = EdgeSettings {
        outbox_bytes: 64 << 20,
        outbox_frames: 100_000,
        write_timeout: Duration::from_secs(60),
        ..with_tls(&certificate)
    };
    let server = Server::alone(settings).await;
    let mut client = certificate.client(&server, "ann").await;
    let (adapter, ann) = (server.node.adapter(), ClientId::new("ann").expect("valid"));
    for number in 0..1000 {
        let filler = "y".repeat(if number % 10 == 0 { 100_000 } else { 10 });
        let frame = Frame::new(json!({"event": "say", "payload": {"number": number, "filler": filler}}).to_string());
        adapter.to_client(&ann, frame).await.expect("sent");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for number in 0..1000 {
        assert_eq!(next(&mut client).await["payload"]["number"], number);
    }
    // Nothing stays in the TLS session when the stream was full for the last part.
    adapter
        .to_everyone(Frame::new(r#"{"event":"say","payload":"end"}"#), Scope::Local)
        .await
        .expect("sent");
    assert_eq!(next(&mut client).await["payload"], "end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_speak_tls_is_closed_and_the_others_are_served() {
    let certificate = Certificate::new();
    let settings = EdgeSettings {
        handshake_timeout: Duration::from_millis(300),
        ..with_tls(&certificate)
    };
    let server = Server::alone(settings).await;
    let mut silent = server.raw().await;
    let mut plain = server.raw().await;
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("written");
    for stream in [&mut plain, &mut silent] {
        let mut said = Vec::new();
        let end = timeout(PATIENCE, stream.read_to_end(&mut said)).await;
        end.expect("is ended").map(drop).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&said).contains("HTTP"));
    }
    certificate.client(&server, "ann").await;
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (one, two) = (Certificate::new(), Certificate::new());
    let mixed = TlsFiles {
        key: two.files().key,
        ..one.files()
    };
    let missing = TlsFiles {
        certificate: "/nowhere/tls.crt".into(),
        ..one.files()
    };
    for (files, said) in [(mixed, "does it belong"), (missing, "/nowhere/tls.crt")] {
        let settings = with_files(files);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let _inside = runtime.enter();
        let options = wsmesh_adapter::Options::new(
            wsmesh_adapter::ServerName::new("edge").expect("valid"),
            wsmesh_adapter::ServiceName::new("ws-node").expect("valid"),
        );
        let problem = ws_node::WsNode::start(options, settings)
            .err()
            .expect("refused")
            .to_string();
        assert!(problem.contains(said), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_a_bit_larger_than_a_record_is_read_to_its_end() {
    let certificate = Certificate::new();
    let server = Server::alone(with_tls(&certificate)).await;
    let mut ann = certificate.client(&server, "ann").await;
    for size in [15_000, 16_300, 16_400, 16_600, 17_500, 18_000, 19_000, 33_000] {
        let text = "x".repeat(size);
        let frame = json!({"event": "echo", "payload": text, "callbackId": "1"}).to_string();
        ann.send(Message::text(frame)).await.expect("sent");
        let replied = timeout(Duration::from_secs(10), ann.next()).await;
        assert!(replied.is_ok(), "{size} bytes wait for what comes after them");
    }
}
