//! The steps of fault scripts: Redis nodes, links and servers fail, stop, resume, restart.

use anyhow::Context;
use rustix::process::Signal;

use super::{Excuse, Stage, redis};
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
        redis::restart(&mut self.redis[node]).await?;
        self.tell(&format!("redis-{node} runs again"));
        Ok(())
    }

    /// SIGSTOP of a Redis.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn stop_redis(&self, node: usize) -> anyhow::Result<()> {
        self.tell(&format!("redis-{node} is stopped"));
        Ok(self.redis[node].pause()?)
    }

    /// SIGCONT of a Redis.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn wake_redis(&self, node: usize) -> anyhow::Result<()> {
        self.tell(&format!("redis-{node} resumes"));
        Ok(self.redis[node].resume()?)
    }

    /// How many subscribers a Redis disconnected because they read too slowly.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub(crate) fn cut_off_by(&self, node: usize) -> anyhow::Result<usize> {
        redis::cut_off_by(&self.redis[node])
    }

    /// Changes how a server's link to a node behaves.
    pub(crate) fn link(&self, server: usize, node: usize, mode: Mode) {
        self.tell(&format!("{} - redis-{node}: {mode:?}", self.plan.name(server)));
        self.links[server][node].set(mode);
    }

    /// Changes how all links of a server behave.
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

    /// Ends an excuse.
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
        self.tell(&format!("{} resumes", self.plan.name(server)));
        self.server(server)?.signal(Signal::CONT)
    }

    /// Ends a server gracefully.
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

    /// Starts a server under its name, and gives it its part of the load when it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start_server(&mut self, server: usize) -> anyhow::Result<()> {
        let mut process = self.start(server).await?;
        process.settled().await?;
        self.servers[server] = Some(process);
        self.tell(&format!("{} runs again", self.plan.name(server)));
        if self.loaded {
            self.load_on(server).await?;
        }
        Ok(())
    }

    /// Sets a server's wall clock to this offset from the true time.
    ///
    /// # Errors
    /// When the scenario has no fake clocks.
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
