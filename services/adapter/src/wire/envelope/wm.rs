//! The field `wm`, which wsmesh adds to the JavaScript package's format: the sender and time of an envelope, and
//! everything else that its receiver needs. The keys have one or two letters, because every message carries them.

use crate::wire::entries::{DecodeError, Entries};
use crate::wire::names::Instance;
use crate::wire::writer::Writer;

/// The sender of an envelope and its sequence number: unique, so that copies can be recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) instance: Instance,
    pub(crate) sequence: u64,
}

/// The field `wm` of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wm {
    /// `i` and `s`.
    pub(crate) identity: Identity,
    /// `t`: when it was published, in milliseconds since the Unix epoch, on the sender's clock. A copy keeps it.
    pub(crate) time_ms: u64,
    /// `a`: only on a copy: how long ago the message was first published, in milliseconds of the sender's clock.
    pub(crate) age_ms: Option<u64>,
    /// `r`: the process that a request is for.
    pub(crate) target_instance: Option<Instance>,
    /// `e`: instead of a reply's payload, why there is none.
    pub(crate) error: Option<String>,
    /// `tp`: W3C trace context, when sampled.
    pub(crate) traceparent: Option<String>,
    /// `ts`: its vendor part.
    pub(crate) tracestate: Option<String>,
    /// `q`: on a request to a client: the sender's callback id, to which the client's answer goes.
    pub(crate) request: Option<String>,
    /// `l`: on a request: how long the sender waits for the answer from when it was published, in milliseconds.
    pub(crate) limit_ms: Option<u64>,
    /// `k`: on a request that is to be carried out once: its idempotency key.
    pub(crate) key: Option<String>,
    /// `f`: with a key: what is different when another request has the same key.
    pub(crate) fingerprint: Option<u64>,
    /// `c`: the custom channel that a message was published on. A copy travels on another channel.
    pub(crate) channel: Option<String>,
}

impl Wm {
    pub(crate) fn new(identity: Identity, time_ms: u64) -> Self {
        Self {
            identity,
            time_ms,
            age_ms: None,
            target_instance: None,
            error: None,
            traceparent: None,
            tracestate: None,
            request: None,
            limit_ms: None,
            key: None,
            fingerprint: None,
            channel: None,
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        let numbers = [
            ("i", Some(self.identity.instance.0)),
            ("s", Some(self.identity.sequence)),
            ("t", Some(self.time_ms)),
            ("a", self.age_ms),
            ("r", self.target_instance.map(|instance| instance.0)),
            ("l", self.limit_ms),
            ("f", self.fingerprint),
        ];
        let texts = [
            ("e", &self.error),
            ("tp", &self.traceparent),
            ("ts", &self.tracestate),
            ("q", &self.request),
            ("k", &self.key),
            ("c", &self.channel),
        ];
        let entries = numbers.iter().filter(|(_, number)| number.is_some()).count()
            + texts.iter().filter(|(_, text)| text.is_some()).count();
        out.key("wm");
        out.begin_map(entries as u32);
        for (key, number) in numbers {
            if let Some(number) = number {
                out.key(key);
                out.number(number);
            }
        }
        for (key, text) in texts {
            if let Some(text) = text {
                out.key(key);
                out.text(text);
            }
        }
        out.end_map();
    }

    pub(super) fn read(entries: &Entries) -> Result<Self, DecodeError> {
        Ok(Self {
            identity: Identity {
                instance: entries.required("i")?,
                sequence: entries.required("s")?,
            },
            time_ms: entries.required("t")?,
            age_ms: entries.optional("a")?,
            target_instance: entries.optional("r")?,
            error: entries.optional("e")?,
            traceparent: entries.optional("tp")?,
            tracestate: entries.optional("ts")?,
            request: entries.optional("q")?,
            limit_ms: entries.optional("l")?,
            key: entries.optional("k")?,
            fingerprint: entries.optional("f")?,
            channel: entries.optional("c")?,
        })
    }
}
