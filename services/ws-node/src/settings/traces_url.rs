//! Where traces are shown, so that the playground can link to them.

use std::fmt;

use axum::http::Uri;
use wsmesh_bootstrap::Value;

/// The address of a page like Jaeger's: a trace is at `URL/trace/TRACE_ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesUrl(String);

impl TracesUrl {
    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TracesUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for TracesUrl {
    const HINT: &'static str = "URL";

    fn parse(text: &str) -> Result<Self, String> {
        // A text with a password is not repeated.
        let wrong = |why: &str| format!("{why}: write where browsers find Jaeger, for example http://127.0.0.1:16686");
        let uri: Uri = text.trim().parse().map_err(|_| wrong("not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("does not start with http:// or https://"));
        }
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        if !has_host
            || uri
                .authority()
                .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(wrong("must have a host, and neither user nor password"));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(wrong("must have neither ? nor #"));
        }
        Ok(Self(text.trim().trim_end_matches('/').to_owned()))
    }

    fn show(&self) -> Option<wsmesh_bootstrap::toml::Value> {
        Some(self.0.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_of_a_page_is_accepted_and_a_password_is_not_repeated() {
        for (url, kept) in [
            ("http://127.0.0.1:16686", "http://127.0.0.1:16686"),
            (
                " https://traces.example.org/jaeger/ ",
                "https://traces.example.org/jaeger",
            ),
            ("http://[::1]:16686/", "http://[::1]:16686"),
        ] {
            assert_eq!(TracesUrl::parse(url).expect(url).as_str(), kept);
        }
        for url in [
            "",
            "127.0.0.1:16686",
            "javascript:alert(1)",
            "ftp://host/",
            "http://",
            "http:///path",
            "http://ann:hunter2@host/",
            "http://host/?token=hunter2",
            "http://host/#hunter2",
            "http://ho st/",
        ] {
            let problem = TracesUrl::parse(url).expect_err(url);
            assert!(
                problem.contains("for example http://") && !problem.contains("hunter2"),
                "{problem}"
            );
        }
    }
}
