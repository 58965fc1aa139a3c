//! permessage-deflate (RFC 7692; Autobahn 12 and 13), and attacks with it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use ws_node::EdgeSettings;

use crate::peer::{CLOSE, Frame, PING, PONG, Peer, Server, TEXT, frame, frames};

/// The first byte of a compressed text frame, and of the first of several.
const COMPRESSED: u8 = 0xc1;
const COMPRESSED_BEGINS: u8 = 0x41;

async fn server(settings: EdgeSettings) -> Server {
    Server::with(EdgeSettings {
        deflate: true,
        deflate_above: 20,
        ..settings
    })
    .await
}

/// A message as a client compresses it: without the last four bytes of a flush.
fn packed(message: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(message).expect("in memory");
    encoder.flush().expect("in memory");
    let mut packed = encoder.get_ref().clone();
    packed.truncate(packed.len() - 4);
    packed
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let whole = [packed, &[0x00, 0x00, 0xff, 0xff, 0x03, 0x00]].concat();
    let mut out = Vec::new();
    DeflateDecoder::new(&whole[..])
        .read_to_end(&mut out)
        .expect("compressed data");
    out
}

/// The close code that these bytes cause.
async fn refused(mut peer: Peer, bytes: &[u8]) -> u16 {
    peer.write(bytes).await;
    let (first, payload) = peer.rest().await.pop().expect("a close frame");
    assert_eq!(first, CLOSE);
    u16::from_be_bytes([payload[0], payload[1]])
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_compressed_both_ways_where_that_makes_them_smaller() {
    let server = server(EdgeSettings::echo()).await;
    let mut peer = server.compressing_peer().await;
    let long = b"wsmesh ".repeat(1000);
    for _ in 0..3 {
        peer.write(&frame(COMPRESSED, &packed(&long))).await;
        let (first, payload): Frame = peer.frame().await;
        assert_eq!(first, COMPRESSED);
        assert!(payload.len() < 200, "{} bytes", payload.len());
        assert!(unpacked(&payload) == long);
    }
    for (sent, message) in [(packed(b"short"), &b"short"[..]), (packed(b""), b""), (vec![0x00], b"")] {
        peer.write(&frame(COMPRESSED, &sent)).await;
        assert_eq!(
            peer.frame().await,
            (TEXT, message.to_vec()),
            "below the limit, as it is"
        );
    }
    peer.write(&frame(TEXT, &long)).await;
    assert_eq!(
        peer.frame().await.0,
        COMPRESSED,
        "what came uncompressed is a message like others"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_message_may_come_in_fragments_with_pings_between_and_octet_by_octet() {
    let server = server(EdgeSettings::echo()).await;
    let mut peer = server.compressing_peer().await;
    let hello = packed(b"Hello");
    let (begin, end) = hello.split_at(3);
    let bytes = frames(&[
        (COMPRESSED_BEGINS, begin),
        (PING, b"?"),
        (0x00, &end[..1]),
        (0x80, &end[1..]),
    ]);
    for octet in bytes {
        peer.write(&[octet]).await;
    }
    assert_eq!(peer.frame().await, (PONG, b"?".to_vec()));
    assert_eq!(peer.frame().await, (TEXT, b"Hello".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_rules_of_compression_are_rejected() {
    let settings = EdgeSettings {
        max_message_bytes: 1000,
        ..EdgeSettings::echo()
    };
    let server = server(settings).await;
    for (bytes, code) in [
        (frame(COMPRESSED, &[0xff; 9]), 1007),
        (frame(COMPRESSED, &packed(b"\xff\xfe is not UTF-8")), 1007),
        (frame(COMPRESSED, &packed(&[b'x'; 1001])), 1009),
        (frames(&[(COMPRESSED_BEGINS, &[0xf2]), (0xc0, &[0x48])]), 1002),
        (frame(0xc9, b""), 1002),
        (frame(0xe1, b""), 1002),
    ] {
        assert_eq!(
            refused(server.compressing_peer().await, &bytes).await,
            code,
            "{bytes:02x?}"
        );
    }
    let not_offered = refused(server.peer().await, &frame(COMPRESSED, &packed(b"Hello"))).await;
    assert_eq!(not_offered, 1002);
    let mut peer = server.compressing_peer().await;
    peer.write(&frame(COMPRESSED, &packed(&[b'x'; 1000]))).await;
    assert_eq!(unpacked(&peer.frame().await.1), [b'x'; 1000], "as large as may be");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decompression_bomb_closes_its_sender_and_costs_no_time_or_memory() {
    let server = server(EdgeSettings {
        max_message_bytes: 1 << 20,
        ..EdgeSettings::echo()
    })
    .await;
    let bomb = frame(COMPRESSED, &packed(&vec![0; 64 << 20]));
    assert!(bomb.len() < 1 << 20);
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(refused(server.compressing_peer().await, &bomb).await, 1009);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_nothing_is_agreed_on() {
    let server = Server::start().await;
    let (_peer, head) = server
        .upgraded("Sec-WebSocket-Extensions: permessage-deflate\r\n")
        .await;
    assert!(!head.contains("xtensions"), "{head}");
}
