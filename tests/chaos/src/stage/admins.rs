//! Admins of a stage, and the steps of scripts that change nodes through their HTTP API.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Duration, Instant, sleep, timeout};
use wsmesh_test_support::ports::free_port;

use super::{PATIENCE, Stage};
use crate::pace::Pace;

/// The program of an admin, beside the one of the harness.
const PROGRAM: &str = "wsmesh-chaos-admin";
/// Longest time for a job to end: its own limit, and the time until an ended admin is missed.
const JOB_PATIENCE: Duration = Duration::from_secs(75);
/// How often an admin is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// The admins of a stage, by number; killed when dropped.
#[derive(Debug)]
pub(super) struct Admins {
    http: reqwest::Client,
    running: Vec<Option<Admin>>,
    starts: usize,
    changes_by: Option<PathBuf>,
}

#[derive(Debug)]
struct Admin {
    child: Child,
    address: String,
}

impl Admin {
    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.address)
    }
}

impl Admins {
    /// None yet.
    ///
    /// # Errors
    /// When there is no HTTP client.
    pub(super) fn new() -> anyhow::Result<Self> {
        // An error means that there is one already. No request is encrypted, but the client wants to be able to.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20));
        Ok(Self {
            http: http.build()?,
            running: Vec::new(),
            starts: 0,
            changes_by: None,
        })
    }

    pub(super) fn changes_by(&mut self, program: Option<&Path>) {
        self.changes_by = program.map(Path::to_owned);
    }

    fn admin(&self, number: usize) -> anyhow::Result<&Admin> {
        let admin = self.running.get(number).and_then(Option::as_ref);
        admin.with_context(|| format!("admin-{number} does not run"))
    }

    async fn start(&mut self, number: usize, nodes: &str, pace: Pace, folder: &Path) -> anyhow::Result<()> {
        self.starts += 1;
        let log = folder.join(format!("admin-{number}-{}.txt", self.starts));
        let port = free_port()?;
        let ms = |duration: Duration| format!("{}ms", duration.as_millis());
        let child = Command::new(std::env::current_exe()?.with_file_name(PROGRAM))
            .args(["--profile", "demo", "--ops-listen", "none", "--redis", nodes])
            .args([
                "--name",
                &format!("admin-{number}"),
                "--listen",
                &format!("127.0.0.1:{port}"),
            ])
            .args([
                "--redis-probe-interval",
                &ms(pace.probe()),
                "--replay-window",
                &ms(pace.window()),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(log)?)
            .kill_on_drop(true)
            .spawn()
            .context("an admin does not start")?;
        let admin = Admin {
            child,
            address: format!("http://127.0.0.1:{port}"),
        };
        if self.running.len() <= number {
            self.running.resize_with(number + 1, || None);
        }
        self.running[number] = Some(admin);
        Ok(())
    }

    /// The answer to GET, if there is one.
    async fn get(&self, number: usize, path: &str) -> anyhow::Result<Value> {
        let url = self.admin(number)?.url(path);
        let answer = self.http.get(url).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// Adds a node; the job.
    async fn add(&self, number: usize, url: &str) -> anyhow::Result<String> {
        if let Some(program) = &self.changes_by {
            return self.changed_by(program, number, ["add", url]).await;
        }
        let request = self.http.post(self.admin(number)?.url("nodes"));
        let request = request.header("content-type", "application/json");
        accepted(request.body(json!({"url": url}).to_string())).await
    }

    /// Removes a node; the job.
    async fn remove(&self, number: usize, id: &str) -> anyhow::Result<String> {
        if let Some(program) = &self.changes_by {
            return self.changed_by(program, number, ["remove", id]).await;
        }
        accepted(self.http.delete(self.admin(number)?.url(&format!("nodes/{id}")))).await
    }

    /// The program changes a node; the job that it names. Whatever the program still does then may meet an admin that is killed.
    async fn changed_by(&self, program: &Path, number: usize, change: [&str; 2]) -> anyhow::Result<String> {
        let mut child = Command::new(program)
            .args(change)
            .env("WSMESH_ADMIN", &self.admin(number)?.address)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let stdout = child.stdout.take().context("its output is read")?;
        let mut lines = BufReader::new(stdout).lines();
        let named = timeout(PATIENCE, lines.next_line()).await;
        let named = named.with_context(|| format!("{} does not name a job", program.display()))?;
        named?.with_context(|| format!("{} ended without naming a job", program.display()))
    }
}

/// The job that accepts a change.
async fn accepted(request: reqwest::RequestBuilder) -> anyhow::Result<String> {
    let answer = request.send().await?;
    let (status, body) = (answer.status(), answer.text().await?);
    ensure!(status == 202, "a change was answered with {status}: {body}");
    let job: Value = serde_json::from_str(&body)?;
    Ok(job["id"].as_str().context("a job has an id")?.to_owned())
}

impl Stage {
    /// Starts an admin, and waits until it counts and knows every server.
    ///
    /// # Errors
    /// When it does not get there.
    pub(crate) async fn start_admin(&mut self, number: usize) -> anyhow::Result<()> {
        let urls: Vec<_> = (0..self.plan.nodes).map(|node| self.url(node)).collect();
        let (pace, folder) = (self.pace, self.folder.clone());
        self.admins.start(number, &urls.join(","), pace, &folder).await?;
        let servers = self.plan.servers() + self.admins.running.iter().flatten().count();
        let start = Instant::now();
        loop {
            match self.admins.get(number, "cluster").await {
                Ok(cluster) if counted(&cluster) >= servers => break,
                last if start.elapsed() > PATIENCE => bail!("admin-{number} does not know {servers} servers: {last:?}"),
                _ => sleep(AGAIN).await,
            }
        }
        self.tell(&format!("admin-{number} runs"));
        Ok(())
    }

    /// kill -9 of an admin.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) async fn kill_admin(&mut self, number: usize) -> anyhow::Result<()> {
        self.tell(&format!("admin-{number} is killed"));
        let mut admin = self.admins.running[number].take().context("it runs")?;
        Ok(admin.child.kill().await?)
    }

    /// An admin accepts the addition of a node. Returns the job.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn add_through(&self, number: usize, node: usize) -> anyhow::Result<String> {
        self.tell(&format!("admin-{number} is told to add redis-{node}"));
        self.admins.add(number, &self.url(node)).await
    }

