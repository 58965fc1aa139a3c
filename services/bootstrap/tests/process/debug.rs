//! `/debug`: who is let in, one profile at a time, and that it never keeps a server from ending.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pprof::protos::{Message, Profile, Sample};

use crate::support::{Running, get, greeter, output};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Longest wait for an answer. The first profile of a program that is not optimised reads all of its debug information.
const LIMIT: Duration = Duration::from_secs(60);

fn started(directory: &Path) -> Running {
    let file = directory.join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).expect("written");
    Running::start(greeter().arg("--debug-token-file").arg(file))
}

/// Sends a request; the answer can be read from what is returned.
fn ask(address: SocketAddr, path: &str, token: Option<&str>) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{token}\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    stream
}

/// How an answer begins; nothing of it is taken.
fn beginning(stream: &TcpStream) -> String {
    let mut head = [0; 12];
    while stream.peek(&mut head).expect("an answer") < head.len() {}
    String::from_utf8_lossy(&head).into_owned()
}

/// The status and everything after the head.
fn answer(mut stream: TcpStream) -> (u16, Vec<u8>) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = bytes.split_off(end + 4);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    (status.expect("a status"), if chunked { joined(&body) } else { body })
}

/// The content of a body in chunks.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(end) = rest.windows(2).position(|part| part == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).expect("a size");
        if size == 0 {
            break;
        }
        content.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    content
}

fn text(stream: TcpStream) -> (u16, String) {
    let (status, body) = answer(stream);
    (status, String::from_utf8(body).expect("text"))
}

#[test]
fn debug_is_not_there_without_a_token_file_and_closed_without_the_token() {
    let closed = Running::start(&mut greeter());
    assert_eq!(get(closed.ops, "/debug/profile").0, 404);
    assert_eq!(get(closed.ops, "/debug/heap").0, 404);

    let directory = tempfile::tempdir().expect("a directory");
    let mut running = started(directory.path());
    for path in ["/debug/heap", "/debug/profile?seconds=1"] {
        let (status, said) = text(ask(running.ops, path, None));
        assert_eq!(status, 401, "{said}");
        assert!(said.contains("--debug-token-file"), "{said}");
    }
    assert_eq!(text(ask(running.ops, "/debug/heap", Some(TOKEN))).0, 200);
    let begun = Instant::now();
    assert_eq!(text(ask(running.ops, "/debug/heap", Some("0123456789abcdeX"))).0, 401);
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "a wrong token is answered late"
    );
    let line = running
        .log_lines()
        .find(|line| line.contains("wrong token"))
        .expect("a line");
    assert!(line.contains("WARN") && !line.contains("0123"), "{line}");
}

#[test]
fn a_flood_of_wrong_tokens_is_not_even_compared() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = started(directory.path());
    let asked: Vec<_> = (0..20)
        .map(|n| ask(running.ops, "/debug/heap", Some(&format!("wrong-{n:016}"))))
        .collect();
    let statuses: Vec<_> = asked.into_iter().map(|stream| answer(stream).0).collect();
    let of = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!(of(401) + of(429), 20, "{statuses:?}");
    assert!(of(429) >= 1, "{statuses:?}");
    // Everything else on that port is answered meanwhile, and the right token counts again.
    assert_eq!(get(running.ops, "/livez").0, 200);
    assert_eq!(text(ask(running.ops, "/debug/heap", Some(TOKEN))).0, 200);
}

#[test]
fn a_profile_names_functions_and_go_reads_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = started(directory.path());
    for wrong in ["seconds=0", "seconds=61", "seconds=x", "seconds=-1", "seconds="] {
        let (status, said) = text(ask(running.ops, &format!("/debug/profile?{wrong}"), Some(TOKEN)));
        assert_eq!(status, 400, "{wrong}");
        assert!(said.contains("1 to 60"), "{said}");
    }
    for (path, part) in [
        ("/debug/profile?second=3", "seconds must be 1 to 60"),
        ("/debug/heap?seconds=3", "takes no parameters"),
    ] {
        let (status, said) = text(ask(running.ops, path, Some(TOKEN)));
        assert!(status == 400 && said.contains(part), "{path}: {status} {said}");
    }
    let profile = busy_while(running.ops, || {
        let first = ask(running.ops, "/debug/profile?seconds=2", Some(TOKEN));
        // Not before the first one was let in.
        assert_eq!(beginning(&first), "HTTP/1.1 200", "it begins at once");
        let (status, said) = text(ask(running.ops, "/debug/profile?seconds=1", Some(TOKEN)));
        assert_eq!(status, 409, "{said}");
        answer(first).1
    });
    let file = directory.path().join("cpu.pb.gz");
    std::fs::write(&file, &profile).expect("written");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&profile[..])
        .read_to_end(&mut bytes)
        .expect("gzip");
    let parsed = Profile::parse_from_bytes(&bytes).expect("a profile");
    assert!(!parsed.sample.is_empty());
    assert!(
        parsed.string_table.iter().any(|name| name.contains("tokio::runtime")),
        "names of functions"
    );
    let of_profiler = parsed.sample.iter().filter(|sample| ends_in_profiler(&parsed, sample));
    assert_eq!(of_profiler.count(), 0, "stacks end in functions of the program");
    let known = parsed
        .sample
        .iter()
        .filter(|sample| innermost(&parsed, sample) != ["unknown"]);
    assert!(known.count() > 0, "nothing but unknown stacks");
    if let Ok(read) = Command::new("go").args(["tool", "pprof", "-top"]).arg(&file).output() {
        let shown = String::from_utf8_lossy(&read.stdout).into_owned();
        assert!(read.status.success() && shown.contains("flat%"), "{shown} {read:?}");
    }
    // The next one may begin.
    assert_eq!(answer(ask(running.ops, "/debug/profile?seconds=1", Some(TOKEN))).0, 200);
}

