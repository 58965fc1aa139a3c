//! A server process as the harness sees it: orders go in, reports come out, and its life is kept for the judge.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock::now_us;
use crate::talk::{Lapse, NodeEntry, Order, Say, Setup};

/// Time limit for a server to start, and to end.
const LIMIT: Duration = Duration::from_secs(40);

/// The reports of a server so far.
#[derive(Debug, Default)]
struct Heard {
    life: Reported,
    settled: bool,
    answers: Vec<Say>,
    ended: bool,
}

/// The reports of a server that the judge needs.
#[derive(Debug, Default, Clone)]
pub struct Reported {
    /// Since when it counts.
    pub ready_us: Option<u64>,
    /// Since when others reach each client.
    pub attached: Vec<(u16, u64)>,
    /// Since when a client (first) is in a room (second).
    pub joined: Vec<(u16, u16, u64)>,
    /// The times for which it reported that the promise did not hold.
    pub lapses: Vec<Lapse>,
    /// What should not have happened.
    pub troubles: Vec<String>,
}

/// A process from its start to its end.
#[derive(Debug, Clone)]
pub struct Life {
    /// Its number.
    pub process: u16,
    /// The index of its server in the scenario.
    pub server: usize,
    /// Its server's name.
    pub name: String,
    /// When it was ended; none if it lived until the end of the run.
    pub ended_us: Option<u64>,
    /// Its reports.
    pub reported: Reported,
    /// Its log.
    pub log: PathBuf,
}

/// A running server process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    heard: watch::Receiver<Heard>,
    server: usize,
    setup: Setup,
}

impl Process {
    /// Starts one, with these additional environment variables.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) async fn start(
        server: usize,
        setup: Setup,
        environment: &HashMap<String, String>,
    ) -> anyhow::Result<Self> {
        let errors = std::fs::File::create(setup.log.with_extension("txt"))?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("server")
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .context("a server process does not start")?;
        let orders = child.stdin.take().context("stdin is piped")?;
        let says = child.stdout.take().context("stdout is piped")?;
        let (sender, heard) = watch::channel(Heard::default());
        tokio::spawn(hear(says, sender));
        let mut process = Self {
            child,
            orders,
            heard,
            server,
            setup,
        };
        let line = serde_json::to_string(&process.setup)?;
        process.line(line).await?;
        Ok(process)
    }

    async fn line(&mut self, mut line: String) -> anyhow::Result<()> {
        line.push('\n');
        let written = self.orders.write_all(line.as_bytes()).await;
        written.with_context(|| format!("{} does not accept orders", self.setup.name))
    }

    /// Tells it to do something.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) async fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        self.line(serde_json::to_string(order)?).await
    }

    /// Tells it to do something and waits for its answer.
    ///
    /// # Errors
    /// When it has ended, or says nothing.
    pub(crate) async fn ask(&mut self, order: &Order) -> anyhow::Result<Say> {
        let before = self.heard.borrow().answers.len();
        self.order(order).await?;
        self.until(&format!("{order:?}"), |heard| heard.answers.len() > before)
            .await?;
        let answer = self.heard.borrow().answers.last().cloned();
        answer.context("an answer came")
    }

    /// Asks for its map of nodes.
    ///
    /// # Errors
    /// As [`Process::ask`].
    pub(crate) async fn topology(&mut self) -> anyhow::Result<Vec<NodeEntry>> {
        match self.ask(&Order::Topology).await? {
            Say::Topology { nodes } => Ok(nodes),
            other => bail!("{} says {other:?}", self.setup.name),
        }
    }

    /// Waits until its clients are in place and it knows every server.
    ///
    /// # Errors
    /// When it does not get there.
    pub(crate) async fn settled(&mut self) -> anyhow::Result<()> {
        self.until("it is settled", |heard| heard.settled).await
    }

    async fn until(&mut self, what: &str, mut holds: impl FnMut(&Heard) -> bool) -> anyhow::Result<()> {
        let waiting = self.heard.wait_for(|heard| heard.ended || holds(heard));
        let ended = match timeout(LIMIT, waiting).await {
            Ok(heard) => heard?.ended,
            Err(_) => false,
        };
        let (name, troubles) = (&self.setup.name, &self.heard.borrow().life.troubles);
        if ended {
            bail!(
                "{name} has ended, {what} was awaited; {troubles:?}; see {}",
                self.setup.log.with_extension("txt").display()
            );
        }
        if !holds(&self.heard.borrow()) {
            bail!("{name}: not within {LIMIT:?}: {what}; {troubles:?}");
        }
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(pid.with_context(|| format!("{} has ended", self.setup.name))?, signal)?;
        Ok(())
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub(crate) async fn kill(mut self) -> anyhow::Result<Life> {
        let at_us = now_us();
        self.child.kill().await?;
        Ok(self.life(Some(at_us)))
    }

    /// Tells it to end and waits until it has.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) async fn quit(mut self) -> anyhow::Result<Life> {
        let at_us = now_us();
        self.order(&Order::Quit).await?;
        let ended = timeout(LIMIT, self.child.wait()).await;
        let status = ended.with_context(|| format!("{} does not end", self.setup.name))??;
        if !status.success() {
            bail!(
                "{} ended with {status}: see {}",
                self.setup.name,
                self.setup.log.with_extension("txt").display()
            );
        }
        Ok(self.life(Some(at_us)))
    }

    fn life(&self, ended_us: Option<u64>) -> Life {
        Life {
            process: self.setup.process,
            server: self.server,
            name: self.setup.name.clone(),
            ended_us,
            reported: self.heard.borrow().life.clone(),
            log: self.setup.log.clone(),
        }
    }

    /// The file of its log.
    pub(crate) fn log(&self) -> &Path {
        &self.setup.log
    }
}

async fn hear(says: ChildStdout, heard: watch::Sender<Heard>) {
    let mut lines = BufReader::new(says).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(say) => heard.send_modify(|heard| heard.take(say)),
            Err(error) => tracing::error!("not understood ({error}): {line}"),
        }
    }
    heard.send_modify(|heard| heard.ended = true);
}

impl Heard {
    fn take(&mut self, say: Say) {
        let life = &mut self.life;
        match say {
            Say::Ready { at_us } => life.ready_us = Some(at_us),
            Say::Attached { client, at_us } => life.attached.push((client, at_us)),
            Say::Joined { client, room, at_us } => life.joined.push((client, room, at_us)),
            Say::Settled => self.settled = true,
            Say::Lapse(lapse) => life.lapses.push(lapse),
            Say::Trouble { what } => life.troubles.push(what),
            answer => self.answers.push(answer),
        }
    }
}
