//! Pages whose scripts may connect: the origin that a browser names against a list. Scripts cannot change it; a request
//! without one does not come from a page and may connect.

use super::error::AuthError;

/// The list. If it is empty, every origin may connect.
#[derive(Debug, Default)]
pub(crate) struct Origins(Vec<Pattern>);

#[derive(Debug)]
enum Pattern {
    Any,
    Exact(String),
    /// What stands before and after the star, which is for one or more labels of a host name.
    Below(String, String),
}

impl Origins {
    /// Reads the list. The error says what to write.
    pub(crate) fn new(list: &[String]) -> Result<Self, String> {
        list.iter()
            .map(|text| pattern(text))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a request that names these origins may connect; one that is not text is `None`.
    pub(crate) fn check<'a>(&self, mut named: impl Iterator<Item = Option<&'a str>>) -> Result<(), AuthError> {
        let origin = match (named.next(), named.next()) {
            _ if self.0.is_empty() => return Ok(()),
            (None, _) => return Ok(()),
            (Some(origin), None) => origin.ok_or(AuthError::Origin)?.to_ascii_lowercase(),
            (Some(_), Some(_)) => return Err(AuthError::Origin),
        };
        if self.0.iter().any(|pattern| pattern.fits(&origin)) {
            Ok(())
        } else {
            Err(AuthError::Origin)
        }
    }
}

impl Pattern {
    fn fits(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => origin == exact,
            Self::Below(before, after) => {
                let label = origin
                    .strip_prefix(before.as_str())
                    .and_then(|rest| rest.strip_suffix(after.as_str()));
                let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                label.is_some_and(|label| !label.is_empty() && label.bytes().all(is_host))
            }
        }
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let wrong = || {
        format!(
            "{text:?} is not an origin: write SCHEME://HOST[:PORT], for example https://app.example.org or https://*.example.org"
        )
    };
    if text == "*" {
        return Ok(Pattern::Any);
    }
    let text = text.to_ascii_lowercase();
    if text == "null" {
        return Ok(Pattern::Exact(text));
    }
    let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']');
    if scheme.is_empty() || name.is_empty() || !name.bytes().all(is_plain) {
        return Err(wrong());
    }
    if name.len() == host.len() {
        return Ok(Pattern::Exact(text));
    }
    Ok(Pattern::Below(format!("{scheme}://"), format!(".{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &[&str], origin: &str) -> bool {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        let origins = Origins::new(&list).expect("a valid list");
        origins.check([Some(origin)].into_iter()).is_ok()
    }

    #[test]
    fn only_pages_of_the_list_may_connect() {
        let list = ["https://app.example.org", "https://*.example.com:8443"];
        for good in [
            "https://app.example.org",
            "https://a.example.com:8443",
            "https://A.B.example.com:8443",
        ] {
            assert!(allows(&list, good), "{good}");
        }
        for bad in [
            "http://app.example.org",
            "https://app.example.org:444",
            "https://app.example.org.evil.net",
            "https://evil.net/app.example.org",
            "https://example.com:8443",
            "https://evilexample.com:8443",
            "https://evil.net/.example.com:8443",
            "https://evil.net:1@.example.com:8443",
            "https://.example.com:8443",
            "null",
            "",
        ] {
            assert!(!allows(&list, bad), "{bad}");
        }
        assert!(allows(&["*"], "https://any.net") && allows(&["null"], "null"));
        assert!(
            allows(&[], "https://any.net"),
            "without a list every origin may connect"
        );
    }

    #[test]
    fn a_request_without_origin_may_connect_and_one_with_two_may_not() {
        let origins = Origins::new(&["https://app.example.org".to_owned()]).expect("a valid list");
        let app = || Some("https://app.example.org");
        assert_eq!(origins.check(std::iter::empty()), Ok(()));
        assert_eq!(origins.check([app(), app()].into_iter()), Err(AuthError::Origin));
        assert_eq!(origins.check([None].into_iter()), Err(AuthError::Origin));
    }

    #[test]
    fn an_invalid_origin_in_the_list_is_rejected_with_an_example() {
        for bad in [
            "example.org",
            "https://",
            "https://a.b/",
            "https://*",
            "https://*.",
            "https://a.*.org",
            "://a",
            "https://a b",
        ] {
            let problem = Origins::new(&[bad.to_owned()]).expect_err(bad);
            assert!(problem.contains("https://app.example.org"), "{problem}");
        }
    }
}
