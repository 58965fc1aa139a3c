//! The ports of the service: ops routes, the healthcheck, a port that is taken.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use crate::support::{LIMIT, Running, get, greeter, output};

#[test]
fn the_ops_routes_answer_and_sigterm_ends_it_cleanly() {
    let greeter = Running::start(greeter().args(["--name", "g-1"]));
    assert_eq!(get(greeter.ops, "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(get(greeter.ops, "/readyz").1, "ready\n");
    assert_eq!(get(greeter.public, "/stats").1, r#"{"greetings":0}"#);
    let metrics = get(greeter.ops, "/metrics").1;
    for part in [
        "wsmesh_build_info{revision=\"",
        "version=\"0.",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ] {
        assert!(metrics.contains(part), "{part} in {metrics}");
    }
    assert_eq!(get(greeter.ops, "/else").0, 404);
    greeter.signal("-TERM");
    let (code, log) = greeter.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains(r#""signal":"SIGTERM""#) && log.contains(r#""message":"stopped""#),
        "{log}"
    );
}

#[test]
fn silent_connections_do_not_stay_on_the_ops_port_and_do_not_block_it() {
    let running = Running::start(&mut greeter());
    let mut silent: Vec<_> = (0..300)
        .map(|_| TcpStream::connect(running.ops).expect("it listens"))
        .collect();
    assert_eq!(get(running.ops, "/livez").1, "alive\n");
    let first = &mut silent[0];
    first.set_read_timeout(Some(LIMIT)).expect("set");
    assert_eq!(first.read(&mut [0]).expect("closed in time"), 0, "it was evicted");
    let ops = running.ops.to_string();
    let asked = output(greeter().args(["healthcheck", "--ops-listen", &ops]));
    assert_eq!(asked.0, Some(0), "{}", asked.2);
}

#[test]
fn the_healthcheck_asks_the_server_beside_it() {
    let running = Running::start(&mut greeter());
    let ops = running.ops.to_string();
    assert_eq!(output(greeter().args(["healthcheck", "--ops-listen", &ops])).0, Some(0));
    assert_eq!(
        output(greeter().arg("healthcheck").env("WSMESH_OPS_LISTEN", &ops)).0,
        Some(0)
    );
    drop(running);
    let (code, _, stderr) = output(greeter().args(["--ops-listen", &ops, "healthcheck"]));
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains(&format!("no answer from http://{ops}/readyz")),
        "{stderr}"
    );
}

#[test]
fn a_taken_port_ends_with_1_and_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, _, stderr) = output(greeter().args(["--profile", "demo", "--listen", &address]));
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("is taken by another process") && stderr.contains("WSMESH_LISTEN"),
        "{stderr}"
    );
}
