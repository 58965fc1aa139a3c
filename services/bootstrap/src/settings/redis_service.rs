//! The setting that names the headless Service whose pods are the first Redis nodes.

use std::net::IpAddr;

use wsmesh_adapter::{NameError, NodeId, NodeUrl, PasswordFile};

use super::Value;

/// Longest name of a label, and of a whole name (RFC 1035).
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

/// A headless Service of Kubernetes, written like the URL of a node: `redis://wsmesh-redis:6379#redis`. Its host is the name of
/// the Service. Nodes get the id of the fragment with the pod's ordinal behind it, or else the pod's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisService {
    /// How its pods are reached: scheme, port, login and files.
    url: NodeUrl,
    id: Option<String>,
}

impl RedisService {
    /// The name of the Service, as it was written.
    pub fn name(&self) -> &str {
        self.url.host()
    }

    /// How its pods are reached.
    pub fn url(&self) -> &NodeUrl {
        &self.url
    }

    /// The beginning of the ids of nodes. None: the pods' names are the ids.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The id of the node that a pod is, which has this ordinal.
    ///
    /// # Errors
    /// When the names are too long for an id.
    pub fn node_id(&self, pod: &str, ordinal: u32) -> Result<NodeId, NameError> {
        match &self.id {
            Some(id) => NodeId::new(format!("{id}-{ordinal}")),
            None => NodeId::new(pod),
        }
    }

    /// The node that a pod is: `POD.SERVICE`, as people write it, so that its URL is the same in every namespace and cluster.
    ///
    /// # Errors
    /// When the names are too long for a node.
    pub fn node(&self, pod: &str, ordinal: u32) -> Result<NodeUrl, String> {
        let id = self.node_id(pod, ordinal).map_err(|error| error.to_string())?;
        let url = self.url.of_host(&format!("{pod}.{}", self.name()), id.as_str());
        url.map_err(|error| error.to_string())
    }

    /// With the password of this file, unless it has one.
    pub(crate) fn set_password_file(&mut self, file: &PasswordFile) {
        if !self.url.has_password() {
            self.url = self.url.clone().with_password_file(file.clone());
        }
    }
}

/// Shown without credentials.
impl Value for RedisService {
    const HINT: &'static str = "URL";

    fn parse(text: &str) -> Result<Self, String> {
        let url = NodeUrl::parse(text).map_err(|error| error.to_string())?;
        let name = url.host();
        if name.len() > LONGEST_NAME || !name.split('.').all(is_label) || name.parse::<IpAddr>().is_ok() {
            return Err(format!(
                "{name:?} is not the name of a Service: write redis://wsmesh-redis:6379#redis"
            ));
        }
        let has_id = url.id().as_str() != url.address();
        let id = has_id.then(|| url.id().as_str().to_owned());
        Ok(Self { url, id })
    }

    fn show(&self) -> Option<toml::Value> {
        let text = self.url.to_string();
        let without_id = text.split('#').next().unwrap_or_default();
        Some(match self.id {
            Some(_) => text.into(),
            None => without_id.into(),
        })
    }
}

/// Whether a text can be a part of the name of a Service or a pod: small letters of English, digits, and dashes inside.
pub(crate) fn is_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_written_like_a_node_and_shown_without_its_password() {
        let service = RedisService::parse("redis://app:secret@wsmesh-redis#redis").expect("valid");
        assert_eq!((service.name(), service.id()), ("wsmesh-redis", Some("redis")));
        let shown = service.show().expect("shown").to_string();
        assert_eq!(shown, "\"redis://wsmesh-redis:6379#redis\"");
        assert!(!format!("{service:?}").contains("secret"));
        let plain = RedisService::parse("rediss://redis.games.svc:7000").expect("valid");
        assert_eq!((plain.name(), plain.id()), ("redis.games.svc", None));
        let shown = plain.show().expect("shown").to_string();
        assert_eq!(shown, "\"rediss://redis.games.svc:7000\"");
        let short = RedisService::parse("wsmesh-redis:6379").expect("valid");
        assert_eq!(short.name(), "wsmesh-redis");
    }

    #[test]
    fn a_pod_is_the_node_with_its_ordinal_or_its_own_name() {
        let node = |service: &str, pod: &str| {
            let service = RedisService::parse(service).expect("valid");
            service.node(pod, 3).map(|url| url.to_string())
        };
        assert_eq!(
            node("redis://app:secret@wsmesh-redis#redis", "wsmesh-redis-3").as_deref(),
            Ok("redis://wsmesh-redis-3.wsmesh-redis:6379#redis-3")
        );
        assert_eq!(
            node("rediss://redis.games.svc:7000", "redis-3").as_deref(),
            Ok("rediss://redis-3.redis.games.svc:7000#redis-3")
        );
        let long = "a".repeat(300);
        assert!(node("redis://redis", &long).is_err());
    }

    #[test]
    fn what_is_no_service_is_rejected_with_advice() {
        for text in [
            "",
            "redis://10.0.0.7:6379",
            "redis://[::1]:6379",
            "redis://-a",
            "redis://a..b",
            "redis://a_b",
            "http://a",
        ] {
            let problem = RedisService::parse(text).expect_err(text);
            assert!(problem.contains("write redis://"), "{text}: {problem}");
        }
        let long = format!("redis://{}", "a".repeat(64));
        assert!(RedisService::parse(&long).is_err());
    }
}
