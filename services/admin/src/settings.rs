//! The settings of an admin, each declared once.

use wsmesh_bootstrap::{SecretFile, each, settings, text};

use crate::access::{AccessSettings, Token};

settings! {
    /// Settings of an admin.
    pub struct AdminSettings {
        /// File with a token of the API that may do everything (authorization: Bearer TOKEN). The production profile needs it,
        /// --tokens-file or --oidc-jwks-url. In the demo profile the API is open without them.
        #[check(each(token))]
        pub token_file: Option<SecretFile>,
        /// Path before all paths of the API and of its pages, such as /admin: for a proxy that does not take it away.
        #[check(each(text(path_prefix)))]
        pub path_prefix: Option<String>,
        /// In Kubernetes: name of the headless Service of the Redis pods. GET /api/v1/nodes then shows the pods, too.
        #[check(each(text(service_name)))]
        pub kubernetes_redis_service: Option<String>,
        /// Who may use the API.
        #[group = "Callers"]
        pub access: AccessSettings,
    }
}

impl AdminSettings {
    /// Whether the API is open to everyone who reaches its port.
    pub(crate) fn needs_no_token(&self) -> bool {
        self.token_file.is_none() && !self.access.lets_in()
    }
}

fn token(file: &SecretFile) -> Result<(), String> {
    let text = file.secret().expose_text().unwrap_or_default();
    let token = Token::new(text.trim()).map(drop);
    token.map_err(|error| format!("{}: {error}", file.path().display()))
}

/// Segments of a path that need no escaping.
fn path_prefix(prefix: &str) -> Result<(), String> {
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(inside) && !segment.starts_with('.');
    match prefix.strip_prefix('/') {
        Some(segments) if segments.split('/').all(is_segment) => Ok(()),
        _ => Err(
            "is not a path prefix: write a path with a slash at its beginning and none at its end, such as /admin, of letters, \
             digits, and - _ . ~"
                .to_owned(),
        ),
    }
}

/// A DNS label, as Kubernetes requires it.
fn service_name(name: &str) -> Result<(), String> {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_label =
        (1..=63).contains(&name.len()) && name.bytes().all(inside) && !name.starts_with('-') && !name.ends_with('-');
    match is_label {
        true => Ok(()),
        false => Err("is not the name of a Service: write 1 to 63 lower-case letters, digits and dashes".to_owned()),
    }
}
