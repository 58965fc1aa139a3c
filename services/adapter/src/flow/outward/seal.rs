//! Making envelopes: each gets this process's identity and the next sequence, its channel, its trace context, its bytes.
//!
//! An envelope is encoded once. A copy keeps its identity and carries its age.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::Span;

use crate::error::PublishError;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::unix_time::now_ms;
use crate::nodes::Kept;
use crate::options::Options;
use crate::trace;
use crate::wire::{
    Body, Channels, Envelope, Identity, Instance, Missing, PayloadError, ServerName, Topic, Wm, compress,
};

/// The servers that must hear the node that a message takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Concerned<'a> {
    /// Every counted server: anyone may have subscribed.
    Everyone,
    /// One server.
    Server(&'a ServerName),
}

/// By what the repeats of a request are recognized.
#[derive(Debug, Clone)]
pub(crate) struct RequestKey {
    pub(crate) key: Arc<str>,
    /// What is different when another request has the same key.
    pub(crate) fingerprint: u64,
}

/// Options of publishing one message.
#[derive(Debug, Default)]
pub(crate) struct PublishOptions {
    /// The process that a request is for.
    pub(crate) target_instance: Option<Instance>,
    /// The reply says that there is none, and why.
    pub(crate) error: Option<Missing>,
    /// Orders the message, in place of its topic.
    pub(crate) order_key: Option<Arc<str>>,
    /// The callback id to which a client's answer goes, and how long it is waited for.
    pub(crate) request: Option<(String, Duration)>,
    /// When the sender of a request to a server gives up.
    pub(crate) deadline: Option<Instant>,
    /// The idempotency key of a request to a server.
    pub(crate) key: Option<RequestKey>,
    /// The publisher waits, while no node is heard, until the message was sent; when it stops waiting, the message
    /// is not sent any more. Else the message is accepted and goes out later.
    pub(crate) is_awaited: bool,
}

/// Makes the envelopes of this process.
#[derive(Debug)]
pub(crate) struct Sealer {
    options: Arc<Options>,
    instance: Instance,
    channels: Arc<Channels>,
    sequence: AtomicU64,
    /// The oldest sequence that may still be published again.
    mark: AtomicU64,
}

impl Sealer {
    pub(crate) fn new(foundation: &Foundation) -> Self {
        Self {
            options: foundation.options.clone(),
            instance: foundation.members.instance(),
            channels: foundation.channels.clone(),
            sequence: AtomicU64::new(1),
            mark: AtomicU64::new(1),
        }
    }

    /// The sequence of the next envelope.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed)
    }

    /// The oldest sequence that may still be published again.
    pub(crate) fn mark(&self) -> u64 {
        self.mark.load(Ordering::Relaxed)
    }

    pub(crate) fn set_mark(&self, sequence: u64) {
        self.mark.store(sequence, Ordering::Relaxed);
    }

    /// Makes a message that is ready to be published.
    pub(crate) fn seal(
        &self,
        topic: &Topic,
        concerned: Concerned<'_>,
        body: Body,
        options: PublishOptions,
        span: &Span,
    ) -> Result<Kept, PublishError> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mut wm = Wm::new(
            Identity {
                instance: self.instance,
                sequence,
            },
            now_ms(),
        );
        wm.target_instance = options.target_instance;
        if let Topic::Custom(name) = topic {
            wm.channel = Some(name.to_string());
        }
        if let Some((callback_id, limit)) = options.request {
            wm.request = Some(callback_id);
            wm.limit_ms = Some(limit.as_millis() as u64);
        }
        if let Some(deadline) = options.deadline {
            // Rounded up: a request that may still be answered has a limit.
            let left = deadline.saturating_duration_since(Instant::now());
            wm.limit_ms = Some(left.as_micros().div_ceil(1000).try_into().unwrap_or(u64::MAX));
        }
        if let Some(RequestKey { key, fingerprint }) = options.key {
            wm.key = Some(key.as_ref().to_owned());
            wm.fingerprint = Some(fingerprint);
        }
        wm.error = options.error.map(|missing| missing.label().into());
        trace::inject(span, &body, &mut wm);
        let envelope = Envelope {
            sender: self.options.name.clone(),
            wm: Some(wm),
            body,
        };
        let server = match concerned {
            Concerned::Everyone => None,
            Concerned::Server(server) => Some(server.clone()),
        };
        Ok(Kept {
            at: Instant::now(),
            sequence,
            channel: self.channel_of(&envelope, topic),
            server,
            bytes: self.encode(&envelope)?,
            is_copy: false,
            was_copied: false,
            waited: false,
            order_key: options.order_key,
        })
    }

    /// The JavaScript package removes a room on one server only, and would throw at an envelope without a frame.
    fn channel_of(&self, envelope: &Envelope, topic: &Topic) -> Arc<str> {
        match &envelope.body {
            Body::RoomRemove { .. } if self.channels.is_shared() => self.channels.all_own(),
            _ => self.channels.channel(topic),
        }
    }

    /// The bytes of a copy, or of a message that had to wait: the envelope as it was, with its age.
    pub(crate) fn aged(&self, message: &Kept, now: Instant) -> Result<Bytes, PublishError> {
        let unreadable = |why: &dyn Display| PublishError::Refused {
            node: String::new(),
            problem: format!("a copy cannot be made: {why}"),
        };
        let mut envelope = Envelope::decode(message.bytes.clone()).map_err(|error| unreadable(&error))?;
        let age = now.saturating_duration_since(message.at).as_millis() as u64;
        if let Some(wm) = &mut envelope.wm {
            wm.age_ms = Some(age);
        }
        Ok(self.encode(&envelope)?)
    }

    /// Messages on custom channels are for other programs, too: they stay readable.
    fn encode(&self, envelope: &Envelope) -> Result<Bytes, PayloadError> {
        let bytes = envelope.encode(self.options.encoding)?;
        let large = self.options.compress_above.is_some_and(|above| bytes.len() >= above);
        let custom = matches!(envelope.body, Body::Custom { .. });
        Ok(if large && !custom {
            compress(bytes, self.instance)
        } else {
            bytes
        })
    }
}