    /// An admin accepts the removal of a node. Returns the job.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn remove_through(&self, number: usize, node: usize) -> anyhow::Result<String> {
        self.tell(&format!("admin-{number} is told to remove redis-{node}"));
        self.admins.remove(number, &format!("redis-{node}")).await
    }

    /// Asks an admin for a job, which another one may have accepted, until the job is done.
    ///
    /// # Errors
    /// When it fails, does not end, or is not known.
    pub(crate) async fn job_is_done(&self, number: usize, job: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let known = self.admins.get(number, &format!("jobs/{job}")).await;
            match known.as_ref().ok().and_then(|job| job["state"].as_str()) {
                Some("done") => break,
                Some("running") | None if start.elapsed() < JOB_PATIENCE => sleep(AGAIN).await,
                _ => bail!("the job is not done, says admin-{number}: {known:?}"),
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        self.tell(&format!("admin-{number} says after {seconds:.1} s: the job is done"));
        Ok(())
    }

    /// Waits until these admins have the same list of so many jobs.
    ///
    /// # Errors
    /// When they do not.
    pub(crate) async fn jobs_agree(&self, numbers: [usize; 2], count: usize) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let [one, other] = numbers.map(|number| self.admins.get(number, "jobs"));
            let lists = [one.await?["jobs"].take(), other.await?["jobs"].take()];
            if lists[0] == lists[1] && lists[0].as_array().is_some_and(|jobs| jobs.len() == count) {
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "the admins have different jobs: {lists:?}");
            sleep(AGAIN).await;
        }
    }
}

fn counted(cluster: &Value) -> usize {
    let services = cluster["services"].as_array().into_iter().flatten();
    let servers = services.flat_map(|service| service["servers"].as_array().into_iter().flatten());
    servers.filter(|server| server["counted"] == true).count()
}
