//! Pings and pongs (RFC 6455, section 5.5; Autobahn 2).

use crate::peer::{PING, PONG, Server, TEXT, frame, frames, heard};

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_with_its_payload_up_to_125_bytes() {
    let server = Server::start().await;
    for payload in [
        &b""[..],
        b"Hello, world!",
        b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",
        &[0xfe; 125],
    ] {
        server.answers(&frame(PING, payload), &heard(&[(PONG, payload)])).await;
    }
    server.refuses(&frame(PING, &[0xfe; 126]), &[], 1002).await;
    server.refuses(&frame(PONG, &[0xfe; 126]), &[], 1002).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_one_of_many_pings_in_one_segment_is_answered_in_order() {
    let server = Server::start().await;
    let payloads: Vec<Vec<u8>> = (0..100u8).map(|index| vec![index; 125]).collect();
    let pings: Vec<(u8, &[u8])> = payloads.iter().map(|payload| (PING, &payload[..])).collect();
    let pongs: Vec<(u8, &[u8])> = payloads.iter().map(|payload| (PONG, &payload[..])).collect();
    server.answers(&frames(&pings), &heard(&pongs)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unexpected_pong_is_ignored() {
    let server = Server::start().await;
    server.answers(&frame(PONG, b""), &[]).await;
    server
        .answers(
            &frames(&[(PONG, b"unasked"), (PING, b"ask")]),
            &heard(&[(PONG, b"ask")]),
        )
        .await;
    server
        .answers(&frames(&[(PONG, b"unasked"), (TEXT, b"hi")]), &heard(&[(TEXT, b"hi")]))
        .await;
}
