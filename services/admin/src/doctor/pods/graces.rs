//! Whether pods get the time that their servers take to end.

use std::collections::BTreeMap;

use super::super::diagnosis::{Finding, list};
use super::super::evidence::{Cluster, PodGrace, Pods, Right, Server};
use super::super::fixes::quoted;

/// The grace periods that are too short, those of equal times together. Where admin may not read pods, that right is what is missing.
pub(super) fn check(pods: &Pods, cluster: &Cluster) -> Vec<Finding> {
    let may_not_read =
        |right: &Right| (right.verb, right.resource) == ("get", "pods") && matches!(right.is_allowed, Ok(false));
    if pods.rights.iter().any(may_not_read) {
        return Vec::new();
    }
    let mut unknown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut short: BTreeMap<(&str, u64, u64), Vec<&str>> = BTreeMap::new();
    for PodGrace { server, times } in &pods.servers {
        let times = match times {
            Ok(times) => times,
            Err(why) => {
                unknown.entry(why).or_default().push(server.as_str());
                continue;
            }
        };
        let known = cluster.servers.iter().find(|known| known.name() == server);
        let answer = known.and_then(|known: &Server| Some((known, known.answer.as_ref().ok()?)));
        let Some((known, answer)) = answer else { continue };
        let takes_ms = answer.grace_ms.max(answer.drain_ms).unwrap_or_default();
        let needed = times.sleep_seconds + takes_ms.div_ceil(1000);
        if times.grace_seconds <= needed {
            short
                .entry((known.info.service.as_str(), times.grace_seconds, needed))
                .or_default()
                .push(server.as_str());
        }
    }
    let mut findings: Vec<_> = unknown
        .into_iter()
        .map(|(why, names)| {
            Finding::note(
                list(&names),
                format!("whether the grace period is long enough is not known: {why}"),
            )
            .because("a pod that is killed while it drains disconnects its clients all at once")
            .fix(format!(
                "kubectl -n {} get pod {} -o jsonpath={}",
                pods.namespace,
                names.first().unwrap_or(&""),
                quoted("{.spec.terminationGracePeriodSeconds}")
            ))
        })
        .collect();
    findings.extend(short.into_iter().map(|((service, grace, needed), names)| {
        Finding::problem(
            list(&names),
            format!("the pod is killed after {grace} s, and needs up to {needed} s to end"),
        )
        .because("a pod that is killed while it drains disconnects its clients all at once, and requests get no answer")
        .fix(format!(
            "kubectl -n {} patch deployment wsmesh-{service} -p {}   # or raise the values under drain in the chart",
            pods.namespace,
            quoted(&format!(
                r#"{{"spec":{{"template":{{"spec":{{"terminationGracePeriodSeconds":{}}}}}}}}}"#,
                needed + 5
            ))
        ))
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::super::super::diagnosis::{Part, Severity};
    use super::super::super::fixture::{self, cluster, grace, only};
    use super::*;

    fn check(pods: &Pods) -> Part {
        Part::new("kubernetes", "", super::check(pods, &cluster()))
    }

    #[test]
    fn a_grace_period_that_is_too_short_is_a_problem() {
        let mut pods = fixture::pods();
        pods.servers = vec![grace("ws-0", 30, 5), grace("ws-1", 30, 5)];
        let part = check(&pods);
        assert_eq!(
            (
                only(&part).severity,
                only(&part).about.as_str(),
                only(&part).what.as_str()
            ),
            (
                Severity::Problem,
                "ws-0 and ws-1",
                "the pod is killed after 30 s, and needs up to 30 s to end"
            )
        );
        assert!(
            only(&part)
                .fix
                .contains(r#"-p '{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":35}}}}'"#)
        );
    }

    #[test]
    fn a_pod_that_cannot_be_read_is_a_note() {
        let mut pods = fixture::pods();
        pods.servers[1].times = Err("forbidden".to_owned());
        let part = check(&pods);
        assert_eq!(
            (only(&part).severity, only(&part).about.as_str()),
            (Severity::Note, "ws-1")
        );
    }

    #[test]
    fn a_right_to_read_pods_that_is_missing_is_told_once_and_not_for_each_pod() {
        let mut pods = fixture::pods();
        for pod in &mut pods.servers {
            pod.times = Err(format!("{} is forbidden", pod.server));
        }
        pods.rights = vec![Right {
            resource: "pods",
            group: "",
            ..fixture::right("get", Ok(false))
        }];
        assert_eq!(check(&pods).findings.len(), 0);
    }
}
