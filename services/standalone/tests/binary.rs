//! The binary as people use it: what it prints, that it answers at once, and that Ctrl-C ends it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_wsmesh-standalone");

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended in the good case.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("RUST_LOG");
    command
}

/// Waits for the end in a thread, so that one that never comes fails the test.
fn exit_code(mut process: Process, limit: Duration) -> Option<i32> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let id = process.0.id();
    std::thread::spawn(move || {
        let status = process.0.wait();
        let _ = sender.send(status.ok().and_then(|status| status.code()));
    });
    receiver
        .recv_timeout(limit)
        .unwrap_or_else(|_| panic!("process {id} did not end within {limit:?}"))
}

fn interrupt(process: &Process) {
    let sent = Command::new("kill")
        .args(["-INT", &process.0.id().to_string()])
        .status();
    assert!(sent.expect("the command kill").success());
}

#[test]
fn it_prints_its_addresses_answers_there_and_ends_at_ctrl_c() {
    let begin = Instant::now();
    let started = command(&["--port-base", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut process = Process(started.expect("starts"));
    let mut lines = BufReader::new(process.0.stdout.take().expect("its output")).lines();
    let mut line = |start: &str| {
        let found = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.trim_start().starts_with(start));
        found.unwrap_or_else(|| panic!("no line starts with {start:?}"))
    };
    line("wsmesh is ready");
    let playground = line("playground");
    assert!(line("clients").matches("ws://127.0.0.1:").count() == 2);
    assert!(line("admin").contains("http://127.0.0.1:"));
    let address = playground.split("http://").nth(1).expect("a URL").trim_end_matches('/');
    let mut page = String::new();
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
    write!(stream, "GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("sends");
    stream.read_to_string(&mut page).expect("an answer");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<html"), "{page}");
    println!("playground answered after {:?}", begin.elapsed());
    interrupt(&process);
    assert_eq!(exit_code(process, Duration::from_secs(10)), Some(0));
}

#[test]
fn a_healthy_start_is_ten_lines_at_most_and_with_level_info_ten_for_each_server() {
    for (arguments, most) in [(&[][..], 10), (&["--log-level", "info"], 50)] {
        let started = command(&["--port-base", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = Process(started.expect("starts"));
        let mut told = BufReader::new(process.0.stdout.take().expect("its output")).lines();
        assert!(
            told.by_ref()
                .map_while(Result::ok)
                .any(|line| line.starts_with("wsmesh is ready"))
        );
        // What it logs when it ends comes after this.
        let mut log = process.0.stderr.take().expect("its log");
        interrupt(&process);
        let mut lines = String::new();
        log.read_to_string(&mut lines).expect("its log ends");
        let of_start = lines.lines().take_while(|line| !line.contains("stopping"));
        let count = of_start.count();
        assert!((1..=most).contains(&count), "{count} lines:\n{lines}");
    }
}

#[test]
fn it_keeps_running_when_its_addresses_cannot_be_printed() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("a full device");
    let started = command(&["--port-base", "0"])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn();
    let mut process = Process(started.expect("starts"));
    let mut lines = BufReader::new(process.0.stderr.take().expect("its log")).lines();
    let mut lines = lines.by_ref().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("the addresses of the services cannot be printed")));
    interrupt(&process);
    assert_eq!(exit_code(process, Duration::from_secs(30)), Some(0));
}

#[test]
fn a_taken_port_is_named_with_the_flag_and_ends_it_with_1() {
    let taken = loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        if listener.local_addr().expect("an address").port() < u16::MAX - 100 {
            break listener;
        }
    };
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = command(&["--port-base", &port]).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("port {port} for ws-node-1 is taken")) && said.contains("--port-base"),
        "{said}"
    );
}

#[test]
fn its_settings_are_shown_and_wrong_ones_refused_with_64() {
    let output = command(&["--print-config", "--port-base", "9200"])
        .output()
        .expect("runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(
        shown.contains("port_base = 9200") && shown.contains("host = \"127.0.0.1\""),
        "{shown}"
    );
    let output = command(&["--redis", "redis://127.0.0.1", "--host", "nowhere"])
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("--redis") && said.contains("--host"), "{said}");
    let help = command(&["--help"]).output().expect("runs");
    assert!(String::from_utf8_lossy(&help.stdout).contains("--port-base"));
}
