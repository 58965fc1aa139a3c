//! Traces that the service sends, and a collector that is not there.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use crate::support::{LIMIT, Running, greeter, nobody};

/// A collector that passes the requests it gets to the test.
fn collector() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut bytes = vec![0; 65_536];
            let count = stream.read(&mut bytes).expect("a request");
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .expect("written");
            if sender
                .send(String::from_utf8_lossy(&bytes[..count]).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    (url, receiver)
}

#[test]
fn traces_are_flushed_with_the_configured_headers_before_it_ends() {
    let (url, requests) = collector();
    let mut command = greeter();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue");
    // Turning logs down does not turn traces off.
    let running = Running::start(command.env("OTEL_SERVICE_NAME", "hall").args(["--log-level", "info"]));
    running.signal("-INT");
    assert_eq!(running.end().0, Some(0));
    let request = requests.recv_timeout(LIMIT).expect("a request");
    assert!(request.starts_with("POST /v1/traces "), "{request}");
    assert!(request.contains("x-tenant: blue"), "{request}");
}

#[test]
fn a_missing_collector_is_logged_once_and_hardly_delays_the_end() {
    let (url, _taken) = nobody();
    let url = format!("{}/in?key=s3cret", url.replace("://", "://me:s3cret@"));
    let mut command = greeter();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    let running = Running::start(command.args(["--log-level", "trace"]));
    running.signal("-TERM");
    let started = std::time::Instant::now();
    let (code, log) = running.end();
    assert_eq!(code, Some(0));
    assert_eq!(log.matches("traces cannot be sent").count(), 1, "{log}");
    assert!(!log.contains("s3cret"), "shows a secret: {log}");
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn a_collector_that_refuses_is_logged_once_with_its_status() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 65_536]);
            let _ = stream.write_all(
                b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3600\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
    });
    let mut command = greeter();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    let running = Running::start(command.args(["--log-level", "trace"]));
    running.signal("-TERM");
    let started = std::time::Instant::now();
    let (code, log) = running.end();
    assert_eq!(code, Some(0));
    assert_eq!(log.matches("the collector refuses traces").count(), 1, "{log}");
    assert!(log.contains("429"), "{log}");
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn a_collector_that_never_answers_hardly_delays_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let mut command = greeter();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    let running = Running::start(&mut command);
    running.signal("-TERM");
    let started = std::time::Instant::now();
    let (code, log) = running.end();
    assert_eq!(code, Some(0));
    assert_eq!(log.matches("the last traces were not sent").count(), 1, "{log}");
    assert!(started.elapsed() < LIMIT);
    drop(listener);
}

#[test]
fn nothing_is_exported_when_disabled() {
    let (url, requests) = collector();
    let mut command = greeter();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        .env("OTEL_SDK_DISABLED", "true");
    let running = Running::start(&mut command);
    running.signal("-TERM");
    let (code, log) = running.end();
    assert_eq!(code, Some(0));
    assert!(!log.contains("trace"), "{log}");
    assert!(
        log.contains("no telemetry is sent to a collector: OTEL_SDK_DISABLED is true"),
        "{log}"
    );
    assert!(requests.try_recv().is_err());
}

#[test]
fn the_start_says_in_one_line_where_telemetry_goes_and_warns_about_what_is_odd() {
    let mut command = greeter();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:s3cret@127.0.0.1:4317")
        .env("OTEL_LOGS_EXPORTER", "none")
        .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .env("OTEL_TRACES_SAMPLER_ARG", "0.25")
        .env("OTEL_TRACES_SAMPLR", "always_off");
    let mut running = Running::start(&mut command);
    let lines: Vec<String> = running.log_lines().take(3).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].contains("telemetry is sent to a collector"), "{}", lines[0]);
    for (line, parts) in lines.iter().zip([
        [
            r#""traces":"http://127.0.0.1:4317/v1/traces""#,
            r#""sampler":"parentbased_traceidratio 0.25""#,
            r#""metrics":"/metrics""#,
        ],
        ["WARN", "OTEL_TRACES_SAMPLR", "did you mean OTEL_TRACES_SAMPLER?"],
        ["WARN", "OTEL_EXPORTER_OTLP_ENDPOINT: port 4317", "4318"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} in {line}");
        assert!(!line.contains("s3cret"), "{line}");
    }
}
