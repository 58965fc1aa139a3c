//! Whether admin may do with the Kubernetes API what it does.

use std::collections::BTreeMap;

use super::super::diagnosis::{Finding, list};
use super::super::evidence::{Pods, Right};

/// The rights that are missing, those to one object together, and those that could not be asked about.
pub(super) fn check(pods: &Pods) -> Vec<Finding> {
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
        let one = if name.is_some() { "-one" } else { "" };
        // With the verbs, because the same resource may be missing for two purposes.
        let role = format!("wsmesh-admin-{}-{}{one}", verbs.join("-"), resource.replace('/', "-"));
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

#[cfg(test)]
mod tests {
    use super::super::super::diagnosis::{Part, Severity};
    use super::super::super::fixture::{self, only, right};
    use super::*;

    fn check(pods: &Pods) -> Part {
        Part::new("kubernetes", "", super::check(pods))
    }

    #[test]
    fn missing_rights_are_a_warning_with_the_role_that_grants_them() {
        let mut pods = fixture::pods();
        pods.rights = vec![
            right("get", Ok(false)),
            right("list", Ok(true)),
            right("watch", Ok(false)),
        ];
        let part = check(&pods);
        assert_eq!(only(&part).what, "it may not get and watch endpointslices");
        assert_eq!(
            only(&part).fix,
            "kubectl -n games create role wsmesh-admin-get-watch-endpointslices --verb=get,watch \
             --resource=endpointslices.discovery.k8s.io\n\
             kubectl -n games create rolebinding wsmesh-admin-get-watch-endpointslices --role=wsmesh-admin-get-watch-endpointslices \
             --serviceaccount=games:wsmesh-admin"
        );
        pods.rights = vec![right("get", Err("timed out".to_owned()))];
        assert_eq!(
            only(&check(&pods)).severity,
            Severity::Problem,
            "an API server that does not answer"
        );
    }

    #[test]
    fn rights_to_one_resource_for_two_purposes_are_granted_by_two_roles() {
        let of_pods = |verb, purpose| Right {
            resource: "pods",
            group: "",
            purpose,
            ..right(verb, Ok(false))
        };
        let mut pods = fixture::pods();
        pods.rights = vec![of_pods("get", "it is read"), of_pods("patch", "it is written")];
        let part = check(&pods);
        let roles: Vec<_> = part
            .findings
            .iter()
            .filter_map(|finding| finding.fix.split(' ').nth(5))
            .collect();
        assert_eq!(roles, ["wsmesh-admin-get-pods", "wsmesh-admin-patch-pods"]);
    }

    #[test]
    fn a_right_that_is_missing_for_one_object_is_granted_for_that_one_only() {
        let mut pods = fixture::pods();
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
            "kubectl -n games create role wsmesh-admin-get-update-leases-one --verb=get,update --resource=leases.coordination.k8s.io \
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
        let mut pods = fixture::pods();
        pods.rights = vec![scale(Ok(false))];
        let part = check(&pods);
        assert!(
            only(&part).fix.starts_with(
                "kubectl -n games create role wsmesh-admin-patch-statefulsets-scale-one --verb=patch \
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
        let mut pods = fixture::pods();
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
}
