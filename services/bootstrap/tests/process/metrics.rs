//! Metrics in each form: scraped as OpenMetrics, and pushed together with the logs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::support::{LIMIT, Running, greeter, nobody};

/// A collector that takes everything. It passes on the path and the body of each request.
fn collector() -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let request = request(&mut stream);
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

fn request(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 65_536];
        let count = stream.read(&mut part).expect("a request");
        assert!(count > 0, "the request ended early");
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").trim().parse().expect("a number");
        let (path, begin) = (head.split(' ').nth(1).unwrap_or_default().to_owned(), head.len() + 4);
        if bytes.len() >= begin + length {
            return (path, String::from_utf8_lossy(&bytes[begin..]).into_owned());
        }
    }
}

fn scrape(address: SocketAddr, accept: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: it\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_scraper_that_asks_for_openmetrics_gets_the_trace_beside_the_value() {
    // A trace is sampled although nobody takes it in the end.
    let (url, _requests) = collector();
    let running = Running::start(greeter().env("OTEL_EXPORTER_OTLP_ENDPOINT", url));
    let openmetrics = scrape(running.ops, "application/openmetrics-text;version=1.0.0");
    assert!(
        openmetrics.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{openmetrics}"
    );
    assert!(openmetrics.ends_with("# EOF\n"), "{openmetrics}");
    let exemplar = openmetrics.lines().find(|line| line.contains(" # {trace_id=\""));
    assert!(
        exemplar.is_some_and(|line| line.starts_with("greeter_start_seconds_bucket{le=\"")),
        "{openmetrics}"
    );
    let text = scrape(running.ops, "*/*");
    assert!(
        text.contains("greeter_start_seconds_count 1") && !text.contains("trace_id"),
        "{text}"
    );
}

#[test]
fn metrics_and_logs_are_pushed_before_it_ends() {
    let (url, requests) = collector();
    let mut command = greeter();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        .env("OTEL_METRICS_EXPORTER", "otlp")
        .env("OTEL_LOGS_EXPORTER", "otlp");
    let running = Running::start(command.args(["--name", "g-1"]));
    running.signal("-TERM");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    let mut requests: Vec<(String, String)> = requests.try_iter().collect();
    requests.sort();
    let body = |path: &str| -> String {
        let bodies = requests
            .iter()
            .filter(|(at, _)| at == path)
            .map(|(_, body)| body.as_str());
        bodies.collect()
    };
    for (path, parts) in [
        (
            "/v1/metrics",
            &[
                "greeter_start_seconds",
                "wsmesh_build_info",
                "process_cpu_seconds_total",
                "g-1",
            ][..],
        ),
        ("/v1/logs", &["starting greeter", "stopped", "g-1"]),
        ("/v1/traces", &["greet", "g-1"]),
    ] {
        let body = body(path);
        for part in parts {
            assert!(body.contains(part), "{part} is missing at {path}: {body}");
        }
    }
}

#[test]
fn a_missing_collector_is_logged_once_for_each_and_hardly_delays_the_end() {
    let (url, _taken) = nobody();
    let url = format!("{}/in?key=s3cret", url.replace("://", "://me:s3cret@"));
    let mut command = greeter();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        .env("OTEL_METRICS_EXPORTER", "otlp")
        .env("OTEL_LOGS_EXPORTER", "otlp");
    // At this level, the libraries that send tell about everything.
    let running = Running::start(command.args(["--log-level", "trace"]));
    running.signal("-TERM");
    let started = Instant::now();
    let (code, log) = running.end();
    assert_eq!(code, Some(0));
    for what in ["metrics", "logs"] {
        let line = format!("{what} cannot be sent");
        assert_eq!(log.matches(&line).count(), 1, "{what}: {log}");
    }
    assert!(!log.contains("s3cret"), "shows a secret: {log}");
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn a_variable_that_asks_for_what_there_is_not_ends_the_start() {
    let (code, _, errors) = crate::support::output(
        greeter()
            .env("OTEL_METRICS_EXPORTER", "prometheus")
            .env("OTEL_LOGS_EXPORTER", "otlp")
            .args(["--profile", "demo"]),
    );
    assert_eq!(code, Some(64), "{errors}");
    for part in [
        "OTEL_METRICS_EXPORTER: write otlp or none",
        "OTEL_LOGS_EXPORTER: otlp needs a collector",
    ] {
        assert!(errors.contains(part), "{errors}");
    }
}
