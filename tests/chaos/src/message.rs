//! The identity of a message: sender, kind, destination, sequence number. It travels as text and is logged as a number.

/// How a message is sent through the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// To the clients of a room.
    Room,
    /// To one client.
    Client,
    /// To every client.
    Everyone,
    /// An event to servers.
    Event,
    /// A request to a server of the service `logic`.
    Request,
}

impl Kind {
    /// Its name, for tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Client => "client",
            Self::Everyone => "everyone",
            Self::Event => "event",
            Self::Request => "request",
        }
    }
}

/// The destination of an event for every server; `n + 1` is server number n.
pub(crate) const ALL_SERVERS: u16 = 0;

/// The identity of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Message {
    /// The number of the process that sent it; restarted servers get a new one.
    pub sender: u16,
    /// How it is sent.
    pub kind: Kind,
    /// Its destination: the number of a room, a client or a server.
    pub to: u16,
    /// Its sequence number among messages of this sender, kind and destination, from 1.
    pub sequence: u32,
}

impl Message {
    /// As one number: 16 bits sender, 4 kind, 12 destination, 32 sequence.
    pub(crate) fn key(self) -> u64 {
        u64::from(self.sender) << 48
            | (self.kind as u64) << 44
            | u64::from(self.to & 0xfff) << 32
            | u64::from(self.sequence)
    }

    /// Reads the number.
    pub(crate) fn from_key(key: u64) -> Option<Self> {
        let kind = match key >> 44 & 0xf {
            0 => Kind::Room,
            1 => Kind::Client,
            2 => Kind::Everyone,
            3 => Kind::Event,
            4 => Kind::Request,
            _ => return None,
        };
        Some(Self {
            sender: (key >> 48) as u16,
            kind,
            to: (key >> 32 & 0xfff) as u16,
            sequence: key as u32,
        })
    }

    /// As text, followed by padding.
    pub(crate) fn text(self, padding: usize) -> String {
        format!("{:016x}{:padding$}", self.key(), "")
    }

    /// Reads the text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::from_key(u64::from_str_radix(text.get(..16)?, 16).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_from_its_text() {
        let message = Message {
            sender: 65_535,
            kind: Kind::Request,
            to: 4_095,
            sequence: u32::MAX,
        };
        assert_eq!(Message::parse(&message.text(100)), Some(message));
        assert_eq!(message.text(100).len(), 116);
        assert_eq!(Message::parse("short"), None);
        assert_eq!(Message::parse("ffffffffffffffff"), None);
    }
}
