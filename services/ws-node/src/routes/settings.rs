//! The rules that forward clients' events to services, as in the configuration file, and their check. Plain values;
//! `forwarding` carries them out.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, Pick, ServiceName};
use wsmesh_bootstrap::LONGEST_DURATION;

/// The event with which a client shows its token when it may do so after the upgrade.
pub(crate) const AUTHENTICATE: &str = "authenticate";

/// Events that carry tokens. No rule may forward them.
pub(crate) const CREDENTIAL_EVENTS: [&str; 2] = [AUTHENTICATE, "refreshToken"];

/// Forwards one event of clients to one server of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The client's event; the server event has the same name.
    pub event: String,
    /// The service that handles it.
    pub service: ServiceName,
    /// Which server of the service. Default `least-busy`.
    #[serde(default)]
    pub pick: PickBy,
    /// Which server sends a request's reply to the client. Default `relay`.
    #[serde(default)]
    pub reply: ReplyBy,
    /// Longest wait for a reply, in milliseconds. If the service replies to the client itself: longest time that a drain waits for
    /// that reply. Default: the setting `request_timeout`. A longer time needs clients that wait longer than their default of 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// How a rule picks one server of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PickBy {
    /// The server with the fewest clients in its last beacon. Servers with equally few take turns.
    #[default]
    LeastBusy,
    /// The same server for all events of a client, as long as the set of servers stays the same.
    Client,
}

impl PickBy {
    pub(crate) fn pick(self, client: &ClientId) -> Pick {
        match self {
            Self::LeastBusy => Pick::LeastBusy,
            Self::Client => Pick::Key(client.to_string()),
        }
    }
}

/// Which server sends a request's reply to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyBy {
    /// The service replies to this ws-node, which passes the reply on. No reply in time is an error.
    #[default]
    Relay,
    /// The service receives the client's callback id and replies to the client itself, at any time. If it never does, the
    /// client's own time limit ends the request.
    Direct,
}

/// The rules of the demo profile, for the game that game-logic runs. All events about one player's queue and match go to the
/// same server.
pub(crate) fn demo_rules() -> Vec<Rule> {
    const GAME: [(&str, PickBy); 5] = [
        ("gamePing", PickBy::LeastBusy),
        ("matchRequest", PickBy::Client),
        ("matchCancel", PickBy::Client),
        ("matchInput", PickBy::Client),
        ("matchLeave", PickBy::Client),
    ];
    // The name is valid, so there is always one.
    let service = ServiceName::new("game-logic").into_iter();
    let rules = service.flat_map(|service| GAME.map(|(event, pick)| (event, pick, service.clone())));
    rules
        .map(|(event, pick, service)| Rule {
            event: event.to_owned(),
            service,
            pick,
            reply: ReplyBy::Relay,
            timeout_ms: None,
        })
        .collect()
}

/// The problems of these rules: sentences that say what to write.
pub(crate) fn problems(rules: &[Rule]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut events = BTreeSet::new();
    for Rule { event, timeout_ms, .. } in rules {
        if event.is_empty() {
            problems.push("a rule has an empty event: name the event that it forwards".to_owned());
        }
        if event.starts_with("wsmesh.") {
            problems.push(format!("{event:?} is reserved for the servers: choose another event"));
        }
        if CREDENTIAL_EVENTS.contains(&event.as_str()) {
            problems.push(format!(
                "{event:?} carries tokens of clients, which must not leave this server: choose another event"
            ));
        }
        if !events.insert(event) {
            problems.push(format!("two rules forward {event:?}: remove one"));
        }
        let timeout = timeout_ms.map(Duration::from_millis);
        if timeout.is_some_and(|timeout| timeout.is_zero() || timeout > LONGEST_DURATION) {
            problems.push(format!(
                "timeout_ms of the rule for {event:?} is 0 or longer than 366 days: remove it or write another value"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_needs_an_event_and_a_service_and_nothing_unknown() {
        let rule: Rule = serde_json::from_str(r#"{"event":"a","service":"s","pick":"client"}"#).expect("good");
        assert_eq!((rule.pick, rule.timeout_ms), (PickBy::Client, None));
        assert!(serde_json::from_str::<Rule>(r#"{"event":"a"}"#).is_err());
        assert!(serde_json::from_str::<Rule>(r#"{"event":"a","service":"s","pic":"client"}"#).is_err());
        assert!(serde_json::from_str::<Rule>(r#"{"event":"a","service":"s","pick":"random"}"#).is_err());
    }
}
