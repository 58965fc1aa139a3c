//! The example service as a process: exit codes, what it prints, signals, probes, traces.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// The example, with nothing of this environment that could change what it does.
fn greeter() -> Command {
    let mut path = std::env::current_exe().expect("this test's path");
    path.pop();
    path.pop();
    path.push("examples/greeter");
    assert!(
        path.exists(),
        "build it first: cargo build -p wsmesh-bootstrap --example greeter"
    );
    let mut command = Command::new(path);
    command.env_clear();
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    (
        status.code(),
        String::from_utf8(stdout).expect("text"),
        String::from_utf8(stderr).expect("text"),
    )
}

/// A running greeter; killed when dropped.
struct Running {
    child: Child,
    /// What it says, as long as anybody reads that.
    lines: Option<std::io::Lines<BufReader<ChildStderr>>>,
    public: SocketAddr,
    ops: SocketAddr,
}

impl Running {
    /// Starts it on free ports in the demo profile and waits until it listens.
    fn start(command: &mut Command) -> Self {
        command.args([
            "--profile",
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
        ]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let line = lines.next().expect("a line").expect("text");
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON, as stderr is no terminal");
        let address = |key: &str| line[key].as_str().expect(key).parse().expect("an address");
        let (public, ops) = (address("listen"), address("ops_listen"));
        Self {
            child,
            lines: Some(lines),
            public,
            ops,
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().expect("kill");
        assert!(sent.success());
    }

    fn said(&mut self) -> impl Iterator<Item = String> {
        let lines = self.lines.as_mut().expect("somebody reads");
        lines.map(|line| line.expect("text"))
    }

    /// What it still says, and its exit code.
    fn end(mut self) -> (Option<i32>, String) {
        let rest: Vec<String> = self.said().collect();
        (self.child.wait().expect("it ends").code(), rest.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    (head.lines().next().expect("a status").to_owned(), body.to_owned())
}

#[test]
fn a_wrong_configuration_ends_with_64_and_one_line_per_problem() {
    let (code, stdout, stderr) = output(greeter().args(["--listen", "here"]).env("WSMESH_NONSENSE", "1"));
    assert_eq!((code, stdout.as_str()), (Some(64), ""));
    assert!(
        stderr.starts_with("greeter does not start: 3 problems in its configuration\n"),
        "{stderr}"
    );
    for line in [
        "\n  WSMESH_NONSENSE: ",
        "\n  --listen: ",
        "\n  --token-file (not set): profile production needs a token",
    ] {
        assert!(stderr.contains(line), "{line} in {stderr}");
    }
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_in_whole_sentences() {
    for (arguments, line) in [
        (
            ["--max-greting", "2"],
            "\n  unexpected argument '--max-greting' found; tip: a similar argument exists: '--max-greetings'\n",
        ),
        (
            ["--loud", "true"],
            "\n  unrecognized subcommand 'true'; if it is the value of a switch, write it after =, as in --FLAG=true\n",
        ),
    ] {
        let (code, _, stderr) = output(greeter().args(arguments));
        assert_eq!(code, Some(64), "{stderr}");
        assert!(stderr.contains(line), "{line} in {stderr}");
    }
}

#[test]
fn help_and_version_are_answers() {
    let (code, stdout, _) = output(greeter().arg("--help"));
    assert_eq!(code, Some(0));
    for part in [
        "Greets whoever connects.",
        "Common settings:",
        "Settings of greeter:",
        "--max-greetings <N>",
        "[default: 1000] [env: WSMESH_MAX_GREETINGS]",
        "[default: 0.0.0.0:9200] [env: WSMESH_LISTEN]",
        "healthcheck",
        "In the file only: rules",
        "64 if the configuration is wrong",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    let (code, stdout, _) = output(greeter().arg("--version"));
    assert_eq!((code, stdout.starts_with("greeter 0.")), (Some(0), true), "{stdout}");
}

#[test]
fn what_cannot_be_printed_ends_with_1_and_what_nobody_reads_is_no_failure() {
    let said = |argument: &str, stdout: Stdio| {
        let mut command = greeter();
        command.args(["--profile", "demo", argument]).stdout(stdout);
        let child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    for argument in ["--help", "--version", "--print-config"] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a full device");
        let (code, stderr) = said(argument, full.into());
        assert_eq!(code, Some(1), "{argument}");
        assert!(stderr.contains("cannot write to stdout"), "{argument}: {stderr}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(said(argument, writer.into()), (Some(0), String::new()), "{argument}");
    }
}

#[test]
fn a_log_that_nobody_reads_any_more_ends_nothing() {
    let mut running = Running::start(greeter().args(["--greeting-timeout", "10ms"]));
    running.lines = None;
    // Logged before it is answered.
    assert_eq!(get(running.ops, "/greet").1, "hello\n");
    running.signal("-TERM");
    assert_eq!(running.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn sighup_ends_it_in_order() {
    let running = Running::start(&mut greeter());
    running.signal("-HUP");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(r#""signal":"SIGHUP""#), "{said}");
}

#[test]
fn under_nohup_it_outlives_sighup() {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"trap "" HUP; exec "$0" "$@""#])
        .arg(greeter().get_program())
        .env_clear();
    let running = Running::start(&mut command);
    running.signal("-HUP");
    assert_eq!(get(running.ops, "/livez").1, "alive\n");
    running.signal("-TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(r#""signal":"SIGTERM""#), "{said}");
}

#[test]
fn the_printed_configuration_names_sources_hides_secrets_and_can_be_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("token"), "t0ken").expect("written");
    std::fs::write(
        path("c.toml"),
        "max_greetings = 7\n[[rules]]\nguest = 'ann'\ngreeting = 'hi'\n",
    )
    .expect("written");
    let (code, stdout, stderr) = output(
        greeter()
            .args([
                "--print-config",
                "--redis",
                "redis://:hunter2@a#1",
                "--ops-listen",
                "none",
                "--config",
            ])
            .arg(path("c.toml"))
            .env("WSMESH_TOKEN_FILE", path("token")),
    );
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for part in [
        "max_greetings = 7  # max_greetings in ",
        "redis = [\"redis://a:6379#1\"]  # --redis\n",
        "ops_listen = \"none\"  # --ops-listen\n",
        "prefix = \"wsmesh:\"  # default\n",
        "# redis_password_file is not set\n",
        "/token\"  # WSMESH_TOKEN_FILE\n",
        "[[rules]]\ngreeting = \"hi\"\nguest = \"ann\"\n",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    assert!(!stdout.contains("t0ken") && !stdout.contains("hunter2"), "{stdout}");
    std::fs::write(path("again.toml"), &stdout).expect("written");
    let (code, again, stderr) = output(greeter().args(["--print-config", "--config"]).arg(path("again.toml")));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let values = |text: &str| text.parse::<toml::Table>().expect("TOML");
    assert_eq!(values(&again), values(&stdout));
}

#[test]
fn the_ops_routes_answer_and_sigterm_ends_it_in_order() {
    let greeter = Running::start(greeter().args(["--name", "g-1"]));
    assert_eq!(
        get(greeter.ops, "/livez"),
        ("HTTP/1.0 200 OK".to_owned(), "alive\n".to_owned())
    );
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
    assert_eq!(get(greeter.ops, "/else").0, "HTTP/1.0 404 Not Found");
    greeter.signal("-TERM");
    let (code, said) = greeter.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(r#""signal":"SIGTERM""#) && said.contains(r#""message":"stopped""#),
        "{said}"
    );
}

/// Asks it to stop while a client keeps it busy for a moment.
fn stopping(command: &mut Command) -> (Running, TcpStream) {
    let mut running = Running::start(command.args(["--greeting-timeout", "60s"]));
    let mut waiting = TcpStream::connect(running.ops).expect("it listens");
    waiting.write_all(b"GET /greet HTTP/1.1\r\n\r\n").expect("asked");
    assert!(running.said().any(|line| line.contains(r#""message":"greeting""#)));
    running.signal("-TERM");
    assert!(running.said().any(|line| line.contains(r#""message":"stopping""#)));
    (running, waiting)
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (running, _waiting) = stopping(&mut greeter());
    running.signal("-INT");
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("stopped at once by a second signal (SIGINT)"), "{said}");
}

#[test]
fn it_ends_within_its_grace_period_whoever_hangs() {
    let (running, _waiting) = stopping(greeter().args(["--shutdown-grace", "20ms"]));
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("allow more time with --shutdown-grace (WSMESH_SHUTDOWN_GRACE)"),
        "{said}"
    );
}

#[test]
fn silent_connections_do_not_stay_on_the_ops_port_and_shut_nobody_out() {
    let running = Running::start(&mut greeter());
    let mut silent: Vec<_> = (0..300)
        .map(|_| TcpStream::connect(running.ops).expect("it listens"))
        .collect();
    assert_eq!(get(running.ops, "/livez").1, "alive\n");
    let first = &mut silent[0];
    first.set_read_timeout(Some(LIMIT)).expect("set");
    assert_eq!(first.read(&mut [0]).expect("closed in time"), 0, "it gave way");
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

/// A collector that hands over what it is sent.
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
fn traces_are_flushed_with_the_headers_asked_for_before_it_ends() {
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
fn a_collector_that_is_away_is_told_once_and_delays_the_end_little() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let url = format!("{}/in?key=s3cret", url.replace("://", "://me:s3cret@"));
    let mut command = greeter();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    let running = Running::start(command.args(["--log-level", "trace"]));
    running.signal("-TERM");
    let started = std::time::Instant::now();
    let (code, said) = running.end();
    assert_eq!(code, Some(0));
    assert_eq!(said.matches("traces cannot be sent").count(), 1, "{said}");
    assert!(!said.contains("s3cret"), "shows a secret: {said}");
    assert!(started.elapsed() < LIMIT);
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
    let (code, said) = running.end();
    assert_eq!(code, Some(0));
    assert!(!said.contains("trace"), "{said}");
    assert!(requests.try_recv().is_err());
}
