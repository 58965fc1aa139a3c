//! The small choices among the common settings: profile and logs.

use tracing_subscriber::EnvFilter;

use crate::settings::Value;

/// How open a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Everyone gets in, and the demo events are there. For trying, never in public.
    Demo,
    /// Authentication is required. The default, so that nobody is open by accident.
    #[default]
    Production,
}

impl Profile {
    /// Whether this is [`Profile::Demo`].
    pub fn is_demo(self) -> bool {
        self == Self::Demo
    }
}

impl Value for Profile {
    const HINT: &'static str = "demo|production";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "demo" => Ok(Self::Demo),
            "production" => Ok(Self::Production),
            _ => Err(format!("{text:?} is no profile: write demo or production")),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        Some(if self.is_demo() { "demo" } else { "production" }.into())
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Filter as of `tracing`: `info`, or `info,wsmesh_adapter=debug`. Default `info`.
    pub level: LogLevel,
    /// How a line looks. Default [`LogFormat::Auto`].
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        let level = LogLevel("info".to_owned());
        let format = LogFormat::default();
        Self { level, format }
    }
}

/// A filter that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    pub(crate) fn filter(&self) -> EnvFilter {
        // It would repeat itself with every batch of traces; the exporter's failure is told once elsewhere.
        EnvFilter::new(format!("rustls_platform_verifier=off,{}", self.0))
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        LogConfig::default().level
    }
}

impl Value for LogLevel {
    const HINT: &'static str = "FILTER";

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is no log filter ({why}): write error, warn, info, debug or trace, or info,wsmesh_adapter=debug"
            )
        };
        // A lone word is taken for the name of a module, so a misspelt level would silence everything.
        if !text.contains('=') {
            let levels = ["off", "error", "warn", "info", "debug", "trace"];
            let unknown = text
                .split(',')
                .find(|word| !levels.contains(&word.trim().to_lowercase().as_str()));
            if let Some(word) = unknown {
                return Err(wrong(&format!("{word:?} is no level")));
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

impl Value for LogFormat {
    const HINT: &'static str = "auto|text|json";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is no log format: write auto, text or json")),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        let text = match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        };
        Some(text.into())
    }
}
