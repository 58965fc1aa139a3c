//! Messages in fragments (RFC 6455, section 5.4; Autobahn 5).

use crate::peer::{BINARY, BINARY_BEGINS, ENDS, GOES_ON, PING, PONG, Server, TEXT, TEXT_BEGINS, frame, frames, heard};

#[tokio::test(flavor = "multi_thread")]
async fn fragments_become_one_message() {
    let server = Server::start().await;
    for (begins, whole) in [(TEXT_BEGINS, TEXT), (BINARY_BEGINS, BINARY)] {
        for parts in [
            &[(begins, &b"frag"[..]), (ENDS, b"ment")][..],
            &[(begins, b""), (GOES_ON, b"fragment"), (ENDS, b"")],
            &[
                (begins, b"f"),
                (GOES_ON, b""),
                (GOES_ON, b"ra"),
                (GOES_ON, b"gmen"),
                (ENDS, b"t"),
            ],
        ] {
            server.answers(&frames(parts), &heard(&[(whole, b"fragment")])).await;
        }
        server
            .answers(
                &frames(&[(begins, b""), (GOES_ON, b""), (ENDS, b"")]),
                &heard(&[(whole, b"")]),
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_frames_come_between_fragments() {
    let server = Server::start().await;
    let bytes = frames(&[
        (TEXT_BEGINS, b"one"),
        (PING, b"1"),
        (PONG, b"unasked"),
        (GOES_ON, b"two"),
        (PING, b"2"),
        (ENDS, b"three"),
        (PING, b"3"),
    ]);
    // Pongs go out before messages of the same read.
    let mut peer = server.peer().await;
    peer.write(&bytes).await;
    let mut all = Vec::new();
    while all.len() < 4 {
        all.push(peer.frame().await);
    }
    let pongs: Vec<_> = all
        .iter()
        .filter(|(first, _)| *first == PONG)
        .map(|(_, payload)| payload.as_slice())
        .collect();
    assert_eq!(pongs, [b"1", b"2", b"3"]);
    assert!(all.contains(&(TEXT, b"onetwothree".to_vec())));
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_out_of_order_are_rejected() {
    let server = Server::start().await;
    for bytes in [
        frame(ENDS, b"of nothing"),
        frame(GOES_ON, b"of nothing"),
        frames(&[(TEXT_BEGINS, b"a"), (TEXT, b"b")]),
        frames(&[(TEXT_BEGINS, b"a"), (BINARY, b"b")]),
        frames(&[(TEXT_BEGINS, b"a"), (TEXT_BEGINS, b"b")]),
        frames(&[(BINARY_BEGINS, b"a"), (GOES_ON, b"b"), (BINARY_BEGINS, b"c")]),
    ] {
        server.refuses(&bytes, &[], 1002).await;
    }
    let twice = frames(&[(TEXT_BEGINS, b"a"), (ENDS, b"b"), (ENDS, b"c")]);
    server.refuses(&twice, &heard(&[(TEXT, b"ab")]), 1002).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_frames_in_fragments_are_rejected() {
    let server = Server::start().await;
    for first in [0x08, 0x09, 0x0a] {
        server.refuses(&frames(&[(first, b""), (ENDS, b"")]), &[], 1002).await;
        server
            .refuses(&frames(&[(TEXT_BEGINS, b"a"), (first, b"")]), &[], 1002)
            .await;
    }
}
