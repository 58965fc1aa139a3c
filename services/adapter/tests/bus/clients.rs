//! What the adapter promises about clients and rooms, on both buses.

use std::time::Duration;

use crate::support::*;
use wsmesh_adapter::{Closing, Dismissal, Options, OutboxLimits, Presence, RoomOptions, Scope, Strategy};

use crate::support::ground::{Ground, suite};

suite![
    large_messages_are_compressed_and_small_ones_are_not,
    messages_of_one_order_key_keep_their_order_across_rooms_and_clients,
    a_frame_for_a_client_reaches_it_on_any_server_once,
    a_client_without_connections_is_reported_offline,
    a_frame_for_everyone_reaches_everyone_once,
    a_room_spans_servers_and_excluded_clients_get_nothing,
    a_member_that_left_gets_nothing_and_a_removed_room_is_empty_everywhere,
    a_local_message_stays_local,
    a_client_that_disconnects_leaves_its_rooms_and_is_offline,
    all_connections_of_a_client_get_its_messages_and_share_its_rooms,
    every_strategy_delivers,
    messages_of_one_room_keep_their_order,
    twenty_bursts_of_a_thousand_lose_none,
];

async fn a_frame_for_a_client_reaches_it_on_any_server_once(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    assert_eq!(
        one.adapter
            .to_client(&client("ann"), frame("here"))
            .await
            .expect("sent"),
        Presence::Here
    );
    assert_eq!(
        one.adapter
            .to_client(&client("bob"), frame("there"))
            .await
            .expect("sent"),
        Presence::Elsewhere
    );
    assert_eq!((ann.frame().await, bob.frame().await), ("here".into(), "there".into()));
    let offline = one
        .adapter
        .to_clients(&[client("ann"), client("bob"), client("nobody")], frame("all"))
        .await;
    assert_eq!(offline.expect("sent"), [client("nobody")]);
    assert_eq!((ann.frame().await, bob.frame().await), ("all".into(), "all".into()));
    ann.nothing().await;
    bob.nothing().await;
}

async fn a_client_without_connections_is_reported_offline(ground: Ground) {
    let (one, _two) = ground.pair().await;
    assert_eq!(
        one.adapter
            .to_client(&client("nobody"), frame("x"))
            .await
            .expect("sent"),
        Presence::Offline
    );
}

async fn a_frame_for_everyone_reaches_everyone_once(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    one.adapter
        .to_everyone(frame("hello"), Scope::Cluster)
        .await
        .expect("sent");
    assert_eq!((ann.frame().await, bob.frame().await), ("hello".into(), "hello".into()));
    ann.nothing().await;
    bob.nothing().await;
}

async fn a_room_spans_servers_and_excluded_clients_get_nothing(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut members = vec![
        one.client("a").await,
        one.client("b").await,
        two.client("c").await,
        two.client("d").await,
    ];
    let mut outsider = two.client("outsider").await;
    for member in &members {
        let owner = if ["a", "b"].contains(&member.attachment.client().as_str()) {
            &one
        } else {
            &two
        };
        owner
            .adapter
            .join(member.attachment.client(), room("1"))
            .await
            .expect("joined");
    }
    let except = RoomOptions {
        except: vec![client("b"), client("c")],
        scope: Scope::Cluster,
    };
    one.adapter
        .to_room(&room("1"), frame("first"), except)
        .await
        .expect("sent");
    two.adapter
        .to_room(&room("1"), frame("second"), RoomOptions::default())
        .await
        .expect("sent");
    for member in &mut members {
        if ["a", "d"].contains(&member.attachment.client().as_str()) {
            let mut got = [member.frame().await, member.frame().await];
            got.sort();
            assert_eq!(got, ["first", "second"]);
        } else {
            assert_eq!(member.frame().await, "second");
        }
        member.nothing().await;
    }
    outsider.nothing().await;
}

async fn a_member_that_left_gets_nothing_and_a_removed_room_is_empty_everywhere(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    one.adapter.join(&client("ann"), room("1")).await.expect("joined");
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    assert!(one.adapter.leave(&client("ann"), &room("1")).await.expect("is here"));
    assert!(
        !one.adapter.leave(&client("ann"), &room("1")).await.expect("is here"),
        "no longer a member"
    );
    two.adapter
        .to_room(&room("1"), frame("x"), RoomOptions::default())
        .await
        .expect("sent");
    assert_eq!(bob.frame().await, "x");
    ann.nothing().await;
    one.adapter.remove_room(&room("1")).await.expect("sent");
    until("the room is empty on the other server", || {
        two.adapter.room_members(&room("1")).is_empty()
    })
    .await;
    assert!(two.adapter.joined_rooms(&client("bob")).is_empty());
    one.adapter
        .to_room(&room("1"), frame("y"), RoomOptions::default())
        .await
        .expect("sent");
    bob.nothing().await;
}

async fn a_local_message_stays_local(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    one.adapter.join(&client("ann"), room("1")).await.expect("joined");
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let local = RoomOptions {
        scope: Scope::Local,
        ..RoomOptions::default()
    };
    one.adapter.to_room(&room("1"), frame("x"), local).await.expect("sent");
    one.adapter.to_everyone(frame("y"), Scope::Local).await.expect("sent");
    assert_eq!((ann.frame().await, ann.frame().await), ("x".into(), "y".into()));
    bob.nothing().await;
}

async fn a_client_that_disconnects_leaves_its_rooms_and_is_offline(ground: Ground) {
    let mut options = ground.options("two", "ws-node");
    options.unsubscribe_delay = Duration::from_millis(50);
    let (one, two) = (
        Server::ready(ground.options("one", "ws-node")).await,
        Server::ready(options).await,
    );
    acquainted(&[&one, &two]).await;
    let bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    drop(bob.attachment);
    assert_eq!(two.adapter.room_count() + two.adapter.client_count(), 0);
    let mut presence = Presence::Elsewhere;
    while presence != Presence::Offline {
        presence = soon("offline", one.adapter.to_client(&client("bob"), frame("x")))
            .await
            .expect("sent");
    }
}

