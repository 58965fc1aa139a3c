//! From topics to Redis channels. Pure and one-way: nothing is ever parsed back out of a channel's name.
//!
//! With `direct` routing, a message reaches only the servers that need it. With `shared` routing, wsmesh uses the
//! channels of *websocket-cross-server-adapter*, so that servers of both kinds form one cluster. Messages that only
//! wsmesh servers understand (beacons, probes, copies, removed rooms) still use separate channels.

use std::sync::Arc;

use super::names::{Instance, Room, ServerName};
use super::topic::Topic;

/// Which Redis channels messages travel on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Routing {
    /// One channel per server, client and room: a message reaches only the servers that need it.
    #[default]
    Direct,
    /// The channels of the JavaScript package: every server reads every event, and every message to a client or to a
    /// room's namespace.
    Shared {
        /// Prefix of the bridge's channel: the JavaScript package's `bridgePrefix`, by default `csbp:`.
        bridge_prefix: String,
        /// Prefix of the channels of clients and namespaces: the JavaScript package's `wsPrefix`, by default `ws:`.
        ws_prefix: String,
    },
}

impl Routing {
    /// What is wrong with the prefixes, together with the cluster's own `prefix`; `None` if they are valid.
    pub fn problem(&self, prefix: &str) -> Option<String> {
        let Self::Shared {
            bridge_prefix,
            ws_prefix,
        } = self
        else {
            return None;
        };
        let all = [prefix, bridge_prefix, ws_prefix];
        if all.iter().any(|one| one.is_empty()) {
            return Some("shared routing needs three prefixes, but one is empty".to_owned());
        }
        for (index, one) in all.iter().enumerate() {
            for (_, other) in all.iter().enumerate().filter(|(at, _)| *at != index) {
                if other.starts_with(one) {
                    return Some(format!(
                        "the prefixes {one:?} and {other:?} overlap: none may begin with another"
                    ));
                }
            }
        }
        None
    }
}

/// The channels of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    prefix: String,
    routing: Routing,
}

impl Channels {
    pub(crate) fn new(prefix: &str, routing: Routing) -> Self {
        Self {
            prefix: prefix.to_owned(),
            routing,
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.routing, Routing::Shared { .. })
    }

    /// The channel of a topic. With direct routing different topics have different channels.
    pub(crate) fn channel(&self, topic: &Topic) -> Arc<str> {
        let prefix = &self.prefix;
        match (topic, &self.routing) {
            (Topic::Custom(name), _) => return name.clone(),
            (Topic::Server(_) | Topic::Servers, Routing::Shared { bridge_prefix, .. }) => {
                format!("{bridge_prefix}server_bridge")
            }
            (Topic::Client(_), Routing::Shared { ws_prefix, .. }) => format!("{ws_prefix}private_socket"),
            (Topic::Clients, Routing::Shared { ws_prefix, .. }) => format!("{ws_prefix}broadcast"),
            // Such a namespace would share its channel with the messages to clients, so its rooms exist on wsmesh
            // servers only.
            (Topic::Room(room), Routing::Shared { .. })
                if matches!(room.namespace.as_str(), "broadcast" | "private_socket") =>
            {
                self.room(room)
            }
            (Topic::Room(room), Routing::Shared { ws_prefix, .. }) => format!("{ws_prefix}{}", room.namespace),
            (Topic::Server(name), Routing::Direct) => return self.own(name),
            (Topic::Servers, Routing::Direct) => return self.all_own(),
            (Topic::Client(id), Routing::Direct) => format!("{prefix}client:{id}"),
            (Topic::Clients, Routing::Direct) => format!("{prefix}clients"),
            (Topic::Room(room), Routing::Direct) => self.room(room),
        }
        .into()
    }

    /// A server's own channel, whatever the routing: copies for it travel here.
    pub(crate) fn own(&self, server: &ServerName) -> Arc<str> {
        format!("{}server:{server}", self.prefix).into()
    }

    /// The channel of all wsmesh servers, whatever the routing.
    pub(crate) fn all_own(&self) -> Arc<str> {
        format!("{}servers", self.prefix).into()
    }

    /// Whether a channel is a custom channel.
    pub(crate) fn is_custom(&self, channel: &[u8]) -> bool {
        self.taken_prefix(channel).is_none()
    }

    /// The reserved prefix of this cluster that a channel begins with, if any.
    pub(crate) fn taken_prefix(&self, channel: &[u8]) -> Option<&str> {
        let shared = match &self.routing {
            Routing::Direct => [None, None],
            Routing::Shared {
                bridge_prefix,
                ws_prefix,
            } => [Some(bridge_prefix), Some(ws_prefix)],
        };
        let mut prefixes = [Some(&self.prefix)].into_iter().chain(shared).flatten();
        prefixes
            .find(|prefix| channel.starts_with(prefix.as_bytes()))
            .map(String::as_str)
    }

