//! Close handshakes (RFC 6455, sections 5.5.1 and 7; Autobahn 7).

use crate::peer::{CLOSE, PING, PONG, Server, TEXT, TEXT_BEGINS, frame, frames, heard};

/// The frames of the server after these bytes, until it closes.
async fn after(server: &Server, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut peer = server.peer().await;
    peer.write(bytes).await;
    peer.rest().await
}

fn with_code(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_answered_with_its_own_payload() {
    let server = Server::start().await;
    for payload in [
        vec![],
        with_code(1000, b""),
        with_code(1000, b"Hello World!"),
        with_code(1000, &[b'*'; 123]),
        with_code(4999, "κόσμε".as_bytes()),
    ] {
        assert_eq!(after(&server, &frame(CLOSE, &payload)).await, [(CLOSE, payload)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_may_be_sent_are_answered_and_others_rejected() {
    let server = Server::start().await;
    let valid = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
    ];
    for code in valid {
        let payload = with_code(code, b"");
        assert_eq!(
            after(&server, &frame(CLOSE, &payload)).await,
            [(CLOSE, payload)],
            "{code}"
        );
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        server.refuses(&frame(CLOSE, &with_code(code, b"")), &[], 1002).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_close_frame_is_rejected() {
    let server = Server::start().await;
    server.refuses(&frame(CLOSE, b"\x03"), &[], 1002).await;
    server
        .refuses(&frame(CLOSE, &with_code(1000, &[b'*'; 124])), &[], 1002)
        .await;
    let not_utf8 = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80";
    server
        .refuses(&frame(CLOSE, &with_code(1000, not_utf8)), &[], 1007)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_after_a_close_is_answered() {
    let server = Server::start().await;
    let close = with_code(1000, b"");
    for late in [
        (TEXT, &b"late"[..]),
        (PING, b"late"),
        (CLOSE, b"\x03\xe9"),
        (0x83, b"broken"),
    ] {
        let bytes = frames(&[(CLOSE, &close), late]);
        assert_eq!(after(&server, &bytes).await, heard(&[(CLOSE, &close)]), "{late:?}");
    }
    let early = frames(&[(TEXT_BEGINS, b"never ends"), (PING, b"early"), (CLOSE, &close)]);
    assert_eq!(
        after(&server, &early).await,
        heard(&[(PONG, b"early"), (CLOSE, &close)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_before_a_close_is_echoed_whole() {
    let server = Server::start().await;
    let (large, close) = (vec![b'*'; 256 * 1024], with_code(1000, b""));
    let bytes = frames(&[(TEXT, &large), (CLOSE, &close)]);
    let mut peer = server.peer().await;
    peer.write(&bytes).await;
    assert!(peer.rest().await == heard(&[(TEXT, &large), (CLOSE, &close)]));
}
