//! The receivers that must get a message: they subscribed before it was sent and lived until well after.

use std::collections::HashMap;

use super::Evidence;
use crate::message::{ALL_SERVERS, Kind, Message};
use crate::process::Life;
use crate::record::SERVER;

/// A client of a process, or the process itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Receiver {
    /// The index of its life.
    pub(super) life: usize,
    /// The client, or [`SERVER`].
    pub(super) who: u16,
}

/// A process, with the times from which messages reach its clients.
struct Member {
    server: usize,
    ready_us: u64,
    ended_us: Option<u64>,
    clients: HashMap<u16, u64>,
    rooms: HashMap<u16, Vec<(u16, u64)>>,
}

impl Member {
    fn new(life: &Life) -> Self {
        let mut rooms: HashMap<u16, Vec<(u16, u64)>> = HashMap::new();
        for &(client, room, since_us) in &life.reported.joined {
            rooms.entry(room).or_default().push((client, since_us));
        }
        Self {
            server: life.server,
            ready_us: life.reported.ready_us.unwrap_or(u64::MAX),
            ended_us: life.ended_us,
            clients: life.reported.attached.iter().copied().collect(),
            rooms,
        }
    }

    fn lives_on(&self, until_us: u64) -> bool {
        self.ended_us.is_none_or(|ended_us| ended_us > until_us)
    }
}

/// The receivers that must get each message.
pub(super) struct Expected {
    members: Vec<Member>,
    horizon_us: u64,
}

impl Expected {
    pub(super) fn new(evidence: &Evidence) -> Self {
        Self {
            members: evidence.lives.iter().map(Member::new).collect(),
            horizon_us: evidence.pace.horizon().as_micros() as u64,
        }
    }

    /// Lists the receivers that must get a message.
    pub(super) fn of(&self, key: u64, at_us: u64, sender: usize, receivers: &mut Vec<Receiver>) {
        receivers.clear();
        let until_us = at_us + self.horizon_us;
        let Some(message) = Message::from_key(key).filter(|_| self.members[sender].lives_on(until_us)) else {
            return;
        };
        for (life, member) in self.members.iter().enumerate() {
            if member.ready_us >= at_us || !member.lives_on(until_us) {
                continue;
            }
            let mut add = |who| receivers.push(Receiver { life, who });
            match message.kind {
                Kind::Room => {
                    let joined = member.rooms.get(&message.to).into_iter().flatten();
                    joined
                        .filter(|(_, since_us)| *since_us < at_us)
                        .for_each(|(client, _)| add(*client));
                }
                Kind::Client => {
                    if member
                        .clients
                        .get(&message.to)
                        .is_some_and(|since_us| *since_us < at_us)
                    {
                        add(message.to);
                    }
                }
                Kind::Everyone => {
                    let attached = member.clients.iter().filter(|(_, since_us)| **since_us < at_us);
                    attached.for_each(|(client, _)| add(*client));
                }
                Kind::Event => {
                    if message.to == ALL_SERVERS || usize::from(message.to) == member.server + 1 {
                        add(SERVER);
                    }
                }
                Kind::Request => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(server: usize, ready_us: u64, ended_us: Option<u64>, joined: &[(u16, u16, u64)]) -> Member {
        let life = Life {
            process: server as u16,
            server,
            name: String::new(),
            ended_us,
            reported: crate::process::Reported {
                ready_us: Some(ready_us),
                attached: joined.iter().map(|&(client, _, since_us)| (client, since_us)).collect(),
                joined: joined.to_vec(),
                ..Default::default()
            },
            log: std::path::PathBuf::new(),
        };
        Member::new(&life)
    }

    fn expected(members: Vec<Member>, kind: Kind, to: u16, at_us: u64) -> Vec<(usize, u16)> {
        let expected = Expected {
            members,
            horizon_us: 100,
        };
        let message = Message {
            sender: 0,
            kind,
            to,
            sequence: 1,
        };
        let mut receivers = Vec::new();
        expected.of(message.key(), at_us, 0, &mut receivers);
        let mut receivers: Vec<_> = receivers.iter().map(|it| (it.life, it.who)).collect();
        receivers.sort_unstable();
        receivers
    }

    #[test]
    fn a_room_message_is_owed_to_members_that_joined_before_and_live_on() {
        let members = || {
            vec![
                member(0, 5, None, &[(1, 7, 10), (2, 7, 60), (3, 8, 10)]),
                member(1, 5, Some(120), &[(4, 7, 10)]),
                member(2, 5, Some(200), &[(5, 7, 10)]),
                member(3, 80, None, &[(6, 7, 90)]),
            ]
        };
        assert_eq!(expected(members(), Kind::Room, 7, 50), [(0, 1), (2, 5)]);
        assert_eq!(expected(members(), Kind::Everyone, 0, 50), [(0, 1), (0, 3), (2, 5)]);
        assert_eq!(expected(members(), Kind::Client, 4, 15), [(1, 4)]);
    }

    #[test]
    fn an_event_is_owed_to_all_servers_or_to_the_one_that_it_names() {
        let members = || vec![member(0, 5, None, &[]), member(1, 5, None, &[])];
        assert_eq!(
            expected(members(), Kind::Event, ALL_SERVERS, 50),
            [(0, SERVER), (1, SERVER)]
        );
        assert_eq!(expected(members(), Kind::Event, 2, 50), [(1, SERVER)]);
    }

    #[test]
    fn a_sender_that_dies_soon_owes_nothing() {
        let members = vec![member(0, 5, Some(60), &[]), member(1, 5, None, &[(1, 7, 10)])];
        assert_eq!(expected(members, Kind::Room, 7, 50), []);
    }
}
