//! A small server that speaks the client protocol, badly: the second client suffers, which does not publish.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

/// A mistake that the server makes. Message numbers are the publisher's sequence numbers.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The second client does not get this message.
    Drop(u64),
    /// It gets this message twice.
    Double(u64),
    /// It gets this message after the next one.
    Swap(u64),
    /// It is closed instead of getting this message.
    Close(u64),
    /// All members get pings between messages, messages in two frames, and bytes one at a time.
    Dribble,
    /// These connections, counted from 0, are refused with 503.
    Refuse(Range<usize>),
    /// Once this many are there, all are closed with a delay to come back after.
    SendAway { after: usize, delay_ms: u64 },
}

pub(crate) struct Rogue {
    pub(crate) url: String,
}

#[derive(Debug)]
struct Member {
    suffers: bool,
    stream: TcpStream,
}

#[derive(Debug, Default)]
struct State {
    members: Vec<Member>,
    held: Option<Vec<u8>>,
    sent_away: bool,
}

impl Rogue {
    /// Serves for as long as the test process lives.
    pub(crate) fn start(faults: Vec<Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("ws://{}/", listener.local_addr().expect("bound"));
        let state = Arc::new(Mutex::new(State::default()));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (state, faults, stream) = (Arc::clone(&state), faults.clone(), stream.expect("accepts"));
                thread::spawn(move || serve(number, stream, &state, &faults));
            }
        });
        Self { url }
    }
}

fn serve(number: usize, mut stream: TcpStream, state: &Mutex<State>, faults: &[Fault]) {
    stream.set_nodelay(true).expect("a socket");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).is_err() {
            return;
        }
        request.push(byte[0]);
    }
    if faults
        .iter()
        .any(|fault| matches!(fault, Fault::Refuse(numbers) if numbers.contains(&number)))
    {
        let refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 16\r\n\r\ncome back later\n";
        return stream.write_all(refusal).expect("writes");
    }
    let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(upgrade).expect("writes");
    send_away(member(&stream, &request), state, faults);
    while let Some(text) = frame(&mut stream) {
        if let Some(message) = between(&text, "\"msg\":\"") {
            publish(message, &mut state.lock(), faults);
        } else if text.contains("joinRoom") {
            let reply = r#"{"payload":{"msg":"joined"},"callbackId":"ready"}"#;
            stream.write_all(&framed(0x81, reply.as_bytes())).expect("writes");
            state.lock().members.push(member(&stream, &request));
        }
    }
}

fn member(stream: &TcpStream, request: &[u8]) -> Member {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Member {
        suffers: String::from_utf8_lossy(line).contains("-1 HTTP"),
        stream: stream.try_clone().expect("a socket"),
    }
}

fn send_away(member: Member, state: &Mutex<State>, faults: &[Fault]) {
    let Some((after, delay_ms)) = faults.iter().find_map(|fault| match fault {
        Fault::SendAway { after, delay_ms } => Some((*after, *delay_ms)),
        _ => None,
    }) else {
        return;
    };
    let mut state = state.lock();
    state.members.push(member);
    if state.members.len() == after && !state.sent_away {
        state.sent_away = true;
        for mut member in state.members.drain(..) {
            let reason = [
                &1012_u16.to_be_bytes()[..],
                format!("retry-after-ms={delay_ms}").as_bytes(),
            ]
            .concat();
            member.stream.write_all(&framed(0x88, &reason)).expect("writes");
        }
    }
}

fn publish(message: &str, state: &mut State, faults: &[Fault]) {
    let sequence: u64 = message.split('.').nth(1).expect("a stamp").parse().expect("a number");
    let push = format!(r#"{{"event":"say","payload":{{"action":"toRoom","msg":"{message}"}}}}"#);
    let whole = framed(0x81, push.as_bytes());
    let held = state.held.take();
    for Member { suffers, stream } in &mut state.members {
        let mut frames = vec![whole.clone()];
        for fault in faults {
            match fault {
                Fault::Drop(number) if *number == sequence && *suffers => frames.clear(),
                Fault::Double(number) if *number == sequence && *suffers => frames.push(whole.clone()),
                Fault::Swap(number) if *number == sequence && *suffers => state.held = frames.pop(),
                Fault::Close(number) if *number == sequence && *suffers => {
                    frames = vec![framed(0x88, b"\x13\x87enough")]
                }
                Fault::Dribble => return dribble(&mut state.members, push.as_bytes()),
                _ => {}
            }
        }
        frames.extend(held.clone().filter(|_| *suffers));
        for frame in frames {
            // It may have been closed before.
            let _ = stream.write_all(&frame);
        }
    }
}

fn dribble(members: &mut [Member], push: &[u8]) {
    let (first, second) = push.split_at(40);
    let frames = [
        framed(0x01, first),
        framed(0x89, b"alive?"),
        framed(0x80, second),
        framed(0x89, b""),
    ]
    .concat();
    for Member { stream, .. } in members {
        // Single bytes where headers are; the rest in one.
        let (slow, rest) = frames.split_at(60);
        for byte in slow {
            stream.write_all(&[*byte]).expect("writes");
        }
        stream.write_all(rest).expect("writes");
    }
}

/// The payload of a client's text frame; `None` at the end. Pongs are checked and passed over.
fn frame(stream: &mut TcpStream) -> Option<String> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).ok()?;
        let length = match head[1] & 0x7F {
            126 => {
                let mut length = [0; 2];
                stream.read_exact(&mut length).ok()?;
                usize::from(u16::from_be_bytes(length))
            }
            short => usize::from(short),
        };
        let (mut mask, mut payload) = ([0; 4], vec![0; length]);
        stream.read_exact(&mut mask).ok()?;
        stream.read_exact(&mut payload).ok()?;
        assert_eq!(mask, [0; 4], "the mask is zero");
        match head[0] {
            0x81 => return String::from_utf8(payload).ok(),
            0x8A => assert!(
                payload == b"alive?" || payload.is_empty(),
                "a pong repeats the ping's payload"
            ),
            _ => return None,
        }
    }
}

fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(short as u8),
        medium => {
            frame.push(126);
            frame.extend((medium as u16).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

fn between<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once('"').map(|(found, _)| found)
}
