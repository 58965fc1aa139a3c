//! The shell commands of the chart, taken from the rendered manifests and run here: Redis, with any password.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use e2e::{Process, free_port, until};
use tempfile::TempDir;

const MANIFESTS: &str = include_str!("../../../../k8s/production/wsmesh.yaml");

/// A file of the ConfigMap of Redis.
fn file_of_the_config_map(name: &str) -> String {
    let (_, text) = MANIFESTS
        .split_once(&format!("\n  {name}: |\n"))
        .unwrap_or_else(|| panic!("{name} is not in the manifests"));
    let lines = text.lines().map_while(|line| match line.strip_prefix("    ") {
        None if !line.is_empty() => None,
        line => Some(line.unwrap_or_default()),
    });
    lines.map(|line| format!("{line}\n")).collect()
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
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).expect("written");
        let run = folder.path().join("run").display().to_string();
        let config = file_of_the_config_map("redis.conf");
        write(
            "etc/redis.conf",
            config.replace("6379", &port.to_string()).replace("/run/redis", &run),
        );
        for name in ["redis-7.conf", "redis.sh"] {
            write(&format!("etc/{name}"), file_of_the_config_map(name));
        }
        write("secret/password", password.to_owned());
        let mut start = Self::script(folder.path(), "start");
        let child = start.stdout(Stdio::null()).spawn().expect("sh runs");
        Self { child, port, folder }
    }

    /// The script of the pod's containers, with the folders of this Redis.
    fn script(folder: &Path, what: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .arg(folder.join("etc/redis.sh"))
            .arg(what)
            .env("CONFIG_FOLDER", folder.join("etc"))
            .env("RUN_FOLDER", folder.join("run"))
            .env("PASSWORD_FILE", folder.join("secret/password"));
        command
    }

    /// Runs the readiness probe.
    fn probe(&self) -> Output {
        Self::script(self.folder.path(), "ready").output().expect("sh runs")
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