    /// The channel of beacons.
    pub(crate) fn beacon(&self) -> Arc<str> {
        format!("{}beacon", self.prefix).into()
    }

    /// The channel on which a process receives its own probes.
    pub(crate) fn probe(&self, instance: Instance) -> Arc<str> {
        format!("{}probe:{instance}", self.prefix).into()
    }

    /// The separator is escaped inside a namespace, so the first one ends the namespace and the rest is the id.
    fn room(&self, room: &Room) -> String {
        let mut channel = format!("{}room:", self.prefix);
        for c in room.namespace.as_str().chars() {
            match c {
                ':' => channel.push_str("%3A"),
                '%' => channel.push_str("%25"),
                c => channel.push(c),
            }
        }
        channel.push(':');
        channel.push_str(room.id.as_str());
        channel
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{ClientId, ServerName};

    fn topic() -> impl Strategy<Value = Topic> {
        let name = "[a-c:%3A5]{1,6}";
        prop_oneof![
            name.prop_map(|name| Topic::Server(ServerName::new(name).expect("valid"))),
            name.prop_map(|name| Topic::Client(ClientId::new(name).expect("valid"))),
            (name, name).prop_map(|(namespace, id)| Topic::Room(Room::new(namespace, id).expect("valid"))),
            Just(Topic::Servers),
            Just(Topic::Clients),
            // A custom channel that begins with the prefix is rejected before it becomes a topic.
            name.prop_map(|name| Topic::Custom(name.into())),
        ]
    }

    proptest! {
        #[test]
        fn different_topics_have_different_channels(a in topic(), b in topic()) {
            let channels = Channels::new("wsmesh:", Routing::Direct);
            prop_assert_eq!(a == b, channels.channel(&a) == channels.channel(&b));
            for own in [channels.beacon(), channels.probe(Instance(0xabc))] {
                prop_assert!(channels.channel(&a) != own);
            }
        }

        #[test]
        fn different_rooms_have_different_channels_whatever_their_names(
            a in ("[:%a3A\u{e9} ]{1,5}", "[:%a3A\u{e9} ]{1,5}"),
            b in ("[:%a3A\u{e9} ]{1,5}", "[:%a3A\u{e9} ]{1,5}"),
        ) {
            let channels = Channels::new("wsmesh:", Routing::Direct);
            let channel = |(ns, id): &(String, String)| channels.channel(&Topic::Room(Room::new(ns, id).expect("valid")));
            prop_assert_eq!(a == b, channel(&a) == channel(&b));
        }
    }

    #[test]
    fn direct_channels_have_the_names_of_the_protocol() {
        let channels = Channels::new("wsmesh:", Routing::Direct);
        let room = Topic::Room(Room::new("chat", "1:2").expect("valid"));
        assert_eq!(&*channels.channel(&room), "wsmesh:room:chat:1:2");
        assert_eq!(&*channels.channel(&Topic::Servers), "wsmesh:servers");
        assert_eq!(&*channels.beacon(), "wsmesh:beacon");
    }

    fn shared() -> Routing {
        Routing::Shared {
            bridge_prefix: "csbp:".into(),
            ws_prefix: "ws:".into(),
        }
    }

    #[test]
    fn shared_channels_have_the_names_of_the_javascript_package() {
        let channels = Channels::new("wsmesh:", shared());
        let name = ServerName::new("a").expect("valid");
        let of = |topic: Topic| channels.channel(&topic).to_string();
        assert_eq!(of(Topic::Server(name.clone())), "csbp:server_bridge");
        assert_eq!(of(Topic::Servers), "csbp:server_bridge");
        assert_eq!(
            of(Topic::Client(ClientId::new("1").expect("valid"))),
            "ws:private_socket"
        );
        assert_eq!(of(Topic::Clients), "ws:broadcast");
        assert_eq!(of(Topic::Room(Room::new("chat", "1").expect("valid"))), "ws:chat");
        assert_eq!(
            of(Topic::Room(Room::new("broadcast", "1").expect("valid"))),
            "wsmesh:room:broadcast:1"
        );
        assert_eq!(&*channels.own(&name), "wsmesh:server:a");
        for (channel, custom) in [("ws:x", false), ("csbp:x", false), ("wsmesh:x", false), ("news", true)] {
            assert_eq!(channels.is_custom(channel.as_bytes()), custom, "{channel}");
        }
    }

    #[test]
    fn prefixes_that_overlap_are_rejected() {
        assert_eq!(shared().problem("wsmesh:"), None);
        for (bridge_prefix, ws_prefix) in [("", "ws:"), ("x:", "x:"), ("w", "ws:"), ("wsmesh:b", "ws:")] {
            let routing = Routing::Shared {
                bridge_prefix: bridge_prefix.into(),
                ws_prefix: ws_prefix.into(),
            };
            assert!(routing.problem("wsmesh:").is_some(), "{routing:?}");
        }
    }
}
