//! Rules: which events are forwarded to which service. Plain configuration.

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, Pick, ServiceName};

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
    /// Longest wait for a reply, in milliseconds; if the service replies by itself, how long a drain waits for the reply at
    /// most. Default: the setting `request_timeout`. With a longer one clients must wait longer, too: 5 s is their default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// How a rule picks one server of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PickBy {
    /// The one with the fewest clients in its last beacon; equal ones in turn.
    #[default]
    LeastBusy,
    /// The same server for all of a client's events, while the servers stay.
    Client,
}

/// Which server sends a request's reply to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyBy {
    /// The service replies to this ws-node, which passes the reply on; a service that does not reply in time is an error.
    #[default]
    Relay,
    /// The service gets the client's callback id and replies to the client itself, when it wants. If it never does, the
    /// client's own time limit ends the request.
    Direct,
}

impl PickBy {
    pub(crate) fn pick(self, client: &ClientId) -> Pick {
        match self {
            Self::LeastBusy => Pick::LeastBusy,
            Self::Client => Pick::Key(client.to_string()),
        }
    }
}

/// The rules of the demo profile: the game that game-logic runs. All events of a player's queue and match go to one server.
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
