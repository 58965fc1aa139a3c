//! What can be set for an admin beside the common settings, and what makes it refuse to start.

use wsmesh_bootstrap::{CommonConfig, Problems, SecretFile};

use crate::token::Token;

wsmesh_bootstrap::settings! {
    /// Settings of an admin.
    pub struct AdminSettings {
        /// File with the token that callers of the API must send (authorization: Bearer TOKEN).
        /// Required in the production profile; in the demo profile the API is open without it.
        pub token_file: Option<SecretFile>,
        /// In Kubernetes: the headless Service of the Redis pods. GET /api/v1/nodes then shows its pods beside the nodes.
        pub kubernetes_redis_service: Option<String>,
    }
}

/// What an admin runs on, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service is told.
    pub common: CommonConfig,
    /// What opens the API; `None`: nothing is needed.
    pub token: Option<Token>,
    /// The headless Service to watch, if any.
    pub kubernetes_redis_service: Option<String>,
}

impl Config {
    /// Checks the settings against each other.
    pub(crate) fn new(common: CommonConfig, settings: AdminSettings, problems: &mut Problems) -> Option<Self> {
        if common.listen.is_none() {
            problems.about(
                "listen",
                "the API is served there: write an address, for example 0.0.0.0:9100",
            );
        }
        let token = match &settings.token_file {
            Some(file) => read_token(file, problems),
            None if common.profile.is_demo() => None,
            None => {
                problems.about(
                    "token_file",
                    "in production the API needs a token: write one into a file (openssl rand -hex 32 > FILE) and name \
                     the file, or try things out with --profile demo",
                );
                None
            }
        };
        if settings
            .kubernetes_redis_service
            .as_deref()
            .is_some_and(|name| !is_service_name(name))
        {
            problems.about(
                "kubernetes_redis_service",
                "this is no name of a Service: write 1 to 63 lower-case letters, digits and dashes",
            );
        }
        Some(Self {
            common,
            token,
            kubernetes_redis_service: settings.kubernetes_redis_service,
        })
    }
}

fn read_token(file: &SecretFile, problems: &mut Problems) -> Option<Token> {
    let text = file.secret().expose_text().unwrap_or_default();
    match Token::new(text.trim()) {
        Ok(token) => Some(token),
        Err(error) => {
            problems.about("token_file", format!("{}: {error}", file.path().display()));
            None
        }
    }
}

/// A DNS label, as Kubernetes asks for.
fn is_service_name(name: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(inside) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use crate::Admin;

    const NOTHING: [(String, String); 0] = [];

    fn token_file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    #[test]
    fn production_without_a_token_file_is_refused_and_told_what_to_do() {
        let problems = wsmesh_bootstrap::load::<Admin>([""; 0], NOTHING).expect_err("refused");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("--token-file (not set)"), "{problems:?}");
        assert!(problems[0].contains("openssl rand -hex 32") && problems[0].contains("--profile demo"));
    }

    #[test]
    fn demo_needs_no_token_and_guards_the_api_if_one_is_given() {
        let open = wsmesh_bootstrap::load::<Admin>(["--profile", "demo"], NOTHING).expect("taken");
        assert!(open.token.is_none());
        assert_eq!(open.common.listen.map(|address| address.port()), Some(9100));
        let file = token_file("0123456789abcdef\n");
        let environment = [
            ("WSMESH_TOKEN_FILE", file.path().to_str().expect("a path")),
            ("WSMESH_PROFILE", "demo"),
        ];
        let guarded = wsmesh_bootstrap::load::<Admin>([""; 0], environment).expect("taken");
        assert!(guarded.token.expect("a token").matches("0123456789abcdef"));
    }

    #[test]
    fn everything_wrong_is_listed_at_once_and_the_token_is_not_shown() {
        let file = token_file("hunter2");
        let path = file.path().to_str().expect("a path");
        let arguments = [
            "--token-file",
            path,
            "--listen",
            "none",
            "--kubernetes-redis-service",
            "Not_A_Name",
        ];
        let problems = wsmesh_bootstrap::load::<Admin>(arguments, NOTHING).expect_err("refused");
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    }

    #[test]
    fn a_token_file_that_is_missing_is_one_problem() {
        let problems =
            wsmesh_bootstrap::load::<Admin>(["--token-file", "/no/such/file"], NOTHING).expect_err("refused");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("/no/such/file"), "{problems:?}");
    }
}
