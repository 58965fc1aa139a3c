//! The settings of an admin, each declared once.

use wsmesh_bootstrap::{CommonConfig, Problems, SecretFile, each, settings, text};

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
        #[check(each(text(label)))]
        pub kubernetes_redis_service: Option<String>,
        /// In Kubernetes: name of the StatefulSet of the Redis pods. A pod becomes a node when it is ready, and a node leaves when the
        /// StatefulSet is made smaller. Needs --redis-service,
        /// --kubernetes-redis-service and --kubernetes-lease.
        #[check(each(text(label)))]
        pub kubernetes_redis_statefulset: Option<String>,
        /// In Kubernetes: name of the Lease by which one of several admins leads. The leader alone follows the StatefulSet.
        #[check(each(text(label)))]
        pub kubernetes_lease: Option<String>,
        /// In Kubernetes: write into each pod of ws-nodes and of services with matches how much would be interrupted there, so that the
        /// emptiest pod goes first when a Deployment is made smaller. Needs --kubernetes-lease.
        pub pod_deletion_cost: bool,
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

    /// Several admins must not follow a StatefulSet at once, its pods are found by their Service, and all servers must call them the
    /// same.
    pub(crate) fn check_kubernetes(&self, common: &CommonConfig, problems: &mut Problems) {
        if self.pod_deletion_cost && self.kubernetes_lease.is_none() {
            problems.about(
                "pod_deletion_cost",
                "is written only together with --kubernetes-lease NAME",
            );
        }
        if self.kubernetes_redis_statefulset.is_none() {
            return;
        }
        let needed = [
            (
                self.kubernetes_redis_service.is_some(),
                "--kubernetes-redis-service NAME",
            ),
            (self.kubernetes_lease.is_some(), "--kubernetes-lease NAME"),
            (common.redis_service.is_some(), "--redis-service URL"),
        ];
        for (_, missing) in needed.iter().filter(|(is_set, _)| !is_set) {
            problems.about(
                "kubernetes_redis_statefulset",
                format!("is followed only together with {missing}"),
            );
        }
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
fn label(name: &str) -> Result<(), String> {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_label =
        (1..=63).contains(&name.len()) && name.bytes().all(inside) && !name.starts_with('-') && !name.ends_with('-');
    match is_label {
        true => Ok(()),
        false => Err("is not a name: write 1 to 63 lower-case letters, digits and dashes".to_owned()),
    }
}
