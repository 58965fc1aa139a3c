//! The words that clients use: commands of the demo profile, or `publish` with a token in production.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Deserialize;
use serde_json::{Value, json};
use wsmesh_connector::{Payload, Room};

use crate::record::{Key, To};

/// How long tokens are valid.
const TOKEN_TIME: Duration = Duration::from_secs(24 * 3600);

/// The namespace of the demo profile's rooms. In production any will do, as the tokens allow it.
const NAMESPACE: &str = "chat";

/// How clients introduce themselves, send and read.
pub(crate) struct Speech {
    /// Makes the names of this run its own.
    run: String,
    key: Option<EncodingKey>,
}

/// What is pushed to a client, in either profile.
#[derive(Deserialize)]
struct Pushed {
    msg: Option<String>,
    data: Option<String>,
}

impl Speech {
    /// With the secret of a file in production.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn new(key_file: Option<&Path>) -> anyhow::Result<Self> {
        let key = key_file.map(|file| {
            let secret = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
            Ok::<_, anyhow::Error>(EncodingKey::from_secret(secret.trim_ascii()))
        });
        Ok(Self {
            run: format!("{:06x}", rand::random::<u32>() & 0x00ff_ffff),
            key: key.transpose()?,
        })
    }

    /// Whether clients can send to one another, besides to rooms.
    pub(crate) fn has_private_messages(&self) -> bool {
        self.key.is_none()
    }

    pub(crate) fn client(&self, number: u32) -> String {
        format!("load-{}-{number}", self.run)
    }

    pub(crate) fn room(&self, number: u32) -> Room {
        Room::new(self.room_id(number)).in_namespace(NAMESPACE)
    }

    fn room_id(&self, number: u32) -> String {
        format!("{}-{number}", self.run)
    }

    /// The parameter of the URL that says who a client is.
    ///
    /// # Errors
    /// When its token cannot be signed.
    pub(crate) fn introduction(&self, number: u32) -> anyhow::Result<(&'static str, String)> {
        let id = self.client(number);
        let Some(key) = &self.key else {
            return Ok(("id", id));
        };
        let until = SystemTime::now().duration_since(UNIX_EPOCH)? + TOKEN_TIME;
        let rooms = [format!("{NAMESPACE}:*")];
        let claims = json!({"sub": id, "exp": until.as_secs(), "rooms": rooms, "publish": rooms});
        Ok((
            "token",
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key)?,
        ))
    }

    /// The event that pushes messages to clients.
    pub(crate) fn pushed_as(&self) -> &'static str {
        if self.key.is_none() { "say" } else { "roomMessage" }
    }

    /// The request that sends a message.
    pub(crate) fn request(&self, key: Key, to: To) -> (&'static str, Value) {
        let text = format!("{:08x}{:08x}", key.sender, key.number);
        match (to, &self.key) {
            (To::Room(room), None) => (
                "command",
                json!({"action": "toRoom", "roomId": self.room_id(room), "msg": text}),
            ),
            (To::Client(client), None) => (
                "command",
                json!({"action": "toPlayer", "toPlayerId": self.client(client), "msg": text}),
            ),
            (To::Room(room) | To::Client(room), Some(_)) => (
                "publish",
                json!({"namespace": NAMESPACE, "roomId": self.room_id(room), "data": text}),
            ),
        }
    }

    /// The identity of a message that was pushed; none if it is somebody else's.
    pub(crate) fn read(payload: &Payload) -> Option<Key> {
        let pushed: Pushed = payload.json().ok()?;
        read(&pushed.msg.or(pushed.data)?)
    }
}

fn read(text: &str) -> Option<Key> {
    let (sender, number) = text.split_at_checked(8)?;
    let hex = |text: &str| (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok()).flatten();
    Some(Key {
        sender: hex(sender)?,
        number: hex(number)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_back_and_others_are_nobodys() {
        let speech = Speech::new(None).expect("no file");
        let key = Key {
            sender: 7,
            number: u32::MAX,
        };
        let (event, payload) = speech.request(key, To::Client(3));
        assert_eq!(
            (event, read(payload["msg"].as_str().expect("text"))),
            ("command", Some(key))
        );
        for other in ["", "hello", "00000007", "00000007fffffff", "00000007fffffffff"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
