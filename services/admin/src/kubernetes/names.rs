//! What the pods of the Redis StatefulSet are called as nodes: pod `wsmesh-redis-3` is node `redis-3`, wherever it runs. A plain value.

use wsmesh_adapter::NodeId;
use wsmesh_bootstrap::RedisService;

/// The names of the pods of one StatefulSet behind one headless Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodNames {
    stateful_set: String,
    /// None on the embedded bus.
    service: Option<RedisService>,
}

impl PodNames {
    /// The names that all servers give to the pods of this Service.
    pub(crate) fn new(stateful_set: &str, service: &RedisService) -> Self {
        Self {
            stateful_set: stateful_set.to_owned(),
            service: Some(service.clone()),
        }
    }

    /// The nodes of the embedded bus with ids such as `redis-3`.
    #[cfg(test)]
    pub(crate) fn embedded(stateful_set: &str) -> Self {
        Self {
            stateful_set: stateful_set.to_owned(),
            service: None,
        }
    }

    /// The pod with this ordinal.
    pub(crate) fn pod(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}", self.stateful_set)
    }

    /// The node that the pod with this ordinal is: its id and its URL, without credentials.
    ///
    /// # Errors
    /// When the names are too long for a node.
    pub(crate) fn node(&self, ordinal: u32) -> Result<(NodeId, String), String> {
        let pod = self.pod(ordinal);
        let Some(service) = &self.service else {
            let id = NodeId::new(pod.as_str()).map_err(|error| error.to_string())?;
            return Ok((id, format!("memory:{pod}")));
        };
        let url = service.node(&pod, ordinal)?;
        Ok((url.id().clone(), url.to_string()))
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
        let (pod, zone) = host.split_once('.').unwrap_or((host, ""));
        let is_here = match &self.service {
            None => is_embedded,
            // Either may be written with more of the cluster's domain.
            Some(service) => {
                !is_embedded && !zone.is_empty() && zone.split('.').zip(service.name().split('.')).all(|(a, b)| a == b)
            }
        };
        is_here.then(|| self.ordinal_of_pod(pod)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::Value;

    use super::*;

    fn names(service: &str) -> PodNames {
        PodNames::new("wsmesh-redis", &RedisService::parse(service).expect("a Service"))
    }

    #[test]
    fn a_pod_is_the_same_node_by_its_name_whatever_its_address() {
        let names = names("redis://app:secret@wsmesh-redis#redis");
        let (id, url) = names.node(3).expect("a node");
        assert_eq!(
            (id.as_str(), url.as_str()),
            ("redis-3", "redis://wsmesh-redis-3.wsmesh-redis:6379#redis-3")
        );
        assert_eq!(names.pod(3), "wsmesh-redis-3");
        for url in [
            url.as_str(),
            "rediss://wsmesh-redis-3.wsmesh-redis:6380#redis-3",
            "redis://wsmesh-redis-3.wsmesh-redis.game.svc.cluster.local:6379#other",
            "redis://wsmesh-redis-3.wsmesh-redis",
        ] {
            assert_eq!(names.ordinal_of(url), Some(3), "{url}");
        }
    }

    #[test]
    fn tls_the_port_and_a_long_name_of_the_service_are_kept_and_without_a_fragment_the_pod_is_the_id() {
        let names = names("rediss://wsmesh-redis.games.svc:7000");
        let (id, url) = names.node(0).expect("a node");
        assert_eq!(id.as_str(), "wsmesh-redis-0");
        assert_eq!(
            url,
            "rediss://wsmesh-redis-0.wsmesh-redis.games.svc:7000#wsmesh-redis-0"
        );
        assert_eq!(names.ordinal_of(&url), Some(0));
        assert_eq!(names.ordinal_of("redis://wsmesh-redis-0.wsmesh-redis:6379"), Some(0));
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
            assert_eq!(names("redis://wsmesh-redis#redis").ordinal_of(url), None, "{url}");
        }
    }

    #[test]
    fn on_the_embedded_bus_an_id_is_a_pod() {
        let names = PodNames::embedded("redis");
        let (id, url) = names.node(3).expect("a node");
        assert_eq!((id.as_str(), names.ordinal_of(&url)), ("redis-3", Some(3)));
        assert_eq!(names.ordinal_of("memory:other-3"), None);
    }
}
