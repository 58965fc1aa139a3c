//! Counts of rooms by namespace, and the largest and busiest rooms: kept up to date where rooms change, so that asking for them
//! looks at few rooms: those of one of 64 stripes at most, and only if one of its largest has shrunk.
//!
//! Each stripe of the hub's rooms has its own part, changed under the stripe's lock: no message takes another lock for it, or
//! allocates. Every table is bounded. `Census` adds the parts up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::{Namespace, Room};

/// Most namespaces that are counted by themselves, in a stripe and in all; the rest is counted together.
const NAMESPACES: usize = 64;
/// Most rooms of each kind that a server reports.
const TOP_ROOMS: usize = 20;

/// The rooms of a namespace on one server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceCount {
    /// None: of all namespaces that are not counted by themselves.
    pub namespace: Option<Namespace>,
    /// Rooms with a local member.
    pub rooms: u64,
    /// Local members; a client counts once for each room.
    pub members: u64,
    /// Messages to these rooms, ever since the start, while they had a local member. It falls back if a namespace had no rooms
    /// for a while and was counted with the rest meanwhile.
    pub messages: u64,
}

impl NamespaceCount {
    pub(crate) fn add(&mut self, other: &Self) {
        self.rooms += other.rooms;
        self.members += other.members;
        self.messages += other.messages;
    }
}

/// A room and how many members it has on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomMembers {
    /// The room.
    pub room: Room,
    /// Its local members.
    pub members: u64,
}

/// A room and how many messages were sent to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomMessages {
    /// The room.
    pub room: Room,
    /// Messages since it has had a local member without interruption.
    pub messages: u64,
}

/// The rooms of one server that have most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopRooms {
    /// Those with most local members, most first; 20 at most. After larger ones have shrunk, a room that does not grow may be
    /// missed by the next 64 questions: each looks at one part of the rooms again.
    pub by_members: Vec<RoomMembers>,
    /// Those that got most messages in the last seconds, most first; 20 at most.
    pub by_messages: Vec<RoomMessages>,
}

/// What all stripes have, added up.
#[derive(Debug, Default)]
pub(super) struct Census {
    named: BTreeMap<Namespace, NamespaceCount>,
    others: NamespaceCount,
    by_members: Vec<RoomMembers>,
    /// With how busy each room was lately.
    by_messages: Vec<(u32, RoomMessages)>,
}

impl Census {
    pub(super) fn add_namespace(&mut self, count: &NamespaceCount) {
        match &count.namespace {
            None => self.others.add(count),
            Some(namespace) => match self.named.get_mut(namespace) {
                Some(known) => known.add(count),
                None => _ = self.named.insert(namespace.clone(), count.clone()),
            },
        }
    }

    pub(super) fn add_large(&mut self, room: &Room, members: u64) {
        let room = room.clone();
        self.by_members.push(RoomMembers { room, members });
    }

    pub(super) fn add_busy(&mut self, room: &Room, lately: u32, messages: u64) {
        let room = room.clone();
        self.by_messages.push((lately, RoomMessages { room, messages }));
    }

    /// All namespaces, and the rest last.
    pub(super) fn namespaces(self) -> Vec<NamespaceCount> {
        self.named.into_values().chain([self.others]).collect()
    }

    /// The namespaces, those with most rooms if there are too many, by name, and the rest last.
    pub(super) fn finish(mut self) -> (Vec<NamespaceCount>, TopRooms) {
        let mut namespaces: Vec<_> = self.named.into_values().collect();
        namespaces.sort_by(|a, b| b.rooms.cmp(&a.rooms).then_with(|| a.namespace.cmp(&b.namespace)));
        for rest in namespaces.split_off(namespaces.len().min(NAMESPACES)) {
            self.others.add(&rest);
        }
        namespaces.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        if self.others != NamespaceCount::default() {
            namespaces.push(self.others);
        }
        self.by_members
            .sort_by(|a, b| b.members.cmp(&a.members).then_with(|| a.room.cmp(&b.room)));
        self.by_members.truncate(TOP_ROOMS);
        self.by_messages
            .sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.room.cmp(&b.1.room)));
        self.by_messages.truncate(TOP_ROOMS);
        let top = TopRooms {
            by_members: self.by_members,
            by_messages: self.by_messages.into_iter().map(|(_, room)| room).collect(),
        };
        (namespaces, top)
    }
}

/// The place of a namespace in [`Namespaces`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place(u8);

