//! Counts what was due, and what of it did not arrive, or twice. Pure.
//!
//! A message is due to every client that was connected and in the room (for a message to one client: connected) before it was sent,
//! and stayed connected for the time to settle, if the server accepted it. What a client missed whose connection ended sooner is
//! counted apart: nobody promised it. The report has a limit for that, so that it hides no loss.

use std::collections::HashMap;

use crate::record::{Diary, Key, Outcome, Received, Sent, To};

/// A delivery that took longer is late.
const LATE_US: u64 = 1_000_000;
/// Most examples of what went wrong.
const MOST_EXAMPLES: usize = 10;

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    pub(crate) silent: u64,
    /// Deliveries that had to come.
    pub(crate) due: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// Deliveries that did not come to clients whose connection ended soon after the message was sent.
    pub(crate) cut: u64,
    pub(crate) late: u64,
    /// The times of deliveries, ascending.
    pub(crate) delays_us: Vec<u64>,
    pub(crate) examples: Vec<String>,
}

impl Tally {
    /// Whether everything that was due has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.lost == 0
    }
}

/// Counts.
pub(crate) fn judge(diaries: &[Diary], settle_us: u64) -> Tally {
    let mut tally = Tally::default();
    let received: Vec<HashMap<Key, u64>> = diaries
        .iter()
        .enumerate()
        .map(|(client, diary)| first_arrivals(client, &diary.received, &mut tally))
        .collect();
    let mut members: HashMap<u32, Vec<usize>> = HashMap::new();
    for (client, diary) in diaries.iter().enumerate() {
        members.entry(diary.room).or_default().push(client);
    }
    for sent in diaries.iter().flat_map(|diary| &diary.sent) {
        tally.sent += 1;
        match sent.outcome {
            Outcome::Accepted => tally.accepted += 1,
            Outcome::Refused => tally.refused += 1,
            Outcome::Unknown => tally.unknown += 1,
            Outcome::Silent => tally.silent += 1,
        }
        let one;
        let receivers: &[usize] = match sent.to {
            To::Room(room) => members.get(&room).map_or(&[], Vec::as_slice),
            To::Client(client) => {
                one = [client as usize];
                &one
            }
        };
        for &receiver in receivers.iter().filter(|receiver| **receiver < diaries.len()) {
            count(
                sent,
                receiver,
                &diaries[receiver],
                &received[receiver],
                settle_us,
                &mut tally,
            );
        }
    }
    tally.delays_us.sort_unstable();
    tally
}

/// When each message arrived at a client. The second arrival of one is an error.
fn first_arrivals(client: usize, received: &[Received], tally: &mut Tally) -> HashMap<Key, u64> {
    let mut first = HashMap::with_capacity(received.len());
    for Received { key, at_us } in received {
        if let Some(before_us) = first.get(key) {
            tally.doubled += 1;
            let again = format!("doubled: {key:?} came to client {client} at {before_us} and at {at_us} µs");
            example(tally, again);
        } else {
            first.insert(*key, *at_us);
        }
    }
    first
}

fn count(sent: &Sent, receiver: usize, diary: &Diary, received: &HashMap<Key, u64>, settle_us: u64, tally: &mut Tally) {
    let arrived = received.get(&sent.key);
    if let Some(&at_us) = arrived {
        let delay = at_us.saturating_sub(sent.at_us);
        tally.late += u64::from(delay > LATE_US);
        tally.delays_us.push(delay);
    }
    let present = diary
        .presences
        .iter()
        .find(|presence| presence.from_us < sent.at_us && presence.until_us.is_none_or(|until| until > sent.at_us));
    let (Outcome::Accepted, Some(present)) = (sent.outcome, present) else {
        return;
    };
    let is_due = present.until_us.is_none_or(|until| until > sent.at_us + settle_us);
    tally.due += u64::from(is_due);
    match (is_due, arrived) {
        (_, Some(_)) => {}
        (false, None) => tally.cut += 1,
        (true, None) => {
            tally.lost += 1;
            let lost = format!(
                "lost: {:?} to {:?} at {} µs, for client {receiver}",
                sent.key, sent.to, sent.at_us
            );
            example(tally, lost);
        }
    }
}

