use std::time::Duration;

use wsmesh_adapter::{ClientId, Instance, ServerName};

use super::*;
use crate::rules::players::{Busy, Player};

const NOW: Duration = Duration::from_secs(86_400);

fn name(name: &str) -> ServerName {
    ServerName::new(name).expect("valid")
}

fn player(client: &str) -> Player {
    Player {
        client: ClientId::new(client).expect("valid"),
        server: name("ws-1"),
    }
}

fn servers(count: u64) -> Vec<Server> {
    let game = |i| Server {
        name: name(&format!("game-{i}")),
        instance: Instance(i),
        plays: true,
    };
    let ws_node = Server {
        name: name("ws-1"),
        instance: Instance(99),
        plays: false,
    };
    (1..=count).map(game).chain([ws_node]).collect()
}

/// The lobby of `game-1` or `game-2`, among this many.
fn lobby(number: u64, count: u64) -> Lobby {
    let settings = crate::Settings {
        match_limit: 1,
        ..crate::Settings::default()
    };
    let mut lobby = Lobby::new(name(&format!("game-{number}")), Instance(number), settings.lobby());
    lobby.roster(NOW, &servers(count));
    lobby
}

fn wait(lobby: &mut Lobby, clients: &[&str]) {
    for client in clients {
        lobby
            .forwarded_request(NOW, player(client), Wish::default())
            .expect("may wait");
    }
}

fn order(effects: Vec<Effect>) -> (ServerName, Order) {
    let start = effects.into_iter().find_map(|effect| match effect {
        Effect::Start { host, order } => Some((host, order)),
        _ => None,
    });
    start.expect("a match is to be started")
}

#[test]
fn a_lobby_that_is_alone_starts_a_match_without_asking_others() {
    let mut lobby = lobby(1, 1);
    wait(&mut lobby, &["ann", "bob"]);
    lobby.round(NOW);
    let (host, order) = order(lobby.take_effects());
    assert_eq!((host, order.players.len()), (name("game-1"), 2));
    let id = lobby.host(NOW, &order).expect("there is room");
    lobby.started(
        NOW,
        &name("game-1"),
        &order.formation,
        Started::Running { id: id.clone() },
    );
    assert_eq!((lobby.forming(), lobby.hosted(), lobby.is_empty()), (0, 1, true));
    assert_eq!(
        lobby.request(NOW, player("ann"), Wish::default()),
        Err(Refusal::Playing(id))
    );
}

#[test]
fn if_a_server_cannot_run_the_match_the_next_is_asked_and_in_the_end_the_players_keep_waiting() {
    let mut lobby = lobby(1, 1);
    wait(&mut lobby, &["ann", "bob"]);
    lobby.round(NOW);
    let (host, order) = order(lobby.take_effects());
    lobby.started(NOW, &host, &order.formation, Started::Refused);
    assert_eq!((lobby.forming(), lobby.waiting().next()), (0, Some(("duel", 2))));
}

#[test]
fn a_match_that_may_have_started_is_withdrawn_before_its_players_keep_waiting() {
    let mut lobby = lobby(1, 1);
    wait(&mut lobby, &["ann", "bob"]);
    lobby.round(NOW);
    let (host, order) = order(lobby.take_effects());
    lobby.started(NOW, &host, &order.formation, Started::Unknown);
    let effects = lobby.take_effects();
    let withdrawn = Effect::Withdraw {
        host,
        formation: order.formation,
    };
    assert_eq!(effects[0], withdrawn);
    let announced: Vec<_> = effects[1..].iter().map(announced).collect();
    assert_eq!(announced, ["ann", "bob"], "their tickets count again");
    assert_eq!(lobby.waiting().next(), Some(("duel", 2)));
}

/// The player that is told if this server is lost.
fn announced(effect: &Effect) -> &str {
    match effect {
        Effect::Waits { player, notice } if notice.reason == CancelReason::ServerLost => player.client.as_str(),
        other => panic!("not an announcement: {other:?}"),
    }
}

