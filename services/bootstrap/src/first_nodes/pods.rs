//! From the names of pods to the URLs of nodes. The names come from the network: what is no pod of the Service is left out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_resolver::proto::rr::Name;
use wsmesh_adapter::{FoundNodes, NodeUrl};

use crate::settings::{RedisService, is_label};

/// No StatefulSet has as many pods.
const MOST_DIGITS: usize = 5;

/// The nodes with these names, those with the smallest ordinals first.
///
/// # Errors
/// When there are names, but none is that of a pod with an ordinal.
pub(super) fn nodes(service: &RedisService, targets: &[Name]) -> FoundNodes {
    let mut found = BTreeMap::new();
    for target in targets {
        match node(service, target) {
            Some((ordinal, url)) => _ = found.insert((ordinal, url.id().clone()), url),
            None => tracing::debug!(%target, "a record of DNS is no pod with an ordinal of {}", service.name()),
        }
    }
    match targets.first() {
        Some(first) if found.is_empty() => Err(format!(
            "none of {} DNS records is a pod with an ordinal, such as redis-0.{} (the first one is {first})",
            targets.len(),
            service.name()
        )),
        _ => Ok(found.into_values().collect()),
    }
}

/// The node of a pod, with its ordinal.
fn node(service: &RedisService, target: &Name) -> Option<(u32, NodeUrl)> {
    let mut labels = target.iter().map(|label| std::str::from_utf8(label).ok());
    let (pod, of) = (labels.next()??.to_ascii_lowercase(), labels.next()??);
    let its_service = service.name().split('.').next().unwrap_or_default();
    if !is_label(&pod) || !of.eq_ignore_ascii_case(its_service) {
        return None;
    }
    let ordinal = ordinal(&pod)?;
    Some((ordinal, service.node(&pod, ordinal).ok()?))
}

/// The digits after the last dash. Pods without a name of their own are called like their address, with dashes.
fn ordinal(pod: &str) -> Option<u32> {
    let is_address =
        pod.replace('-', ".").parse::<Ipv4Addr>().is_ok() || pod.replace('-', ":").parse::<Ipv6Addr>().is_ok();
    let (_, digits) = pod.rsplit_once('-')?;
    let is_plain = digits.len() <= MOST_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    let is_canonical = digits == "0" || !digits.starts_with('0');
    match is_plain && is_canonical && !is_address {
        true => digits.parse().ok(),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Value;

    fn shown(service: &str, targets: &[Name]) -> Result<Vec<String>, String> {
        let service = RedisService::parse(service).expect("valid");
        Ok(nodes(&service, targets)?.iter().map(ToString::to_string).collect())
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    #[test]
    fn a_pod_is_the_node_with_its_ordinal_at_its_name_in_the_service() {
        let targets = [2, 0, 10].map(|n| name(&format!("wsmesh-redis-{n}.wsmesh-redis.games.svc.cluster.local.")));
        assert_eq!(
            shown("redis://wsmesh-redis:6379#redis", &targets).expect("nodes"),
            [
                "redis://wsmesh-redis-0.wsmesh-redis:6379#redis-0",
                "redis://wsmesh-redis-2.wsmesh-redis:6379#redis-2",
                "redis://wsmesh-redis-10.wsmesh-redis:6379#redis-10"
            ]
        );
        assert_eq!(
            shown("rediss://wsmesh-redis.games.svc:7000", &targets[..1]).expect("nodes"),
            ["rediss://wsmesh-redis-2.wsmesh-redis.games.svc:7000#wsmesh-redis-2"]
        );
    }

    #[test]
    fn names_that_are_no_pods_of_the_service_are_left_out() {
        let hostile = |label: &[u8]| Name::from_labels([label, b"redis", b"svc"]).expect("a name");
        let mut targets = vec![
            hostile(b"redis-0@evil"),
            hostile(b"redis-0#x"),
            hostile(b"a/../redis-0"),
            hostile(b"redis-\xff0"),
            hostile(b"redis-0\n"),
            hostile(b"redis"),
            hostile(b"redis-"),
            hostile(b"redis-a"),
            hostile(b"redis-01"),
            hostile(b"redis-123456"),
            hostile(b"10-244-0-5"),
            hostile(b"fd00--1-5"),
            name("."),
            name("redis-0."),
            name("redis-0.other.svc."),
        ];
        let error = shown("redis://redis:6379#redis", &targets).expect_err("none");
        assert!(error.contains("none of 15 DNS records"), "{error}");
        assert!(!error.contains('\n'), "{error}");
        targets.extend([
            name("REDIS-1.Redis.svc."),
            name("redis-1.redis.svc."),
            name("redis-0.redis.svc."),
        ]);
        assert_eq!(
            shown("redis://redis:6379#redis", &targets).expect("two nodes"),
            [
                "redis://redis-0.redis:6379#redis-0",
                "redis://redis-1.redis:6379#redis-1"
            ]
        );
        assert_eq!(shown("redis://redis:6379#redis", &[]), Ok(Vec::new()));
    }
}
