//! Lengths, masks, reserved bits and opcodes (RFC 6455, section 5.2; Autobahn 1, 3 and 4).

use crate::peer::{BINARY, PING, PONG, Server, TEXT, frame, frames, heard};

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_length_is_echoed_in_its_shortest_form() {
    let server = Server::start().await;
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        for (first, fill) in [(TEXT, b'*'), (BINARY, 0xfe)] {
            let payload = vec![fill; length];
            server
                .answers(&frame(first, &payload), &heard(&[(first, &payload)]))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_in_a_longer_form_is_rejected() {
    let server = Server::start().await;
    for header in [
        &b"\x81\xfe\x00\x05\0\0\0\0"[..],
        b"\x81\xfe\x00\x7d\0\0\0\0",
        b"\x81\xff\0\0\0\0\0\0\x00\x7e\0\0\0\0",
        b"\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0",
        b"\x82\xff\x80\0\0\0\0\x01\0\0\0\0\0\0",
    ] {
        server.refuses(header, &[], 1002).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_a_mask_are_rejected() {
    let server = Server::start().await;
    for bytes in [
        &b"\x81\x02hi"[..],
        b"\x82\x00",
        b"\x89\x00",
        b"\x8a\x00",
        b"\x88\x02\x03\xe8",
    ] {
        server.refuses(bytes, &[], 1002).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_bits_are_rejected_with_and_without_a_message_before() {
    let server = Server::start().await;
    for bits in 1..8u8 {
        for first in [TEXT, BINARY, PING, PONG, 0x88] {
            server.refuses(&frame(first | bits << 4, b"hi"), &[], 1002).await;
        }
        let bytes = frames(&[(TEXT, b"before"), (TEXT | bits << 4, b"hi"), (PING, b"")]);
        server.refuses(&bytes, &heard(&[(TEXT, b"before")]), 1002).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_opcodes_are_rejected_with_and_without_a_message_before() {
    let server = Server::start().await;
    for opcode in (3..=7).chain(11..=15) {
        for payload in [&b""[..], b"hi"] {
            server.refuses(&frame(0x80 | opcode, payload), &[], 1002).await;
            let bytes = frames(&[(TEXT, b"before"), (0x80 | opcode, payload), (PING, b"")]);
            server.refuses(&bytes, &heard(&[(TEXT, b"before")]), 1002).await;
        }
    }
}
