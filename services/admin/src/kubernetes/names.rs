//! What the pods of the Redis StatefulSet are called as nodes: pod `wsmesh-redis-3` is node `redis-3`, wherever it runs. A plain value.

use wsmesh_adapter::{NameError, NodeId};

/// The names of the pods of one StatefulSet behind one headless Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodNames {
    stateful_set: String,
    /// A node's URL is this, the pod's name, and `after`.
    before: &'static str,
    after: String,
    /// The headless Service; none on the embedded bus.
    service: Option<String>,
    /// A node's id is this, a dash and the ordinal.
    id: String,
    /// Whether the URL must say the id, because it would be another one else.
    says_id: bool,
}

impl PodNames {
    /// The pods are `redis[s]://POD.SERVICE:PORT#ID-ORDINAL`.
    pub(crate) fn new(stateful_set: &str, service: &str, scheme: Scheme, port: u16, id: &str) -> Self {
        let before = match scheme {
            Scheme::Plain => "redis://",
            Scheme::Tls => "rediss://",
        };
        Self {
            stateful_set: stateful_set.to_owned(),
            before,
            after: format!(".{service}:{port}"),
            service: Some(service.to_owned()),
            id: id.to_owned(),
            says_id: true,
        }
    }

    /// The nodes of the embedded bus with ids such as `redis-3`.
    #[cfg(test)]
    pub(crate) fn embedded(stateful_set: &str) -> Self {
        Self {
            stateful_set: stateful_set.to_owned(),
            before: "memory:",
            after: String::new(),
            service: None,
            id: stateful_set.to_owned(),
            says_id: false,
        }
    }

    /// The pod with this ordinal.
    pub(crate) fn pod(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}", self.stateful_set)
    }

    /// The id of the node that the pod with this ordinal is.
    ///
    /// # Errors
    /// When the names are too long for an id.
    pub(crate) fn id(&self, ordinal: u32) -> Result<NodeId, NameError> {
        NodeId::new(format!("{}-{ordinal}", self.id))
    }

    /// The URL of the node that the pod with this ordinal is.
    pub(crate) fn url(&self, ordinal: u32) -> String {
        let id = match self.says_id {
            true => format!("#{}-{ordinal}", self.id),
            false => String::new(),
        };
        format!("{}{}{}{id}", self.before, self.pod(ordinal), self.after)
    }

    /// The ordinal of a pod; none if it is no pod of this StatefulSet.
    pub(crate) fn ordinal_of_pod(&self, pod: &str) -> Option<u32> {
        let digits = pod.strip_prefix(&self.stateful_set)?.strip_prefix('-')?;
        let ordinal: u32 = digits.parse().ok()?;
        // "01" and "+1" are numbers, too.
        (ordinal.to_string() == digits).then_some(ordinal)
    }

    /// The ordinal of the pod that the node with this URL is; none if it is another Redis. The scheme and the port do not matter: they
    /// change when TLS is switched on.
    pub(crate) fn ordinal_of(&self, url: &str) -> Option<u32> {
        let (host, is_embedded) = match url.strip_prefix("memory:") {
            Some(id) => (id, true),
            None => (url.split_once("://")?.1, false),
        };
        let host = host.split(['#', '/', '?', ':']).next()?;
        let (pod, rest) = host
            .split_once('.')
            .map_or((host, None), |(pod, rest)| (pod, Some(rest)));
        let is_here = match (&self.service, rest) {
            (None, None) => is_embedded,
            (Some(service), Some(rest)) => rest
                .strip_prefix(&**service)
                .is_some_and(|zone| zone.is_empty() || zone.starts_with('.')),
            _ => false,
        };
        is_here.then(|| self.ordinal_of_pod(pod)).flatten()
    }
}

/// How a Redis pod is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Plain,
    Tls,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> PodNames {
        PodNames::new("wsmesh-redis", "wsmesh-redis", Scheme::Plain, 6379, "redis")
    }

    #[test]
    fn a_pod_is_the_same_node_by_its_name_whatever_its_address() {
        let names = names();
        assert_eq!(names.url(3), "redis://wsmesh-redis-3.wsmesh-redis:6379#redis-3");
        assert_eq!(names.id(3).expect("an id").as_str(), "redis-3");
        assert_eq!(names.pod(3), "wsmesh-redis-3");
        for url in [
            names.url(3).as_str(),
            "rediss://wsmesh-redis-3.wsmesh-redis:6380#redis-3",
            "redis://wsmesh-redis-3.wsmesh-redis.game.svc.cluster.local:6379#other",
            "redis://wsmesh-redis-3.wsmesh-redis",
        ] {
            assert_eq!(names.ordinal_of(url), Some(3), "{url}");
        }
    }

    #[test]
    fn another_redis_is_not_taken_for_a_pod() {
        for url in [
            "redis://wsmesh-redis-3.other:6379#redis-3",
            "redis://wsmesh-redis-3.wsmesh-redis2:6379",
            "redis://wsmesh-redis-3:6379#redis-3",
            "redis://wsmesh-redis-03.wsmesh-redis:6379",
            "redis://wsmesh-redis-+3.wsmesh-redis:6379",
            "redis://wsmesh-redis-.wsmesh-redis:6379",
            "redis://wsmesh-redis-x-3.wsmesh-redis:6379",
            "redis://10.0.0.3:6379#redis-3",
            "redis://[fd00::3]:6379#redis-3",
            "memory:wsmesh-redis-3",
            "wsmesh-redis-3.wsmesh-redis",
            "",
        ] {
            assert_eq!(names().ordinal_of(url), None, "{url}");
        }
    }

    #[test]
    fn on_the_embedded_bus_an_id_is_a_pod() {
        let names = PodNames::embedded("redis");
        assert_eq!(
            (names.url(3).as_str(), names.ordinal_of("memory:redis-3")),
            ("memory:redis-3", Some(3))
        );
        assert_eq!(names.ordinal_of("memory:other-3"), None);
    }
}