async fn all_connections_of_a_client_get_its_messages_and_share_its_rooms(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut old = one.client("ann").await;
    one.adapter.join(&client("ann"), room("1")).await.expect("joined");
    let mut new = one.client("ann").await;
    two.adapter
        .to_client(&client("ann"), frame("for both"))
        .await
        .expect("sent");
    assert_eq!(
        (old.frame().await, new.frame().await),
        ("for both".into(), "for both".into())
    );
    two.adapter
        .to_room(&room("1"), frame("in the room"), RoomOptions::default())
        .await
        .expect("sent");
    assert_eq!(
        (old.frame().await, new.frame().await),
        ("in the room".into(), "in the room".into())
    );
    let dismissal = Dismissal {
        code: 4012,
        reason: "one is enough".into(),
    };
    let connection = old.attachment.connection();
    assert!(
        one.adapter
            .dismiss_connection(&client("ann"), connection, dismissal.clone())
            .await
            .expect("the code can be sent")
    );
    assert_eq!(one.adapter.connections(&client("ann")).len(), 1);
    assert_eq!(old.next().await, Seen::Closed(Closing::Dismissed(dismissal.clone())));
    drop(old.attachment);
    assert!(
        !one.adapter
            .dismiss_connection(&client("ann"), connection, dismissal)
            .await
            .expect("the code can be sent")
    );
    assert_eq!(one.adapter.joined_rooms(&client("ann")), [room("1")]);
    two.adapter
        .to_room(&room("1"), frame("for the one left"), RoomOptions::default())
        .await
        .expect("sent");
    assert_eq!(new.frame().await, "for the one left");
}

async fn every_strategy_delivers(ground: Ground) {
    let two = Server::ready(ground.options("two", "ws-node")).await;
    let mut bob = two.client("bob").await;
    for strategy in [
        Strategy::Ordered,
        Strategy::Random,
        Strategy::RoundRobin,
        Strategy::Fastest,
    ] {
        let one = Server::ready(Options {
            strategy,
            ..ground.options("one", "ws-node")
        })
        .await;
        acquainted(&[&one, &two]).await;
        for n in 0..20 {
            one.adapter
                .to_client(&client("bob"), frame(&n.to_string()))
                .await
                .expect("sent");
        }
        let mut got = Vec::new();
        for _ in 0..20 {
            got.push(bob.frame().await.parse::<u32>().expect("a number"));
        }
        got.sort_unstable();
        assert_eq!(got, (0..20).collect::<Vec<_>>(), "{strategy:?}");
        one.stop().await;
    }
}

async fn messages_of_one_room_keep_their_order(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    for n in 0..500 {
        one.adapter
            .to_room(&room("1"), frame(&n.to_string()), RoomOptions::default())
            .await
            .expect("sent");
    }
    for n in 0..500 {
        assert_eq!(bob.frame().await, n.to_string());
    }
}

async fn twenty_bursts_of_a_thousand_lose_none(ground: Ground) {
    let mut options = ground.options("two", "ws-node");
    options.outbox = OutboxLimits {
        bytes: 64 << 20,
        frames: 1 << 20,
    };
    let (one, two) = (
        Server::ready(ground.options("one", "ws-node")).await,
        Server::ready(options).await,
    );
    acquainted(&[&one, &two]).await;
    let mut bob = two.client("bob").await;
    for burst in 0..20 {
        let bob_id = client("bob");
        let sending = (0..1000).map(|n| one.adapter.to_client(&bob_id, frame(&format!("{burst}:{n}"))));
        for sent in futures_util::future::join_all(sending).await {
            assert_eq!(sent.expect("sent"), Presence::Elsewhere);
        }
    }
    // Concurrent calls have no order among each other.
    let mut got = std::collections::HashSet::new();
    for _ in 0..20_000 {
        assert!(got.insert(bob.frame().await), "no frame arrives twice");
    }
    assert!((0..20).all(|burst| (0..1000).all(|n| got.contains(&format!("{burst}:{n}")))));
    bob.nothing().await;
}

async fn large_messages_are_compressed_and_small_ones_are_not(ground: Ground) {
    let one = Server::ready(Options {
        compress_above: Some(1000),
        ..ground.options("one", "ws-node")
    })
    .await;
    // Readers need no setting.
    let two = Server::ready(ground.options("two", "ws-node")).await;
    acquainted(&[&one, &two]).await;
    let mut bob = two.client("bob").await;
    for text in ["small".to_owned(), "again and ".repeat(20_000)] {
        one.adapter.to_client(&client("bob"), frame(&text)).await.expect("sent");
        assert_eq!(bob.frame().await, text);
    }
}

async fn messages_of_one_order_key_keep_their_order_across_rooms_and_clients(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut bob = two.client("bob").await;
    for id in ["1", "2", "3"] {
        two.adapter.join(&client("bob"), room(id)).await.expect("joined");
    }
    let ordered = one.adapter.with_order_key("match-7");
    for n in 0..300 {
        let text = n.to_string();
        let id = ["1", "2", "3"][n % 3];
        if n % 4 == 3 {
            ordered.to_client(&client("bob"), frame(&text)).await.expect("sent");
        } else {
            ordered
                .to_room(&room(id), frame(&text), RoomOptions::default())
                .await
                .expect("sent");
        }
    }
    for n in 0..300 {
        assert_eq!(bob.frame().await, n.to_string());
    }
}
