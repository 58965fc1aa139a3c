//! Channels that a Redis's ACL forbids to this server's user: logged once for each missing rule. All other channels
//! keep working, and forbidden ones are requested again from time to time, because the rule may be added later.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;

use crate::nodes::link::{LinkError, LinkErrorKind};
use crate::wire::NodeId;

/// Forbidden channels are requested again after this time.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(10);
/// The most rules that are logged per node: enough to see the pattern.
const MOST_REPORTED: usize = 20;

/// The rules of one node that were reported missing.
#[derive(Debug, Default)]
pub(super) struct MissingRules(Mutex<BTreeSet<String>>);

impl MissingRules {
    /// Logs a forbidden channel, unless its rule was logged before.
    pub(super) fn report(&self, node: &NodeId, channel: &str) {
        let rule = rule(channel);
        if self.is_news(&rule) {
            tracing::error!(
                %node,
                channel,
                rule,
                "Redis forbids a channel to this server's user, so its messages do not arrive through this node; give the \
                 user this rule (ACL SETUSER) or another one that covers the channel. All other channels work"
            );
        } else {
            tracing::debug!(%node, channel, rule, "Redis forbids a channel to this server's user");
        }
    }

    fn is_news(&self, rule: &str) -> bool {
        let mut reported = self.0.lock();
        reported.len() < MOST_REPORTED && reported.insert(rule.to_owned())
    }
}

/// The error for callers that use the channel.
pub(super) fn forbidden(channel: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::Forbidden,
        format!(
            "Redis forbids the channel {channel:?} to this server's user: give the user the rule {} (ACL SETUSER)",
            rule(channel)
        ),
    )
}

/// A rule of Redis's ACL that allows a channel. Channels with a prefix before a colon get one rule for all channels of
/// that prefix.
fn rule(channel: &str) -> String {
    match channel.split_once(':') {
        Some((prefix, _)) => format!("&{prefix}:*"),
        None => format!("&{channel}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_reported_once_and_not_too_many_are() {
        let missing = MissingRules::default();
        assert!(missing.is_news(&rule("wsmesh:client:1")));
        assert!(!missing.is_news(&rule("wsmesh:client:2")));
        assert!(missing.is_news(&rule("news")) && !missing.is_news(&rule("news")));
        let news = (0..1000).filter(|n| missing.is_news(&rule(&format!("c{n}"))));
        assert_eq!(news.count(), MOST_REPORTED - 2);
    }

    #[test]
    fn the_error_names_the_channel_and_the_rule() {
        let error = forbidden("wsmesh:client:1");
        assert_eq!(error.kind, LinkErrorKind::Forbidden);
        let text = error.to_string();
        assert!(
            text.contains("\"wsmesh:client:1\"") && text.contains("&wsmesh:* "),
            "{text}"
        );
    }
}
