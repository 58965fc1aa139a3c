//! UTF-8 (RFC 6455, section 8.1; Autobahn 6): rejected at the first octet that cannot be part of it.

use crate::peer::{ENDS, GOES_ON, Server, TEXT, TEXT_BEGINS, frame, frames, heard};

const VALID: [&str; 12] = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\u{0}",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}\u{e000}",
    "\u{fffd}\u{ffff}",
    "\u{10000}",
    "\u{10ffff}",
    "\u{feff}\u{1fffe}\u{fdd0}",
];

/// Valid octets, and then the one that must end the connection.
const INVALID: [&[u8]; 19] = [
    b"\x80",
    b"\xbf",
    b"\xc0",
    b"\xc1",
    b"\xf5",
    b"\xfe",
    b"\xff",
    b"ab\xc3\x28",
    b"\xe0\x80",
    b"\xe0\x9f",
    b"\xed\xa0",
    b"\xed\xbf",
    b"\xf0\x80",
    b"\xf0\x8f",
    b"\xf4\x90",
    b"\xe2\x82\x28",
    b"\xf0\x9f\x98\xc0",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90",
];

#[tokio::test(flavor = "multi_thread")]
async fn valid_text_is_echoed_also_when_every_octet_is_a_fragment() {
    let server = Server::start().await;
    for text in VALID {
        let octets = text.as_bytes();
        server.answers(&frame(TEXT, octets), &heard(&[(TEXT, octets)])).await;
        let mut parts: Vec<(u8, &[u8])> = octets.chunks(1).map(|octet| (GOES_ON, octet)).collect();
        parts[0].0 = TEXT_BEGINS;
        parts.push((ENDS, b""));
        server.answers(&frames(&parts), &heard(&[(TEXT, octets)])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_text_is_rejected_in_one_frame_and_across_fragments() {
    let server = Server::start().await;
    for octets in INVALID {
        server
            .refuses(&frame(TEXT, &[octets, b" more"].concat()), &[], 1007)
            .await;
        let (start, end) = octets.split_at(octets.len() - 1);
        server
            .refuses(&frames(&[(TEXT_BEGINS, start), (ENDS, end)]), &[], 1007)
            .await;
    }
    for cut_off in [&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x98", b"fine\xf0"] {
        server.refuses(&frame(TEXT, cut_off), &[], 1007).await;
        server
            .refuses(&frames(&[(TEXT_BEGINS, cut_off), (ENDS, b"")]), &[], 1007)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_invalid_octet_ends_the_connection_although_frame_and_message_are_not_complete() {
    let server = Server::start().await;
    for octets in INVALID {
        let whole = frame(TEXT, &[octets, &[b'x'; 100]].concat());
        let begun = &whole[..6 + octets.len()];
        server.refuses(begun, &[], 1007).await;
        server.refuses(&frame(TEXT_BEGINS, octets), &[], 1007).await;

        // The octets before it are handled first: only the last one is invalid.
        let mut peer = server.peer().await;
        peer.write(&begun[..begun.len() - 1]).await;
        peer.still_open().await;
        peer.write(&begun[begun.len() - 1..]).await;
        let (first, payload) = peer.frame().await;
        assert_eq!(
            (first, &payload[..2]),
            (0x88, &1007u16.to_be_bytes()[..]),
            "{octets:02x?}"
        );
    }
}
