//! Kubernetes: whether pods get the time that their servers take to end, whether admin may do what it does, and whether the Redis
//! pods and their StatefulSet are the nodes.

mod stateful_set;

use std::collections::BTreeMap;

use wsmesh_adapter::StatsPart;

use super::diagnosis::{Finding, Part, count, list};
use super::evidence::{Cluster, PodGrace, Pods, Right, Server};
use super::fixes::quoted;
use crate::gather::{self, NodesView};

/// Judges what Kubernetes says. Without a cluster (no Redis could be used), only the rights.
pub(crate) fn check(pods: &Pods, cluster: Option<&Cluster>) -> Part {
    let mut findings = rights(pods);
    if let Some(cluster) = cluster {
        findings.extend(graces(pods, cluster));
        findings.extend(redis(pods, cluster));
        findings.extend(stateful_set::check(pods, cluster));
    }
    let looked_at = format!(
        "namespace {}, {} of servers, {}",
        pods.namespace,
        count(pods.servers.len(), "pod"),
        count(pods.rights.len(), "right")
    );
    Part::new("kubernetes", looked_at, findings)
}

fn rights(pods: &Pods) -> Vec<Finding> {
    let (namespace, account) = (&pods.namespace, &pods.account);
    let mut missing: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    let mut findings = Vec::new();
    for right in &pods.rights {
        match &right.is_allowed {
            Ok(true) => {}
            Ok(false) => {
                let of = (right.resource, right.group, right.name.as_deref());
                let all = missing.entry((of, right.cluster_role, right.purpose)).or_default();
                all.push(right.verb);
            }
            Err(why) => findings.push(
                Finding::problem(
                    account,
                    format!("whether it may {} {} is not known: {why}", right.verb, right.resource),
                )
                .because(format!("admin needs that {}", right.purpose))
                .fix(can_i(pods, right)),
            ),
        }
    }
    for (((resource, group, name), cluster_role, purpose), verbs) in missing {
        let of = name.map(|name| format!(" {name}")).unwrap_or_default();
        let finding = Finding::warning(account, format!("it may not {} {resource}{of}", list(&verbs)))
            .because(format!("admin needs that {purpose}"));
        if let Some(role) = cluster_role {
            findings.push(finding.fix(format!(
                "kubectl create clusterrolebinding {namespace}-{account}-{resource} --clusterrole={role} \
                 --serviceaccount={namespace}:{account}"
            )));
            continue;
        }
        let dotted = if group.is_empty() {
            resource.to_owned()
        } else {
            match resource.split_once('/') {
                Some((kind, part)) => format!("{kind}.{group}/{part}"),
                None => format!("{resource}.{group}"),
            }
        };
        let only = name.map(|name| format!(" --resource-name={name}")).unwrap_or_default();
        let word = resource.replace('/', "-");
        let role = format!("wsmesh-admin-{word}{}", if name.is_some() { "-one" } else { "" });
        findings.push(finding.fix(format!(
            "kubectl -n {namespace} create role {role} --verb={} --resource={dotted}{only}\n\
             kubectl -n {namespace} create rolebinding {role} --role={role} --serviceaccount={namespace}:{account}",
            verbs.join(",")
        )));
    }
    findings
}

fn can_i(pods: &Pods, right: &Right) -> String {
    let one = right.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    let (kind, part) = right.resource.split_once('/').unwrap_or((right.resource, ""));
    let part = match part {
        "" => String::new(),
        part => format!(" --subresource={part}"),
    };
    format!(
        "kubectl -n {0} auth can-i {1} {kind}{one}{part} --as=system:serviceaccount:{0}:{2}",
        pods.namespace, right.verb, pods.account
    )
}

