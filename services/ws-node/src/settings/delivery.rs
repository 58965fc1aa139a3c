//! The check of the rules for slow clients.

use std::collections::BTreeSet;

use wsmesh_adapter::{DeliveryRule, Policy};

/// The problems of these rules: sentences that say what to write.
pub(super) fn problems(rules: &[DeliveryRule]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut events = BTreeSet::new();
    for DeliveryRule { event, policy, key } in rules {
        if !events.insert(event) {
            problems.push(format!("two rules are for {event:?}: remove one"));
        }
        match key {
            Some(_) if *policy != Policy::Latest => problems.push(format!(
                "the rule for {event:?} has a key, which only \"latest\" uses: remove the key"
            )),
            Some(key) if !key.is_empty() && !key.starts_with('/') => problems.push(format!(
                "the key of the rule for {event:?} is not a JSON pointer: write for example /player"
            )),
            _ => {}
        }
    }
    problems
}
