//! The shell commands of the chart, taken from the rendered manifests and run here: Redis, with any password.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use e2e::{Process, free_port, until};
use tempfile::TempDir;

const MANIFESTS: &str = include_str!("../../../../k8s/production/wsmesh.yaml");

/// The lines of a block of YAML text, from the one that begins with `first` to the end of its indentation.
fn block(first: &str) -> String {
    let mut lines = MANIFESTS
        .lines()
        .skip_while(|line| !line.trim_start().starts_with(first));
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("{first:?} is not in the manifests"));
    let indent = &line[..line.len() - line.trim_start().len()];
    let text = std::iter::once(line).chain(lines.take_while(|line| line.starts_with(indent)));
    text.map(|line| format!("{}\n", &line[indent.len()..])).collect()
}

/// The chart's Redis; killed when dropped.
struct Redis {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Redis {
    fn start(password: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        for name in ["etc", "run", "secret"] {
            std::fs::create_dir(folder.path().join(name)).expect("made");
        }
        let redis = |script: String| Self::here(&script, port, folder.path());
        std::fs::write(folder.path().join("etc/redis.conf"), redis(block("port 6379"))).expect("written");
        std::fs::write(folder.path().join("secret/password"), password).expect("written");
        let child = Command::new("sh")
            .args(["-ec", &redis(block("umask 077"))])
            .stdout(Stdio::null())
            .spawn()
            .expect("sh runs");
        Self { child, port, folder }
    }

    /// A text of the manifests, with the port and folders of this Redis.
    fn here(text: &str, port: u16, folder: &Path) -> String {
        let folder = folder.display();
        text.replace("6379", &port.to_string())
            .replace("redis-cli", &format!("redis-cli -p {port}"))
            .replace("/etc/redis/", &format!("{folder}/etc/"))
            .replace("/run/redis", &format!("{folder}/run"))
            .replace("/etc/wsmesh/redis/", &format!("{folder}/secret/"))
    }

    /// Runs the probe.
    fn probe(&self) -> Output {
        let line = MANIFESTS
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("command: [sh, -c, "));
        let quoted = line.and_then(|line| line.strip_suffix(']')).expect("a probe");
        let script: String = serde_json::from_str(quoted).expect("a quoted text");
        Command::new("sh")
            .args(["-c", &Self::here(&script, self.port, self.folder.path())])
            .output()
            .expect("sh runs")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_of_the_chart_accepts_any_password_and_its_probe_needs_none() {
    for password in [
        "plain",
        r#"a"b\c\\d\x41$HOME`id`'e"#,
        "  spaces  and #hash ",
        "-n 100% %s größer",
        "line end\r\n",
    ] {
        let mut redis = Redis::start(password);
        until("the probe succeeds", || async { redis.probe().status.success() }).await;
        let file = redis.folder.path().join("secret/password");
        let url = format!("--redis=redis://127.0.0.1:{}", redis.port);
        let file = format!("--redis-password-file={}", file.display());
        Process::start("game-logic", &["--profile=demo", &url, &file])
            .ready()
            .await;
        redis.child.kill().expect("it runs");
        redis.child.wait().expect("it ends");
        assert!(!redis.probe().status.success(), "nobody answers");
    }
}

#[test]
fn the_configuration_of_redis_contains_no_password() {
    let redis = Redis::start("secret word");
    let file = redis.folder.path().join("run/redis.conf");
    let start = std::time::Instant::now();
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    while !read().contains("user default") {
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "{}", read());
        std::thread::yield_now();
    }
    assert!(!read().contains("secret"), "{}", read());
}
