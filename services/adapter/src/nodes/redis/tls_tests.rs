//! Tests of Redis with TLS: which certificates each side trusts, and the errors otherwise.

use std::path::Path;
use std::process::Command;

use tokio::net::TcpListener;

use super::redis_links::{connect_errors, fails_with, works};
use super::*;

/// A Redis with TLS, and the folder of its certificates.
struct Secured {
    redis: server::Redis,
    folder: tempfile::TempDir,
    port: u16,
}

/// Creates two certificate authorities: `ca` signs certificates for localhost (`cert.pem`) and a client (`client.pem`),
/// `other` signs one for an unknown client (`stranger.pem`). The keys are next to them.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .output()
            .expect("openssl is missing: install it (Debian: apt-get install openssl)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    for ca in ["ca", "other"] {
        openssl(&format!("{new} -keyout {ca}.key -out {ca}.pem -subj /CN=test-{ca}"));
    }
    for (name, ca) in [("cert", "ca"), ("client", "ca"), ("stranger", "other")] {
        openssl(&format!(
            "{new} -keyout {name}.key -out {name}.pem -subj /CN=localhost -CA {ca}.pem -CAkey {ca}.key \
             -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE"
        ));
    }
}

impl Secured {
    async fn start(auth_clients: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        certificates(folder.path());
        let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = plain.local_addr().expect("bound").port();
        drop(plain);
        let file = |name: &str| folder.path().join(name).display().to_string();
        let redis = server::Redis::start(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &file("cert.pem"),
            "--tls-key-file",
            &file("cert.key"),
            "--tls-ca-cert-file",
            &file("ca.pem"),
            "--tls-auth-clients",
            auth_clients,
        ]);
        Self { redis, folder, port }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// An endpoint with TLS that trusts `ca`; `more` is added to the URL.
    fn endpoint(&self, more: &str) -> Arc<dyn Endpoint> {
        let (port, ca) = (self.port, self.file("ca.pem"));
        endpoint_of(&format!("rediss://localhost:{port}?ca={ca}{more}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_works_only_with_the_authority_that_the_url_names() {
    let secured = Secured::start("no").await;
    let (port, ca) = (secured.port, secured.file("ca.pem"));
    works(&secured.endpoint("")).await;
    let unknown_issuer = endpoint_of(&format!("rediss://localhost:{port}"));
    fails_with(&unknown_issuer, LinkErrorKind::Connect, "?ca=FILE").await;
    let other_host = endpoint_of(&format!("rediss://127.0.0.1:{port}?ca={ca}"));
    fails_with(&other_host, LinkErrorKind::Connect, "for the host in the URL").await;
    let without_tls = endpoint_of(&format!("redis://localhost:{port}"));
    for error in connect_errors(&without_tls).await {
        assert!(error.to_string().contains("rediss://"), "{error}");
    }
    let tls_to_plain = endpoint_of(&format!("rediss://localhost:{}?ca={ca}", secured.redis.port));
    fails_with(
        &tls_to_plain,
        LinkErrorKind::TimedOut,
        "the port does not use TLS: then write redis://",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_requires_a_client_certificate_gets_it_and_else_the_error_says_what_is_missing() {
    let secured = Secured::start("yes").await;
    let identity = |name: &str| {
        let (certificate, key) = (
            secured.file(&format!("{name}.pem")),
            secured.file(&format!("{name}.key")),
        );
        secured.endpoint(&format!("&cert={certificate}&key={key}"))
    };
    works(&identity("client")).await;
    fails_with(&secured.endpoint(""), LinkErrorKind::Connect, "?cert=FILE&key=FILE").await;
    // It depends on timing whether the alert arrives before the connection ends.
    fails_with(&identity("stranger"), LinkErrorKind::Connect, "?cert=").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again_for_every_connection_and_a_broken_file_leaves_the_last_good_ones_in_use() {
    let secured = Secured::start("yes").await;
    let copy = |from: &str, to: &str| {
        std::fs::copy(secured.file(from), secured.file(to))
            .map(drop)
            .expect("copied")
    };
    for (from, to) in [
        ("other.pem", "my-ca.pem"),
        ("stranger.pem", "my.pem"),
        ("stranger.key", "my.key"),
    ] {
        copy(from, to);
    }
    let [ca, certificate, key] = ["my-ca.pem", "my.pem", "my.key"].map(|name| secured.file(name));
    let url = format!(
        "rediss://localhost:{}?ca={ca}&cert={certificate}&key={key}",
        secured.port
    );
    let endpoint = endpoint_of(&url);
    fails_with(&endpoint, LinkErrorKind::Connect, "?ca=FILE").await;
    copy("ca.pem", "my-ca.pem");
    fails_with(&endpoint, LinkErrorKind::Connect, "?cert=").await;
    // Half of it: certificate and key do not fit together.
    copy("client.pem", "my.pem");
    fails_with(&endpoint, LinkErrorKind::Connect, "?cert=").await;
    copy("client.key", "my.key");
    works(&endpoint).await;
    for name in [&ca, &certificate, &key] {
        std::fs::write(name, "nothing").expect("written");
        works(&endpoint).await;
        let mut inquiry = soon("a connection", endpoint.inquiry()).await.expect("connects");
        soon("facts", inquiry.facts(&[])).await.expect("answers");
    }
}

#[test]
fn an_unusable_certificate_or_key_is_an_error_before_connecting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    certificates(folder.path());
    std::fs::write(folder.path().join("empty.pem"), "nothing").expect("written");
    for (certificate, key, reason) in [
        ("missing.pem", "client.key", "the client certificate"),
        ("empty.pem", "client.key", "no certificate in PEM form"),
        ("client.pem", "missing.pem", "the key"),
        ("client.pem", "empty.pem", "no private key in PEM form"),
        ("client.pem", "cert.key", "the client certificate"),
    ] {
        let path = folder.path().display();
        let url = format!("rediss://h?ca={path}/ca.pem&cert={path}/{certificate}&key={path}/{key}");
        let url = NodeUrl::parse(&url).expect("a valid URL");
        let error = check_files(&url).expect_err(reason);
        assert!(error.contains(reason) && error.contains("cannot be used"), "{error}");
    }
}

#[test]
fn an_unusable_authority_file_is_an_error_before_connecting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").expect("written");
    let missing = folder.path().join("missing.pem");
    for (file, reason) in [(&empty, "no certificate in PEM form"), (&missing, "cannot be used")] {
        let url = NodeUrl::parse(&format!("rediss://h?ca={}", file.display())).expect("a valid URL");
        let said = check_files(&url).expect_err("refused");
        assert!(said.contains(reason), "{said}");
    }
}

#[tokio::test]
async fn a_file_system_that_hangs_holds_up_nobody_who_only_makes_an_endpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Whoever opens it waits for a writer.
    let pipe = folder.path().join("ca.pem");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is missing");
    assert!(made.success());
    let url = NodeUrl::parse(&format!("rediss://h?ca={}", pipe.display())).expect("a valid URL");
    let (done, is_done) = std::sync::mpsc::channel();
    let of_thread = url.clone();
    std::thread::spawn(move || done.send(redis_endpoint(&of_thread, "one", Duration::from_secs(1)).is_encrypted()));
    let limit = Duration::from_secs(10);
    assert!(is_done.recv_timeout(limit).expect("nothing is read"));
    let checked = checked_endpoint(&url, "one", Duration::from_millis(50)).await;
    let problem = checked.err().expect("it hangs");
    assert!(problem.contains("ca.pem could not be read in time"), "{problem}");
    // Lets the readers go.
    std::fs::OpenOptions::new().write(true).open(&pipe).expect("opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_asked_with_the_same_certificates_as_the_links_use() {
    let secured = Secured::start("yes").await;
    let (certificate, key) = (secured.file("client.pem"), secured.file("client.key"));
    let endpoint = secured.endpoint(&format!("&cert={certificate}&key={key}"));
    let mut inquiry = soon("a connection", endpoint.inquiry()).await.expect("connects");
    let facts = soon("facts", inquiry.facts(&[])).await.expect("answers");
    assert!(facts.version.is_some() && facts.forbidden.is_empty(), "{facts:?}");
    soon("the end", inquiry.close()).await;
    let error = soon("an error", secured.endpoint("").inquiry())
        .await
        .err()
        .expect("refused");
    assert!(error.to_string().contains("?cert=FILE&key=FILE"), "{error}");
}

/// The check of an endpoint that fails, and why.
async fn failed_check(endpoint: &Arc<dyn Endpoint>) -> (CheckKind, String) {
    let demands = Demands {
        channels: vec![Channel::from("wsmesh:servers")],
        trial: Channel::from("wsmesh:preflight:1"),
        rules: "&wsmesh:*".to_owned(),
        buffer: 1,
        limit: LIMIT,
    };
    let examined = soon("examined", examine(&**endpoint, &demands)).await;
    let preflight = examined.findings.into_preflight();
    let failures: Vec<_> = preflight.failures().cloned().collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    match &failures[0].result {
        CheckResult::Failed { why, .. } => (failures[0].what, why.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_authority_host_or_scheme_fails_the_check_of_tls() {
    let secured = Secured::start("no").await;
    let (port, plain) = (secured.port, secured.redis.port);
    let (ca, other) = (secured.file("ca.pem"), secured.file("other.pem"));
    for (url, reason) in [
        (format!("rediss://localhost:{port}?ca={other}"), "?ca=FILE"),
        (format!("rediss://127.0.0.1:{port}?ca={ca}"), "for the host in the URL"),
        (format!("rediss://localhost:{plain}?ca={ca}"), "then write redis://"),
    ] {
        let (what, why) = failed_check(&endpoint_of(&url)).await;
        assert!(what == CheckKind::Tls && why.contains(reason), "{url}: {what:?}: {why}");
    }
    // It depends on timing whether the alert arrives before the connection ends.
    let (what, why) = failed_check(&endpoint_of(&format!("redis://localhost:{port}"))).await;
    assert!(
        [CheckKind::Tls, CheckKind::Redis].contains(&what) && why.contains("rediss://"),
        "{what:?}: {why}"
    );
}
