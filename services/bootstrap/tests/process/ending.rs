//! What ends the service: signals, the grace period, and nothing else.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use crate::support::{Running, get, greeter};

#[test]
fn a_log_that_is_not_read_any_more_does_not_end_the_service() {
    let mut running = Running::start(greeter().args(["--greeting-timeout", "10ms"]));
    running.lines = None;
    // This is logged before it is answered.
    assert_eq!(get(running.ops, "/greet").1, "hello\n");
    running.signal("-TERM");
    assert_eq!(running.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn sighup_ends_it_cleanly() {
    // A process inherits that a signal is ignored, and the service respects it: these tests may run under nohup themselves.
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP").arg(greeter().get_program());
        command
    } else {
        greeter()
    };
    let running = Running::start(command.env_clear());
    running.signal("-HUP");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(r#""signal":"SIGHUP""#), "{log}");
}

#[test]
fn under_nohup_it_survives_sighup() {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"trap "" HUP; exec "$0" "$@""#])
        .arg(greeter().get_program())
        .env_clear();
    let running = Running::start(&mut command);
    running.signal("-HUP");
    assert_eq!(get(running.ops, "/livez").1, "alive\n");
    running.signal("-TERM");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(r#""signal":"SIGTERM""#), "{log}");
}

/// Tells it to stop while a request keeps it busy.
fn stopping(command: &mut Command) -> (Running, TcpStream) {
    let mut running = Running::start(command.args(["--greeting-timeout", "60s"]));
    let mut waiting = TcpStream::connect(running.ops).expect("it listens");
    waiting.write_all(b"GET /greet HTTP/1.1\r\n\r\n").expect("asked");
    assert!(running.log_lines().any(|line| line.contains(r#""message":"greeting""#)));
    running.signal("-TERM");
    assert!(running.log_lines().any(|line| line.contains(r#""message":"stopping""#)));
    (running, waiting)
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (running, _waiting) = stopping(&mut greeter());
    running.signal("-INT");
    let (code, log) = running.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("stopped at once by a second signal (SIGINT)"), "{log}");
}

#[test]
fn it_ends_within_its_grace_period_even_if_a_request_hangs() {
    let (running, _waiting) = stopping(greeter().args(["--shutdown-grace", "20ms"]));
    let (code, log) = running.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("allow more time with --shutdown-grace (WSMESH_SHUTDOWN_GRACE)"),
        "{log}"
    );
}
