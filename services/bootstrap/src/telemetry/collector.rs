//! A collector: its endpoint, time limit and certificates from the variables, and the HTTP client. Each signal has its own.
//!
//! The exporter gets the address without secrets, so it cannot log them; the client adds the rest. Variables that the SDK reads
//! itself, and silently ignores if they are wrong, are checked here.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Uri;
use percent_encoding::percent_decode_str;
use reqwest::blocking::Client;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity};

use super::attempts::Attempts;
use super::sender::{Sender, chain};
use super::signal::{Number, Signal};
use crate::settings::HttpUrl;

/// Default time limit of one request, as OpenTelemetry specifies.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The usual port of collectors for OTLP over gRPC.
const GRPC: u16 = 4317;

/// The server that one signal is sent to.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    pub(crate) endpoint: HttpUrl,
    /// The variable that names the endpoint.
    named_by: String,
    /// For all attempts of one batch.
    pub(crate) timeout: Duration,
    /// Whether requests are compressed.
    pub(crate) compress: bool,
    /// What the variables add to each request.
    pub(crate) headers: HeaderMap,
    /// Used in place of the system's authorities.
    authorities: Option<Vec<Certificate>>,
    /// The certificate of this client, for a server that asks for one.
    identity: Option<Identity>,
}

impl Collector {
    /// Reads the variables; `None` without an endpoint.
    pub(crate) fn read<'a>(
        signal: Signal,
        variable: impl Fn(&str) -> Option<&'a str> + Copy,
        problems: &mut Vec<String>,
    ) -> Option<Self> {
        let (named_by, endpoint) = endpoint(signal, variable, problems)?;
        check_values(signal, variable, problems);
        let of = |what| own_or_general(signal, variable, what).map(|(_, text)| text);
        let milliseconds = |text: Option<&str>| text.and_then(|text| text.parse().ok()).map(Duration::from_millis);
        let timeout = milliseconds(of("TIMEOUT")).unwrap_or(TIMEOUT);
        let of_export = milliseconds(variable(signal.export_timeout()));
        Some(Self {
            endpoint,
            named_by,
            timeout: of_export.map_or(timeout, |limit| timeout.min(limit)),
            compress: of("COMPRESSION").is_some_and(|text| text.eq_ignore_ascii_case("gzip")),
            headers: headers(signal, variable, problems),
            authorities: authorities(signal, variable, problems),
            identity: identity(signal, variable, problems),
        })
    }

    /// The address for the exporter, without the parts that may be secret.
    pub(crate) fn shown(&self) -> String {
        let mut url = self.endpoint.as_url().clone();
        url.set_query(None);
        url.into()
    }

    /// What is odd about the endpoint.
    pub(super) fn warning(&self) -> Option<String> {
        let is_grpc = self.endpoint.as_url().port() == Some(GRPC);
        is_grpc.then(|| {
            format!(
                "{}: port {GRPC} usually takes OTLP over gRPC, but this is sent over HTTP: the port for that is usually 4318",
                self.named_by
            )
        })
    }

    /// The HTTP client of the exporter. Must not be made on a thread of the async runtime.
    pub(crate) fn client(&self) -> Result<Sender, String> {
        let wrong = |error: &dyn std::error::Error| format!("OTEL_EXPORTER_OTLP_*: {}", chain(error));
        let mut builder = Client::builder()
            // What the headers of the variables say is for this host only.
            .redirect(Policy::none())
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

/// Checks what is read elsewhere, and ignored there if it is wrong.
fn check_values<'a>(signal: Signal, variable: impl Fn(&str) -> Option<&'a str>, problems: &mut Vec<String>) {
    let both = |what| [format!("OTEL_EXPORTER_OTLP_{what}"), own(signal, what)];
    let own_numbers = signal.numbers().iter().map(|number| (number.name, number));
    let timeouts = both("TIMEOUT").map(|key| (key, Number::milliseconds("", 1)));
    for (key, number) in timeouts.iter().map(|(key, number)| (&**key, number)).chain(own_numbers) {
        if let Some(correction) = variable(key).and_then(|text| number.correction(text)) {
            add(problems, format!("{key}: write {correction}"));
        }
    }
    let mut check = |key: &str, fits: &dyn Fn(&str) -> bool, what: &str| {
        if variable(key).is_some_and(|text| !fits(text)) {
            add(problems, format!("{key}: write {what}"));
        }
    };
    for key in both("PROTOCOL") {
        let what = "http/protobuf, usually on port 4318; there is no other protocol";
        check(&key, &|text| text == "http/protobuf", what);
    }
    for key in both("COMPRESSION") {
        let known = |text: &str| ["gzip", "none"].iter().any(|name| text.eq_ignore_ascii_case(name));
        check(&key, &known, "gzip or none; there is no other compression");
    }
    for (key, only) in signal.fixed() {
        let what = format!("{only}; there is nothing else");
        check(key, &|text| text.eq_ignore_ascii_case(only), &what);
    }
}

