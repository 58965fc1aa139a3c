//! The hub: who is where, and who is too young for a copy.

use super::*;

fn hub() -> (Hub, Vec<mpsc::Receiver<Command>>) {
    let (senders, receivers) = (0..2).map(|_| mpsc::channel(16)).unzip();
    (Hub::new(senders), receivers)
}

fn client(id: &str) -> ClientId {
    ClientId::new(id).expect("valid")
}

fn room(id: &str) -> Room {
    Room::new("chat", id).expect("valid")
}

#[tokio::test(start_paused = true)]
async fn a_shard_whose_owner_hangs_holds_up_nobody_for_ever() {
    let (hub, _inboxes) = hub();
    hub.attach(&client("ann"), 0);
    let start = Instant::now();
    let mut taken = 0;
    while hub.to_client(&client("ann"), Frame::new("x")).await {
        taken += 1;
    }
    assert_eq!((taken, start.elapsed()), (16, STUCK));
}

#[tokio::test]
async fn a_copy_is_not_for_who_came_after_it_was_sent() {
    let (hub, mut inboxes) = hub();
    let before = Some(Instant::now());
    std::thread::sleep(Duration::from_millis(2));
    hub.attach(&client("ann"), 0);
    hub.join(&client("ann"), &room("1"));
    let after = Some(Instant::now());
    assert!(hub.is_younger(&client("ann"), before) && !hub.is_younger(&client("ann"), after));
    assert_eq!(hub.younger_members(&room("1"), before), [client("ann")]);
    assert_eq!(hub.younger_members(&room("1"), after), []);
    assert_eq!(hub.younger_members(&room("1"), None), []);
    hub.to_everyone(Frame::new("x"), before).await;
    hub.to_everyone(Frame::new("y"), after).await;
    let mut sent = Vec::new();
    while let Ok(command) = inboxes[0].try_recv() {
        sent.push(command);
    }
    let excepted =
        |command: &Command| matches!(command, Command::Deliver(Recipients::AllBut(who), _) if who.len() == 1);
    assert!(excepted(&sent[0]) && !excepted(&sent[1]), "{sent:?}");
}

#[test]
fn a_client_that_goes_leaves_all_its_rooms() {
    let (hub, _inboxes) = hub();
    let (connection, _) = hub.attach(&client("ann"), 0);
    hub.join(&client("ann"), &room("1"));
    hub.join(&client("ann"), &room("2"));
    assert_eq!((hub.client_count(), hub.room_count()), (1, 2));
    let gone = hub.detach(&client("ann"), connection).expect("was here");
    assert_eq!(gone.rooms.len(), 2);
    assert_eq!((hub.client_count(), hub.room_count()), (0, 0));
    assert_eq!(hub.members(&room("1")), []);
}

#[test]
fn a_newer_connection_of_the_same_id_takes_the_place_and_the_older_ones_end_changes_nothing() {
    let (hub, _inboxes) = hub();
    let (first, none) = hub.attach(&client("ann"), 0);
    assert_eq!(none, None);
    hub.join(&client("ann"), &room("1"));
    let (second, former) = hub.attach(&client("ann"), 1);
    let former = former.expect("the first connection");
    assert_eq!((former.place.connection, former.rooms), (first, vec![room("1")]));
    assert_eq!(hub.detach(&client("ann"), first), None);
    assert_eq!(
        hub.place(&client("ann")),
        Some(Place {
            shard: 1,
            connection: second
        })
    );
}

#[tokio::test]
async fn a_frame_for_a_room_goes_once_to_each_shard_that_has_members() {
    let (hub, mut inboxes) = hub();
    for (id, shard) in [("ann", 0), ("bob", 1), ("cid", 1)] {
        hub.attach(&client(id), shard);
    }
    hub.join(&client("bob"), &room("1"));
    hub.join(&client("cid"), &room("1"));
    assert_eq!(hub.to_room(&room("1"), Frame::new("x"), [].into()).await, 1);
    assert!(inboxes[0].try_recv().is_err());
    assert!(inboxes[1].try_recv().is_ok());
    assert!(inboxes[1].try_recv().is_err());
}

#[test]
fn rooms_are_found_by_namespace_and_prefix_with_their_counts() {
    let (hub, _inboxes) = hub();
    for id in ["ann", "bob"] {
        hub.attach(&client(id), 0);
        hub.join(&client(id), &room("lobby-1"));
    }
    hub.join(&client("ann"), &room("other"));
    let chat = Namespace::new("chat").expect("valid");
    assert_eq!(hub.rooms(Some(&chat), "lobby"), [(room("lobby-1"), 2)]);
    assert_eq!(hub.rooms(None, "").len(), 2);
    assert_eq!(hub.rooms(Some(&Namespace::new("x").expect("valid")), ""), []);
}
