//! Channels that a Redis refuses to this server's user (its ACL): logged once for each rule that is missing. Everything else
//! goes on, and what was refused is asked for again now and then, as a rule may be given later.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;

use crate::nodes::link::{LinkError, LinkErrorKind};
use crate::wire::NodeId;

/// After so long what was refused is asked for again.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(10);
/// So many rules of a node are logged: enough to see the pattern.
const MOST_TOLD: usize = 20;

/// The rules of one node that were told to be missing.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeSet<String>>);

impl Refusals {
    /// Logs it, unless the same rule was logged before.
    pub(super) fn tell(&self, node: &NodeId, channel: &str) {
        let rule = rule(channel);
        if self.is_news(&rule) {
            tracing::error!(
                %node,
                channel,
                rule,
                "Redis refuses a channel to this server's user: what goes there is not heard through this node; give the user \
                 that rule (ACL SETUSER), or another one that covers the channel. Everything else goes on"
            );
        } else {
            tracing::debug!(%node, channel, rule, "Redis refuses a channel to this server's user");
        }
    }

    fn is_news(&self, rule: &str) -> bool {
        let mut told = self.0.lock();
        told.len() < MOST_TOLD && told.insert(rule.to_owned())
    }
}

/// What whoever wanted the channel is told.
pub(super) fn forbidden(channel: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::Forbidden,
        format!(
            "Redis refuses the channel {channel:?} to this server's user: give the user the rule {} (ACL SETUSER)",
            rule(channel)
        ),
    )
}

/// A rule of Redis's ACL that allows a channel: our own have something in front of the first colon, and stand for many.
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
    fn each_rule_is_told_once_and_not_too_many() {
        let refusals = Refusals::default();
        assert!(refusals.is_news(&rule("wsmesh:client:1")));
        assert!(!refusals.is_news(&rule("wsmesh:client:2")));
        assert!(refusals.is_news(&rule("news")) && !refusals.is_news(&rule("news")));
        let news = (0..1000).filter(|n| refusals.is_news(&rule(&format!("c{n}"))));
        assert_eq!(news.count(), MOST_TOLD - 2);
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
