//! The servers that a client may connect to: which one is next, and how long that one is still to be left alone.

use std::time::Duration;

use tokio::time::Instant;

use crate::socket::Dialer;
use crate::{ConnectionError, Options, OptionsError};

/// At least one server, and which of them it is now.
pub(crate) struct Servers {
    list: Vec<Server>,
    at: usize,
}

struct Server {
    dialer: Dialer,
    /// When it may be tried again: after a failure the time of that, or what it asked for; none if it has not failed. So the
    /// least of all is the next in turn that asked for no delay, or of those that did the first to be back.
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

    /// The place of the server of now in the options' list.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// How to reach the server of now.
    pub(crate) fn dialer(&self) -> &Dialer {
        &self.list[self.at].dialer
    }

    /// What is left of the delay that the server of now gave.
    pub(crate) fn delay(&self, now: Instant) -> Option<Duration> {
        let left = self.list[self.at].not_before?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Goes on to the next server, unless the end was about the client.
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