#[test]
fn a_ticket_is_announced_to_its_ws_node_and_again_by_a_new_owner_and_revoked_only_when_it_ends() {
    let (mut one, mut two) = (lobby(1, 1), lobby(2, 1));
    wait(&mut one, &["ann"]);
    let asked = one.take_effects();
    assert_eq!(asked.iter().map(announced).collect::<Vec<_>>(), ["ann"]);
    one.hand_over(NOW, 0, name("game-2"));
    let Some(Effect::HandOver { tickets, .. }) = one.take_effects().pop() else {
        panic!("the ticket is offered");
    };
    let taken = two.adopt(NOW, tickets.clone());
    assert_eq!(two.take_effects(), asked, "the same ticket, by another server");
    assert_eq!(one.handed_over(&tickets, &taken), [player("ann").client]);
    assert_eq!((one.is_empty(), one.take_effects()), (true, Vec::new()));
    assert_eq!(two.cancel(NOW, &player("ann"), None), 1);
    let revoked = Effect::WaitsNoMore {
        client: player("ann").client,
        mode: tickets.mode,
        ticket: taken.taken[0].clone(),
        servers: vec![name("ws-1")],
    };
    assert_eq!(two.take_effects(), [revoked]);
}

#[test]
fn a_waiting_player_is_told_when_its_ws_node_is_missing_as_this_server_may_be_the_one_cut_off() {
    let mut lobby = lobby(1, 1);
    wait(&mut lobby, &["ann"]);
    lobby.take_effects();
    let without_ws_node = &servers(1)[..1];
    lobby.roster(NOW, without_ws_node);
    let told = lobby.take_effects().into_iter().find_map(|effect| match effect {
        Effect::Cancelled { client, notice } => Some((client, notice.reason)),
        _ => None,
    });
    assert_eq!(told, Some((player("ann").client, CancelReason::ServerLost)));
    assert!(lobby.is_empty());
}

#[test]
fn if_two_servers_want_a_player_at_once_one_gets_it_and_the_other_gives_up() {
    let (mut one, mut two) = (lobby(1, 1), lobby(2, 2));
    wait(&mut one, &["ann", "bob"]);
    wait(&mut two, &["ann", "cid"]);
    one.roster(NOW, &servers(2));
    let reservation = |id, clients: [&str; 2]| Reservation {
        formation: crate::rules::players::FormationId::new(Instance(id), 9),
        clients: clients.map(|client| player(client).client).to_vec(),
    };
    for (mode, lobby) in [(0, &mut one), (0, &mut two)] {
        lobby.form(NOW, mode);
        assert_eq!(lobby.forming(), 1);
    }
    let busy = one.reserve(NOW, &reservation(2, ["ann", "cid"]));
    assert_eq!(
        busy,
        [Busy {
            client: player("ann").client,
            playing: false
        }]
    );
    assert!(two.reserve(NOW, &reservation(1, ["ann", "bob"])).is_empty());
    assert_eq!((one.forming(), two.forming()), (1, 0));
}

#[test]
fn the_players_of_a_lost_match_are_told_by_one_server_only() {
    let (mut one, mut two) = (lobby(1, 3), lobby(2, 3));
    let id = MatchId::new(Instance(3), 1);
    let formation = crate::rules::players::FormationId::new(Instance(3), 2);
    let began = Began {
        id: id.clone(),
        formation,
        players: vec![player("ann"), player("bob")],
    };
    let mut told = Vec::new();
    for lobby in [&mut one, &mut two] {
        lobby.began(NOW, &began);
        assert_eq!(lobby.match_of(&player("ann").client), Some(&id));
        lobby.roster(NOW, &servers(2));
        assert_eq!(lobby.match_of(&player("ann").client), None);
        told.extend(lobby.take_effects());
    }
    assert_eq!(told, [Effect::Lost { id }]);
}

