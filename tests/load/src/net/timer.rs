//! Wakes a worker at an exact time. The timeout of epoll is in whole milliseconds: too coarse for messages that are due
//! every few microseconds, and waiting actively would take the core that is measured.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::measure::clock::SECOND;

/// A timer of the kernel that is registered like a socket.
#[derive(Debug)]
pub(super) struct Timer {
    descriptor: OwnedFd,
    /// The time that it is set to; 0 if it is not set.
    due: u64,
}

impl Timer {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let descriptor = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        registry.register(&mut SourceFd(&descriptor.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { descriptor, due: 0 })
    }

    /// Wakes at `due`; both are ns of the same clock. Replaces the previous setting.
    pub(super) fn set(&mut self, due: u64, now: u64) -> io::Result<()> {
        if self.due == due {
            return Ok(());
        }
        self.due = due;
        // Zero would switch it off.
        let wait = due.saturating_sub(now).max(1);
        let time = |ns: u64| Timespec {
            tv_sec: (ns / SECOND).cast_signed(),
            tv_nsec: (ns % SECOND).cast_signed(),
        };
        let once = Itimerspec {
            it_interval: time(0),
            it_value: time(wait),
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
