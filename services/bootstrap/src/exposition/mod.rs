//! What a server shows of its metrics: as Prometheus text, as OpenMetrics for clients that ask for it, and as OTLP for a collector.
//!
//! All forms show the same values. Only OpenMetrics and OTLP have exemplars.

mod negotiate;
mod openmetrics;
mod otlp;
mod push;
pub(crate) mod sources;

use std::io::Write;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntGauge, Opts, Registry, TextEncoder};
use wsmesh_adapter::exemplars::{self, Gathered};

pub(crate) use push::{MetricConfig, MetricPush};

use negotiate::{Form, accepts_gzip};

use crate::process_metrics;
use crate::telemetry::{TraceCounts, pushed_lines};

/// The metrics of a server.
pub(crate) struct Exposition {
    registry: Registry,
    /// `wsmesh_build_info`, and some of the process. Not in the registry, which other servers in this process may share.
    own: Vec<Box<dyn Collector>>,
}

impl Exposition {
    pub(crate) fn new(registry: Registry) -> Self {
        let labels = [("version", crate::VERSION), ("revision", crate::REVISION)];
        let options = Opts::new("wsmesh_build_info", "1, with the version and the commit that runs.");
        let options = labels
            .into_iter()
            .fold(options, |options, (name, value)| options.const_label(name, value));
        let build_info = IntGauge::with_opts(options).inspect(|gauge| gauge.set(1));
        let mut own: Vec<Box<dyn Collector>> = vec![Box::new(ProcessCollector::for_self())];
        if let Ok(build_info) = build_info {
            own.push(Box::new(build_info));
        }
        own.extend(TraceCounts::of_this_process().collectors());
        own.push(pushed_lines().collector());
        Self { registry, own }
    }

    /// All values of this moment.
    pub(crate) fn gather(&self) -> Gathered {
        let mut gathered = exemplars::gather(&self.registry);
        let own = self.own.iter().flat_map(|collector| collector.collect());
        gathered.families.extend(own.chain(process_metrics::gather()));
        gathered
    }

    /// The answer to a scraper with these headers.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let gathered = self.gather();
        let (content_type, written) = match Form::wanted(headers) {
            Form::Text => (
                prometheus::TEXT_FORMAT,
                TextEncoder::new().encode_to_string(&gathered.families),
            ),
            Form::OpenMetrics => (openmetrics::CONTENT_TYPE, Ok(openmetrics::write(&gathered))),
        };
        let text = match written {
            Ok(text) => text,
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        };
        let head = [
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::VARY, HeaderValue::from_static("accept, accept-encoding")),
        ];
        match accepts_gzip(headers).then(|| gzip(text.as_bytes())) {
            Some(Ok(bytes)) => (head, [(header::CONTENT_ENCODING, "gzip")], bytes).into_response(),
            _ => (head, text).into_response(),
        }
    }
}

/// Some hundred kilobytes take a millisecond or two.
fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http_body_util::BodyExt;

    use super::*;

    fn answer(asked: &[(header::HeaderName, &str)]) -> (HeaderMap, Vec<u8>) {
        let headers = asked
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().expect("a value")));
        let response = Exposition::new(Registry::new()).answer(&headers.collect());
        let (head, body) = response.into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("starts");
        let body = runtime.block_on(body.collect()).expect("a body").to_bytes();
        (head.headers, body.to_vec())
    }

    #[test]
    fn a_client_that_asks_for_nothing_gets_text_as_it_is() {
        let (headers, body) = answer(&[]);
        assert_eq!(headers[header::CONTENT_TYPE], prometheus::TEXT_FORMAT);
        assert!(!headers.contains_key(header::CONTENT_ENCODING));
        let text = String::from_utf8(body).expect("text");
        assert!(
            text.contains("\nwsmesh_build_info{") && text.contains("process_open_fds"),
            "{text}"
        );
        assert!(!text.contains("# EOF"));
    }

    #[test]
    fn openmetrics_and_compression_are_given_to_those_who_ask() {
        let (headers, body) = answer(&[
            (
                header::ACCEPT,
                "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            ),
            (header::ACCEPT_ENCODING, "gzip"),
        ]);
        assert_eq!(headers[header::CONTENT_TYPE], openmetrics::CONTENT_TYPE);
        assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_string(&mut text)
            .expect("compressed text");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
    }
}