#[test]
fn a_server_does_not_run_more_matches_than_its_limit() {
    let mut lobby = lobby(1, 1);
    let order = |number, clients: [&str; 2]| Order {
        formation: crate::rules::players::FormationId::new(Instance(2), number),
        mode: "duel".into(),
        players: clients.map(player).to_vec(),
        tickets: Vec::new(),
    };
    lobby
        .host(NOW, &order(1, ["ann", "bob"]))
        .expect("there is room for one");
    assert_eq!(lobby.host(NOW, &order(2, ["cid", "dan"])), Err(Started::Refused));
}

fn match_of_ann(host: u64) -> Began {
    Began {
        id: MatchId::new(Instance(host), 1),
        formation: crate::rules::players::FormationId::new(Instance(host), 7),
        players: vec![player("ann")],
    }
}

#[test]
fn late_news_of_a_withdrawn_match_does_not_free_the_players_of_a_running_one() {
    let mut lobby = lobby(1, 3);
    let (running, withdrawn) = (match_of_ann(2), match_of_ann(3));
    lobby.began(NOW, &running);
    lobby.began(NOW, &withdrawn);
    lobby.ended(&withdrawn.id);
    let busy = lobby.reserve(
        NOW,
        &Reservation {
            formation: crate::rules::players::FormationId::new(Instance(3), 9),
            clients: vec![player("ann").client],
        },
    );
    assert!(busy.iter().any(|busy| busy.playing), "{busy:?}");
    assert_eq!(
        lobby.request(NOW, player("ann"), Wish::default()),
        Err(Refusal::Playing(running.id))
    );
}

/// A lobby that has asked others whether ann and bob are free.
fn reserving() -> (Lobby, Reservation) {
    let mut lobby = lobby(1, 2);
    wait(&mut lobby, &["ann", "bob"]);
    lobby.form(NOW, 0);
    let reservation = lobby.take_effects().into_iter().find_map(|effect| match effect {
        Effect::Reserve { reservation, .. } => Some(reservation),
        _ => None,
    });
    (lobby, reservation.expect("the others are asked"))
}

#[test]
fn if_a_server_that_was_asked_is_gone_no_match_starts_and_the_players_keep_waiting() {
    let (mut lobby, reservation) = reserving();
    lobby.reserved(&reservation.formation, &reservation.unsure());
    assert_eq!((lobby.forming(), lobby.waiting().next()), (0, Some(("duel", 2))));
    let effects = lobby.take_effects();
    assert!(matches!(effects[..], [Effect::Release { .. }]), "{effects:?}");
}

#[test]
fn a_match_that_began_elsewhere_while_the_others_were_asked_keeps_its_player() {
    let (mut lobby, reservation) = reserving();
    lobby.began(NOW, &match_of_ann(2));
    lobby.reserved(&reservation.formation, &[]);
    let effects = lobby.take_effects();
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::Start { .. })),
        "{effects:?}"
    );
    assert_eq!(lobby.waiting().next(), Some(("duel", 1)), "bob waits on");
}

#[test]
fn a_ticket_whose_player_asked_again_during_a_hand_over_is_offered_again() {
    let mut lobby = lobby(1, 1);
    wait(&mut lobby, &["ann"]);
    lobby.hand_over(NOW, 0, name("game-2"));
    let sent = lobby.take_effects().into_iter().find_map(|effect| match effect {
        Effect::HandOver { tickets, .. } => Some(tickets),
        _ => None,
    });
    let sent = sent.expect("the ticket is offered");
    let later = NOW + Duration::from_millis(1);
    lobby
        .forwarded_request(later, player("ann"), Wish::default())
        .expect("waits already");
    let taken = Taken {
        taken: vec![sent.tickets[0].id.clone()],
    };
    lobby.handed_over(&sent, &taken);
    assert_eq!(lobby.waiting().next(), Some(("duel", 1)), "ann is still kept");
    lobby.hand_over(later, 0, name("game-2"));
    lobby.handed_over(&sent, &taken);
    assert!(lobby.is_empty(), "a ticket that was taken unchanged is dropped");
}
