//! What a service logs, and in which format.

use std::fmt;

use tracing_subscriber::EnvFilter;

use crate::settings::Value;

crate::settings! {
    /// What is logged, and how. Only [`main`](crate::main()) uses it.
    #[derive(PartialEq, Eq)]
    pub struct LogConfig {
        /// What is logged: error, warn, info, debug or trace, also per module: info,wsmesh_adapter=debug.
        #[key = "log_level"]
        pub level: LogLevel,
        /// Format of log lines. "auto": text on a terminal, else JSON.
        #[key = "log_format"]
        pub format: LogFormat,
    }
}

/// A filter that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    pub(crate) fn filter(&self) -> EnvFilter {
        // The first would log the same line with every batch of traces; the exporter logs its failure once. The second logs what
        // an ACL forbids with every connection; those who ask a Redis are told. The third logs what its caller logs. The fourth sums
        // up lines that this filter let through.
        let always = "rustls_platform_verifier=off,fred=off,pprof=off,wsmesh_bootstrap::telemetry::repeats=warn";
        EnvFilter::new(format!("{always},{}", self.0))
    }
}

/// As it is written in the settings.
impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Value for LogLevel {
    const HINT: &'static str = "FILTER";

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is not a log filter ({why}): write error, warn, info, debug or trace, or info,wsmesh_adapter=debug"
            )
        };
        // The filter takes a single word for the name of a module, so a misspelt level would silence everything.
        if !text.contains('=') {
            let levels = ["off", "error", "warn", "info", "debug", "trace"];
            let unknown = text
                .split(',')
                .find(|word| !levels.contains(&word.trim().to_lowercase().as_str()));
            if let Some(word) = unknown {
                return Err(wrong(&format!("{word:?} is not a level")));
            }
        }
        EnvFilter::try_new(text).map_err(|error| wrong(&error.to_string()))?;
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.0.as_str().into())
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// [`LogFormat::Text`] on a terminal, else [`LogFormat::Json`].
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

crate::choices!(
    LogFormat, "log format",
    "auto" => LogFormat::Auto,
    "text" => LogFormat::Text,
    "json" => LogFormat::Json,
);
