//! Floods of spans before collectors that are dead, slow, refusing or endless: real sockets, the real exporter and its thread.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::*;
use crate::telemetry::counts::TraceCounts;
use crate::telemetry::receiver::nobody;
use crate::telemetry::traces::TraceConfig;

const SPANS: u64 = 5_000;
const PLACES: u64 = 100;
/// The spans of one batch are in no queue, and a second one may be on its way out of it.
const UNDER_WAY: u64 = 3 * PLACES;

/// A collector that treats each connection in one way, and how many requests it got.
fn collector(treat: impl Fn(TcpStream) + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (requests, treat) = (Arc::new(AtomicUsize::new(0)), Arc::new(treat));
    let counted = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let treat = treat.clone();
            std::thread::spawn(move || treat(stream));
        }
    });
    (url, requests)
}

/// Reads a request and answers with this head; one request per connection.
fn answer(stream: &mut TcpStream, head: &str) {
    let mut bytes = vec![0; 1 << 20];
    let mut read = 0;
    // The length of the body follows from the head.
    let whole = |text: &str| {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        Some(body.len() >= length.trim().parse::<usize>().ok()?)
    };
    while !whole(&String::from_utf8(bytes[..read].iter().map(|b| b & 0x7f).collect()).expect("ASCII")).unwrap_or(false)
    {
        match stream.read(&mut bytes[read..]) {
            Ok(count) if count > 0 => read += count,
            _ => return,
        }
    }
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nconnection: close\r\n").as_bytes());
}

fn provider(url: &str, timeout_ms: u64) -> (SdkTracerProvider, TraceCounts) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.to_owned()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", timeout_ms.to_string()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", PLACES.to_string()),
    ];
    let environment: HashMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value)).into();
    let mut problems = Vec::new();
    let config = TraceConfig::read(&environment.into_iter().collect(), "test", "test-0", &mut problems);
    assert_eq!(problems, [""; 0]);
    let counts = TraceCounts::new();
    let provider = config.expect("an endpoint").provider_counting(&counts).expect("valid");
    (provider, counts)
}

/// Ends many spans; the exporter takes far longer than this.
fn flood(provider: &SdkTracerProvider) {
    let tracer = provider.tracer("test");
    let started = Instant::now();
    (0..SPANS).for_each(|_| drop(tracer.start("span")));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it waited: {:?}",
        started.elapsed()
    );
}

fn end(provider: &SdkTracerProvider) {
    let started = Instant::now();
    let _ = provider.shutdown_with_timeout(Duration::from_secs(1));
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "it waited: {:?}",
        started.elapsed()
    );
}

#[test]
fn a_dead_collector_costs_the_queue_and_every_span_is_counted() {
    let (url, _taken) = nobody();
    let (provider, counts) = provider(&url, 60_000);
    flood(&provider);
    assert!(
        counts.spans.dropped.get() >= SPANS - UNDER_WAY,
        "{}",
        counts.spans.dropped.get()
    );
    let ended = provider.shutdown_with_timeout(Duration::from_secs(60));
    ended.expect("nobody waits for a collector at the end");
    assert_eq!(
        (
            counts.spans.exported.get(),
            counts.spans.refused.get(),
            counts.spans.dropped.get()
        ),
        (0, 0, SPANS)
    );
}

#[test]
fn a_collector_that_accepts_and_never_answers_costs_the_queue_and_does_not_hold_up_the_end() {
    let (url, requests) = collector(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (provider, counts) = provider(&url, 60_000);
    flood(&provider);
    let dropped = counts.spans.dropped.get();
    assert!((SPANS - UNDER_WAY..=SPANS - PLACES).contains(&dropped), "{dropped}");
    assert_eq!(counts.spans.exported.get(), 0);
    assert!(requests.load(Ordering::SeqCst) <= 1);
    end(&provider);
}

#[test]
fn a_refusing_collector_is_not_asked_before_it_wants_to_be() {
    for head in [
        "429 Too Many Requests\r\nretry-after: 3600\r\ncontent-length: 0\r\n",
        "503 Service Unavailable\r\nretry-after: 3600\r\ncontent-length: 0\r\n",
    ] {
        let (url, requests) = collector(move |mut stream| answer(&mut stream, head));
        let (provider, counts) = provider(&url, 60_000);
        flood(&provider);
        assert!(requests.load(Ordering::SeqCst) <= 1, "{head}");
        let ended = provider.shutdown_with_timeout(Duration::from_secs(60));
        ended.expect("nobody waits for a collector at the end");
        assert_eq!(counts.spans.exported.get(), 0, "{head}");
        assert!((1..=UNDER_WAY).contains(&counts.spans.refused.get()), "{head}");
        assert_eq!(counts.spans.refused.get() + counts.spans.dropped.get(), SPANS, "{head}");
        // Each batch that was left was sent once.
        assert!(requests.load(Ordering::SeqCst) <= 4, "{head}");
    }
}

#[test]
fn an_answer_without_end_is_cut_off_and_the_spans_have_arrived() {
    let endless = |mut stream: TcpStream| {
        answer(&mut stream, "200 OK\r\ncontent-type: application/x-protobuf\r\n");
        let _ = stream.write_all(b"\r\n");
        while stream.write_all(&[0; 65_536]).is_ok() {}
    };
    let (url, _) = collector(endless);
    let (provider, counts) = provider(&url, 60_000);
    flood(&provider);
    let ended = provider.shutdown_with_timeout(Duration::from_secs(60));
    ended.expect("it does not read on");
    assert!(counts.spans.exported.get() >= PLACES);
    assert_eq!(counts.spans.exported.get() + counts.spans.dropped.get(), SPANS);
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_given_up_and_the_spans_have_arrived() {
    let (closed, was_closed) = std::sync::mpsc::channel();
    let (url, _) = collector(move |mut stream| {
        answer(&mut stream, "200 OK\r\ncontent-length: 60000\r\n");
        let _ = stream.write_all(b"\r\n");
        let mut nothing = [0; 1];
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        // A byte now and then, until the other side is gone.
        while !matches!(stream.read(&mut nothing), Ok(0)) && stream.write_all(&[0]).is_ok() {}
        let _ = closed.send(());
    });
    let (provider, counts) = provider(&url, 200);
    flood(&provider);
    let stopped = provider.shutdown_with_timeout(Duration::from_secs(60));
    stopped.expect("it does not read on");
    assert_eq!(
        counts.spans.exported.get() + counts.spans.dropped.get() + counts.spans.refused.get(),
        SPANS
    );
    assert!(counts.spans.exported.get() > 0);
    let closed = was_closed.recv_timeout(Duration::from_secs(20));
    closed.expect("its connections are closed");
}
