//! The clock of a shard: pings, clients in the background, stalled writes, who is to go and who is going, with one timer
//! for all.

use std::time::{Duration, Instant};

use wsmesh_protocol::CloseCode;

use super::core::Core;
use super::leaving::{is_idle, is_time_to_go};
use super::link::{Farewell, Link, Phase};
use super::wire::PING;

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) ping_interval: Duration,
    pub(super) background: Duration,
    pub(super) write: Duration,
    /// How long requests may take to be answered.
    pub(super) requests: Duration,
    /// When everyone is to be gone.
    pub(super) until: Option<Instant>,
    pub(super) message: Duration,
}

/// What is due for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// It was given up: its close handshake takes too long.
    Leave,
    /// Its client stays in the background.
    Background,
    /// Its stream has taken nothing for too long.
    Stalled,
    /// It is to come back, here or elsewhere.
    Away,
    /// What it was let in with has expired.
    Expired,
    /// Its client says nothing more, and has its replies.
    Ended,
    /// Its message takes too long to come.
    Unfinished,
    /// It did not answer the last ping.
    Silent,
    /// A ping.
    Ping,
}

fn due(link: &Link, now: Instant, limits: Limits) -> Option<Due> {
    let over = |since: Option<Instant>, limit| since.is_some_and(|since| now.saturating_duration_since(since) >= limit);
    match link.phase.get() {
        Phase::Gone => None,
        // Its upgrade has limits of its own.
        _ if link.stream().is_none() => None,
        Phase::Closing => link.leave_by.get().is_some_and(|by| by <= now).then_some(Due::Leave),
        Phase::Open if over(link.background_since.get(), limits.background) => Some(Due::Background),
        Phase::Open if over(link.blocked_since.get(), limits.write) => Some(Due::Stalled),
        Phase::Open if is_time_to_go(link, now, &limits) => Some(Due::Away),
        Phase::Open if link.grant.borrow().expires.is_some_and(|expires| expires <= now) => Some(Due::Expired),
        // It cannot answer a ping either. What it waits for has time limits.
        Phase::Open if link.ended.get() => (!link.awaits_reply(now)).then_some(Due::Ended),
        // While its frames are left in the kernel, it is not the client who is late.
        Phase::Open if over(link.amid_since.get(), limits.message) && !link.is_paused() => Some(Due::Unfinished),
        Phase::Open if link.ping_at.get() > now => None,
        Phase::Open if link.pinged_at.get().is_some() => Some(Due::Silent),
        Phase::Open => Some(Due::Ping),
    }
}

impl Core {
    /// Does what is due. `late` says that the thread did not run for a while: then nobody is blamed for a missing pong.
    pub(super) fn sweep(&self, now: Instant, late: bool) {
        let settings = &self.edge.settings;
        let limits = Limits {
            ping_interval: settings.ping_interval,
            background: settings.enter_background_close,
            write: settings.write_timeout,
            requests: settings.request_timeout,
            until: self.leaving.get().map(|drain| drain.until),
            message: settings.message_timeout,
        };
        if late {
            self.links(|link| {
                link.ping_at.set(link.ping_at.get().max(now + limits.ping_interval));
                false
            });
        }
        for link in self.links(|link| due(link, now, limits).is_some()) {
            match due(&link, now, limits) {
                None => {}
                Some(Due::Leave) => {
                    if let Some(stream) = link.stream() {
                        stream.forget_unsent();
                    }
                    link.advance(Phase::Gone);
                }
                Some(Due::Background) => self.close(&link, &Farewell::new(CloseCode::GoingAway, "in the background")),
                Some(Due::Stalled) => self.close_slow(&link),
                Some(Due::Away) if link.away_if_idle.get() && !is_idle(&link, now) => self.let_stay(&link),
                Some(Due::Away) => self.close(&link, &self.come_back(now)),
                Some(Due::Expired) => {
                    self.edge.metrics.auth_failed("expired");
                    self.close(&link, &Farewell::new(CloseCode::AuthenticationFailed, "token expired"));
                }
                Some(Due::Ended) => self.close(&link, &Farewell::new(CloseCode::Normal, "")),
                Some(Due::Unfinished) => {
                    tracing::debug!(client = %link.client, "a message that does not end; closing");
                    self.close(
                        &link,
                        &Farewell::new(CloseCode::PolicyViolation, "message takes too long"),
                    );
                }
                Some(Due::Silent) => {
                    tracing::debug!(client = %link.client, "no pong since the last ping; closing");
                    self.close(&link, &Farewell::new(CloseCode::GoingAway, "no pong"));
                }
                Some(Due::Ping) => {
                    link.pinged_at.set(Some(now));
                    link.ping_at.set(now + limits.ping_interval);
                    link.put_control(&PING);
                    self.mark_dirty(&link);
                }
            }
        }
    }
}
