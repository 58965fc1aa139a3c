//! Where clients reach this ws-node by itself, and what operators call it by. Both are told to admin, which says to a new client where
//! to connect.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::Uri;
use wsmesh_bootstrap::Value;

/// Most labels of one ws-node.
const MOST_LABELS: usize = 16;
/// Most characters of a label's name, and of its value.
const MOST_CHARS: usize = 63;

/// The address at which clients reach this one ws-node: `ws://` or `wss://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for PublicUrl {
    const HINT: &'static str = "URL";

    fn parse(text: &str) -> Result<Self, String> {
        // A text with a password is not repeated.
        let wrong =
            |why: &str| format!("{why}: write the address that clients connect to, for example wss://ws-1.example.org");
        let uri: Uri = text.trim().parse().map_err(|_| wrong("not a URL"))?;
        if !matches!(uri.scheme_str(), Some("ws" | "wss")) {
            return Err(wrong("does not start with ws:// or wss://"));
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
            return Err(wrong(
                "must have neither ? nor #, as clients add parameters of their own",
            ));
        }
        Ok(Self(text.trim().to_owned()))
    }

    fn show(&self) -> Option<wsmesh_bootstrap::toml::Value> {
        Some(self.0.as_str().into())
    }
}

/// A name and a value that operators give to a ws-node: `zone=a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    name: String,
    value: String,
}

impl Value for Label {
    const HINT: &'static str = "NAME=VALUE";

    fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.trim().split_once('=').unwrap_or((text, ""));
        if is_word(name) && is_word(value) {
            return Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
        Err(format!(
            "{text:?} is not a label: write NAME=VALUE, for example zone=a; each has 1 to {MOST_CHARS} letters, digits, -, _ and ."
        ))
    }

    fn show(&self) -> Option<wsmesh_bootstrap::toml::Value> {
        Some(format!("{}={}", self.name, self.value).into())
    }
}

fn is_word(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MOST_CHARS).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The labels by name.
pub(crate) fn by_name(labels: &[Label]) -> BTreeMap<String, String> {
    let pairs = labels.iter().map(|label| (label.name.clone(), label.value.clone()));
    pairs.collect()
}

/// The problems of these labels: sentences that say what to write.
pub(super) fn problems(labels: &[Label]) -> Vec<String> {
    let mut problems = Vec::new();
    if labels.len() > MOST_LABELS {
        problems.push(format!("{} labels: at most {MOST_LABELS} are allowed", labels.len()));
    }
    for (at, label) in labels.iter().enumerate() {
        if labels[..at].iter().any(|before| before.name == label.name) {
            problems.push(format!("two labels are called {:?}: remove one", label.name));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_clients_cannot_use_is_refused_and_a_password_is_not_repeated() {
        for url in [
            "ws://127.0.0.1:9000",
            "wss://ws-1.example.org",
            "wss://[::1]:9000/edge/",
        ] {
            assert_eq!(PublicUrl::parse(url).expect(url).as_str(), url);
        }
        for url in [
            "",
            "ws-1.example.org",
            "http://ws-1.example.org",
            "wss://",
            "wss:///path",
            "wss://ann:hunter2@ws-1.example.org",
            "wss://ws-1.example.org/?id=hunter2",
            "wss://ws-1.example.org/#hunter2",
            "wss://ws 1",
        ] {
            let problem = PublicUrl::parse(url).expect_err(url);
            assert!(
                problem.contains("for example wss://") && !problem.contains("hunter2"),
                "{problem}"
            );
        }
    }

    #[test]
    fn labels_are_names_with_values_each_name_once() {
        let read = |texts: &[&str]| {
            let labels = texts.iter().map(|text| Label::parse(text));
            labels.collect::<Result<Vec<_>, _>>()
        };
        let labels = read(&["zone=eu-1.a", "tier=b_2"]).expect("labels");
        assert_eq!(problems(&labels), [""; 0]);
        assert_eq!(by_name(&labels)["zone"], "eu-1.a");
        for text in ["", "zone", "=a", "zone=", "zone=a=b", "zo ne=a", "zone=a:b", "zone=é"] {
            assert!(read(&[text]).expect_err(text).contains("write NAME=VALUE"));
        }
        assert!(read(&[&format!("zone={}", "a".repeat(64))]).is_err());
        let twice = read(&["zone=a", "zone=b"]).expect("labels");
        assert!(problems(&twice)[0].contains("two labels are called \"zone\""));
        let many: Vec<_> = (0..17)
            .map(|n| Label::parse(&format!("n{n}=a")).expect("a label"))
            .collect();
        assert!(problems(&many)[0].contains("at most 16"));
    }
}
