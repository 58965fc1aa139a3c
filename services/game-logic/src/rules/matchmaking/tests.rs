use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use wsmesh_adapter::{ClientId, ServerName};

use super::queue::Adopted;
use super::*;

const WIDENING: Widening = Widening {
    start: 100,
    per_second: 50,
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn queue(players: usize) -> Queue {
    Queue::new(
        Mode {
            name: "duel".into(),
            players,
        },
        WIDENING,
        100,
    )
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).expect("valid")
}

fn at(server: &str, asked: u64) -> Connection {
    Connection {
        server: ServerName::new(server).expect("valid"),
        asked: secs(asked),
    }
}

fn ticket(name: &str, rating: i32, since: u64) -> Ticket {
    Ticket {
        id: format!("t-{name}-{since}"),
        client: client(name),
        at: at("ws-1", since),
        elsewhere: Vec::new(),
        rating,
        party: None,
        since: secs(since),
    }
}

fn with_party(name: &str, rating: i32, since: u64, party: &str, size: usize) -> Ticket {
    Ticket {
        party: Some(Party { id: party.into(), size }),
        ..ticket(name, rating, since)
    }
}

fn enter(queue: &mut Queue, tickets: impl IntoIterator<Item = Ticket>) {
    for ticket in tickets {
        queue.enter(ticket).expect("there is room");
    }
}

fn names(formed: &[Vec<Ticket>]) -> Vec<Vec<&str>> {
    let mut names: Vec<Vec<_>> = formed
        .iter()
        .map(|group| group.iter().map(|ticket| ticket.client.as_str()).collect())
        .collect();
    names.iter_mut().for_each(|group| group.sort_unstable());
    names
}

#[test]
fn two_players_of_similar_rating_are_matched_and_leave_the_queue() {
    let mut queue = queue(2);
    enter(&mut queue, [ticket("ann", 1000, 0), ticket("bob", 1080, 1)]);
    assert_eq!(names(&queue.form(secs(1), 10)), [["ann", "bob"]]);
    assert!(queue.is_empty());
}

#[test]
fn players_far_apart_are_matched_once_the_range_has_widened_enough() {
    let mut queue = queue(2);
    enter(&mut queue, [ticket("ann", 1000, 0), ticket("bob", 1300, 0)]);
    assert!(queue.form(Duration::from_millis(3_999), 10).is_empty());
    assert_eq!(names(&queue.form(secs(4), 10)), [["ann", "bob"]]);
}

