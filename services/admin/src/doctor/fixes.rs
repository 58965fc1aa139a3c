//! How the commands that mend something are written: so that they can be copied, and without secrets.

use wsmesh_adapter::NodeUrl;

/// Where the commands are to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixes {
    /// `curl` with everything up to the path of a request: `curl -H … http://127.0.0.1:9100/api/v1`.
    api: String,
    /// The namespace, if the servers are pods.
    namespace: Option<String>,
}

impl Fixes {
    /// For an admin that listens at this port, and takes the token of this file.
    pub(crate) fn new(port: u16, token_file: Option<&str>, namespace: Option<String>) -> Self {
        let login = token_file.map_or_else(String::new, |file| {
            format!("-H \"authorization: Bearer $(cat {})\" ", quoted(file))
        });
        Self {
            api: format!("curl {login}http://127.0.0.1:{port}/api/v1"),
            namespace,
        }
    }

    /// A request to any admin: `path` begins with a slash, `rest` is what comes behind the URL.
    pub(crate) fn api(&self, path: &str, rest: &str) -> String {
        format!("{}{path}{}{rest}", self.api, if rest.is_empty() { "" } else { " " })
    }

    /// A command with JSON as the body of a request.
    pub(crate) fn api_json(&self, path: &str, body: &serde_json::Value) -> String {
        let body = quoted(&body.to_string());
        self.api(path, &format!("-H 'content-type: application/json' -d {body}"))
    }

    /// A command of `kubectl` in the namespace of the servers, or else what to do without Kubernetes.
    pub(crate) fn pods(&self, kubectl: &str, elsewhere: &str) -> String {
        match &self.namespace {
            Some(namespace) => format!("kubectl -n {namespace} {kubectl}"),
            None => elsewhere.to_owned(),
        }
    }

    /// What a server last said about itself.
    pub(crate) fn logs(&self, server: &str) -> String {
        self.pods(
            &format!("logs {server} --tail 100"),
            &format!("look at the last errors in the log of {server}"),
        )
    }
}

/// `redis-cli`, as it reaches this node. It asks for the password, if there is one.
pub(crate) fn redis_cli(url: &NodeUrl) -> String {
    let text = url.to_string();
    let plain = text.split(['#', '?']).next().unwrap_or_default();
    let password = if url.has_password() { " --askpass" } else { "" };
    format!("redis-cli -u {}{password}", quoted(plain))
}

/// As one word for a shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@,%+#".contains(&b);
    match !text.is_empty() && !text.starts_with('#') && text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_token_by_its_file_only() {
        let open = Fixes::new(9100, None, None);
        assert_eq!(
            open.api("/nodes/redis-1", "-X DELETE"),
            "curl http://127.0.0.1:9100/api/v1/nodes/redis-1 -X DELETE"
        );
        let guarded = Fixes::new(9100, Some("/etc/my token"), None);
        assert_eq!(
            guarded.api("/nodes", ""),
            "curl -H \"authorization: Bearer $(cat '/etc/my token')\" http://127.0.0.1:9100/api/v1/nodes"
        );
    }

    #[test]
    fn commands_for_pods_name_the_namespace() {
        let here = Fixes::new(9100, None, Some("games".to_owned()));
        assert_eq!(here.logs("ws-0"), "kubectl -n games logs ws-0 --tail 100");
        assert_eq!(
            Fixes::new(9100, None, None).logs("ws-0"),
            "look at the last errors in the log of ws-0"
        );
    }

    #[test]
    fn a_node_is_reached_without_showing_its_password() {
        let url = |text| NodeUrl::parse(text).expect("valid");
        assert_eq!(redis_cli(&url("redis://a:7000#redis-0")), "redis-cli -u redis://a:7000");
        let secret = redis_cli(&url("rediss://app:hunter2@a:7000#redis-0"));
        assert!(
            secret.starts_with("redis-cli -u rediss://") && secret.ends_with(" --askpass"),
            "{secret}"
        );
        assert!(!secret.contains("hunter2"));
    }

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        for (text, word) in [
            ("redis://a:6379#redis-1", "redis://a:6379#redis-1"),
            ("", "''"),
            ("#x", "'#x'"),
            ("a'b $(x)", r"'a'\''b $(x)'"),
        ] {
            assert_eq!(quoted(text), word);
        }
    }
}
