//! What happens to a frame whose client reads too slowly, by the frame's event: it must arrive, only the latest one
//! counts, or it may be dropped. Pure.
//!
//! This module does not know how to find an event in a frame: the owner of the clients, which knows their protocol,
//! passes in a [`FrameReader`].

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::Frame;

/// What happens to frames of an event that a slow client cannot take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// They wait; a client with too many waiting frames is closed as slow.
    #[default]
    MustArrive,
    /// A newer frame replaces a waiting one with the same key: positions, scores, states.
    Latest,
    /// They are dropped while the outbox is filled to a quarter or more: effects, typing indicators.
    MayDrop,
}

/// A policy for the frames of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryRule {
    /// The event.
    pub event: String,
    /// What happens to its frames.
    pub policy: Policy,
    /// With `latest`: where the key is in the payload, as a JSON pointer (RFC 6901), for example `/player`. Frames with
    /// different keys do not replace each other. Default: all frames of the event have the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Finds the parts of a client's frame that delivery rules depend on.
///
/// The functions are called once per frame and shard, and only if there are rules.
#[derive(Debug, Clone, Copy)]
pub struct FrameReader {
    /// The frame's event, if it has one. Called for every frame: must be cheap.
    pub event: fn(&[u8]) -> Option<&[u8]>,
    /// The frame's payload as JSON, if it has one. Called only for events whose rule has a key.
    pub payload: fn(&[u8]) -> Option<&[u8]>,
}

/// The delivery rules of a server, with what is needed to apply them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// `None` without rules: frames are not read then.
    rules: Option<Arc<Rules>>,
}

#[derive(Debug)]
struct Rules {
    by_event: HashMap<Box<[u8]>, DeliveryRule>,
    reader: FrameReader,
    hasher: RandomState,
}

/// How a frame waits in an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Until it is written.
    Must,
    /// Until a frame with the same key comes.
    Latest(u64),
    /// Only while the outbox is nearly empty.
    MayDrop,
}

impl Delivery {
    /// These rules, for frames that `reader` understands. Of two rules for one event the later one counts.
    pub fn new(rules: &[DeliveryRule], reader: FrameReader) -> Self {
        if rules.is_empty() {
            return Self::default();
        }
        let by_event = rules.iter().map(|rule| (rule.event.as_bytes().into(), rule.clone()));
        let rules = Rules {
            by_event: by_event.collect(),
            reader,
            hasher: RandomState::new(),
        };
        Self {
            rules: Some(Arc::new(rules)),
        }
    }

    /// The class of a frame. Called once per frame and shard; costs nothing without rules.
    pub(crate) fn class_of(&self, frame: &Frame) -> Class {
        self.rules
            .as_ref()
            .map_or(Class::Must, |rules| rules.class_of(frame.bytes()))
    }
}

impl Rules {
    fn class_of(&self, frame: &[u8]) -> Class {
        let Some(event) = (self.reader.event)(frame) else {
            return Class::Must;
        };
        let Some(DeliveryRule { policy, key, .. }) = self.by_event.get(event) else {
            return Class::Must;
        };
        match (policy, key) {
            (Policy::MustArrive, _) => Class::Must,
            (Policy::MayDrop, _) => Class::MayDrop,
            (Policy::Latest, None) => Class::Latest(self.hasher.hash_one(event)),
            (Policy::Latest, Some(pointer)) => {
                let payload = (self.reader.payload)(frame);
                let payload: Option<Value> = payload.and_then(|payload| serde_json::from_slice(payload).ok());
                let key = payload.as_ref().and_then(|payload| payload.pointer(pointer));
                // Without a key it is unknown which frames this one may replace.
                key.map_or(Class::Must, |key| {
                    Class::Latest(self.hasher.hash_one((event, key.to_string())))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up protocol: `event payload`.
    const READER: FrameReader = FrameReader {
        event: |frame| frame.split(|byte| *byte == b' ').next(),
        payload: |frame| frame.splitn(2, |byte| *byte == b' ').nth(1),
    };

    fn rule(event: &str, policy: Policy, key: Option<&str>) -> DeliveryRule {
        DeliveryRule {
            event: event.to_owned(),
            policy,
            key: key.map(str::to_owned),
        }
    }

    #[test]
    fn a_frame_waits_as_the_rule_of_its_event_says() {
        let rules = [
            rule("score", Policy::Latest, None),
            rule("typing", Policy::MayDrop, None),
            rule("say", Policy::MustArrive, None),
        ];
        let delivery = Delivery::new(&rules, READER);
        let of = |text: &str| delivery.class_of(&Frame::new(text));
        assert!(matches!(of("score 1"), Class::Latest(_)));
        assert_eq!(of("score 1"), of("score 2"));
        assert_eq!(of("typing 1"), Class::MayDrop);
        for other in ["say", "scores", " score", ""] {
            assert_eq!(of(other), Class::Must, "{other}");
        }
        assert_eq!(Delivery::default().class_of(&Frame::new("typing")), Class::Must);
    }

    #[test]
    fn without_rules_no_frame_is_read() {
        let reader = FrameReader {
            event: |_| panic!("a frame was read"),
            payload: |_| panic!("a payload was read"),
        };
        let delivery = Delivery::new(&[], reader);
        assert_eq!(delivery.class_of(&Frame::new("typing")), Class::Must);
    }

    #[test]
    fn only_frames_with_the_same_key_replace_each_other() {
        let delivery = Delivery::new(&[rule("move", Policy::Latest, Some("/player/id"))], READER);
        let of = |payload: &str| delivery.class_of(&Frame::new(format!("move {payload}")));
        let ann = of(r#"{"player":{"id":"ann"},"x":1}"#);
        assert_eq!(ann, of(r#"{"x":2,"player":{"id":"ann"}}"#));
        assert_ne!(ann, of(r#"{"player":{"id":"bob"}}"#));
        for keyless in [r#"{"player":7}"#, "", "{"] {
            assert_eq!(of(keyless), Class::Must, "{keyless}");
        }
    }
}
