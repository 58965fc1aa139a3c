//! The log level of a running process: as configured, or another one for a stated time. What may never be logged stays so.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Filter;
use tracing_subscriber::reload;

use super::logs;
use crate::config::LogLevel;

/// The filter of the logs, which can be replaced.
pub(super) type LogFilter = reload::Layer<Box<dyn Filter<Registry> + Send + Sync>, Registry>;
type Handle = reload::Handle<Box<dyn Filter<Registry> + Send + Sync>, Registry>;

/// Of this process, once its logs are set up.
static LEVEL: OnceLock<Level> = OnceLock::new();

/// The log level of a process.
pub(crate) struct Level {
    handle: Handle,
    configured: LogLevel,
    chosen: watch::Sender<Option<Chosen>>,
}

/// A level for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chosen {
    level: LogLevel,
    until: Instant,
}

impl Level {
    /// The filter that logs begin with, and what changes it.
    pub(super) fn new(configured: &LogLevel) -> (LogFilter, Self) {
        let (filter, handle) = reload::Layer::new(filter(configured));
        let level = Self {
            handle,
            configured: configured.clone(),
            chosen: watch::Sender::new(None),
        };
        (filter, level)
    }

    /// Makes this the level of the process. The first one stays: there is only one in a process.
    pub(super) fn install(self) {
        let _ = LEVEL.set(self);
    }

    /// Of this process; none if its logs were not set up by [`main`](crate::main()).
    pub(crate) fn of_this_process() -> Option<&'static Self> {
        LEVEL.get()
    }

    /// Logs at this level for so long, then as configured again. A later call replaces it.
    pub(crate) fn choose(&self, level: LogLevel, length: Duration) -> Result<(), String> {
        let chosen = Chosen {
            level: level.clone(),
            until: Instant::now() + length,
        };
        let mut applied = Ok(());
        self.chosen.send_if_modified(|now| {
            applied = self.apply(&chosen.level);
            if applied.is_ok() {
                *now = Some(chosen);
            }
            applied.is_ok()
        });
        applied?;
        tracing::warn!(%level, for_s = length.as_secs_f64(), "log level changed on request");
        Ok(())
    }

    /// Logs as configured again, at once.
    pub(crate) fn end_choice(&self) -> Result<(), String> {
        let mut applied = Ok(());
        let ended = self.chosen.send_if_modified(|now| {
            // Also if no level is chosen: falling back may have failed.
            applied = self.apply(&self.configured);
            applied.is_ok() && now.take().is_some()
        });
        applied?;
        if ended {
            tracing::warn!(level = %self.configured, "log level is as configured again, on request");
        }
        Ok(())
    }

    /// The level now, and for how much longer if it was chosen for a while.
    pub(crate) fn now(&self) -> (LogLevel, Option<Duration>) {
        match &*self.chosen.borrow() {
            Some(chosen) => (
                chosen.level.clone(),
                Some(chosen.until.saturating_duration_since(Instant::now())),
            ),
            None => (self.configured.clone(), None),
        }
    }

    /// Ends chosen levels when their time is over. Never returns.
    pub(crate) async fn keep(&self) {
        let mut changes = self.chosen.subscribe();
        loop {
            let until = changes.borrow_and_update().as_ref().map(|chosen| chosen.until);
            let over = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // It lives as long as the process.
                _ = changes.changed() => {}
                () = over => self.fall_back(),
            }
        }
    }

    fn fall_back(&self) {
        let mut applied = Ok(());
        let fell_back = self.chosen.send_if_modified(|now| {
            // Another one may have been chosen meanwhile.
            let is_over = now.as_ref().is_some_and(|chosen| chosen.until <= Instant::now());
            if is_over {
                applied = self.apply(&self.configured);
                *now = None;
            }
            is_over
        });
        match applied {
            Err(error) => tracing::error!(%error, "the log level cannot be changed back"),
            Ok(()) if fell_back => tracing::warn!(level = %self.configured, "log level is as configured again"),
            Ok(()) => {}
        }
    }

    /// Only while `chosen` is locked: what is shown is what is logged.
    fn apply(&self, level: &LogLevel) -> Result<(), String> {
        let replaced = self.handle.reload(filter(level));
        replaced.map_err(|error| format!("the filter of the logs cannot be replaced: {error}"))
    }
}

fn filter(level: &LogLevel) -> Box<dyn Filter<Registry> + Send + Sync> {
    Box::new(logs::filter(level))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::settings::Value;

    fn level(text: &str) -> LogLevel {
        LogLevel::parse(text).expect("a filter")
    }

    /// Logs of this thread go through a filter that can be replaced, until the guard is dropped.
    fn logging(configured: &str) -> (Level, tracing::subscriber::DefaultGuard) {
        let (filter, level) = Level::new(&level(configured));
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(std::io::sink)
            .with_filter(filter);
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        (level, guard)
    }

    fn logs_debug() -> bool {
        tracing::event_enabled!(tracing::Level::DEBUG)
    }

    #[tokio::test(start_paused = true)]
    async fn a_chosen_level_ends_after_its_time_and_a_later_choice_replaces_it() {
        let (levels, _guard) = logging("info");
        let keeping = levels.keep();
        tokio::pin!(keeping);
        let pass = async |keeping: &mut std::pin::Pin<&mut _>, s| {
            let _still_keeping = tokio::time::timeout(Duration::from_secs(s), keeping).await;
        };
        assert!(!logs_debug());
        levels.choose(level("debug"), Duration::from_secs(60)).expect("changes");
        pass(&mut keeping, 30).await;
        assert!(logs_debug());
        assert_eq!(levels.now(), (level("debug"), Some(Duration::from_secs(30))));
        levels.choose(level("trace"), Duration::from_secs(60)).expect("changes");
        pass(&mut keeping, 59).await;
        assert!(logs_debug(), "the first choice does not end the second one");
        pass(&mut keeping, 2).await;
        assert!(!logs_debug());
        assert_eq!(levels.now(), (level("info"), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_choice_can_be_ended_early_and_a_level_that_nobody_chose_stays() {
        let (levels, _guard) = logging("info");
        levels.end_choice().expect("nothing to change");
        assert!(!logs_debug());
        levels.choose(level("debug"), Duration::from_secs(60)).expect("changes");
        assert!(logs_debug());
        levels.end_choice().expect("changes");
        assert!(!logs_debug());
        assert_eq!(levels.now(), (level("info"), None));
        tokio::time::advance(Duration::from_secs(30)).await;
        levels.choose(level("debug"), Duration::from_secs(60)).expect("changes");
        tokio::time::advance(Duration::from_secs(31)).await;
        levels.fall_back();
        assert!(logs_debug(), "the time of the one that was ended is no news");
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_that_is_chosen_while_another_one_ends_stays() {
        let (levels, _guard) = logging("info");
        levels.choose(level("debug"), Duration::from_secs(60)).expect("changes");
        // Late: the time that was over belonged to an earlier choice.
        levels.fall_back();
        assert!(logs_debug());
        assert_eq!(levels.now().0, level("debug"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_never_be_logged_stays_so_at_any_level() {
        let (levels, _guard) = logging("info");
        levels.choose(level("trace"), Duration::from_secs(60)).expect("changes");
        assert!(tracing::event_enabled!(tracing::Level::TRACE));
        assert!(!tracing::event_enabled!(target: "tungstenite::protocol", tracing::Level::TRACE));
    }
}
