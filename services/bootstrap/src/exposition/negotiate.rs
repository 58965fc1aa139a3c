//! Which form a client wants, by its `Accept` and `Accept-Encoding` (RFC 9110, 12.5). Never refuses: plain text suits everyone.

use axum::http::{HeaderMap, HeaderName, header};

/// A text form of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    OpenMetrics,
}

impl Form {
    /// OpenMetrics if the client names it and does not prefer plain text. A client that takes anything gets plain text.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let (mut openmetrics, mut text) = (0, 0);
        for (range, parameters) in items(headers, &header::ACCEPT) {
            let weight = weight(parameters);
            match range {
                "application/openmetrics-text" if version(parameters).is_none_or(|version| version == "1.0.0") => {
                    openmetrics = openmetrics.max(weight);
                }
                "text/plain" => text = text.max(weight),
                _ => {}
            }
        }
        if openmetrics > 0 && openmetrics >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

/// Whether the client names gzip and does not turn it off.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    items(headers, &header::ACCEPT_ENCODING).any(|(name, parameters)| name == "gzip" && weight(parameters) > 0)
}

/// Each entry of a list, with its parameters. What is no text is left out.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a str, &'a str)> {
    let lists = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let items = lists.flat_map(|list| list.split(','));
    items.map(|item| {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        (name.trim(), parameters)
    })
}

fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = parameters.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

fn version(parameters: &str) -> Option<&str> {
    parameter(parameters, "version")
}

/// The weight `q` in thousandths; 0 if it cannot be read.
fn weight(parameters: &str) -> u16 {
    match parameter(parameters, "q").map(str::parse::<f32>) {
        None => 1000,
        Some(Ok(q)) if (0.0..=1.0).contains(&q) => (q * 1000.0) as u16,
        Some(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &str) -> Form {
        let headers = [(header::ACCEPT, accept.parse().expect("a value"))];
        Form::wanted(&headers.into_iter().collect())
    }

    #[test]
    fn openmetrics_is_for_those_who_name_it_and_do_not_prefer_text() {
        // Prometheus 2.42, Prometheus 3, Grafana Alloy, curl with a header.
        for accept in [
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text",
            "application/openmetrics-text; version=\"1.0.0\" , text/plain",
        ] {
            assert_eq!(wanted(accept), Form::OpenMetrics, "{accept}");
        }
    }

    #[test]
    fn everyone_else_gets_plain_text_and_nothing_is_refused() {
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain,application/openmetrics-text;q=0.9",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=many",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0",
            ";;;,,,=;q=,",
            "image/png",
        ] {
            assert_eq!(wanted(accept), Form::Text, "{accept}");
        }
    }

    #[test]
    fn gzip_is_used_only_if_it_is_named() {
        for (encoding, fine) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("*", false),
            ("br", false),
            ("", false),
        ] {
            let headers = [(header::ACCEPT_ENCODING, encoding.parse().expect("a value"))];
            assert_eq!(accepts_gzip(&headers.into_iter().collect()), fine, "{encoding}");
        }
    }
}
