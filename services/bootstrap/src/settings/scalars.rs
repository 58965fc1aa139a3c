//! How plain values are written: numbers, switches, texts, paths, addresses, durations.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::Value;

macro_rules! whole_number {
    ($($type:ty),+) => { $(
        impl Value for $type {
            const HINT: &'static str = "N";

            fn parse(text: &str) -> Result<Self, String> {
                let written = text.replace('_', "");
                written.parse().map_err(|_| {
                    format!("{text:?} is not a whole number from {} to {}", Self::MIN, Self::MAX)
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
            .ok_or_else(|| format!("{text:?} is not a number: write for example 0.25"))
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
            _ => Err(format!("{text:?} is not a switch: write true or false")),
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
        text.parse().map_err(|_| {
            format!("{text:?} is not an address with a port: write IP:PORT, for example 0.0.0.0:9000 or [::]:9000")
        })
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

impl Value for IpAddr {
    const HINT: &'static str = "IP";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("{text:?} is not an IP address: write 127.0.0.1, ::1, or 0.0.0.0 for all interfaces"))
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

/// A single address is a network of one.
impl Value for IpNet {
    const HINT: &'static str = "NETWORK";

    fn parse(text: &str) -> Result<Self, String> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(Self::from));
        network.map_err(|_| format!("{text:?} is not a network: write ADDRESS/BITS, for example 10.0.0.0/8"))
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
        let wrong = || format!("{text:?} is not a valid duration: write for example 250ms, 25s, 2m or 1h");
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, unit) = text.split_at(digits);
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        let ms = number.parse::<f64>().map_err(|_| wrong())? * unit_ms;
        if ms > MAX_DURATION_MS {
            return Err(format!("{text:?} is too long: write at most 8760h"));
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
