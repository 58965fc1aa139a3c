//! What the variables say about a collector, and sending over TLS to one that asks for a client certificate.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use opentelemetry_http::{Bytes, HttpClient as _, Request};

use super::*;

/// A self-signed certificate and its key, also as files.
struct Made {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    certificate_file: PathBuf,
    key_file: PathBuf,
    _folder: tempfile::TempDir,
}

fn make() -> Made {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    Made {
        certificate: made.cert.der().clone(),
        key: made.signing_key.serialize_der().try_into().expect("a key"),
        certificate_file: file("certificate.pem", made.cert.pem()),
        key_file: file("key.pem", made.signing_key.serialize_pem()),
        _folder: folder,
    }
}

fn trusting(certificate: &CertificateDer<'static>) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    Arc::new(roots)
}

/// Answers one request if the client sends the certificate that is asked for. Returns the URL, and whether it answered.
fn collector(server: &Made, client: &Made) -> (String, JoinHandle<bool>) {
    let verifier = WebPkiClientVerifier::builder(trusting(&client.certificate))
        .build()
        .expect("a root");
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.certificate.clone()], server.key.clone_key())
        .expect("a key");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let serving = std::thread::spawn(move || {
        let (tcp, _) = listener.accept().expect("a connection");
        let tls = ServerConnection::new(Arc::new(config)).expect("a configuration");
        let mut stream = StreamOwned::new(tls, tcp);
        let asked = stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        asked && stream.write_all(answer).is_ok() && stream.flush().is_ok()
    });
    (format!("https://localhost:{port}"), serving)
}

fn send(variables: &[(&str, &str)]) -> Result<u16, String> {
    let variable = |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let mut problems = Vec::new();
    let collector = Collector::read(Signal::Traces, variable, &mut problems).expect("an endpoint");
    assert_eq!(problems, [""; 0]);
    let client = collector.client().expect("a client");
    let request = Request::post(collector.shown()).body(Bytes::from_static(b"traces"));
    let sending = pin!(client.send_bytes(request.expect("a request")));
    match sending.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer
            .map(|answer| answer.status().as_u16())
            .map_err(|error| error.to_string()),
        Poll::Pending => panic!("it blocks"),
    }
}

#[test]
fn the_certificates_of_the_variables_are_trusted_and_sent() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, client) = (make(), make());
    let file = |path: &PathBuf| path.to_str().expect("a path").to_owned();
    let (authority, own, key) = (
        file(&server.certificate_file),
        file(&client.certificate_file),
        file(&client.key_file),
    );
    let identity = [
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", own.as_str()),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.as_str()),
    ];
    let trusted = ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.as_str());
    for (more, fine) in [
        (vec![trusted, identity[0], identity[1]], true),
        (vec![trusted], false),
        (identity.to_vec(), false),
    ] {
        let (url, serving) = collector(&server, &client);
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str());
        let answer = send(&[&[endpoint][..], &more].concat());
        assert_eq!(answer == Ok(200), fine, "{more:?}: {answer:?}");
        assert_eq!(serving.join().expect("no panic"), fine);
    }
}

#[test]
fn the_limit_of_an_export_holds_for_every_signal() {
    for signal in Signal::ALL {
        for (of_export, of_request, expected) in [
            (Some("300"), None, 300),
            (Some("20000"), None, 10_000),
            (None, Some("7"), 7),
        ] {
            let own = format!("OTEL_EXPORTER_OTLP_{}_TIMEOUT", signal.variable());
            let variable = |key: &str| match key {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://127.0.0.1:4318"),
                key if key == signal.export_timeout() => of_export,
                key if key == own => of_request,
                _ => None,
            };
            let mut problems = Vec::new();
            let collector = Collector::read(signal, variable, &mut problems).expect("an endpoint");
            assert_eq!(problems, [""; 0]);
            assert_eq!(collector.timeout, Duration::from_millis(expected), "{signal:?}");
        }
    }
}
