//! A collector for tests: takes requests over HTTP, hands them over, and answers as it is told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::settings::Environment;

/// Longest wait of a test: only something broken takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// What it answers, one after the other; the last one again and again.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16, Vec<u8>),
    /// It says that this belongs to another address.
    Elsewhere(u16, String),
    /// It takes the request and says nothing.
    Silence,
}

/// What it got.
#[derive(Debug)]
pub(crate) struct Got {
    /// In lower case.
    pub(crate) head: String,
    /// As it was before it was compressed.
    pub(crate) body: Vec<u8>,
}

pub(crate) fn fine() -> Answer {
    Answer::Status(200, Vec::new())
}

/// Starts one. Returns its URL, and what it gets.
pub(crate) fn receiver(answers: &[Answer]) -> (String, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (sender, receiver) = channel();
    let answers = answers.to_vec();
    std::thread::spawn(move || serve(&listener, answers, &sender));
    (url, receiver)
}

fn serve(listener: &TcpListener, mut answers: Vec<Answer>, got: &Sender<Got>) {
    answers.reverse();
    let mut silent = Vec::new();
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        // A client that gave up.
        let Some(request) = read(&mut stream) else { continue };
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop().expect("an answer"),
        };
        if got.send(request).is_err() {
            return;
        }
        let (status, more, body) = match answer {
            Answer::Status(status, body) => (status, String::new(), body),
            Answer::Elsewhere(status, url) => (status, format!("location: {url}\r\n"), Vec::new()),
            Answer::Silence => {
                silent.push(stream);
                continue;
            }
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n{more}connection: close\r\n\r\n");
        let _gone = stream.write_all(&[head.as_bytes(), &body].concat());
    }
}

fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").trim().parse().expect("a number");
        if bytes.len() >= end + 4 + length {
            let mut body = bytes.split_off(end + 4);
            if head.contains("content-encoding: gzip") {
                let mut plain = Vec::new();
                let mut decoder = flate2::read::GzDecoder::new(&body[..]);
                decoder.read_to_end(&mut plain).expect("gzip");
                body = plain;
            }
            return Some(Got { head, body });
        }
    }
}

/// A URL where nobody listens. The port stays taken as long as the socket lives, so that nobody else begins to.
pub(crate) fn nobody() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    (format!("http://{}", socket.local_addr().expect("bound")), socket)
}

pub(crate) fn environment(pairs: &[(&str, &str)]) -> Environment {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}
