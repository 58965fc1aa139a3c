//! The settings of an admin, each declared once.

use wsmesh_bootstrap::{SecretFile, each, settings, text};

use crate::access::Token;

settings! {
    /// Settings of an admin.
    pub struct AdminSettings {
        /// File with the token that callers of the API must send (authorization: Bearer TOKEN). Required in the production
        /// profile. In the demo profile the API is open without it.
        #[check(each(token))]
        pub token_file: Option<SecretFile>,
        /// Path before all paths of the API and of its pages, such as /admin: for a proxy that does not take it away.
        #[check(each(text(path_prefix)))]
        pub path_prefix: Option<String>,
        /// In Kubernetes: name of the headless Service of the Redis pods. GET /api/v1/nodes then shows the pods, too.
        #[check(each(text(service_name)))]
        pub kubernetes_redis_service: Option<String>,
    }
}

impl AdminSettings {
    /// What opens the API. None: it needs no token.
    ///
    /// # Errors
    /// When the token in the file cannot be used. The sentence says why.
    pub fn token(&self) -> Result<Option<Token>, String> {
        self.token_file.as_ref().map(read_token).transpose()
    }
}

fn token(file: &SecretFile) -> Result<(), String> {
    read_token(file).map(drop)
}

fn read_token(file: &SecretFile) -> Result<Token, String> {
    let text = file.secret().expose_text().unwrap_or_default();
    Token::new(text.trim()).map_err(|error| format!("{}: {error}", file.path().display()))
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
