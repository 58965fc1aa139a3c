//! What clients may do in the rooms of a namespace, as in the configuration file, and its check. Plain values.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::Namespace;

/// The defaults of the limits, which also hold for namespaces that the settings do not name.
pub(super) const PUBLISH_BYTES: usize = 16 * 1024;
pub(super) const PUBLISH_PER_SECOND: u32 = 10;
pub(super) const PUBLISH_BURST: u32 = 20;

/// What clients may do in the rooms of one namespace. The limits also hold for clients whose token lets them publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceSettings {
    /// The namespace.
    pub name: Namespace,
    /// Whether clients may publish to the rooms that they are in. Default: only if their token allows it.
    #[serde(default)]
    pub client_publish: bool,
    /// Whether a client gets what it publishes itself, on all its connections. Default `true`.
    #[serde(default = "is_echoed")]
    pub echo_to_sender: bool,
    /// Largest `data` of a message, in bytes of JSON. Default 16 KiB.
    #[serde(default = "bytes")]
    pub publish_bytes: usize,
    /// Messages that one client may publish per second to the rooms of the namespace. Default 10.
    #[serde(default = "per_second")]
    pub publish_per_second: u32,
    /// Messages that one client may publish at once. Default 20.
    #[serde(default = "burst")]
    pub publish_burst: u32,
}

fn is_echoed() -> bool {
    true
}

fn bytes() -> usize {
    PUBLISH_BYTES
}

fn per_second() -> u32 {
    PUBLISH_PER_SECOND
}

fn burst() -> u32 {
    PUBLISH_BURST
}

impl NamespaceSettings {
    /// A namespace to which clients may publish only if their token allows it, with the default limits.
    pub fn new(name: Namespace) -> Self {
        Self {
            name,
            client_publish: false,
            echo_to_sender: is_echoed(),
            publish_bytes: bytes(),
            publish_per_second: per_second(),
            publish_burst: burst(),
        }
    }
}

/// In the demo profile: clients may publish to the rooms that they may join.
pub(crate) fn demo_namespace() -> Option<NamespaceSettings> {
    let chat = Namespace::new("chat").ok()?;
    Some(NamespaceSettings {
        client_publish: true,
        ..NamespaceSettings::new(chat)
    })
}

/// The problems of these namespaces: sentences that say what to write.
pub(crate) fn problems(namespaces: &[NamespaceSettings]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for namespace in namespaces {
        let name = namespace.name.as_str();
        if !names.insert(name) {
            problems.push(format!("the namespace {name:?} is there twice: write one table for it"));
        }
        let limits = [
            ("publish_bytes", namespace.publish_bytes == 0),
            ("publish_per_second", namespace.publish_per_second == 0),
            ("publish_burst", namespace.publish_burst == 0),
        ];
        for (key, _) in limits.into_iter().filter(|(_, is_zero)| *is_zero) {
            problems.push(format!(
                "{key} of the namespace {name:?} is 0: write a larger number, or client_publish = false"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_only_named_lets_nobody_publish_and_has_the_default_limits() {
        let chat: NamespaceSettings = serde_json::from_str(r#"{"name":"chat"}"#).expect("good");
        assert_eq!(chat, NamespaceSettings::new(Namespace::new("chat").expect("valid")));
        assert!(!chat.client_publish && chat.echo_to_sender);
        let limits = (chat.publish_bytes, chat.publish_per_second, chat.publish_burst);
        assert_eq!(limits, (16_384, 10, 20));
    }

    #[test]
    fn a_namespace_without_a_valid_name_or_with_an_unknown_key_is_rejected() {
        for bad in [
            r#"{"client_publish":true}"#,
            r#"{"name":""}"#,
            r#"{"name":"chat","client_publish":"yes"}"#,
            r#"{"name":"chat","publish_per_second":-1}"#,
            r#"{"name":"chat","publish":true}"#,
        ] {
            assert!(serde_json::from_str::<NamespaceSettings>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_problem_is_listed() {
        let chat = NamespaceSettings {
            publish_bytes: 0,
            publish_per_second: 0,
            publish_burst: 0,
            ..NamespaceSettings::new(Namespace::new("chat").expect("valid"))
        };
        assert_eq!(problems(&[chat.clone(), chat]).len(), 7);
        assert_eq!(problems(demo_namespace().as_slice()), [""; 0]);
    }
}
