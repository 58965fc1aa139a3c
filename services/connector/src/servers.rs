//! The servers that a client may connect to: which one is next, and how long it must not be tried yet.

use std::time::Duration;

use tokio::time::Instant;

use crate::socket::Dialer;
use crate::{ConnectionError, Options, OptionsError};

/// At least one server, one of which is the current one.
pub(crate) struct Servers {
    list: Vec<Server>,
    at: usize,
}

struct Server {
    dialer: Dialer,
    /// When it may be tried again: the time of its last failure, plus the delay that it asked for; `None` if it never failed. So
    /// the smallest is the next server in turn, or of those that asked for delays the first to be available.
    not_before: Option<Instant>,
}

impl Servers {
    pub(crate) fn new(options: &Options) -> Result<Self, OptionsError> {
        options.check()?;
        let server = |url: &String| {
            Ok(Server {
                dialer: Dialer::new(options, url)?,
                not_before: None,
            })
        };
        let list = options.urls.iter().map(server).collect::<Result<_, _>>()?;
        Ok(Self { list, at: 0 })
    }

    /// The index of the current server in the options' list.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// How to reach the current server.
    pub(crate) fn dialer(&self) -> &Dialer {
        &self.list[self.at].dialer
    }

    /// The rest of the delay that the current server asked for.
    pub(crate) fn delay(&self, now: Instant) -> Option<Duration> {
        let left = self.list[self.at].not_before?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Moves on to the next server, unless the client was the cause of the end.
    pub(crate) fn ended(&mut self, error: &ConnectionError, now: Instant) {
        let delay = error.retry_after().unwrap_or_default();
        self.list[self.at].not_before = Some(now.checked_add(delay).unwrap_or(now));
        if !error.is_about_client() {
            let least = (0..self.list.len()).min_by_key(|at| self.list[*at].not_before);
            self.at = least.unwrap_or(self.at);
        }
    }

    /// Every server may be tried at once.
    pub(crate) fn forget_delays(&mut self) {
        self.list.iter_mut().for_each(|server| server.not_before = None);
    }
}
