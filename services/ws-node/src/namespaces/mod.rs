//! What clients may publish to the rooms of a namespace, and how much of it. Made once from the settings; what each client has
//! used of its rates is kept by its connection.

pub(crate) mod settings;

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::time::Duration;

use wsmesh_adapter::Namespace;

pub use settings::NamespaceSettings;
use settings::{PUBLISH_BURST, PUBLISH_BYTES, PUBLISH_PER_SECOND};

use crate::limits::{Meter, Rate};

/// How clients may publish to the rooms of one namespace.
#[derive(Debug)]
pub(crate) struct Publishing {
    /// Members may, unless their token says otherwise.
    pub(crate) is_open: bool,
    pub(crate) echo_to_sender: bool,
    pub(crate) most_bytes: usize,
    rate: Option<Rate>,
    /// Which of a client's meters counts its messages.
    meter: usize,
}

impl Publishing {
    fn new(settings: &NamespaceSettings, meter: usize) -> Self {
        Self {
            is_open: settings.client_publish,
            echo_to_sender: settings.echo_to_sender,
            most_bytes: settings.publish_bytes,
            rate: Rate::new(settings.publish_per_second, settings.publish_burst),
            meter,
        }
    }
}

/// The namespaces of the settings, and what holds for all others.
#[derive(Debug)]
pub(crate) struct Namespaces {
    listed: HashMap<Namespace, Publishing>,
    /// Only tokens allow them; one client's messages to all of them count together, so that their number does not matter.
    others: Publishing,
}

/// How many messages one connection has published lately. Empty until its first one.
#[derive(Debug, Default)]
pub(crate) struct Published(OnceCell<Box<[Cell<Meter>]>>);

impl Namespaces {
    pub(crate) fn new(settings: &[NamespaceSettings]) -> Self {
        let listed = settings.iter().enumerate();
        let listed = listed.map(|(meter, namespace)| (namespace.name.clone(), Publishing::new(namespace, meter)));
        Self {
            listed: listed.collect(),
            others: Publishing {
                is_open: false,
                echo_to_sender: true,
                most_bytes: PUBLISH_BYTES,
                rate: Rate::new(PUBLISH_PER_SECOND, PUBLISH_BURST),
                meter: settings.len(),
            },
        }
    }

    /// How clients may publish to the rooms of this namespace.
    pub(crate) fn publishing(&self, namespace: &Namespace) -> &Publishing {
        self.listed.get(namespace).unwrap_or(&self.others)
    }

    /// Counts one more message of a connection; `false` if it is one too many.
    pub(crate) fn count(&self, published: &Published, publishing: &Publishing, now: Duration) -> bool {
        let meters = published
            .0
            .get_or_init(|| vec![Cell::default(); self.listed.len() + 1].into());
        match (publishing.rate, meters.get(publishing.meter)) {
            (Some(rate), Some(meter)) => {
                let mut one = meter.get();
                let allowed = one.take(rate, now);
                meter.set(one);
                allowed
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str) -> Namespace {
        Namespace::new(name).expect("valid")
    }

    #[test]
    fn each_listed_namespace_has_its_own_rate_and_all_others_share_one() {
        let slow = |name| NamespaceSettings {
            publish_per_second: 1,
            publish_burst: 2,
            ..NamespaceSettings::new(namespace(name))
        };
        let namespaces = Namespaces::new(&[slow("chat"), slow("game")]);
        let (published, now) = (Published::default(), Duration::from_secs(7));
        let count = |name: &str| namespaces.count(&published, namespaces.publishing(&namespace(name)), now);
        assert_eq!(["chat"; 3].map(count), [true, true, false]);
        assert_eq!(["game"; 3].map(count), [true, true, false]);
        let others = (0..PUBLISH_BURST + 5).filter(|number| count(&format!("other-{number}")));
        assert_eq!(others.count(), PUBLISH_BURST as usize);
        let another = Published::default();
        assert!(namespaces.count(&another, namespaces.publishing(&namespace("chat")), now));
    }
}
