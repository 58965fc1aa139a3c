//! What orders about clients promise if some servers do not carry them out: the others do, and the error says so.

use std::time::Duration;

use wsmesh_adapter::{
    Bus, CallError, ClientError, ClientOrderError, Closing, Dismissal, LinkFault, MemoryBus, Options, Refusal,
    RequestError,
};

use crate::support::ground::{Ground, suite};
use crate::support::*;
use crate::typed::play_ws_node;

suite![
    one_home_that_does_not_answer_does_not_keep_the_others_from_it,
    a_client_that_left_before_the_order_arrived_is_not_an_error,
    a_close_code_that_cannot_be_sent_is_rejected_before_anything_is_closed,
];

fn several_homes(ground: &Ground, name: &str) -> Options {
    Options {
        several_homes: true,
        ..ground.options(name, "ws-node")
    }
}

async fn one_home_that_does_not_answer_does_not_keep_the_others_from_it(ground: Ground) {
    let mut servers = Vec::new();
    for name in ["one", "two", "three"] {
        servers.push(Server::ready(several_homes(&ground, name)).await);
    }
    let [one, two, three] = &servers[..] else {
        unreachable!()
    };
    acquainted(&[one, two, three]).await;
    play_ws_node(&two.adapter);
    // No listener: `three` is not a ws-node.
    let (mut here, mut there) = (one.client("ann").await, two.client("ann").await);
    let _silent = three.client("ann").await;
    let joined = one.adapter.join_client(&client("ann"), &room("1")).await;
    let ClientOrderError::Partly { mut done, error } = joined.expect_err("three does not join") else {
        panic!("it is not said where ann has joined")
    };
    done.sort();
    assert_eq!(done, [server("one"), server("two")]);
    assert!(
        matches!(&*error, ClientOrderError::Call(CallError::Request(RequestError::Missing { server: name, .. })) if *name == server("three")),
        "{error}"
    );
    assert_eq!(two.adapter.room_members(&room("1")), [client("ann")]);
    let kicked = one.adapter.kick(&client("ann"), "banned").await;
    assert!(matches!(kicked, Err(ClientOrderError::Partly { .. })), "{kicked:?}");
    for connection in [&mut here, &mut there] {
        assert!(matches!(connection.next().await, Seen::Closed(Closing::Dismissed(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_not_known_to_be_kicked_everywhere_if_a_server_does_not_say_whether_it_has_it() {
    let bus = MemoryBus::new(["a"]).expect("valid ids");
    let start = async |name: &str| {
        let options = Options {
            several_homes: true,
            request_timeout: Duration::from_secs(1),
            ..options(name, "ws-node", Bus::Memory(bus.seen_from(name)))
        };
        Server::ready(options).await
    };
    let (one, two, three) = (start("one").await, start("two").await, start("three").await);
    acquainted(&[&one, &two, &three]).await;
    play_ws_node(&two.adapter);
    let mut there = two.client("ann").await;
    let (_unknown, _other) = (three.client("ann").await, three.client("bob").await);
    let mut bob = one.client("bob").await;
    bus.set_link("three", "a", LinkFault::Hang);
    let (ann_id, bob_id) = (client("ann"), client("bob"));
    // At once: soon, `three` no longer counts as a receiver.
    let kicked = tokio::join!(one.adapter.kick(&ann_id, "banned"), one.adapter.kick(&bob_id, "banned"));
    for (kicked, id, home, seen) in [
        (kicked.0, ann_id, "two", &mut there),
        (kicked.1, bob_id, "one", &mut bob),
    ] {
        match kicked {
            Err(ClientOrderError::Partly { done, error }) => {
                assert_eq!(done, [server(home)]);
                assert!(
                    matches!(&*error, ClientOrderError::Unknown(who) if *who == id),
                    "{error}"
                );
            }
            other => panic!("{id}: {other:?}"),
        }
        assert!(matches!(seen.next().await, Seen::Closed(_)), "{id}");
    }
}

async fn a_client_that_left_before_the_order_arrived_is_not_an_error(ground: Ground) {
    let (one, two) = ground.pair().await;
    let _bob = two.client("bob").await;
    let gone = ClientError::NotHere(client("bob")).to_string();
    for (event, code) in [
        ("wsmesh.clientJoin", "NOT_FOUND"),
        ("wsmesh.clientLeave", "UNAVAILABLE"),
    ] {
        let gone = gone.clone();
        two.adapter.on_request(event, move |_| {
            let refusal = Refusal::new(code, gone.clone());
            async move { Err::<(), _>(refusal) }
        });
    }
    assert!(
        !one.adapter
            .join_client(&client("bob"), &room("1"))
            .await
            .expect("false")
    );
    assert!(
        !one.adapter
            .leave_client(&client("bob"), &room("1"))
            .await
            .expect("false")
    );
}

async fn a_close_code_that_cannot_be_sent_is_rejected_before_anything_is_closed(ground: Ground) {
    let (one, _two) = ground.pair().await;
    let mut ann = one.client("ann").await;
    let dismissal = Dismissal {
        code: 1005,
        reason: "banned".into(),
    };
    let kicked = one.adapter.kick_with(&client("ann"), dismissal.clone()).await;
    assert!(
        matches!(kicked, Err(ClientOrderError::Client(ClientError::CloseCode(1005)))),
        "{kicked:?}"
    );
    let dismissed = one.adapter.dismiss(&client("ann"), dismissal.clone()).await;
    assert_eq!(dismissed, Err(ClientError::CloseCode(1005)));
    let connection = ann.attachment.connection();
    let dismissed = one
        .adapter
        .dismiss_connection(ann.attachment.client(), connection, dismissal);
    assert_eq!(dismissed.await, Err(ClientError::CloseCode(1005)));
    ann.nothing().await;
    assert!(one.adapter.is_here(&client("ann")));
}
