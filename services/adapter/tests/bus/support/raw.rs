//! A program that is not a wsmesh server: it publishes and subscribes with plain Redis commands.

use std::collections::VecDeque;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::soon;

/// Two connections to one Redis.
pub(crate) struct Stranger {
    publisher: TcpStream,
    subscriber: BufReader<TcpStream>,
    waiting: VecDeque<(String, Vec<u8>)>,
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend(b"\r\n");
    }
    out
}

impl Stranger {
    pub(crate) async fn connect(port: u16, channels: &[&str]) -> Self {
        let connect = || TcpStream::connect(("127.0.0.1", port));
        let publisher = connect().await.expect("Redis listens");
        let subscriber = BufReader::new(connect().await.expect("Redis listens"));
        let waiting = VecDeque::new();
        let mut stranger = Self {
            publisher,
            subscriber,
            waiting,
        };
        for channel in channels {
            let words: [&[u8]; 2] = [b"SUBSCRIBE", channel.as_bytes()];
            stranger.subscriber.write_all(&command(&words)).await.expect("written");
            while stranger.read().await[0] != b"subscribe" {}
        }
        stranger
    }

    pub(crate) async fn publish(&mut self, channel: &str, envelope: &[u8]) {
        let words: [&[u8]; 3] = [b"PUBLISH", channel.as_bytes(), envelope];
        self.publisher.write_all(&command(&words)).await.expect("written");
    }

    /// The next message that this program did not send itself: channel and envelope, in either encoding.
    pub(crate) async fn next(&mut self, me: &str) -> (String, Value) {
        loop {
            let (channel, bytes) = soon("a message for the stranger", self.message()).await;
            let envelope: Value = if bytes.first() == Some(&b'{') {
                serde_json::from_slice(&bytes).expect("JSON")
            } else {
                rmp_serde::from_slice(&bytes).expect("MessagePack")
            };
            let sender = envelope["data"]["senderServer"]
                .as_str()
                .or(envelope["senderServer"].as_str());
            if sender != Some(me) {
                return (channel, envelope);
            }
        }
    }

    async fn message(&mut self) -> (String, Vec<u8>) {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return message;
            }
            let mut parts = self.read().await;
            if parts[0] == b"message" {
                let payload = parts.pop().expect("three parts");
                let channel = String::from_utf8(parts.pop().expect("three parts")).expect("UTF-8");
                self.waiting.push_back((channel, payload));
            }
        }
    }

    /// Reads one array of bulk strings and integers.
    async fn read(&mut self) -> Vec<Vec<u8>> {
        let count = self.number().await;
        let mut parts = Vec::new();
        for _ in 0..count {
            let length = self.line().await;
            let (kind, number) = length.split_at(1);
            if kind == ":" {
                parts.push(number.as_bytes().to_vec());
                continue;
            }
            let mut part = vec![0; number.parse::<usize>().expect("a length") + 2];
            self.subscriber.read_exact(&mut part).await.expect("Redis lives");
            part.truncate(part.len() - 2);
            parts.push(part);
        }
        parts
    }

    async fn number(&mut self) -> usize {
        self.line().await[1..].parse().expect("a number")
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.subscriber.read_line(&mut line).await.expect("Redis lives");
        line.trim_end().to_owned()
    }
}
