//! The loop of one thread: waits for events, hands them to the duty, and lets it act once per turn.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mio::{Events, Poll, Token, Waker};

use super::End;
use super::sockets::{Identity, Net};
use super::target::Target;
use super::timer::Timer;
use crate::measure::clock::{Clock, SECOND};

const WAKER: Token = Token(usize::MAX - 1);
const TIMER: Token = Token(usize::MAX - 2);

/// The longest wait, so that conditions without an event are checked this often.
const IDLE: Duration = Duration::from_millis(200);

/// What a mode does with connections. Each worker has its own duty; they share counters.
pub trait Duty {
    /// A connection was upgraded.
    fn opened(&mut self, net: &mut Net, index: usize, now: u64);
    /// A text message arrived; `now` is when it was read, ns.
    fn text(&mut self, net: &mut Net, index: usize, text: &[u8], now: u64);
    /// A connection ended or could not be made, and the duty did not close it.
    fn ended(&mut self, net: &mut Net, index: usize, end: End, now: u64);
    /// Called after all events of a turn: the time to send.
    fn turn(&mut self, net: &mut Net, now: u64) -> Turn;
}

/// What a worker does after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Waits for events.
    Wait,
    /// Waits for events, until then at most: ns.
    WaitUntil(u64),
    /// Ends.
    Done,
}

/// One thread's part of the connections.
pub struct Worker {
    poll: Poll,
    timer: Timer,
    waker: Arc<Waker>,
    net: Net,
}

impl Worker {
    /// Prepares connections; they are made when a duty asks for it.
    ///
    /// # Errors
    /// When the kernel gives no epoll or timer.
    pub fn new(
        clock: Clock,
        targets: Arc<Vec<Target>>,
        sources: Arc<Vec<std::net::IpAddr>>,
        identities: Vec<Identity>,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new().context("epoll is not available")?;
        let timer = Timer::new(poll.registry(), TIMER).context("a timer cannot be created")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).context("an eventfd cannot be created")?);
        let registry = poll.registry().try_clone().context("epoll is not available")?;
        let net = Net::new(clock, registry, targets, sources, identities);
        Ok(Self {
            poll,
            timer,
            waker,
            net,
        })
    }

    /// Makes this worker take a turn, from any thread.
    #[must_use]
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Works until the duty is done. Returns the duty, with the connections as they are.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn run<D: Duty>(mut self, mut duty: D) -> anyhow::Result<(D, Net)> {
        let mut events = Events::with_capacity(4096);
        let mut swept = self.net.clock.now();
        let mut ended = Vec::new();
        loop {
            for event in &events {
                if event.token() != WAKER && event.token() != TIMER {
                    self.net.ready(&mut duty, event);
                }
            }
            let now = self.net.clock.now();
            self.net.connect_due(now);
            if now.saturating_sub(swept) > SECOND {
                swept = now;
                self.net.sweep(now);
            }
            std::mem::swap(&mut ended, &mut self.net.ended);
            for (index, end) in ended.drain(..) {
                duty.ended(&mut self.net, index, end, now);
            }
            let wake_at = match duty.turn(&mut self.net, now) {
                Turn::Done => return Ok((duty, self.net)),
                Turn::Wait => self.net.next_due(),
                Turn::WaitUntil(due) => Some(self.net.next_due().map_or(due, |other| other.min(due))),
            };
            let mut timeout = if self.net.ended.is_empty() {
                IDLE
            } else {
                Duration::ZERO
            };
            if let Some(due) = wake_at {
                let now = self.net.clock.now();
                if due <= now {
                    timeout = Duration::ZERO;
                } else {
                    self.timer.set(due, now).context("the timer cannot be set")?;
                }
            }
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("epoll failed"),
            }
        }
    }
}