/// The namespaces of one stripe. The first place is that of all that have no place of their own.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    places: Vec<NamespaceCount>,
}

impl Namespaces {
    /// A room of this namespace came; the place where it is counted.
    pub(super) fn room_came(&mut self, namespace: &Namespace) -> Place {
        let place = self.place_of(namespace);
        self.places[place.0 as usize].rooms += 1;
        place
    }

    pub(super) fn room_went(&mut self, place: Place) {
        self.places[place.0 as usize].rooms -= 1;
    }

    pub(super) fn member_came(&mut self, place: Place) {
        self.places[place.0 as usize].members += 1;
    }

    pub(super) fn member_went(&mut self, place: Place) {
        self.places[place.0 as usize].members -= 1;
    }

    pub(super) fn message(&mut self, place: Place) {
        self.places[place.0 as usize].messages += 1;
    }

    pub(super) fn report(&self, census: &mut Census) {
        self.places.iter().for_each(|count| census.add_namespace(count));
    }

    fn place_of(&mut self, namespace: &Namespace) -> Place {
        if self.places.is_empty() {
            self.places.push(NamespaceCount::default());
        }
        let known = self
            .places
            .iter()
            .position(|count| count.namespace.as_ref() == Some(namespace));
        if let Some(place) = known {
            return Place(place as u8);
        }
        let named = |namespace: &Namespace| NamespaceCount {
            namespace: Some(namespace.clone()),
            ..NamespaceCount::default()
        };
        if self.places.len() <= NAMESPACES {
            self.places.push(named(namespace));
            return Place((self.places.len() - 1) as u8);
        }
        // A place without rooms is nobody's at the moment.
        match self.places.iter().skip(1).position(|count| count.rooms == 0) {
            Some(place) => {
                let gone = std::mem::replace(&mut self.places[place + 1], named(namespace));
                self.places[0].add(&gone);
                Place((place + 1) as u8)
            }
            None => Place(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(number: usize) -> Namespace {
        Namespace::new(format!("n{number:03}")).expect("valid")
    }

    fn report(namespaces: &Namespaces) -> Vec<NamespaceCount> {
        let mut census = Census::default();
        namespaces.report(&mut census);
        census.finish().0
    }

    #[test]
    fn namespaces_beyond_the_bound_are_counted_together_and_none_is_lost() {
        let mut namespaces = Namespaces::default();
        let places: Vec<_> = (0..100).map(|n| namespaces.room_came(&namespace(n))).collect();
        for place in &places {
            namespaces.member_came(*place);
            namespaces.message(*place);
        }
        let counts = report(&namespaces);
        assert_eq!(counts.len(), NAMESPACES + 1);
        let rest = counts.last().expect("the rest");
        assert_eq!(
            (&rest.namespace, rest.rooms, rest.members, rest.messages),
            (&None, 36, 36, 36)
        );
    }

    #[test]
    fn a_place_without_rooms_goes_to_a_new_namespace_and_its_messages_are_kept() {
        let mut namespaces = Namespaces::default();
        let places: Vec<_> = (0..NAMESPACES).map(|n| namespaces.room_came(&namespace(n))).collect();
        namespaces.message(places[5]);
        namespaces.room_went(places[5]);
        assert_eq!(report(&namespaces).len(), NAMESPACES, "an empty one is still listed");
        let new = namespaces.room_came(&namespace(999));
        assert_eq!(new, places[5]);
        let counts = report(&namespaces);
        assert_eq!(counts.last().map(|rest| (rest.rooms, rest.messages)), Some((0, 1)));
        assert!(
            counts
                .iter()
                .any(|count| count.namespace == Some(namespace(999)) && count.rooms == 1)
        );
    }

    #[test]
    fn of_too_many_namespaces_in_all_stripes_those_with_most_rooms_are_named() {
        let mut census = Census::default();
        for n in 0..NAMESPACES + 10 {
            let count = NamespaceCount {
                namespace: Some(namespace(n)),
                rooms: n as u64 + 1,
                ..NamespaceCount::default()
            };
            census.add_namespace(&count);
            census.add_namespace(&count);
        }
        let (counts, _) = census.finish();
        assert_eq!(counts.len(), NAMESPACES + 1);
        assert_eq!((&counts[0].namespace, counts[0].rooms), (&Some(namespace(10)), 22));
        assert_eq!(counts[NAMESPACES].rooms, 2 * (1..=10).sum::<u64>());
    }
}
