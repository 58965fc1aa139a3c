//! How the values of this house are written: numbers, addresses, durations, and what the adapter is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use wsmesh_adapter::{Encoding, NodeUrl, ServerName, Strategy};

use super::Value;

macro_rules! whole_number {
    ($($type:ty),+) => { $(
        impl Value for $type {
            const HINT: &'static str = "N";

            fn parse(text: &str) -> Result<Self, String> {
                let written = text.replace('_', "");
                written.parse().map_err(|_| {
                    format!("{text:?} is not what is wanted: write a whole number from {} to {}", Self::MIN, Self::MAX)
                })
            }

            fn show(&self) -> Option<toml::Value> {
                Some(i64::try_from(*self).map_or_else(|_| self.to_string().into(), Into::into))
            }
        }
    )+ };
}

whole_number!(u8, u16, u32, u64, usize, i32, i64);

impl Value for f64 {
    const HINT: &'static str = "NUMBER";

    fn parse(text: &str) -> Result<Self, String> {
        let number: Option<f64> = text.parse().ok();
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| format!("{text:?} is no number: write for example 0.25"))
    }

    fn show(&self) -> Option<toml::Value> {
        Some((*self).into())
    }
}

impl Value for bool {
    const HINT: &'static str = "true|false";
    const SWITCH: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{text:?} is neither: write true or false")),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        Some((*self).into())
    }
}

impl Value for String {
    const HINT: &'static str = "TEXT";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

impl Value for PathBuf {
    const HINT: &'static str = "FILE";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the path is empty: name a file".to_owned());
        }
        Ok(text.into())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.display().to_string().into())
    }
}

impl Value for SocketAddr {
    const HINT: &'static str = "IP:PORT";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("{text:?} is no address: write IP:PORT, for example 0.0.0.0:9000 or [::]:9000"))
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

/// Units of a duration, in milliseconds.
const UNITS: [(&str, f64); 4] = [("ms", 1.0), ("s", 1_000.0), ("m", 60_000.0), ("h", 3_600_000.0)];

/// Longest duration that a setting takes: a year.
const MAX_DURATION_MS: f64 = 365.0 * 24.0 * 3_600_000.0;

impl Value for Duration {
    const HINT: &'static str = "DURATION";

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no duration: write for example 250ms, 25s, 2m or 1h");
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, unit) = text.split_at(digits);
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        let ms = number.parse::<f64>().map_err(|_| wrong())? * unit_ms;
        if ms > MAX_DURATION_MS {
            return Err(format!("{text:?} is too long: at most 8760h"));
        }
        Ok(Duration::from_micros((ms * 1_000.0).round() as u64))
    }

    fn show(&self) -> Option<toml::Value> {
        let ms = self.as_secs_f64() * 1_000.0;
        let text = if ms >= 1_000.0 || ms == 0.0 {
            format!("{}s", ms / 1_000.0)
        } else {
            format!("{ms}ms")
        };
        Some(text.into())
    }
}

impl Value for ServerName {
    const HINT: &'static str = "NAME";

    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

/// Shown without credentials.
impl Value for NodeUrl {
    const HINT: &'static str = "URL";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

impl Value for Strategy {
    const HINT: &'static str = "ordered|random|round-robin|fastest";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> Option<toml::Value> {
        let text = match self {
            Self::Ordered => "ordered",
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::Fastest => "fastest",
        };
        Some(text.into())
    }
}

/// The kinds of routing; their prefixes are settings of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RoutingKind {
    /// A channel for each topic.
    #[default]
    Direct,
    /// The original's channels.
    Shared,
}

impl Value for RoutingKind {
    const HINT: &'static str = "direct|shared";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "direct" => Ok(Self::Direct),
            "shared" => Ok(Self::Shared),
            _ => Err(format!("{text:?} is no routing: write direct or shared")),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        let text = match self {
            Self::Direct => "direct",
            Self::Shared => "shared",
        };
        Some(text.into())
    }
}

impl Value for Encoding {
    const HINT: &'static str = "msgpack|json";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "msgpack" => Ok(Self::Msgpack),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is no encoding: write msgpack or json")),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        let text = match self {
            Self::Msgpack => "msgpack",
            Self::Json => "json",
        };
        Some(text.into())
    }
}
