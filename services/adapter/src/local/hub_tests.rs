//! Tests of the hub: where clients are, and which connections are too young for a copy.

use super::super::context::Introduction;
use super::*;
use crate::wire::Namespace;

impl Hub {
    fn shards_of(&self, room: &Room) -> Vec<usize> {
        let rooms = self.rooms.lock(room);
        let shards = rooms.of(room).into_iter().flat_map(|entry| &entry.shards);
        shards.map(|(shard, _)| *shard).collect()
    }
}

fn hub() -> (Hub, Vec<mpsc::Receiver<Command>>) {
    let (senders, receivers) = (0..2).map(|_| mpsc::channel(16)).unzip();
    (Hub::new(senders), receivers)
}

fn attach(hub: &Hub, client: &ClientId, shard: usize) -> ConnectionId {
    hub.attach(client, shard, LiveContext::new(Introduction::default()))
}

fn client(id: &str) -> ClientId {
    ClientId::new(id).expect("valid")
}

fn room(id: &str) -> Room {
    Room::new("chat", id).expect("valid")
}

#[tokio::test(start_paused = true)]
async fn a_shard_with_a_stuck_owner_does_not_block_senders_forever() {
    let (hub, _inboxes) = hub();
    attach(&hub, &client("ann"), 0);
    let start = Instant::now();
    let mut taken = 0;
    while hub.to_client(&client("ann"), Frame::new("x"), None).await {
        taken += 1;
    }
    assert_eq!((taken, start.elapsed()), (16, STUCK));
}

