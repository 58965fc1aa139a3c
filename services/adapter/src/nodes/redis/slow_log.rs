//! Reads the slow log of a Redis. Pure. Of a command only its name is kept, and its subcommand: the rest may be a payload
//! or a secret.

use fred::types::Value;

use crate::nodes::facts::SlowCommand;

/// Commands whose first argument is a subcommand, so it is safe to show.
const WITH_SUBCOMMAND: [&str; 15] = [
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT", "PUBSUB",
    "SCRIPT", "SLOWLOG", "XGROUP", "XINFO",
];
/// The most entries that are kept, whatever the Redis sends.
const MOST: usize = 10;

/// The entries that SLOWLOG GET answered.
pub(super) fn entries(answer: Value) -> Vec<SlowCommand> {
    answer.into_array().into_iter().take(MOST).filter_map(entry).collect()
}

/// How many commands were ever slow: entries are numbered from 0, and the newest comes first. 0 if the log is empty.
pub(super) fn count(answer: &Value) -> u64 {
    let Value::Array(entries) = answer else { return 0 };
    let number = match entries.first() {
        Some(Value::Array(newest)) => newest.first().and_then(Value::as_u64),
        _ => None,
    };
    number.map_or(0, |number| number.saturating_add(1))
}

/// One entry: its number, when, how long, the words, who.
fn entry(value: Value) -> Option<SlowCommand> {
    let mut parts = value.into_array().into_iter();
    let (_number, at, micros, words) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let mut words = words
        .into_array()
        .into_iter()
        .map(|word| word.into_string().unwrap_or_default());
    let name = word(&words.next()?);
    let subcommand = words.next().filter(|_| WITH_SUBCOMMAND.contains(&name.as_str()));
    let command = match subcommand.map(|subcommand| word(&subcommand)) {
        Some(subcommand) => format!("{name} {subcommand}"),
        None => name,
    };
    Some(SlowCommand {
        at_ms: at.as_u64()?.saturating_mul(1000),
        micros: micros.as_u64()?,
        command,
    })
}

/// The name of a command or subcommand: letters and few others. Anything else is something else, and is not shown.
fn word(text: &str) -> String {
    let is_name = (1..=24).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphabetic() || "-_.|".contains(c));
    if is_name {
        text.to_ascii_uppercase()
    } else {
        "?".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Value {
        let words = words.iter().map(|word| Value::from(*word)).collect();
        Value::Array(vec![
            4.into(),
            1_700_000_000.into(),
            12_345.into(),
            Value::Array(words),
            "127.0.0.1:1".into(),
        ])
    }

    fn commands(all: &[&[&str]]) -> Vec<String> {
        let entries = entries(Value::Array(all.iter().map(|words| of(words)).collect()));
        entries.into_iter().map(|entry| entry.command).collect()
    }

    #[test]
    fn no_argument_is_ever_shown() {
        let shown = commands(&[
            &["publish", "wsmesh:client:ann", "payload"],
            &["CONFIG", "set", "requirepass", "secret"],
            &["AUTH", "secret"],
            &["client", "s3cr3t payload"],
            &["x y", "secret"],
        ]);
        assert_eq!(shown, ["PUBLISH", "CONFIG SET", "AUTH", "CLIENT ?", "?"]);
    }

    #[test]
    fn the_number_of_the_newest_entry_says_how_many_there_were() {
        let newest = Value::Array(vec![of(&["PING"]), Value::Null]);
        assert_eq!(count(&newest), 5);
        for strange in [
            Value::Null,
            Value::Array(Vec::new()),
            Value::Array(vec![Value::Null]),
            Value::Array(vec![Value::Array(vec!["x".into()])]),
        ] {
            assert_eq!(count(&strange), 0);
        }
    }

    #[test]
    fn times_are_kept_and_broken_entries_are_left_out() {
        let found = entries(Value::Array(vec![
            of(&["PING"]),
            Value::Null,
            Value::Array(vec![1.into()]),
            of(&[]),
        ]));
        let expected = SlowCommand {
            at_ms: 1_700_000_000_000,
            micros: 12_345,
            command: "PING".to_owned(),
        };
        assert_eq!(found, [expected]);
        assert_eq!(entries(Value::Null), []);
        assert_eq!(entries(Value::Array(vec![of(&["PING"]); 1000])).len(), MOST);
    }
}
