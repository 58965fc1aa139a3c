//! Where a scenario plays: Redis nodes, a link from every server to every node, the servers; and the verbs of fault scripts.
//!
//! Every verb tells the story, so that a run can be followed. What the promise excludes is declared by the script, not
//! guessed by the judge.

use std::path::PathBuf;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::time::{Duration, Instant, sleep};

use crate::clock::now_us;
use crate::pace::{Pace, Span};
use crate::plan::Plan;
use crate::process::{Life, Process};
use crate::proxy::{Mode, Proxy};
use crate::redis::Redis;
use crate::story::Story;
use crate::talk::{NodeEntry, Order, Say, Setup};
use crate::wall_clock::WallClock;

/// Longest wait for a change of the map of nodes to reach everyone.
const CHANGE: Duration = Duration::from_secs(40);

/// A time for which the promise does not hold for a server, as the script knows.
#[derive(Debug, Clone)]
pub struct Excuse {
    /// Which server.
    pub server: usize,
    /// From when.
    pub from_us: u64,
    /// Until when.
    pub until_us: u64,
}

/// Everything that a scenario plays with.
#[derive(Debug)]
pub(crate) struct Stage {
    /// How fast it goes.
    pub pace: Pace,
    plan: Plan,
    redis: Vec<Redis>,
    links: Vec<Vec<Proxy>>,
    servers: Vec<Option<Process>>,
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
            stage.redis.push(Redis::start(stage.plan.redis_arguments).await?);
        }
        for server in 0..stage.plan.servers() {
            let nodes = &stage.redis[..stage.plan.nodes];
            let links = nodes.iter().map(|redis| Proxy::start(redis.port()));
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

    /// Tells what happens.
    pub(crate) fn tell(&self, what: &str) {
        self.story.tell(what);
    }

    /// Lets time pass.
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

    /// Nobody sends any more; waits until nothing is under way.
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
        for said in futures_util::future::try_join_all(resting).await? {
            if let Say::Rested { stuck: stuck @ 1.. } = said {
                bail!("{stuck} messages of one server never came to an end");
            }
        }
        Ok(())
    }

    /// Waits until nothing arrives any more.
    ///
    /// # Errors
    /// When a log cannot be looked at.
    pub(crate) async fn quiet(&self) -> anyhow::Result<()> {
        let (mut size, mut since, start) = (0, Instant::now(), Instant::now());
        while since.elapsed() < self.pace.quiet() && start.elapsed() < CHANGE {
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

    /// Ends every server; gives what the judge needs.
    ///
    /// # Errors
    /// When one does not end in order.
    pub(crate) async fn strike(mut self) -> anyhow::Result<(Plan, Vec<Life>, Vec<Excuse>)> {
        let quitting = self.servers.drain(..).flatten().map(Process::quit);
        for mut life in futures_util::future::try_join_all(quitting).await? {
            life.ended_us = None;
            self.lives.push(life);
        }
        Ok((self.plan, self.lives, self.excuses))
    }

    /// kill -9 of a Redis.
    pub(crate) fn kill_redis(&mut self, node: usize) {
        self.tell(&format!("redis-{node} is killed"));
        self.redis[node].kill();
    }

    /// A Redis is started again on its port.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start_redis(&mut self, node: usize) -> anyhow::Result<()> {
        self.redis[node].restart().await?;
        self.tell(&format!("redis-{node} is up again"));
        Ok(())
    }

    /// SIGSTOP of a Redis.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn stop_redis(&self, node: usize) -> anyhow::Result<()> {
        self.tell(&format!("redis-{node} is stopped"));
        self.redis[node].stop()
    }

    /// SIGCONT of a Redis.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn wake_redis(&self, node: usize) -> anyhow::Result<()> {
        self.tell(&format!("redis-{node} wakes"));
        self.redis[node].wake()
    }

    /// How many subscribers a Redis cut off because they read too slowly.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) fn cut_off_by(&self, node: usize) -> anyhow::Result<usize> {
        self.redis[node].cut_off()
    }

    /// How a server's link to a node behaves from now on.
    pub(crate) fn link(&self, server: usize, node: usize, mode: Mode) {
        self.tell(&format!("{} - redis-{node}: {mode:?}", self.plan.name(server)));
        self.links[server][node].set(mode);
    }

    /// How all links of a server behave from now on.
    pub(crate) fn links(&self, server: usize, mode: Mode) {
        self.tell(&format!("{} - every Redis: {mode:?}", self.plan.name(server)));
        self.links[server].iter().for_each(|link| link.set(mode));
    }

    /// From now on, until the excuse is completed, the promise excludes a server.
    #[must_use]
    pub(crate) fn excuse(&self, server: usize) -> Excuse {
        Excuse {
            server,
            from_us: now_us(),
            until_us: u64::MAX,
        }
    }

    /// The end of what the promise excludes.
    pub(crate) fn no_more(&mut self, mut excuse: Excuse) {
        excuse.until_us = now_us();
        self.excuses.push(excuse);
    }

    /// SIGSTOP of a server process.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn stop_server(&mut self, server: usize) -> anyhow::Result<()> {
        self.tell(&format!("{} is stopped", self.plan.name(server)));
        self.server(server)?.signal(Signal::STOP)
    }

    /// SIGCONT of a server process.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn wake_server(&mut self, server: usize) -> anyhow::Result<()> {
        self.tell(&format!("{} wakes", self.plan.name(server)));
        self.server(server)?.signal(Signal::CONT)
    }

    /// Ends a server in order.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) async fn quit_server(&mut self, server: usize) -> anyhow::Result<()> {
        self.tell(&format!("{} is told to quit", self.plan.name(server)));
        let process = self.servers[server].take().context("it runs")?;
        self.lives.push(process.quit().await?);
        Ok(())
    }

    /// kill -9 of a server.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) async fn kill_server(&mut self, server: usize) -> anyhow::Result<()> {
        self.tell(&format!("{} is killed", self.plan.name(server)));
        let process = self.servers[server].take().context("it runs")?;
        self.lives.push(process.kill().await?);
        Ok(())
    }

    /// Starts a server under its name, and lets it take its part of the load when it is settled.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start_server(&mut self, server: usize) -> anyhow::Result<()> {
        let mut process = self.start(server).await?;
        process.settled().await?;
        self.servers[server] = Some(process);
        self.tell(&format!("{} is up again", self.plan.name(server)));
        if self.loaded {
            self.load_on(server).await?;
        }
        Ok(())
    }

    /// Sets a server's wall clock to be so far off the true time.
    ///
    /// # Errors
    /// When the scenario has no clocks to set.
    pub(crate) fn set_clock(&self, server: usize, offset_s: i64) -> anyhow::Result<()> {
        self.tell(&format!(
            "the wall clock of {} is off by {offset_s} s",
            self.plan.name(server)
        ));
        self.clocks
            .get(server)
            .context("the plan has no fake clock")?
            .set(offset_s)
    }

    /// One server is told to add a node.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn add_node(&mut self, by: usize, node: usize) -> anyhow::Result<()> {
        self.tell(&format!("{} adds redis-{node}", self.plan.name(by)));
        let url = self.url(node);
        self.change(by, &Order::AddNode { url }).await
    }

    /// One server is told to drain and remove a node.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn drain_node(&mut self, by: usize, node: usize) -> anyhow::Result<()> {
        self.tell(&format!("{} drains redis-{node}", self.plan.name(by)));
        let id = format!("redis-{node}");
        self.change(by, &Order::DrainNode { id }).await
    }

    async fn change(&mut self, by: usize, order: &Order) -> anyhow::Result<()> {
        done(order, &self.server(by)?.ask(order).await?)
    }

    /// Two changes of the map at the same time, by two servers.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) async fn at_once(&mut self, first: (usize, Order), second: (usize, Order)) -> anyhow::Result<()> {
        for (by, order) in [&first, &second] {
            self.tell(&format!("{}: {order:?}", self.plan.name(*by)));
        }
        let [one, other] = self.servers.get_disjoint_mut([first.0, second.0])?;
        let (one, other) = one.as_mut().zip(other.as_mut()).context("both servers run")?;
        let (one, other) = tokio::try_join!(one.ask(&first.1), other.ask(&second.1))?;
        done(&first.1, &one)?;
        done(&second.1, &other)
    }

    /// Where a node is, for orders.
    pub(crate) fn url(&self, node: usize) -> String {
        format!("redis://127.0.0.1:{}#redis-{node}", self.redis[node].port())
    }

    /// Waits until every server has the same map, and the nodes in it have these states.
    ///
    /// # Errors
    /// When that does not happen; says who sees what.
    pub(crate) async fn converged(&mut self, states: &[(usize, &str)]) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let running = self.servers.iter_mut().flatten();
            let maps = futures_util::future::try_join_all(running.map(Process::topology)).await?;
            let holds = |map: &Vec<NodeEntry>, node: usize, state: &str| {
                let id = format!("redis-{node}");
                map.iter().any(|entry| entry.id == id && entry.state == state)
            };
            let as_wanted = |map: &Vec<NodeEntry>| states.iter().all(|&(node, state)| holds(map, node, state));
            if maps.iter().all(|map| as_wanted(map) && *map == maps[0]) {
                let names = self.names(&(0..self.servers.len()).collect::<Vec<_>>());
                self.tell(&format!("{names} agree: {states:?}"));
                return Ok(());
            }
            if start.elapsed() > CHANGE {
                bail!("the maps of nodes do not become {states:?}: {maps:?}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Whether a change was carried out.
fn done(order: &Order, said: &Say) -> anyhow::Result<()> {
    match said {
        Say::Done { error: None } => Ok(()),
        Say::Done { error: Some(error) } => bail!("{order:?} was refused: {error}"),
        other => bail!("{order:?} was answered by {other:?}"),
    }
}

/// Adds the lengths of files up.
trait SumLengths {
    fn sum_lengths(self) -> std::io::Result<u64>;
}

impl<I: Iterator<Item = std::io::Result<std::fs::Metadata>>> SumLengths for I {
    fn sum_lengths(mut self) -> std::io::Result<u64> {
        self.try_fold(0, |sum, file| Ok(sum + file?.len()))
    }
}
