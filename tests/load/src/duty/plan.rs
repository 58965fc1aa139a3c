//! The roles of connections in a run with messages: which publish, which receive what, which come and go.

use crate::net::Identity;

/// The receivers of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// To everyone in a room; connection `n` is in room `n % rooms`, publisher `p` is connection `p`.
    Rooms(usize),
    /// From publisher `p`, which is connection `p`, to connection `p + pairs`.
    Pairs,
}

/// The role of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receives, and every message to it is counted; the first ones publish, too.
    Member,
    /// Is in a room and never reads.
    Slow,
    /// Is in a room for a while, again and again.
    Churner,
}

/// How messages are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// This many messages a second of all publishers together, each sent when it is due, whatever happens.
    Rate(f64),
    /// This many messages of each publisher are under way at the same time.
    Window(u64),
}

/// A run with messages.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The receivers of messages.
    pub address: Address,
    /// Connections that are measured.
    pub members: usize,
    /// Connections that never read.
    pub slow: usize,
    /// Connections that come and go.
    pub churners: usize,
    /// How long each stays, ns.
    pub stay_ns: u64,
    /// The number of publishers.
    pub publishers: usize,
    /// How messages are sent.
    pub pace: Pace,
    /// Bytes of a message's text.
    pub size: usize,
    /// The beginning of client ids and room ids.
    pub prefix: String,
}

impl Plan {
    /// All connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.members + self.slow + self.churners
    }

    /// Connections that are there from the beginning to the end.
    #[must_use]
    pub fn staying(&self) -> usize {
        self.members + self.slow
    }

    /// The role of connection `number`.
    #[inline]
    #[must_use]
    pub fn role(&self, number: usize) -> Role {
        if number < self.members {
            Role::Member
        } else if number < self.members + self.slow {
            Role::Slow
        } else {
            Role::Churner
        }
    }

    /// The identity of connection `number`. Each goes to the next server, and the two of a pair to different ones.
    #[must_use]
    pub fn identity(&self, number: usize) -> Identity {
        let target = match self.address {
            Address::Pairs if number >= self.publishers => number - self.publishers + 1,
            _ => number,
        };
        Identity {
            number,
            target,
            id: self.client_id(number),
        }
    }

    /// The client id of connection `number`.
    #[must_use]
    pub fn client_id(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }

    /// The room that connection `number` is in.
    #[must_use]
    pub fn room(&self, number: usize) -> Option<String> {
        match self.address {
            Address::Rooms(rooms) => Some(format!("{}room-{}", self.prefix, number % rooms)),
            Address::Pairs => None,
        }
    }

    /// How many measured connections get each message of a publisher.
    #[must_use]
    pub fn receivers(&self, publisher: usize) -> u64 {
        match self.address {
            Address::Rooms(rooms) => {
                let room = publisher % rooms;
                (room..self.members).step_by(rooms).len() as u64
            }
            Address::Pairs => 1,
        }
    }

    /// The maximum number of publishers that a receiver hears.
    #[must_use]
    pub fn heard(&self) -> usize {
        match self.address {
            Address::Rooms(rooms) => self.publishers.div_ceil(rooms),
            Address::Pairs => 1,
        }
    }

    /// The index of a publisher among those that connection `number` hears; `None` if it should not hear it.
    #[inline]
    #[must_use]
    pub fn place(&self, number: usize, publisher: usize) -> Option<usize> {
        match self.address {
            _ if publisher >= self.publishers => None,
            Address::Rooms(rooms) => (publisher % rooms == number % rooms).then(|| publisher / rooms),
            Address::Pairs => (number == publisher + self.publishers).then_some(0),
        }
    }

    /// The publishers that connection `number` hears, in the order of [`Plan::place`].
    pub fn publishers_of(&self, number: usize) -> impl Iterator<Item = usize> + use<> {
        let (first, step) = match self.address {
            Address::Rooms(rooms) => (number % rooms, rooms),
            // A connection that is not a receiver hears no publisher.
            Address::Pairs => (number.checked_sub(self.publishers).unwrap_or(usize::MAX), usize::MAX),
        };
        (first..self.publishers.max(first)).step_by(step)
    }

    /// A publisher's frame before and after its text.
    #[must_use]
    pub fn around(&self, publisher: usize) -> (String, String) {
        let (action, key, to) = match self.address {
            Address::Rooms(_) => ("toRoom", "roomId", self.room(publisher).unwrap_or_default()),
            Address::Pairs => ("toPlayer", "toPlayerId", self.client_id(publisher + self.publishers)),
        };
        let before = format!(r#"{{"event":"command","payload":{{"action":"{action}","{key}":"{to}","msg":""#);
        (before, r#""}}"#.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(address: Address, members: usize, publishers: usize) -> Plan {
        Plan {
            address,
            members,
            slow: 1,
            churners: 1,
            stay_ns: 0,
            publishers,
            pace: Pace::Window(1),
            size: 0,
            prefix: "t".to_owned(),
        }
    }

    #[test]
    fn a_message_goes_to_every_member_of_its_publishers_room_and_to_nobody_else() {
        let plan = plan(Address::Rooms(3), 10, 5);
        for publisher in 0..5 {
            let hearing = (0..10)
                .filter(|&number| plan.place(number, publisher).is_some())
                .count();
            assert_eq!(plan.receivers(publisher), hearing as u64);
        }
        for number in 0..10 {
            let heard: Vec<_> = plan.publishers_of(number).collect();
            assert!(heard.len() <= plan.heard());
            for (place, publisher) in heard.into_iter().enumerate() {
                assert_eq!(plan.place(number, publisher), Some(place));
            }
        }
        assert_eq!(plan.place(0, 5), None);
    }

    #[test]
    fn pairs_are_on_different_servers() {
        let plan = plan(Address::Pairs, 6, 3);
        for publisher in 0..3 {
            assert_eq!(plan.place(publisher + 3, publisher), Some(0));
            assert_eq!(plan.publishers_of(publisher + 3).collect::<Vec<_>>(), [publisher]);
            assert_eq!(plan.publishers_of(publisher).count(), 0);
            let servers = [plan.identity(publisher), plan.identity(publisher + 3)].map(|who| who.target % 2);
            assert_ne!(servers[0], servers[1]);
        }
    }

    #[test]
    fn roles_follow_each_other() {
        let plan = plan(Address::Rooms(1), 2, 1);
        assert_eq!(
            [0, 1, 2, 3].map(|number| plan.role(number)),
            [Role::Member, Role::Member, Role::Slow, Role::Churner]
        );
    }
}
