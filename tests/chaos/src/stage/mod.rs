//! The processes and links of a scenario: Redis nodes, the servers, a link from every server to every node; and the steps of
//! fault scripts.
//!
//! Every step prints a line, so that a run can be followed. What the promise excludes is declared by the script, not guessed by
//! the judge.

mod admins;
mod faults;
mod map;
mod redis;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::time::{Duration, Instant, sleep};
use wsmesh_test_support::redis::Redis;

use crate::pace::{Pace, Span};
use crate::plan::Plan;
use crate::process::{Life, Process};
use crate::proxy::{Mode, Proxy};
use crate::story::Story;
use crate::talk::{Order, Say, Setup};
use crate::wall_clock::WallClock;
use admins::Admins;

/// Time limit for something that must reach every server.
const PATIENCE: Duration = Duration::from_secs(40);

/// A time for which the promise excludes a server, according to the script.
#[derive(Debug, Clone)]
pub struct Excuse {
    /// Which server.
    pub server: usize,
    /// From when.
    pub from_us: u64,
    /// Until when.
    pub until_us: u64,
}

/// All processes and links of a scenario.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Its pace.
    pub pace: Pace,
    plan: Plan,
    redis: Vec<Redis>,
    links: Vec<Vec<Proxy>>,
    servers: Vec<Option<Process>>,
    admins: Admins,
    clocks: Vec<WallClock>,
    lives: Vec<Life>,
    excuses: Vec<Excuse>,
    story: Story,
    folder: PathBuf,
    next_process: u16,
    loaded: bool,
}

impl Stage {
    /// Starts everything, and waits until all servers know each other.
    ///
    /// # Errors
    /// When something does not start.
    pub(crate) async fn set(plan: Plan, pace: Pace, story: Story, folder: PathBuf) -> anyhow::Result<Self> {
        let mut stage = Self {
            pace,
            redis: Vec::new(),
            links: Vec::new(),
            servers: Vec::new(),
            admins: Admins::new()?,
            clocks: Vec::new(),
            lives: Vec::new(),
            excuses: Vec::new(),
            story,
            folder,
            next_process: 1,
            loaded: false,
            plan,
        };
        for _ in 0..stage.plan.nodes + stage.plan.spares {
            stage.redis.push(redis::start(stage.plan.redis_arguments).await?);
        }
        for server in 0..stage.plan.servers() {
            let nodes = &stage.redis[..stage.plan.nodes];
            let links = nodes.iter().map(|redis| Proxy::start(redis.port));
            stage.links.push(links.collect::<Result<_, _>>()?);
            if stage.plan.fake_clock {
                stage.clocks.push(WallClock::new(&stage.folder, server)?);
            }
        }
        for &(server, node) in stage.plan.missing_links {
            stage.links[server][node].set(Mode::Cut);
        }
        for server in 0..stage.plan.servers() {
            let process = stage.start(server).await?;
            stage.servers.push(Some(process));
        }
        for process in stage.servers.iter_mut().flatten() {
            process.settled().await?;
        }
        Ok(stage)
    }

    async fn start(&mut self, server: usize) -> anyhow::Result<Process> {
        let number = self.next_process;
        self.next_process += 1;
        let name = self.plan.name(server);
        let url = |(node, link): (usize, &Proxy)| format!("redis://127.0.0.1:{}#redis-{node}", link.port());
        let setup = Setup {
            process: number,
            service: self.plan.service(server).to_owned(),
            urls: self.links[server].iter().enumerate().map(url).collect(),
            log: self.folder.join(format!("{number:02}-{name}.records")),
            probe_ms: self.pace.probe().as_millis() as u64,
            window_ms: self.pace.window().as_millis() as u64,
            request_ms: self.pace.request().as_millis() as u64,
            clients: self.plan.clients_of(server),
            audience: self.plan.audience(self.pace),
            name,
        };
        let environment = self.clocks.get(server).map(WallClock::environment).unwrap_or_default();
        Process::start(server, setup, &environment).await
    }

    fn server(&mut self, server: usize) -> anyhow::Result<&mut Process> {
        let name = self.plan.name(server);
        let process = self.servers.get_mut(server).and_then(Option::as_mut);
        process.with_context(|| format!("{name} does not run"))
    }

    fn names(&self, servers: &[usize]) -> String {
        let names: Vec<String> = servers.iter().map(|&server| self.plan.name(server)).collect();
        names.join(", ")
    }

    /// Changes of nodes through admins are made by this program, if any.
    pub(crate) fn changes_by(&mut self, program: Option<&Path>) {
        self.admins.changes_by(program);
    }

    /// Prints what happens.
    pub(crate) fn tell(&self, what: &str) {
        self.story.tell(what);
    }

    /// Waits.
    pub(crate) async fn wait(&self, span: Span) {
        sleep(self.pace.of(span)).await;
    }

    /// Every server sends its part of the load, from now on.
    ///
    /// # Errors
    /// When a server has ended.
    pub(crate) async fn load(&mut self) -> anyhow::Result<()> {
        self.loaded = true;
        for server in 0..self.servers.len() {
            self.load_on(server).await?;
        }
        Ok(())
    }

    async fn load_on(&mut self, server: usize) -> anyhow::Result<()> {
        let rate = f64::from(self.pace.rate) / self.servers.len() as f64;
        self.server(server)?.order(&Order::Load { rate }).await
    }

    /// Stops the load and waits until nothing is under way.
    ///
    /// # Errors
    /// When a server has ended.
    pub(crate) async fn rest(&mut self) -> anyhow::Result<()> {
        self.loaded = false;
        let resting = self
            .servers
            .iter_mut()
            .flatten()
            .map(|process| process.ask(&Order::Rest));
        for answer in futures_util::future::try_join_all(resting).await? {
            if let Say::Rested { stuck: stuck @ 1.. } = answer {
                bail!("{stuck} sends of one server never ended");
            }
        }
        Ok(())
    }

    /// Waits until nothing arrives any more.
    ///
    /// # Errors
    /// When a log cannot be examined.
    pub(crate) async fn quiet(&self) -> anyhow::Result<()> {
        let (mut size, mut since, start) = (0, Instant::now(), Instant::now());
        while since.elapsed() < self.pace.quiet() && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(100)).await;
            let logs = self
                .servers
                .iter()
                .flatten()
                .map(|process| std::fs::metadata(process.log()));
            let now = logs.sum_lengths()?;
            if now != size {
                (size, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Ends every server, and returns what the judge needs.
    ///
    /// # Errors
    /// When one does not end gracefully.
    pub(crate) async fn strike(mut self) -> anyhow::Result<(Plan, Vec<Life>, Vec<Excuse>)> {
        let quitting = self.servers.drain(..).flatten().map(Process::quit);
        for mut life in futures_util::future::try_join_all(quitting).await? {
            life.ended_us = None;
            self.lives.push(life);
        }
        Ok((self.plan, self.lives, self.excuses))
    }
}

/// Adds up the lengths of files.
trait SumLengths {
    fn sum_lengths(self) -> std::io::Result<u64>;
}

impl<I: Iterator<Item = std::io::Result<std::fs::Metadata>>> SumLengths for I {
    fn sum_lengths(mut self) -> std::io::Result<u64> {
        self.try_fold(0, |sum, file| Ok(sum + file?.len()))
    }
}
