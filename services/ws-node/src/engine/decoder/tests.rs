use super::*;

const ACCEPTS: Accepts = Accepts {
    max_message: 1000,
    binary: false,
    deflate: false,
};

fn text(text: &str) -> Incoming {
    Incoming::Message(Message::Text(text.to_owned()))
}

/// A client's frame, masked with a key of ones.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ ..126 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&[1; 4]);
    out.extend(payload.iter().map(|byte| byte ^ 1));
    out
}

fn all(bytes: &[u8]) -> (Vec<Incoming>, Option<u16>, Vec<u8>) {
    let (mut decoder, mut input, mut replies, mut out) = (Decoder::new(ACCEPTS), bytes, Vec::new(), Vec::new());
    loop {
        match decoder.next(&mut input, &mut replies) {
            Ok(Some(incoming)) => {
                out.push(incoming);
                if matches!(out.last(), Some(Incoming::Close(..))) {
                    return (out, None, replies);
                }
            }
            Ok(None) => return (out, None, replies),
            Err(violation) => return (out, Some(violation.code.into()), replies),
        }
    }
}

fn refused(bytes: &[u8]) -> Option<u16> {
    all(bytes).1
}

#[test]
fn messages_come_out_whole_however_they_are_cut() {
    let bytes = [
        masked(0x01, "h\u{e9}".as_bytes()[..2].as_ref()),
        masked(0x89, b"now"),
        masked(0x80, &"h\u{e9}".as_bytes()[2..]),
        masked(0x81, b""),
    ]
    .concat();
    let (mut decoder, mut replies, mut out) = (Decoder::new(ACCEPTS), Vec::new(), Vec::new());
    for byte in bytes.chunks(1) {
        let mut input = byte;
        while let Some(incoming) = decoder.next(&mut input, &mut replies).expect("valid") {
            out.push(incoming);
        }
    }
    assert_eq!(out, [Incoming::Ping, text("hé"), text("")]);
    assert_eq!(replies, b"\x8a\x03now");
}

#[test]
fn a_close_is_answered_with_its_own_code() {
    let (got, refused, replies) = all(&masked(0x88, b"\x0f\xa1bye"));
    assert_eq!((got, refused), (vec![Incoming::Close(Some(4001), "bye".into())], None));
    assert_eq!(replies, b"\x88\x05\x0f\xa1bye");
    assert_eq!(all(&masked(0x88, b"")).0, [Incoming::Close(None, "".into())]);
}

#[test]
fn frames_that_rfc_6455_forbids_are_protocol_errors() {
    let cases: [&[u8]; 9] = [
        b"\x81\x02hi",                                      // not masked
        &masked(0xc1, b"hi"),                               // reserved bit
        &masked(0x83, b"hi"),                               // reserved opcode
        &masked(0x8b, b""),                                 // reserved control opcode
        &masked(0x09, b""),                                 // fragmented control frame
        &masked(0x89, &[0; 126]),                           // control frame too long
        &masked(0x80, b"hi"),                               // continuation of nothing
        &masked(0x88, b"\x03"),                             // half a close code
        &[masked(0x01, b"a"), masked(0x01, b"b")].concat(), // a message inside another
    ];
    for case in cases {
        assert_eq!(refused(case), Some(1002), "{case:02x?}");
    }
}

