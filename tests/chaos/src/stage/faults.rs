//! The verbs of fault scripts: Redis nodes, links and servers break, stop, wake, come back.

use anyhow::Context;
use rustix::process::Signal;

use super::{Excuse, Stage};
use crate::clock::now_us;
use crate::proxy::Mode;

impl Stage {
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
}