/// A variable that several signals read has one problem.
pub(super) fn add(problems: &mut Vec<String>, problem: String) {
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}

/// The name of a variable that is for one signal only.
fn own(signal: Signal, what: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.variable())
}

/// The variable for the signal, else the one for everything; with its name.
fn own_or_general<'a>(
    signal: Signal,
    variable: impl Fn(&str) -> Option<&'a str>,
    what: &str,
) -> Option<(String, &'a str)> {
    let keys = [own(signal, what), format!("OTEL_EXPORTER_OTLP_{what}")];
    keys.into_iter().find_map(|key| variable(&key).map(|text| (key, text)))
}

fn endpoint<'a>(
    signal: Signal,
    variable: impl Fn(&str) -> Option<&'a str>,
    problems: &mut Vec<String>,
) -> Option<(String, HttpUrl)> {
    let (key, text) = own_or_general(signal, variable, "ENDPOINT")?;
    let is_own = key == own(signal, "ENDPOINT");
    // An endpoint without a scheme would be read as https, and "localhost:4318" as a URL with the scheme "localhost".
    match text.parse::<HttpUrl>() {
        Ok(url) if is_own => Some((key, url)),
        Ok(url) => Some((key, url.with_path(signal.path()))),
        Err(_) => {
            let path = if is_own { signal.path() } else { "" };
            let problem = format!(
                "{key}: not a URL with a scheme: write http://HOST:4318{path}, or https; special characters in user and password \
                 must be percent-encoded"
            );
            add(problems, problem);
            None
        }
    }
}

/// What the variables add to requests. A value that is no header after its escapes were resolved is a problem, too.
fn headers<'a>(signal: Signal, variable: impl Fn(&str) -> Option<&'a str>, problems: &mut Vec<String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // The own ones have priority.
    for key in ["OTEL_EXPORTER_OTLP_HEADERS".to_owned(), own(signal, "HEADERS")] {
        let pairs = variable(&key).unwrap_or_default().split_terminator(',');
        match pairs.map(header).collect::<Option<Vec<_>>>() {
            Some(pairs) => headers.extend(pairs),
            None => add(
                problems,
                format!("{key}: write NAME=VALUE, several with commas in between; a comma in a value is %2C"),
            ),
        }
    }
    headers
}

fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = HeaderValue::try_from(&*value).ok().filter(|value| !value.is_empty())?;
    value.set_sensitive(true);
    Some((HeaderName::try_from(name.trim()).ok()?, value))
}

fn authorities<'a>(
    signal: Signal,
    variable: impl Fn(&str) -> Option<&'a str>,
    problems: &mut Vec<String>,
) -> Option<Vec<Certificate>> {
    let (key, file) = own_or_general(signal, variable, "CERTIFICATE")?;
    let bytes = read(&key, file, problems)?;
    match Certificate::from_pem_bundle(&bytes) {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        _ => {
            add(problems, format!("{key}: {file} has no certificate in PEM form"));
            None
        }
    }
}

fn identity<'a>(
    signal: Signal,
    variable: impl Fn(&str) -> Option<&'a str> + Copy,
    problems: &mut Vec<String>,
) -> Option<Identity> {
    let (certificate, key) = match (
        own_or_general(signal, variable, "CLIENT_CERTIFICATE"),
        own_or_general(signal, variable, "CLIENT_KEY"),
    ) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return None,
        (Some((name, _)), None) | (None, Some((name, _))) => {
            let problem =
                format!("{name}: both the client's certificate and its key are needed: name the other one, too");
            add(problems, problem);
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
            let problem = format!(
                "{name}: {file} must have a certificate in PEM form, and {} its key",
                key.1
            );
            add(problems, problem);
            None
        }
    }
}

fn read(key: &str, file: &str, problems: &mut Vec<String>) -> Option<Vec<u8>> {
    let bytes = std::fs::read(file);
    let problem = |error: std::io::Error| add(problems, format!("{key}: cannot read {file}: {error}"));
    bytes.map_err(problem).ok()
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
