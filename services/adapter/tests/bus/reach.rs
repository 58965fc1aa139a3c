//! What is known after a message was sent: how many servers it reached, and who has a client.

use std::time::{Duration, SystemTime};

use wsmesh_adapter::{Located, Reach};

use crate::support::ground::{Ground, suite};
use crate::support::*;

suite![
    the_servers_that_a_message_reaches_are_counted,
    a_frame_for_everyone_leaves_some_out_on_every_server,
    many_clients_are_found_in_one_gathering_with_the_time_since_when,
    a_client_is_located_or_known_to_be_nowhere,
];

async fn the_servers_that_a_message_reaches_are_counted(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (_ann, _bob) = (one.client("ann").await, two.client("bob").await);
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let to_room = async |name| one.adapter.reach_room(&room(name), frame("x"), Vec::new()).await;
    assert_eq!(to_room("1").await.expect("sent"), Reach::Servers(1));
    assert_eq!(to_room("empty").await.expect("sent"), Reach::Servers(0));
    one.adapter.join(&client("ann"), room("1")).await.expect("joined");
    assert_eq!(to_room("1").await.expect("sent"), Reach::Servers(2), "this one, too");
    let everyone = one.adapter.reach_everyone(frame("x"), Vec::new()).await;
    assert_eq!(everyone.expect("sent"), Reach::Servers(2));
    for (id, servers) in [("ann", 1), ("bob", 1), ("nobody", 0)] {
        let reach = one.adapter.reach_client(&client(id), frame("x")).await;
        assert_eq!(reach.expect("sent"), Reach::Servers(servers), "{id}");
    }
    assert_eq!(
        one.adapter.remove_room(&room("1")).await.expect("sent"),
        Reach::Servers(2)
    );
}

async fn a_frame_for_everyone_leaves_some_out_on_every_server(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut left_out = [
        one.client("ann").await,
        two.client("bob").await,
        two.client("bob").await,
    ];
    let mut others = [one.client("cid").await, two.client("dan").await];
    let except = vec![client("ann"), client("bob"), client("nobody")];
    one.adapter.reach_everyone(frame("first"), except).await.expect("sent");
    one.adapter
        .reach_everyone(frame("second"), Vec::new())
        .await
        .expect("sent");
    for other in &mut others {
        assert_eq!([other.frame().await, other.frame().await], ["first", "second"]);
    }
    for one in &mut left_out {
        assert_eq!(one.frame().await, "second");
    }
}

async fn many_clients_are_found_in_one_gathering_with_the_time_since_when(ground: Ground) {
    let (one, two) = ground.pair().await;
    let before = SystemTime::now();
    let (_ann, _bob, _again) = (
        one.client("ann").await,
        two.client("bob").await,
        two.client("bob").await,
    );
    let mut asked = vec![client("bob"), client("ann")];
    asked.extend((0..998).map(|number| client(&format!("nobody-{number}"))));
    let found = one.adapter.cluster_clients(&asked).await;
    assert!(found.complete, "{found:?}");
    let found = by_server(found.servers);
    let ids = |server: &str| -> Vec<_> {
        found[server]
            .online
            .iter()
            .map(|online| online.client.clone())
            .collect()
    };
    assert_eq!((ids("one"), ids("two")), (vec![client("ann")], vec![client("bob")]));
    let since = &found["two"].online[0].since_ms;
    let before = before.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    // The clock may be set meanwhile, by a little.
    let earliest = before.saturating_sub(Duration::from_secs(1)).as_millis() as u64;
    assert!(
        since.len() == 2 && since[0] <= since[1] && since[0] >= earliest,
        "{since:?}"
    );
}

async fn a_client_is_located_or_known_to_be_nowhere(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (_ann, bob) = (one.client("ann").await, two.client("bob").await);
    let located = async |id| one.adapter.locate(&client(id)).await.expect("asked");
    let at = |name| Located {
        servers: vec![server(name)],
        complete: true,
    };
    assert_eq!((located("ann").await, located("bob").await), (at("one"), at("two")));
    let nowhere = Located {
        servers: Vec::new(),
        complete: true,
    };
    assert_eq!(located("nobody").await, nowhere);
    // Its server still subscribes to it for some seconds, and says that it does not have it.
    drop(bob);
    assert_eq!(located("bob").await, nowhere);
    let all = one
        .adapter
        .locate_all(&[client("nobody"), client("ann"), client("bob")])
        .await;
    assert_eq!(all, [nowhere.clone(), at("one"), nowhere]);
}
