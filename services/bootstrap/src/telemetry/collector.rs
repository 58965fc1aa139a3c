//! The collector that traces are sent to: its endpoint, time limit and certificates from the variables, and the HTTP client.
//!
//! The exporter gets the address without secrets, so it cannot log them; the client adds the rest. Variables that the SDK reads
//! itself, and silently ignores if they are wrong, are checked here.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{HeaderName, HeaderValue};
use axum::http::uri::Uri;
use reqwest::blocking::Client;
use reqwest::{Certificate, Identity};

use super::attempts::Attempts;
use super::sender::{Sender, chain};
use crate::settings::HttpUrl;

/// Default time limit of one request, as OpenTelemetry specifies.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Variables in milliseconds, which the SDK ignores if they are wrong.
const MILLISECONDS: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
];
/// Counts that must be at least 1.
const COUNTS: [&str; 2] = ["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"];
/// Counts that may be 0.
const LIMITS: [&str; 3] = [
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
];

/// The server that traces are sent to.
#[derive(Debug, Clone)]
pub(super) struct Collector {
    pub(super) endpoint: HttpUrl,
    pub(super) timeout: Duration,
    /// Used in place of the system's authorities.
    authorities: Option<Vec<Certificate>>,
    /// The certificate of this client, for a server that asks for one.
    identity: Option<Identity>,
}

impl Collector {
    /// Reads the variables; `None` without an endpoint.
    pub(super) fn read<'a>(
        variable: impl Fn(&str) -> Option<&'a str> + Copy,
        problems: &mut Vec<String>,
    ) -> Option<Self> {
        let endpoint = endpoint(variable, problems)?;
        for key in [
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        ] {
            let known = |text: &str| ["gzip", "none"].iter().any(|name| text.eq_ignore_ascii_case(name));
            if variable(key).is_some_and(|text| !known(text)) {
                problems.push(format!("{key}: write gzip or none; there is no other compression"));
            }
        }
        for key in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
            if variable(key).is_some_and(|text| !text.split_terminator(',').all(is_header)) {
                problems.push(format!(
                    "{key}: write NAME=VALUE, several with commas in between; a comma in a value is %2C"
                ));
            }
        }
        for (keys, least, what) in [
            (&MILLISECONDS[..], 1, "milliseconds as a whole number, at least 1"),
            (&COUNTS, 1, "a whole number, at least 1"),
            (&LIMITS, 0, "a whole number from 0 to 4294967295"),
        ] {
            for key in keys {
                let fits = |text: &str| text.parse::<u32>().is_ok_and(|number| number >= least);
                if variable(key).is_some_and(|text| !fits(text)) {
                    problems.push(format!("{key}: write {what}"));
                }
            }
        }
        let timeout = own_or_general(variable, "TIMEOUT").and_then(|(_, text)| text.parse().ok());
        Some(Self {
            endpoint,
            timeout: timeout.map_or(TIMEOUT, Duration::from_millis),
            authorities: authorities(variable, problems),
            identity: identity(variable, problems),
        })
    }

    /// The address for the exporter, without the parts that may be secret.
    pub(super) fn shown(&self) -> String {
        let mut url = self.endpoint.as_url().clone();
        url.set_query(None);
        url.into()
    }

    /// The HTTP client of the exporter. Must not be made on a thread of the async runtime.
    pub(super) fn client(&self) -> Result<Sender, String> {
        let wrong = |error: &dyn std::error::Error| format!("OTEL_EXPORTER_OTLP_*: {}", chain(error));
        let mut builder = Client::builder()
            .timeout(self.timeout)
            .connect_timeout(self.timeout / 2);
        if let Some(authorities) = &self.authorities {
            builder = builder.tls_certs_only(authorities.iter().cloned());
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        let authorization = self.endpoint.authorization().map(HeaderValue::try_from).transpose();
        let mut authorization = authorization.map_err(|error| wrong(&error))?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Ok(Sender {
            client: builder.build().map_err(|error| wrong(&error))?,
            uri: Uri::try_from(self.endpoint.as_url().as_str()).map_err(|error| wrong(&error))?,
            authorization,
            timeout: self.timeout,
            attempts: Arc::new(Attempts::new()),
        })
    }
}

/// The variable for traces, else the one for everything; with its name.
fn own_or_general<'a>(variable: impl Fn(&str) -> Option<&'a str>, what: &str) -> Option<(String, &'a str)> {
    let keys = ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"].map(|prefix| format!("{prefix}{what}"));
    keys.into_iter().find_map(|key| variable(&key).map(|text| (key, text)))
}

fn endpoint<'a>(variable: impl Fn(&str) -> Option<&'a str>, problems: &mut Vec<String>) -> Option<HttpUrl> {
    let (key, text) = own_or_general(variable, "ENDPOINT")?;
    // An endpoint without a scheme would be read as https, and "localhost:4318" as a URL with the scheme "localhost".
    match text.parse::<HttpUrl>() {
        Ok(url) if key.contains("TRACES") => Some(url),
        Ok(url) => Some(url.with_path("/v1/traces")),
        Err(_) => {
            let path = if key.contains("TRACES") { "/v1/traces" } else { "" };
            problems.push(format!(
                "{key}: not a URL with a scheme: write http://HOST:4318{path}, or https; special characters in user and password \
                 must be percent-encoded"
            ));
            None
        }
    }
}

fn is_header(pair: &str) -> bool {
    pair.split_once('=')
        .is_some_and(|(name, value)| HeaderName::try_from(name.trim()).is_ok() && !value.trim().is_empty())
}

fn authorities<'a>(variable: impl Fn(&str) -> Option<&'a str>, problems: &mut Vec<String>) -> Option<Vec<Certificate>> {
    let (key, file) = own_or_general(variable, "CERTIFICATE")?;
    let bytes = read(&key, file, problems)?;
    match Certificate::from_pem_bundle(&bytes) {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        _ => {
            problems.push(format!("{key}: {file} has no certificate in PEM form"));
            None
        }
    }
}

fn identity<'a>(variable: impl Fn(&str) -> Option<&'a str> + Copy, problems: &mut Vec<String>) -> Option<Identity> {
    let (certificate, key) = match (
        own_or_general(variable, "CLIENT_CERTIFICATE"),
        own_or_general(variable, "CLIENT_KEY"),
    ) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return None,
        (Some((name, _)), None) | (None, Some((name, _))) => {
            problems.push(format!(
                "{name}: both the client's certificate and its key are needed: name the other one, too"
            ));
            return None;
        }
    };
    let (name, file) = &certificate;
    let mut bytes = read(name, file, problems)?;
    bytes.push(b'\n');
    bytes.extend(read(&key.0, key.1, problems)?);
    match Identity::from_pem(&bytes) {
        Ok(identity) => Some(identity),
        Err(_) => {
            problems.push(format!(
                "{name}: {file} must have a certificate in PEM form, and {} its key",
                key.1
            ));
            None
        }
    }
}

fn read(key: &str, file: &str, problems: &mut Vec<String>) -> Option<Vec<u8>> {
    let bytes = std::fs::read(file);
    let problem = |error: std::io::Error| problems.push(format!("{key}: cannot read {file}: {error}"));
    bytes.map_err(problem).ok()
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
