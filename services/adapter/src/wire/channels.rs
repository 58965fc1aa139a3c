//! Topic to Redis channel. Pure, one way: nothing is ever parsed back out of a channel's name.
//!
//! This is `direct` routing: a message reaches only the servers that want it. `shared` routing (the original's channels)
//! is another map of the same shape.

use std::sync::Arc;

use super::names::{Instance, Room};
use super::topic::Topic;

/// The channels of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    prefix: String,
}

impl Channels {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The channel of a topic. Different topics have different channels.
    pub(crate) fn channel(&self, topic: &Topic) -> Arc<str> {
        let prefix = &self.prefix;
        match topic {
            Topic::Server(name) => format!("{prefix}server:{name}"),
            Topic::Servers => format!("{prefix}servers"),
            Topic::Client(id) => format!("{prefix}client:{id}"),
            Topic::Clients => format!("{prefix}clients"),
            Topic::Room(room) => self.room(room),
            Topic::Custom(name) => return name.clone(),
        }
        .into()
    }

    /// Where beacons travel.
    pub(crate) fn beacon(&self) -> Arc<str> {
        format!("{}beacon", self.prefix).into()
    }

    /// Where one process hears its own probes.
    pub(crate) fn probe(&self, instance: Instance) -> Arc<str> {
        format!("{}probe:{instance}", self.prefix).into()
    }

    /// The separator inside a namespace is escaped, so the first one ends it and the rest is the id.
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
            // A custom channel that begins with the prefix is refused before it is a topic.
            name.prop_map(|name| Topic::Custom(name.into())),
        ]
    }

    proptest! {
        #[test]
        fn different_topics_have_different_channels(a in topic(), b in topic()) {
            let channels = Channels::new("wsmesh:");
            prop_assert_eq!(a == b, channels.channel(&a) == channels.channel(&b));
            for own in [channels.beacon(), channels.probe(Instance(0xabc))] {
                prop_assert!(channels.channel(&a) != own);
            }
        }

        #[test]
        fn rooms_of_any_names_have_channels_of_their_own(
            a in ("[:%a3A\u{e9} ]{1,5}", "[:%a3A\u{e9} ]{1,5}"),
            b in ("[:%a3A\u{e9} ]{1,5}", "[:%a3A\u{e9} ]{1,5}"),
        ) {
            let channels = Channels::new("wsmesh:");
            let channel = |(ns, id): &(String, String)| channels.channel(&Topic::Room(Room::new(ns, id).expect("valid")));
            prop_assert_eq!(a == b, channel(&a) == channel(&b));
        }
    }

    #[test]
    fn channels_are_those_of_the_protocol() {
        let channels = Channels::new("wsmesh:");
        let room = Topic::Room(Room::new("chat", "1:2").expect("valid"));
        assert_eq!(&*channels.channel(&room), "wsmesh:room:chat:1:2");
        assert_eq!(&*channels.channel(&Topic::Servers), "wsmesh:servers");
        assert_eq!(&*channels.beacon(), "wsmesh:beacon");
    }
}