/// Whether the innermost function of a stack is one of the profiler.
fn ends_in_profiler(profile: &Profile, sample: &Sample) -> bool {
    innermost(profile, sample).iter().any(|name| {
        // A method of a trait is shown as `<pprof::… as …>::name`.
        let name = name.trim_start_matches('<');
        ["backtrace::", "pprof::"].iter().any(|begin| name.starts_with(begin))
            || ["__restore_rt", "__kernel_rt_sigreturn", "_sigtramp"].contains(&name)
    })
}

/// The innermost function of a stack, with what was inlined into it.
fn innermost<'a>(profile: &'a Profile, sample: &Sample) -> Vec<&'a str> {
    let location = profile
        .location
        .iter()
        .find(|location| location.id == sample.location_id[0]);
    let lines = &location.expect("a location").line;
    let name = |id| {
        let function = profile.function.iter().find(|function| function.id == id);
        profile.string_table[function.expect("a function").name as usize].as_str()
    };
    lines.iter().map(|line| name(line.function_id)).collect()
}

/// Lets the server work while `during` runs.
fn busy_while<T>(address: SocketAddr, during: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(get(address, "/metrics").0, 200);
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(during));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn a_profile_ends_with_its_connection_and_with_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut running = started(directory.path());
    let begun = Instant::now();
    drop(ask(running.ops, "/debug/profile?seconds=60", Some(TOKEN)));
    // It is free again long before a minute is over.
    let left = loop {
        let stream = ask(running.ops, "/debug/profile?seconds=60", Some(TOKEN));
        match beginning(&stream).as_str() {
            "HTTP/1.1 200" => break stream,
            other => assert_eq!(other, "HTTP/1.1 409"),
        }
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "the profile did not end with its connection"
        );
    };
    assert!(
        running
            .log_lines()
            .any(|line| line.contains("a CPU profile is taken on request"))
    );
    let stopping = Instant::now();
    running.signal("-TERM");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        stopping.elapsed() < Duration::from_secs(20),
        "it waited for the profile"
    );
    drop(left);
}

#[test]
fn the_heap_says_what_the_kernel_counts_and_a_bad_token_file_ends_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = started(directory.path());
    let (status, said) = text(ask(running.ops, "/debug/heap", Some(TOKEN)));
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((status, told["allocator"].as_str()), (200, Some("system")));
    assert!(told["bytes"]["resident"].as_u64() > Some(1 << 20), "{said}");
    let metrics = get(running.ops, "/metrics").1;
    for part in [
        "wsmesh_heap_bytes{kind=\"resident\"} ",
        "wsmesh_log_lines_total{level=\"info\"} ",
        "wsmesh_log_lines_summed_total 0",
        "wsmesh_runtime_busy_seconds_total{runtime=\"main\"} ",
        "wsmesh_runtime_threads{runtime=\"main\"} ",
        "wsmesh_runtime_queue_depth{runtime=\"main\"} ",
        "wsmesh_runtime_tasks{runtime=\"main\"} ",
        "wsmesh_runtime_late_seconds_count{runtime=\"main\"} ",
    ] {
        assert!(metrics.contains(part), "{part} in {metrics}");
    }
    let short = directory.path().join("short");
    std::fs::write(&short, "short").expect("written");
    let (code, _, stderr) = output(greeter().args(["--profile", "demo", "--debug-token-file"]).arg(short));
    assert_eq!(code, Some(64));
    assert!(
        stderr.contains("--debug-token-file") && stderr.contains("16 to 1024"),
        "{stderr}"
    );
}
