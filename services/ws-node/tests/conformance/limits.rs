//! Large messages, many messages, and the limit of a message (Autobahn 9, and RFC 6455, section 10.4).

use std::time::Duration;

use ws_node::EdgeSettings;

use crate::peer::{BINARY, BINARY_BEGINS, ENDS, GOES_ON, Peer, Server, TEXT, TEXT_BEGINS, frame, frames, heard};

async fn echoes(peer: &mut Peer, bytes: &[u8], first: u8, payload: &[u8]) {
    peer.write(bytes).await;
    let (heard_first, heard_payload) = peer.frame().await;
    assert_eq!((heard_first, heard_payload.len()), (first, payload.len()));
    assert!(heard_payload == payload, "other bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_up_to_16_mib_are_echoed_in_one_frame_and_in_many() {
    let server = Server::start().await;
    let mut peer = server.peer().await;
    for length in [64 << 10, 1 << 20, 16 << 20] {
        for (whole, begins, fill) in [(TEXT, TEXT_BEGINS, b'*'), (BINARY, BINARY_BEGINS, 0xfe)] {
            let payload = vec![fill; length];
            echoes(&mut peer, &frame(whole, &payload), whole, &payload).await;
            let mut parts: Vec<(u8, &[u8])> = payload.chunks(length / 256).map(|part| (GOES_ON, part)).collect();
            parts[0].0 = begins;
            parts.push((ENDS, b""));
            echoes(&mut peer, &frames(&parts), whole, &payload).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_exactly_the_limit_passes_and_one_byte_more_is_rejected() {
    let settings = EdgeSettings {
        max_message_bytes: 1000,
        ..EdgeSettings::echo()
    };
    let server = Server::with(settings).await;
    let (full, half) = ([b'x'; 1000], [b'x'; 500]);
    server.answers(&frame(TEXT, &full), &heard(&[(TEXT, &full)])).await;
    server
        .answers(
            &frames(&[(TEXT_BEGINS, &half), (ENDS, &half)]),
            &heard(&[(TEXT, &full)]),
        )
        .await;
    server.refuses(&frame(TEXT, &[b'x'; 1001]), &[], 1009).await;
    server
        .refuses(
            &frames(&[(TEXT_BEGINS, &half), (GOES_ON, &half), (ENDS, b"x")]),
            &[],
            1009,
        )
        .await;
    // Only announced.
    server
        .refuses(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", &[], 1009)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_messages_in_few_segments_are_echoed_in_order() {
    let server = Server::start().await;
    let texts: Vec<String> = (0..1000).map(|index| format!("message {index}")).collect();
    let all: Vec<(u8, &[u8])> = texts.iter().map(|text| (TEXT, text.as_bytes())).collect();
    server.answers(&frames(&all), &heard(&all)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_does_not_end_in_time_is_closed_and_others_are_not() {
    let settings = EdgeSettings {
        message_timeout: Duration::from_millis(100),
        ..EdgeSettings::echo()
    };
    let server = Server::with(settings).await;
    for begun in [
        &b"\x81"[..],
        b"\x81\xfe\xff\xff\0\0\0\0trickles",
        &frame(TEXT_BEGINS, b"goes on"),
    ] {
        let mut idle = server.peer().await;
        let mut peer = server.peer().await;
        peer.write(begun).await;
        let (first, payload) = peer.frame().await;
        assert_eq!((first, &payload[..2]), (0x88, &1008u16.to_be_bytes()[..]));
        echoes(&mut idle, &frame(TEXT, b"still here"), TEXT, b"still here").await;
    }
}