/// The grace periods that are too short, those of equal times together.
fn graces(pods: &Pods, cluster: &Cluster) -> Vec<Finding> {
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

/// The Redis pods against the nodes in use, as `GET /api/v1/nodes` compares them.
fn redis(pods: &Pods, cluster: &Cluster) -> Vec<Finding> {
    let Some(view) = &pods.redis else {
        return Vec::new();
    };
    let answers = cluster.servers.iter().filter_map(|server| {
        let nodes = server.answer.as_ref().ok()?.nodes.clone();
        let part = StatsPart {
            nodes,
            ..StatsPart::default()
        };
        Some((server.name().clone(), part))
    });
    let gathered = wsmesh_adapter::Gathered {
        servers: answers.collect(),
        missing: Vec::new(),
        complete: true,
    };
    let nodes = gather::nodes(cluster.topology.clone(), &gathered);
    let hearing = NodesView {
        warnings: Vec::new(),
        ..nodes
    };
    gather::with_pods(hearing, view.clone())
        .warnings
        .into_iter()
        .map(|warning| {
            Finding::warning(&view.service, warning)
                .because("a pod that nobody uses carries nothing; a node without a pod may be gone for good")
                .fix(format!("kubectl -n {} get pods -o wide", pods.namespace))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wsmesh_adapter::NodeStatus;

    use super::super::diagnosis::Severity;
    use super::super::evidence::GraceTimes;
    use super::super::fixture::{about, answer, cluster, id, name, only};
    use super::*;
    use crate::kubernetes::{Pod, View};

    fn right(verb: &'static str, is_allowed: Result<bool, String>) -> Right {
        Right {
            verb,
            resource: "endpointslices",
            group: "discovery.k8s.io",
            name: None,
            cluster_role: None,
            purpose: "to show the Redis pods",
            is_allowed,
        }
    }

    fn grace(server: &str, grace_seconds: u64, sleep_seconds: u64) -> PodGrace {
        PodGrace {
            server: name(server),
            times: Ok(GraceTimes {
                grace_seconds,
                sleep_seconds,
            }),
        }
    }

    fn well() -> Pods {
        Pods {
            namespace: "games".to_owned(),
            account: "wsmesh-admin".to_owned(),
            redis: None,
            stateful_set: None,
            servers: vec![grace("ws-0", 35, 5), grace("ws-1", 35, 5)],
            rights: vec![right("get", Ok(true)), right("watch", Ok(true))],
        }
    }

    fn check(pods: &Pods) -> Part {
        super::check(pods, Some(&cluster()))
    }

    #[test]
    fn pods_with_enough_time_and_all_rights_have_no_finding() {
        let part = check(&well());
        assert_eq!(part.findings, []);
        assert_eq!(
            part.looked_at.as_deref(),
            Some("namespace games, 2 pods of servers, 2 rights")
        );
    }

    #[test]
    fn a_grace_period_that_is_too_short_is_a_problem() {
        let mut pods = well();
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
        let mut pods = well();
        pods.servers[1].times = Err("forbidden".to_owned());
        let part = check(&pods);
        assert_eq!(
            (only(&part).severity, only(&part).about.as_str()),
            (Severity::Note, "ws-1")
        );
    }

    #[test]
    fn missing_rights_are_a_warning_with_the_role_that_grants_them() {
        let mut pods = well();
        pods.rights = vec![
            right("get", Ok(false)),
            right("list", Ok(true)),
            right("watch", Ok(false)),
        ];
        let part = check(&pods);
        assert_eq!(only(&part).what, "it may not get and watch endpointslices");
        assert_eq!(
            only(&part).fix,
            "kubectl -n games create role wsmesh-admin-endpointslices --verb=get,watch \
             --resource=endpointslices.discovery.k8s.io\n\
             kubectl -n games create rolebinding wsmesh-admin-endpointslices --role=wsmesh-admin-endpointslices \
             --serviceaccount=games:wsmesh-admin"
        );
        pods.rights = vec![right("get", Err("timed out".to_owned()))];
        assert_eq!(
            only(&check(&pods)).severity,
            Severity::Problem,
            "an API server that does not answer"
        );
        assert_eq!(super::check(&pods, None).findings.len(), 1, "also without a bus");
    }

    #[test]
    fn a_right_that_is_missing_for_one_object_is_granted_for_that_one_only() {
        let mut pods = well();
        pods.rights = ["get", "update"]
            .map(|verb| Right {
                name: Some("wsmesh-admin".to_owned()),
                resource: "leases",
                group: "coordination.k8s.io",
                ..right(verb, Ok(false))
            })
            .into();
        let part = check(&pods);
        assert_eq!(only(&part).what, "it may not get and update leases wsmesh-admin");
        assert!(only(&part).fix.starts_with(
            "kubectl -n games create role wsmesh-admin-leases-one --verb=get,update --resource=leases.coordination.k8s.io \
             --resource-name=wsmesh-admin\n"
        ), "{}", only(&part).fix);
    }

    #[test]
    fn a_right_of_a_subresource_is_granted_and_asked_for_as_kubectl_writes_it() {
        let scale = |is_allowed| Right {
            name: Some("wsmesh-redis".to_owned()),
            resource: "statefulsets/scale",
            group: "apps",
            ..right("patch", is_allowed)
        };
        let mut pods = well();
        pods.rights = vec![scale(Ok(false))];
        let part = check(&pods);
        assert!(
            only(&part).fix.starts_with(
                "kubectl -n games create role wsmesh-admin-statefulsets-scale-one --verb=patch \
                 --resource=statefulsets.apps/scale --resource-name=wsmesh-redis\n"
            ),
            "{}",
            only(&part).fix
        );
        pods.rights = vec![scale(Err("timed out".to_owned()))];
        assert!(
            only(&check(&pods))
                .fix
                .contains("can-i patch statefulsets/wsmesh-redis --subresource=scale --as="),
            "{:?}",
            check(&pods)
        );
    }

    #[test]
    fn a_right_outside_of_the_namespace_is_granted_by_the_role_of_the_cluster() {
        let mut pods = well();
        pods.rights = vec![Right {
            resource: "tokenreviews",
            group: "authentication.k8s.io",
            cluster_role: Some("system:auth-delegator"),
            ..right("create", Ok(false))
        }];
        assert_eq!(
            only(&check(&pods)).fix,
            "kubectl create clusterrolebinding games-wsmesh-admin-tokenreviews --clusterrole=system:auth-delegator \
             --serviceaccount=games:wsmesh-admin"
        );
    }

    #[test]
    fn a_redis_pod_that_is_no_node_is_a_warning() {
        let pod = |pod: &str, ip: &str| Pod {
            pod: pod.to_owned(),
            ip: ip.to_owned(),
            ready: true,
        };
        let mut pods = well();
        pods.redis = Some(View {
            service: Arc::from("wsmesh-redis"),
            pods: vec![
                pod("redis-0", "10.0.0.1"),
                pod("redis-1", "10.0.0.2"),
                pod("redis-2", "10.0.0.3"),
            ],
            problem: None,
        });
        let mut cluster = cluster();
        for (node, address) in [("redis-0", "10.0.0.1:6379"), ("redis-1", "10.0.0.2:6379")] {
            answer(&mut cluster.servers[0]).nodes.push(NodeStatus {
                id: id(node),
                address: address.to_owned(),
                heard: true,
                rtt_ms: None,
                error: None,
                reconnects: 0,
                gaps: 0,
            });
        }
        let part = super::check(&pods, Some(&cluster));
        assert_eq!(about(&part), [(Severity::Warning, "wsmesh-redis")]);
        assert_eq!(part.findings[0].what, "no server uses pod redis-2 as a node");
    }
}