#[tokio::test]
async fn a_copy_skips_connections_attached_after_it_was_sent() {
    let (hub, mut inboxes) = hub();
    let before = Some(Instant::now());
    std::thread::sleep(Duration::from_millis(2));
    attach(&hub, &client("ann"), 0);
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
fn a_client_that_detaches_leaves_all_its_rooms() {
    let (hub, _inboxes) = hub();
    let connection = attach(&hub, &client("ann"), 0);
    hub.join(&client("ann"), &room("1"));
    hub.join(&client("ann"), &room("2"));
    assert_eq!((hub.client_count(), hub.room_count()), (1, 2));
    assert_eq!(hub.detach(&client("ann"), connection).len(), 2);
    assert_eq!((hub.client_count(), hub.room_count()), (0, 0));
    assert_eq!(hub.members(&room("1")), []);
}

#[test]
fn connections_of_a_client_share_its_rooms_until_the_last_one_detaches() {
    let (hub, _inboxes) = hub();
    let first = attach(&hub, &client("ann"), 0);
    hub.join(&client("ann"), &room("1"));
    let second = attach(&hub, &client("ann"), 1);
    let third = attach(&hub, &client("ann"), 1);
    hub.join(&client("ann"), &room("2"));
    assert_eq!((hub.client_count(), hub.members(&room("1"))), (1, vec![client("ann")]));
    let order = |hub: &Hub| -> Vec<_> {
        hub.locations(&client("ann"))
            .iter()
            .map(|location| location.connection)
            .collect()
    };
    assert_eq!(order(&hub), [first, second, third]);
    for id in ["1", "2"] {
        assert_eq!(hub.shards_of(&room(id)), [0, 1]);
    }
    assert_eq!(hub.detach(&client("ann"), first), []);
    assert_eq!(hub.detach(&client("ann"), first), [], "it was already detached");
    assert_eq!(order(&hub), [second, third]);
    assert_eq!(hub.shards_of(&room("1")), [1]);
    assert_eq!(hub.detach(&client("ann"), third), []);
    assert_eq!(hub.leave(&client("ann"), &room("2")).map(|(_, was)| was), Some(true));
    assert!(hub.shards_of(&room("2")).is_empty(), "it has no members");
    assert_eq!(hub.detach(&client("ann"), second), [room("1")]);
    assert_eq!((hub.client_count(), hub.room_count()), (0, 0));
}

#[test]
fn data_is_replaced_on_all_connections_of_a_client_and_a_copy_skips_those_that_are_younger() {
    let (hub, _inboxes) = hub();
    let raw = |json: &str| serde_json::value::RawValue::from_string(json.to_owned()).ok();
    let data = |hub: &Hub| -> Vec<Option<String>> {
        let contexts = hub.contexts(&client("ann")).into_iter();
        contexts
            .map(|(_, context)| context.data().map(|data| data.get().to_owned()))
            .collect()
    };
    assert!(!hub.set_data(&client("ann"), raw("1"), None), "it is not here");
    let first = attach(&hub, &client("ann"), 0);
    let between = Some(Instant::now());
    std::thread::sleep(Duration::from_millis(2));
    let second = attach(&hub, &client("ann"), 1);
    let order: Vec<_> = hub.contexts(&client("ann")).into_iter().map(|(id, _)| id).collect();
    assert_eq!(order, [second, first], "newest first");
    assert!(hub.set_data(&client("ann"), raw("2"), between));
    assert_eq!(data(&hub), [None, Some("2".to_owned())]);
    assert!(hub.set_data(&client("ann"), raw("3"), None));
    assert!(hub.set_data(&client("ann"), raw("4"), between));
    assert_eq!(
        data(&hub),
        vec![Some("3".to_owned()); 2],
        "an older copy changes nothing"
    );
}

#[test]
fn a_context_makes_a_connection_one_word_larger() {
    let before = size_of::<Location>() + size_of::<Instant>();
    assert_eq!(size_of::<Connection>(), before + size_of::<usize>());
}

#[tokio::test]
async fn a_request_goes_to_the_newest_connection_and_a_copy_only_to_older_ones() {
    let (hub, mut inboxes) = hub();
    attach(&hub, &client("ann"), 0);
    let between = Some(Instant::now());
    std::thread::sleep(Duration::from_millis(2));
    let newest = attach(&hub, &client("ann"), 1);
    let (answer, _waits) = tokio::sync::oneshot::channel();
    let request_id = "1".into();
    assert!(
        hub.ask(&client("ann"), PendingRequest { request_id, answer }, Frame::new("?"))
            .await
    );
    assert!(matches!(inboxes[1].try_recv(), Ok(Command::Ask(asked, ..)) if asked == newest));
    assert!(hub.to_client(&client("ann"), Frame::new("copy"), between).await);
    assert!(inboxes[0].try_recv().is_ok() && inboxes[1].try_recv().is_err());
    assert!(hub.to_client(&client("ann"), Frame::new("both"), None).await);
    assert!(inboxes[0].try_recv().is_ok() && inboxes[1].try_recv().is_ok());
}

#[tokio::test]
async fn a_frame_for_a_room_goes_once_to_each_shard_that_has_members() {
    let (hub, mut inboxes) = hub();
    for (id, shard) in [("ann", 0), ("bob", 1), ("cid", 1)] {
        attach(&hub, &client(id), shard);
    }
    hub.join(&client("bob"), &room("1"));
    hub.join(&client("cid"), &room("1"));
    assert_eq!(hub.to_room(&room("1"), Frame::new("x"), [].into()).await, 1);
    assert!(inboxes[0].try_recv().is_err());
    assert!(inboxes[1].try_recv().is_ok());
    assert!(inboxes[1].try_recv().is_err());
}

#[test]
fn rooms_are_found_by_namespace_and_prefix_with_their_member_counts() {
    let (hub, _inboxes) = hub();
    for id in ["ann", "bob"] {
        attach(&hub, &client(id), 0);
        hub.join(&client(id), &room("lobby-1"));
    }
    hub.join(&client("ann"), &room("other"));
    let chat = Namespace::new("chat").expect("valid");
    assert_eq!(hub.rooms(Some(&chat), "lobby"), [(room("lobby-1"), 2)]);
    assert_eq!(hub.rooms(None, "").len(), 2);
    assert_eq!(hub.rooms(Some(&Namespace::new("x").expect("valid")), ""), []);
}

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl ClientObserver for Notes {
    fn connected(&self, at: &ObservedConnection<'_>) {
        assert_eq!(at.context().connection, at.connection());
        self.0.lock().push(format!("+{} {}", at.client(), at.connection()));
    }

    fn joined(&self, at: &ObservedConnection<'_>, room: &Room) {
        self.0
            .lock()
            .push(format!("{} joins {} by {}", at.client(), room.id, at.connection()));
    }

    fn left(&self, at: &ObservedConnection<'_>, room: &Room) {
        self.0
            .lock()
            .push(format!("{} leaves {} by {}", at.client(), room.id, at.connection()));
    }

    fn server_lost(&self, _: &super::super::observer::LostServer) {}
}

#[test]
fn an_observer_is_told_what_happens_to_a_client_in_order_and_each_thing_once() {
    let (notes, (hub, _inboxes)) = (Arc::new(Notes::default()), hub());
    let origin = Origin {
        server: crate::wire::ServerName::new("edge").expect("valid"),
        instance: crate::wire::Instance(1),
    };
    let hub = hub.observed(notes.clone(), origin);
    let ann = client("ann");
    let first = attach(&hub, &ann, 0);
    hub.join(&ann, &room("1"));
    hub.join(&ann, &room("1"));
    let second = attach(&hub, &ann, 1);
    hub.join(&ann, &room("2"));
    hub.leave(&ann, &room("1"));
    hub.leave(&ann, &room("1"));
    let say = |is_here: bool| notes.0.lock().push(format!("is here: {is_here}"));
    assert!(hub.detach_and(&ann, first, say).is_empty());
    assert_eq!(hub.detach_and(&ann, second, say), [room("2")]);
    // As at the end of a connection that was dismissed: it was taken out before.
    assert!(hub.detach_and(&ann, second, say).is_empty());
    assert_eq!(
        *notes.0.lock(),
        [
            "+ann 1-1",
            "ann joins 1 by 1-1",
            "+ann 1-2",
            "ann joins 2 by 1-2",
            "ann leaves 1 by 1-2",
            "is here: true",
            "ann leaves 2 by 1-2",
            "is here: false",
            "is here: false",
        ]
    );
}

#[tokio::test]
async fn a_frame_for_one_connection_goes_to_its_shard_and_to_no_other_connection_of_the_client() {
    let (hub, mut inboxes) = hub();
    let (first, second) = (attach(&hub, &client("ann"), 0), attach(&hub, &client("ann"), 1));
    assert!(hub.to_connection(&client("ann"), second, Frame::new("x")).await);
    assert!(inboxes[0].try_recv().is_err());
    let sent = inboxes[1].try_recv().expect("sent");
    assert!(matches!(sent, Command::Deliver(Recipients::One(connection), _) if connection == second));
    hub.detach(&client("ann"), first);
    assert!(!hub.to_connection(&client("ann"), first, Frame::new("x")).await);
    assert!(!hub.to_connection(&client("bob"), second, Frame::new("x")).await);
}

#[test]
fn a_client_is_in_the_rooms_that_it_joined_and_has_not_left() {
    let (hub, _inboxes) = hub();
    attach(&hub, &client("ann"), 0);
    assert!(!hub.has_joined(&client("ann"), &room("1")));
    hub.join(&client("ann"), &room("1"));
    assert!(hub.has_joined(&client("ann"), &room("1")) && !hub.has_joined(&client("ann"), &room("2")));
    assert!(!hub.has_joined(&client("bob"), &room("1")));
    hub.leave(&client("ann"), &room("1"));
    assert!(!hub.has_joined(&client("ann"), &room("1")));
}

#[tokio::test]
async fn rooms_are_counted_as_they_change_and_the_largest_and_busiest_are_known() {
    let (hub, mut inboxes) = hub();
    let clients: Vec<_> = (0..30).map(|n| client(&format!("c{n}"))).collect();
    let connections: Vec<_> = clients.iter().map(|client| attach(&hub, client, 0)).collect();
    for (n, client) in clients.iter().enumerate() {
        hub.join(client, &room("all"));
        hub.join(client, &room(&format!("r{}", n % 3)));
    }
    for _ in 0..64 {
        hub.to_room(&room("r1"), Frame::new("x"), [].into()).await;
        hub.to_room(&room("nobody is here"), Frame::new("x"), [].into()).await;
        while inboxes[0].try_recv().is_ok() {}
    }
    let (namespaces, top) = hub.census(Instant::now());
    let counts: Vec<_> = namespaces
        .iter()
        .map(|count| (count.rooms, count.members, count.messages))
        .collect();
    assert_eq!(counts, [(4, 60, 64)]);
    assert_eq!((&top.by_members[0].room, top.by_members[0].members), (&room("all"), 30));
    assert_eq!(top.by_members.len(), 4);
    assert_eq!(
        (&top.by_messages[0].room, top.by_messages[0].messages),
        (&room("r1"), 64)
    );
    assert_eq!(top.by_messages.len(), 1);

    hub.leave(&clients[0], &room("all"));
    for (client, connection) in clients.iter().zip(connections).skip(1) {
        hub.detach(client, connection);
    }
    let (namespaces, top) = hub.census(Instant::now());
    assert_eq!(
        (namespaces[0].rooms, namespaces[0].members, namespaces[0].messages),
        (1, 1, 64)
    );
    assert_eq!((top.by_members.len(), top.by_messages.len()), (1, 0));
}

#[tokio::test]
async fn each_stripe_of_rooms_has_its_turn_to_look_at_all_its_rooms_again() {
    let (hub, _inboxes) = hub();
    attach(&hub, &client("ann"), 0);
    let rooms: Vec<_> = (0..2000).map(|n| room(&n.to_string())).collect();
    rooms.iter().for_each(|room| _ = hub.join(&client("ann"), room));
    let mut renewed = std::collections::BTreeSet::new();
    for _ in 0..64 {
        // In every stripe, one of the largest rooms shrinks.
        for room in &rooms {
            hub.leave(&client("ann"), room);
            hub.join(&client("ann"), room);
        }
        assert!(hub.rooms.each().all(|stripe| stripe.is_stale()));
        hub.census(Instant::now());
        let fresh = hub.rooms.each().enumerate().filter(|(_, stripe)| !stripe.is_stale());
        renewed.extend(fresh.map(|(index, _)| index));
    }
    assert_eq!(renewed.len(), 64);
}
