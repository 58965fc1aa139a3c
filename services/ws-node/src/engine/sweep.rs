//! The clock of a shard, one timer for all connections: pings, clients in the background, stalled writes, unfinished
//! messages, connections that are to end, and whether too much waits for all.

use std::time::{Duration, Instant};

use wsmesh_protocol::CloseCode;

use super::core::Core;
use super::ending::Farewell;
use super::framing::PING;
use super::handle::{Handle, Phase};
use super::handler::FrameHandler;
use super::leaving::{is_idle, is_time_to_go};
use super::settings::Settings;
use super::slow::Look;

/// How often the clock is checked: often enough for the shortest limit, at most once a second.
pub(super) fn sweep_period(shortest: Duration) -> Duration {
    (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1))
}

/// What is due for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Its close handshake takes too long: it is given up.
    Leave,
    /// Its client stays in the background for too long.
    Background,
    /// Its stream has taken nothing for too long.
    Stalled,
    /// Its client is to come back, here or elsewhere.
    Away,
    /// Its client's permission to stay has expired.
    Expired,
    /// Its client has ended its side, and has its replies.
    Ended,
    /// Its message takes too long.
    Unfinished,
    /// It did not answer the last ping.
    Silent,
    /// A ping.
    Ping,
}

fn due<H: FrameHandler>(handle: &Handle<H>, now: Instant, settings: &Settings, until: Option<Instant>) -> Option<Due> {
    let over = |since: Option<Instant>, limit| since.is_some_and(|since| now.saturating_duration_since(since) >= limit);
    match handle.phase.get() {
        Phase::Gone => None,
        // Its upgrade has limits of its own.
        _ if handle.stream().is_none() => None,
        Phase::Closing => handle.leave_by.get().is_some_and(|by| by <= now).then_some(Due::Leave),
        Phase::Open if over(handle.background_since.get(), settings.background) => Some(Due::Background),
        Phase::Open if over(handle.blocked_since.get(), settings.write_timeout) => Some(Due::Stalled),
        Phase::Open if is_time_to_go(handle, now, settings.request_timeout, until) => Some(Due::Away),
        Phase::Open if handle.handler.expires_at().is_some_and(|expires| expires <= now) => Some(Due::Expired),
        // It cannot answer a ping either. What it waits for has time limits.
        Phase::Open if handle.ended.get() => (!handle.awaits_reply(now)).then_some(Due::Ended),
        // While its frames are left in the kernel, it is not the client that is late.
        Phase::Open if over(handle.unfinished_since.get(), settings.message_timeout) && !handle.is_paused() => {
            Some(Due::Unfinished)
        }
        Phase::Open if handle.ping_at.get() > now => None,
        Phase::Open if handle.pinged_at.get().is_some() => Some(Due::Silent),
        Phase::Open => Some(Due::Ping),
    }
}

impl<H: FrameHandler> Core<H> {
    /// Does what is due. `late`: the thread did not run for a while, so no client is blamed for a missing pong.
    pub(super) fn sweep(&self, now: Instant, late: bool) {
        let settings = &*self.settings;
        let until = self.leaving.get().map(|drain| drain.until);
        if late {
            self.handles(|handle| {
                let ping_at = handle.ping_at.get();
                handle.ping_at.set(ping_at.max(now + settings.ping_interval));
                false
            });
        }
        let mut look = Look::default();
        let due_now = self.handles_with_queues(|handle, queued| {
            look.see(&handle.client, queued, handle.blocked_since.get(), now);
            due(handle, now, settings, until).is_some()
        });
        self.metrics.slow.set(self.index, look);
        for handle in due_now {
            if let Some(due) = due(&handle, now, settings, until) {
                self.carry_out(due, &handle, now);
            }
        }
        self.relieve_by_clock(now);
    }

    fn carry_out(&self, due: Due, handle: &Handle<H>, now: Instant) {
        let farewell = match due {
            Due::Leave => {
                if let Some(stream) = handle.stream() {
                    stream.forget_unsent();
                }
                handle.advance(Phase::Gone);
                return;
            }
            Due::Ping => {
                handle.pinged_at.set(Some(now));
                handle.ping_at.set(now + self.settings.ping_interval);
                handle.put_control(&PING);
                return self.mark_dirty(handle);
            }
            Due::Stalled => return self.close_slow(handle),
            Due::Away if handle.away_if_idle.get() && !is_idle(handle, now) => return self.let_stay(handle),
            Due::Away => self.come_back(now),
            Due::Background => Farewell::new(CloseCode::GoingAway, "in the background"),
            Due::Expired => handle.handler.expired(),
            Due::Ended => Farewell::new(CloseCode::Normal, ""),
            Due::Unfinished => {
                tracing::debug!(client = %handle.client, "closing a client whose message takes too long");
                Farewell::new(CloseCode::PolicyViolation, "message takes too long")
            }
            Due::Silent => {
                tracing::debug!(client = %handle.client, "closing a client that did not answer the last ping");
                Farewell::new(CloseCode::GoingAway, "no pong")
            }
        };
        self.close(handle, &farewell);
    }
}