#[test]
fn the_player_who_waited_longest_gets_the_nearest_opponent() {
    let mut queue = queue(2);
    enter(
        &mut queue,
        [ticket("old", 1000, 0), ticket("far", 1090, 5), ticket("near", 1010, 6)],
    );
    assert_eq!(names(&queue.form(secs(6), 10)), [["near", "old"]]);
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_second_request_is_answered_with_the_first_ticket() {
    let mut queue = queue(2);
    enter(&mut queue, [ticket("ann", 1000, 0)]);
    assert_eq!(
        queue.enter(ticket("ann", 1500, 9)).expect("has one"),
        &Ticket {
            at: at("ws-1", 9),
            ..ticket("ann", 1000, 0)
        }
    );
}

#[test]
fn a_full_queue_rejects_new_players_but_not_those_who_wait_already() {
    let mut queue = Queue::new(
        Mode {
            name: "duel".into(),
            players: 5,
        },
        WIDENING,
        1,
    );
    enter(&mut queue, [ticket("ann", 1000, 0)]);
    assert_eq!(queue.enter(ticket("bob", 1000, 0)), Err(QueueFull));
    assert!(queue.enter(ticket("ann", 1000, 0)).is_ok());
    assert_eq!(
        queue.adopt(ticket("bob", 1000, 0)),
        Adopted::Refused,
        "the former owner keeps it"
    );
}

#[test]
fn a_party_waits_until_all_its_members_have_asked_and_is_then_matched_with_others() {
    let mut queue = queue(4);
    enter(
        &mut queue,
        [
            with_party("a1", 1000, 0, "a", 3),
            with_party("a2", 1000, 0, "a", 3),
            ticket("ann", 1000, 0),
        ],
    );
    enter(&mut queue, [ticket("bob", 1000, 0)]);
    assert!(queue.form(secs(1), 10).is_empty(), "a3 has not asked");
    enter(&mut queue, [with_party("a3", 1000, 2, "a", 3)]);
    let formed = queue.form(secs(2), 10);
    let group = &names(&formed)[0];
    assert!(
        ["a1", "a2", "a3"].iter().all(|member| group.contains(member)),
        "{group:?}"
    );
    assert_eq!(queue.len(), 1);
}

#[test]
fn parties_of_sizes_that_a_greedy_choice_would_not_combine_fill_a_match() {
    // Nearest first: 1 (anchor) + 2 leaves 1 open; the match is 2 + 2, or 1 + 2 + 1, never 1 + 2.
    let mut queue = queue(4);
    let party = |id: &str, since| [1, 2].map(|n| with_party(&format!("{id}{n}"), 1000, since, id, 2));
    enter(&mut queue, [ticket("ann", 1000, 0)]);
    enter(&mut queue, party("a", 1));
    enter(&mut queue, party("b", 2));
    assert_eq!(names(&queue.form(secs(3), 10)), [["a1", "a2", "b1", "b2"]]);
}

#[test]
fn a_ticket_that_was_on_its_way_when_its_player_left_does_not_come_back() {
    let mut queue = queue(2);
    queue.leave(secs(5), &client("ann"), &ServerName::new("ws-1").expect("valid"));
    assert_ne!(
        queue.adopt(ticket("ann", 1000, 3)),
        Adopted::Refused,
        "the former owner must forget it"
    );
    assert!(queue.is_empty());
    assert_ne!(
        queue.adopt(ticket("ann", 1000, 6)),
        Adopted::Refused,
        "asked again after that"
    );
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_player_that_asked_again_while_its_ticket_was_on_its_way_keeps_the_time_it_waited() {
    let mut queue = queue(2);
    enter(&mut queue, [ticket("ann", 1000, 9)]);
    assert_ne!(queue.adopt(ticket("ann", 1000, 3)), Adopted::Refused);
    let kept = queue.ticket(&client("ann")).expect("waits");
    assert_eq!((kept.id.as_str(), kept.since), ("t-ann-9", secs(3)));
}

#[test]
fn tickets_that_waited_too_long_are_given_back() {
    let mut queue = queue(2);
    enter(&mut queue, [ticket("ann", 1000, 0), ticket("bob", 9000, 50)]);
    assert_eq!(queue.expire(secs(60), secs(60)), [ticket("ann", 1000, 0)]);
    assert_eq!(queue.len(), 1);
}

fn any_tickets() -> impl Strategy<Value = Vec<Ticket>> {
    let one = (0..2_000_i32, 0..30_u64, prop::option::of((0..6_u8, 2..4_usize)));
    prop::collection::vec(one, 0..80).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(i, (rating, since, party))| match party {
                Some((id, size)) => with_party(&format!("p{i}"), rating, since, &format!("party-{id}"), size),
                None => ticket(&format!("p{i}"), rating, since),
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn matches_are_full_nobody_is_in_two_and_nobody_is_lost(tickets in any_tickets(), players in 2..5_usize) {
        let mut queue = queue(players);
        enter(&mut queue, tickets.iter().cloned());
        let formed = queue.form(secs(40), usize::MAX);
        prop_assert!(formed.iter().all(|group| group.len() == players));
        let mut seen: HashSet<&ClientId> = HashSet::new();
        for ticket in formed.iter().flatten().chain(queue.tickets()) {
            prop_assert!(seen.insert(&ticket.client), "{:?} twice", ticket.client);
        }
        prop_assert_eq!(seen.len(), tickets.len());
    }

    #[test]
    fn parties_are_never_split(tickets in any_tickets(), players in 2..5_usize) {
        let mut queue = queue(players);
        enter(&mut queue, tickets);
        for group in queue.form(secs(40), usize::MAX) {
            let mut members: HashMap<Party, usize> = HashMap::new();
            for party in group.into_iter().filter_map(|ticket| ticket.party) {
                *members.entry(party).or_default() += 1;
            }
            prop_assert!(members.iter().all(|(party, &count)| count % party.size == 0), "{:?}", members);
        }
    }

    #[test]
    fn ratings_in_a_match_are_within_the_range_of_one_of_its_players(
        ratings in prop::collection::vec((0..2_000_i32, 0..30_u64), 0..60),
    ) {
        let mut queue = queue(3);
        enter(&mut queue, ratings.iter().enumerate().map(|(i, &(rating, since))| ticket(&format!("p{i}"), rating, since)));
        for group in queue.form(secs(30), usize::MAX) {
            let ok = group.iter().any(|chooser| {
                let range = WIDENING.range(chooser.waited(secs(30)));
                group.iter().all(|other| u64::from(chooser.rating.abs_diff(other.rating)) <= range)
            });
            prop_assert!(ok, "{:?}", group);
        }
    }
}

#[test]
fn a_player_with_tickets_from_two_ws_nodes_stays_until_both_connections_ended() {
    let server = |name: &str| ServerName::new(name).expect("valid");
    let other = Ticket {
        at: at("ws-2", 3),
        ..ticket("ann", 1_000, 3)
    };
    let mut queue = queue(2);
    enter(&mut queue, [ticket("ann", 1_000, 1)]);
    assert_ne!(queue.adopt(other), Adopted::Refused);
    assert_eq!(
        queue.ticket(&client("ann")).expect("waits").at.server,
        server("ws-2"),
        "where it asked last"
    );
    assert_eq!(queue.leave(secs(4), &client("ann"), &server("ws-1")), None);
    assert_eq!(queue.ticket(&client("ann")).expect("waits on").waited(secs(5)), secs(4));
    assert!(queue.leave(secs(6), &client("ann"), &server("ws-2")).is_some());
    assert!(queue.is_empty());
}

#[test]
fn a_cancellation_counts_for_all_connections_and_for_copies_on_their_way() {
    let mut queue = queue(2);
    enter(&mut queue, [ticket("ann", 1_000, 1)]);
    assert!(queue.cancel(secs(5), &client("ann")).is_some());
    let mut copy = ticket("ann", 1_000, 1);
    copy.elsewhere.push(at("ws-2", 2));
    assert_ne!(queue.adopt(copy), Adopted::Refused, "the former owner may forget it");
    assert!(queue.is_empty());
    enter(&mut queue, [ticket("ann", 1_000, 6)]);
    assert_eq!(queue.len(), 1, "asked again since");
}

#[test]
fn a_ticket_travels_with_all_its_connections() {
    let mut sent = ticket("ann", 1_000, 1);
    sent.asked_again(secs(3), &ServerName::new("ws-2").expect("valid"));
    let written = serde_json::to_string(&sent.handed(secs(5))).expect("can be written");
    let read: HandedTicket = serde_json::from_str(&written).expect("can be read");
    let received = read.received(secs(105));
    assert_eq!(
        (received.at, received.elsewhere),
        (at("ws-2", 103), vec![at("ws-1", 101)])
    );
}
