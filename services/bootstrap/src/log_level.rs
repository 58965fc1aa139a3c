//! The log level of a server, changed on request of another server (admin) for a stated time. What was configured holds again
//! afterwards, whoever has ended meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{Adapter, Refusal};

use crate::config::LogLevel;
use crate::settings::Value;
use crate::telemetry::Level;

/// Request to any server: log at another level for a while, see [`LogLevelOrder`]. Reply: [`LogLevelNow`]; or a refusal:
/// `BAD_PAYLOAD` for a filter or a time that is out of bounds, `UNAVAILABLE` if the server's logs cannot be changed.
pub const LOG_LEVEL: &str = "wsmesh.logLevel";

/// How long a level holds if the request does not say.
pub const LOG_LEVEL_TIME: Duration = Duration::from_secs(10 * 60);
/// The longest time for which a level may hold.
pub const LONGEST_LOG_LEVEL_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest one.
pub const SHORTEST_LOG_LEVEL_TIME: Duration = Duration::from_secs(1);
/// In place of a level: what was configured holds again at once.
pub const CONFIGURED_LOG_LEVEL: &str = "default";
/// The longest filter, in characters.
pub const MAX_LOG_LEVEL_CHARS: usize = 256;

/// Payload of [`LOG_LEVEL`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLevelOrder {
    /// A level, or a filter as `--log-level` takes it; at most [`MAX_LOG_LEVEL_CHARS`] characters. Or [`CONFIGURED_LOG_LEVEL`].
    pub level: String,
    /// For how many milliseconds. Does not matter with [`CONFIGURED_LOG_LEVEL`].
    pub for_ms: u64,
}

/// The log level of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLevelNow {
    /// The filter.
    pub level: String,
    /// For how many more milliseconds; none if it is as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_ms: Option<u64>,
}

/// Lets admin change the log level of this process, until the adapter ends. Every service calls this once. Several servers in one
/// process have one level.
pub fn answer_log_level(adapter: &Adapter) {
    adapter.on_request(LOG_LEVEL, async |event| {
        let order = event.payload.parse::<LogLevelOrder>();
        let order = order.map_err(|error| Refusal::new("BAD_PAYLOAD", error.to_string()))?;
        let chosen = order.check().map_err(|problem| Refusal::new("BAD_PAYLOAD", problem))?;
        let Some(logs) = Level::of_this_process() else {
            return Err(Refusal::new(
                "UNAVAILABLE",
                "the logs of this process were not set up by wsmesh: change the level where they were",
            ));
        };
        let done = match chosen {
            Some((level, length)) => logs.choose(level, length),
            None => logs.end_choice(),
        };
        done.map_err(|problem| Refusal::new("UNAVAILABLE", problem))?;
        Ok(now(logs))
    });
}

/// The log level of this process. None if its logs were not set up by [`main`](crate::main()), as in tests.
pub fn log_level() -> Option<LogLevelNow> {
    Level::of_this_process().map(now)
}

fn now(logs: &Level) -> LogLevelNow {
    let (level, remaining) = logs.now();
    LogLevelNow {
        level: level.to_string(),
        remaining_ms: remaining.map(|remaining| u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX)),
    }
}

impl LogLevelOrder {
    /// Checks the bounds. None: what was configured is to hold again.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn check(&self) -> Result<Option<(LogLevel, Duration)>, String> {
        if self.level == CONFIGURED_LOG_LEVEL {
            return Ok(None);
        }
        let chars = self.level.chars().count();
        if chars > MAX_LOG_LEVEL_CHARS {
            return Err(format!(
                "level has {chars} characters: a level or a filter of at most {MAX_LOG_LEVEL_CHARS} is allowed"
            ));
        }
        let length = Duration::from_millis(self.for_ms);
        if !(SHORTEST_LOG_LEVEL_TIME..=LONGEST_LOG_LEVEL_TIME).contains(&length) {
            return Err(format!(
                "forMs must be {} to {}: one second to one day",
                SHORTEST_LOG_LEVEL_TIME.as_millis(),
                LONGEST_LOG_LEVEL_TIME.as_millis()
            ));
        }
        Ok(Some((LogLevel::parse(&self.level)?, length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(level: &str, for_ms: u64) -> String {
        let level = level.to_owned();
        LogLevelOrder { level, for_ms }.check().expect_err("out of bounds")
    }

    #[test]
    fn the_configured_level_needs_no_time() {
        let order = LogLevelOrder {
            level: CONFIGURED_LOG_LEVEL.to_owned(),
            for_ms: 0,
        };
        assert_eq!(order.check(), Ok(None));
    }

    #[test]
    fn a_level_that_is_none_a_long_one_and_a_time_out_of_bounds_are_refused_with_what_to_write() {
        assert!(problem("loud", 1000).contains("write error, warn, info, debug or trace"));
        assert!(problem("", 1000).contains("is not a log filter"));
        assert!(problem("info,wsmesh=loud", 1000).contains("is not a log filter"));
        assert!(problem(&"a=info,".repeat(40), 1000).contains("at most 256"));
        for for_ms in [0, 999, 86_400_001, u64::MAX] {
            assert!(problem("debug", for_ms).contains("1000 to 86400000"));
        }
        for level in ["debug", "info,wsmesh_adapter=debug", "off"] {
            let order = LogLevelOrder {
                level: level.to_owned(),
                for_ms: 86_400_000,
            };
            let (chosen, _) = order.check().expect("allowed").expect("a level");
            assert_eq!(chosen.to_string(), level);
        }
    }
}