#[test]
fn binary_and_broken_text_and_big_messages_have_their_own_codes() {
    assert_eq!(refused(&masked(0x82, b"hi")), Some(1003));
    assert_eq!(refused(&masked(0x81, b"\xff")), Some(1007));
    assert_eq!(
        refused(&[masked(0x01, b"\xc3"), masked(0x80, b"(")].concat()),
        Some(1007)
    );
    assert_eq!(refused(&masked(0x81, &[b'x'; 1000])), None);
    assert_eq!(refused(&masked(0x81, &[b'x'; 1001])), Some(1009));
    assert_eq!(
        refused(b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x01\x01\x01"),
        Some(1009)
    );
    assert_eq!(
        refused(&[masked(0x01, &[b'x'; 600]), masked(0x80, &[b'x'; 600])].concat()),
        Some(1009)
    );
}

#[test]
fn a_length_that_is_not_in_its_shortest_form_is_rejected() {
    for header in [
        &b"\x81\xfe\x00\x7d\x01\x01\x01\x01"[..],
        b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff\x01\x01\x01\x01",
        b"\x81\xff\x80\x00\x00\x00\x00\x01\x00\x00\x01\x01\x01\x01",
    ] {
        assert_eq!(refused(header), Some(1002), "{header:02x?}");
    }
}

#[test]
fn text_that_is_not_utf8_is_rejected_before_its_frame_is_complete() {
    let frame = masked(0x81, b"ab\xf4\x90\x80\x80 and much more");
    assert_eq!(refused(&frame[..6 + 3]), None);
    assert_eq!(refused(&frame[..6 + 4]), Some(1007));
}

#[test]
fn an_announced_length_takes_no_memory() {
    let (mut decoder, mut replies) = (
        Decoder::new(Accepts {
            max_message: 1 << 30,
            binary: true,
            deflate: false,
        }),
        Vec::new(),
    );
    let mut input = &b"\x82\xff\x00\x00\x00\x00\x10\x00\x00\x00\x01\x01\x01\x01x"[..];
    assert_eq!(decoder.next(&mut input, &mut replies), Ok(None));
    assert!(decoder.is_unfinished());
    assert!(decoder.message.expect("begun").bytes.capacity() < 64);
}

#[test]
fn an_idle_connection_keeps_no_buffer() {
    assert!(size_of::<Decoder>() <= 112, "{}", size_of::<Decoder>());
    let (mut decoder, mut replies) = (Decoder::new(ACCEPTS), Vec::new());
    let bytes = [masked(0x81, b"hi"), masked(0x89, b"hi")].concat();
    let mut input = &bytes[..];
    while decoder.next(&mut input, &mut replies).expect("valid").is_some() {}
    assert!(!decoder.is_unfinished() && decoder.message.is_none() && decoder.control.capacity() == 0);
}

#[test]
fn compressed_messages_are_accepted_only_where_that_was_agreed_on() {
    let hello = masked(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    assert_eq!(refused(&hello[..2]), Some(1002));
    let accepts = Accepts {
        deflate: true,
        ..ACCEPTS
    };
    let read = |bytes: &[u8]| {
        let (mut decoder, mut input, mut replies) = (Decoder::new(accepts), bytes, Vec::new());
        decoder
            .next(&mut input, &mut replies)
            .map_err(|violation| u16::from(violation.code))
    };
    assert_eq!(read(&hello), Ok(Some(text("Hello"))));
    assert_eq!(read(&masked(0xc9, b"")), Err(1002), "a control frame");
    assert_eq!(read(&masked(0xa1, b"")), Err(1002), "another reserved bit");
    let parts = [masked(0x41, &[0xf2, 0x48]), masked(0xc0, &[0xcd])].concat();
    assert_eq!(read(&parts), Err(1002), "a continuation that says it again");
    let noise = masked(0xc1, &[0xff; 1100]);
    assert_eq!(read(&noise), Err(1009), "more than could become a message");
}

#[test]
fn once_messages_are_ignored_they_are_neither_kept_nor_decompressed() {
    let accepts = Accepts {
        deflate: true,
        ..ACCEPTS
    };
    let (mut decoder, mut replies) = (Decoder::new(accepts), Vec::new());
    let begun = masked(0x01, b"begun, ");
    assert_eq!(decoder.next(&mut &begun[..], &mut replies), Ok(None));
    decoder.ignore_messages();
    let bytes = [
        masked(0x00, b"\xff is not looked at"),
        masked(0x80, b""),
        masked(0xc1, b"\xff\xff is not deflated"),
        masked(0x01, &[b'x'; 900]),
    ]
    .concat();
    assert_eq!(decoder.next(&mut &bytes[..], &mut replies), Ok(None));
    assert_eq!(decoder.message.as_ref().expect("it is begun").bytes.capacity(), 0);
    let close = masked(0x88, b"\x03\xe8");
    assert_eq!(
        decoder.next(&mut &close[..], &mut replies),
        Ok(Some(Incoming::Close(Some(1000), "".into())))
    );
}
