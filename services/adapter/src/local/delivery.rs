//! What becomes of a frame when its client reads too slowly, by the frame's event: it must arrive, only the latest counts,
//! or it may be dropped. Pure.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::Frame;

/// What happens to frames of an event that a slow client cannot take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// They wait; a client for which too much waits is closed as slow.
    #[default]
    MustArrive,
    /// A newer one takes the place of the one that waits, if it has the same key: positions, scores, states.
    Latest,
    /// They are dropped while a quarter of what may wait is waiting: effects, typing indicators.
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
    /// With `latest`: where in the payload the key is, as a JSON pointer (RFC 6901), for example `/player`. Frames with
    /// different values there do not replace each other. Default: all frames of the event do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// How a frame waits in an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Until it is written.
    Must,
    /// Until one with the same key comes.
    Latest(u64),
    /// Only if little waits.
    MayDrop,
}

/// Tells frames apart by their events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Classes {
    /// By event.
    rules: HashMap<Box<[u8]>, DeliveryRule>,
    hasher: RandomState,
}

/// What every push to a client begins with.
const START: &[u8] = br#"{"event":""#;

impl Classes {
    pub(crate) fn new(rules: &[DeliveryRule]) -> Self {
        let rules = rules.iter().map(|rule| (rule.event.as_bytes().into(), rule.clone()));
        Self {
            rules: rules.collect(),
            hasher: RandomState::new(),
        }
    }

    /// The class of a frame: once per frame and shard, at no cost without rules.
    pub(crate) fn of(&self, frame: &Frame) -> Class {
        if self.rules.is_empty() {
            return Class::Must;
        }
        let bytes = frame.bytes();
        let Some(event) = bytes
            .strip_prefix(START)
            .and_then(|rest| rest.split(|byte| *byte == b'"').next())
        else {
            return Class::Must;
        };
        let Some(DeliveryRule { policy, key, .. }) = self.rules.get(event) else {
            return Class::Must;
        };
        match (policy, key) {
            (Policy::MustArrive, _) => Class::Must,
            (Policy::MayDrop, _) => Class::MayDrop,
            (Policy::Latest, None) => Class::Latest(self.hasher.hash_one(event)),
            (Policy::Latest, Some(pointer)) => {
                let value: Option<Value> = serde_json::from_slice(bytes).ok();
                let key = value.as_ref().and_then(|value| value["payload"].pointer(pointer));
                // Without its key nobody knows what it may replace.
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

    fn rule(event: &str, policy: Policy, key: Option<&str>) -> DeliveryRule {
        DeliveryRule {
            event: event.to_owned(),
            policy,
            key: key.map(str::to_owned),
        }
    }

    #[test]
    fn a_frame_waits_as_the_rule_of_its_event_says() {
        let classes = Classes::new(&[
            rule("score", Policy::Latest, None),
            rule("typing", Policy::MayDrop, None),
            rule("say", Policy::MustArrive, None),
        ]);
        let of = |text: &str| classes.of(&Frame::new(text));
        assert!(matches!(of(r#"{"event":"score","payload":1}"#), Class::Latest(_)));
        assert_eq!(
            of(r#"{"event":"score","payload":1}"#),
            of(r#"{"event":"score","payload":2}"#)
        );
        assert_eq!(of(r#"{"event":"typing","payload":1}"#), Class::MayDrop);
        for other in [
            r#"{"event":"say"}"#,
            r#"{"event":"scores"}"#,
            r#"{"payload":{"event":"score"},"callbackId":"1"}"#,
            "",
            r#"{"event":"#,
        ] {
            assert_eq!(of(other), Class::Must, "{other}");
        }
        assert_eq!(Classes::default().of(&Frame::new(r#"{"event":"typing"}"#)), Class::Must);
    }

    #[test]
    fn only_frames_with_the_same_key_replace_each_other() {
        let classes = Classes::new(&[rule("move", Policy::Latest, Some("/player/id"))]);
        let of = |payload: &str| classes.of(&Frame::new(format!(r#"{{"event":"move","payload":{payload}}}"#)));
        let ann = of(r#"{"player":{"id":"ann"},"x":1}"#);
        assert_eq!(ann, of(r#"{"x":2,"player":{"id":"ann"}}"#));
        assert_ne!(ann, of(r#"{"player":{"id":"bob"}}"#));
        assert_eq!(of(r#"{"player":7}"#), Class::Must);
    }
}