fn example(tally: &mut Tally, text: String) {
    if tally.examples.len() < MOST_EXAMPLES {
        tally.examples.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Presence;

    const SETTLE: u64 = 100;

    fn key(number: u32) -> Key {
        Key { sender: 0, number }
    }

    fn sent(number: u32, at_us: u64, to: To, outcome: Outcome) -> Sent {
        Sent {
            key: key(number),
            to,
            at_us,
            outcome,
        }
    }

    /// A client in room 1 with these presences, which received these messages.
    fn client(presences: &[(u64, Option<u64>)], received: &[u32]) -> Diary {
        Diary {
            room: 1,
            presences: presences
                .iter()
                .map(|&(from_us, until_us)| Presence { from_us, until_us })
                .collect(),
            received: received
                .iter()
                .map(|&number| Received {
                    key: key(number),
                    at_us: 1_000,
                })
                .collect(),
            ..Diary::default()
        }
    }

    fn counted(messages: &[Sent], receivers: Vec<Diary>) -> (u64, u64, u64, u64) {
        let sender = Diary {
            room: 9,
            sent: messages.to_vec(),
            ..Diary::default()
        };
        let diaries: Vec<Diary> = std::iter::once(sender).chain(receivers).collect();
        let tally = judge(&diaries, SETTLE);
        (tally.due, tally.lost, tally.doubled, tally.cut)
    }

    #[test]
    fn a_message_is_due_to_members_that_were_there_before_and_stayed() {
        let message = [sent(1, 500, To::Room(1), Outcome::Accepted)];
        assert_eq!(counted(&message, vec![client(&[(100, None)], &[1])]), (1, 0, 0, 0));
        assert_eq!(counted(&message, vec![client(&[(100, None)], &[])]), (1, 1, 0, 0));
        assert_eq!(counted(&message, vec![client(&[(100, Some(601))], &[])]), (1, 1, 0, 0));
        assert_eq!(counted(&message, vec![client(&[(100, Some(550))], &[])]), (0, 0, 0, 1));
        assert_eq!(counted(&message, vec![client(&[(100, Some(400))], &[])]), (0, 0, 0, 0));
        assert_eq!(counted(&message, vec![client(&[(510, None)], &[])]), (0, 0, 0, 0));
        let back = client(&[(100, Some(400)), (450, None)], &[]);
        assert_eq!(counted(&message, vec![back]), (1, 1, 0, 0));
    }

    #[test]
    fn only_accepted_messages_are_due_and_unknown_ones_may_come() {
        for outcome in [Outcome::Refused, Outcome::Unknown, Outcome::Silent] {
            let message = [sent(1, 500, To::Client(1), outcome)];
            assert_eq!(counted(&message, vec![client(&[(100, None)], &[])]), (0, 0, 0, 0));
            assert_eq!(counted(&message, vec![client(&[(100, None)], &[1])]), (0, 0, 0, 0));
        }
    }

    #[test]
    fn what_comes_twice_is_doubled_whoever_sent_it_and_however_the_client_was_connected() {
        let message = [sent(1, 500, To::Client(1), Outcome::Unknown)];
        let twice = client(&[(100, Some(550)), (560, None)], &[1, 1]);
        assert_eq!(counted(&message, vec![twice]), (0, 0, 1, 0));
        assert_eq!(counted(&[], vec![client(&[], &[7, 7, 7])]), (0, 0, 2, 0));
    }

    #[test]
    fn a_message_to_one_client_is_due_to_it_alone() {
        let message = [sent(1, 500, To::Client(2), Outcome::Accepted)];
        let receivers = vec![client(&[(100, None)], &[]), client(&[(100, None)], &[1])];
        assert_eq!(counted(&message, receivers), (1, 0, 0, 0));
    }
}
