//! What is wrong with settings, in sentences that say what to write instead.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use wsmesh_adapter::{DeliveryRule, Namespace, Policy};
use wsmesh_bootstrap::Problems;

use super::NodeSettings;
use crate::events::{CREDENTIAL_EVENTS, Rule};
use crate::http::TlsFiles;

pub(super) fn bounds(settings: &NodeSettings, problems: &mut Problems) {
    for (key, duration) in [
        ("ping_interval", settings.ping_interval),
        ("enter_background_close", settings.enter_background_close),
        ("write_timeout", settings.write_timeout),
        ("close_timeout", settings.close_timeout),
        ("message_timeout", settings.message_timeout),
        ("handshake_timeout", settings.handshake_timeout),
    ] {
        if duration < Duration::from_millis(10) {
            problems.about(key, "is too short: write at least 10ms");
        }
    }
    if settings.rebalance_above != 0.0 && !(1.05..=100.0).contains(&settings.rebalance_above) {
        problems.about(
            "rebalance_above",
            "is out of bounds: write 0 (off), or 1.05 to 100 times the mean",
        );
    }
    if !settings.max_connection_age.is_zero() && settings.max_connection_age < Duration::from_secs(1) {
        problems.about(
            "max_connection_age",
            "is too short: write 0s (no limit), or at least 1s",
        );
    }
    let most = 64 << 20;
    for (key, number, least, most) in [
        ("shards", settings.shards, 0, 1024),
        ("drain_rate", settings.drain_rate as usize, 1, 1_000_000),
        ("rebalance_rate", settings.rebalance_rate as usize, 1, 1_000_000),
        ("max_message_bytes", settings.max_message_bytes, 125, most),
        ("deflate_above", settings.deflate_above, 1, most),
        ("outbox_bytes", settings.outbox_bytes, 1024, 1 << 30),
        ("outbox_frames", settings.outbox_frames, 1, 1 << 24),
        ("heartbeat", settings.heartbeat.len(), 0, 125),
        ("logins_per_client", settings.logins_per_client, 1, 1000),
    ] {
        if !(least..=most).contains(&number) {
            let unit = if key == "heartbeat" { "a text of " } else { "" };
            problems.about(key, format!("{number} is out of bounds: write {unit}{least} to {most}"));
        }
    }
}

pub(super) fn tls(settings: &NodeSettings, problems: &mut Problems) -> Option<TlsFiles> {
    let files = match (&settings.tls_certificate_file, &settings.tls_key_file) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        },
        (Some(_), None) => {
            problems.about("tls_key_file", "is missing: a certificate needs its private key");
            return None;
        }
        (None, Some(_)) => {
            problems.about(
                "tls_certificate_file",
                "is missing: a private key needs its certificate",
            );
            return None;
        }
    };
    if let Err(problem) = files.acceptor() {
        problems.about("tls_certificate_file", problem);
    }
    Some(files)
}

pub(super) fn networks(texts: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in texts {
        // A single address is a network of one.
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) => networks.push(network),
            Err(_) => problems.about(
                "trusted_proxies",
                format!("{text:?} is no network: write ADDRESS/BITS, for example 10.0.0.0/8"),
            ),
        }
    }
    networks
}

pub(super) fn delivery(rules: &[DeliveryRule], problems: &mut Problems) {
    let mut events = BTreeSet::new();
    for rule in rules {
        if !events.insert(&rule.event) {
            problems.about("delivery", format!("two rules are about {:?}: remove one", rule.event));
        }
        match &rule.key {
            Some(_) if rule.policy != Policy::Latest => problems.about(
                "delivery",
                format!(
                    "the rule for {:?} has a key, which only \"latest\" uses: remove it",
                    rule.event
                ),
            ),
            Some(key) if !key.is_empty() && !key.starts_with('/') => problems.about(
                "delivery",
                format!(
                    "the key of the rule for {:?} is no JSON pointer: write it as /player",
                    rule.event
                ),
            ),
            _ => {}
        }
    }
}

pub(super) fn rooms(names: &[String], problems: &mut Problems) -> Vec<Namespace> {
    let mut checked = Vec::new();
    for name in names {
        match Namespace::new(name) {
            Ok(namespace) => checked.push(namespace),
            Err(error) => problems.about("client_rooms", error.to_string()),
        }
    }
    checked
}

pub(super) fn rules(rules: &[Rule], problems: &mut Problems) {
    let mut events = BTreeSet::new();
    for rule in rules {
        if rule.event.is_empty() {
            problems.about("rules", "a rule has an empty event: name the event that it forwards");
        }
        if rule.event.starts_with("wsmesh.") {
            problems.about(
                "rules",
                format!(
                    "{:?} is an event of the servers among themselves: choose another",
                    rule.event
                ),
            );
        }
        if CREDENTIAL_EVENTS.contains(&rule.event.as_str()) {
            problems.about(
                "rules",
                format!(
                    "{:?} carries clients' tokens, which stay here: choose another event",
                    rule.event
                ),
            );
        }
        if !events.insert(&rule.event) {
            problems.about("rules", format!("two rules forward {:?}: remove one", rule.event));
        }
        if rule.timeout_ms == Some(0) {
            problems.about(
                "rules",
                format!(
                    "timeout_ms of the rule for {:?} is 0: leave it out or write more",
                    rule.event
                ),
            );
        }
    }
}
