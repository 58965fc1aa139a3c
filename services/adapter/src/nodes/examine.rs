//! Examines an address before it becomes a node: opens the connections that a server would open, and asks what the Redis
//! allows. Every step has a time limit, and all of them together have one, too.
//!
//! Changes nothing at the Redis: the only message is an empty one, on a channel that nobody else knows.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::findings::Findings;
use super::inquiry::{About, BufferLimit, Interview, Rights};
use super::link::{Arrival, Channel, LinkError, LinkErrorKind, Publisher, Subscriber, limited};
use super::preflight::CheckKind;

/// The oldest Redis that works: older ones have no rules for channels in their ACLs, and cannot say what waits for a
/// connection.
const OLDEST: (u64, u64) = (6, 2);
/// A soft limit that ends connections sooner than this is as good as a hard one.
const SOFT_SECONDS: u64 = 10;

/// What a server needs from a node.
#[derive(Debug, Clone)]
pub(crate) struct Demands {
    /// Channels of every kind that the server uses.
    pub(crate) channels: Vec<Channel>,
    /// A channel that nobody else knows, to try with.
    pub(crate) trial: Channel,
    /// The ACL rules for the cluster's channels, for example `&wsmesh:*`.
    pub(crate) rules: String,
    /// The least bytes that the node must buffer for a subscriber.
    pub(crate) buffer: u64,
    /// Longest wait for one step. All together may take twice as long.
    pub(crate) limit: Duration,
}

/// What was found out so far.
pub(crate) struct Examined {
    pub(crate) findings: Findings,
    /// Subscribes to the trial channel, if it could: whoever publishes there can tell whether they reach the same Redis.
    pub(crate) subscribed: Option<Box<dyn Subscriber>>,
}

/// One examination.
struct Examination<'a> {
    endpoint: &'a dyn Endpoint,
    demands: &'a Demands,
    deadline: Instant,
}

/// Examines an address. Its identity is compared with that of other nodes by the caller, who knows them.
pub(crate) async fn examine(endpoint: &dyn Endpoint, demands: &Demands) -> Examined {
    let examination = Examination {
        endpoint,
        demands,
        deadline: Instant::now() + demands.limit * 2,
    };
    let mut findings = Findings::default();
    let mut subscribed = None;
    if let Some(publisher) = examination.connect(&mut findings).await {
        let (asked, tried) = tokio::join!(examination.ask(), examination.try_out(&*publisher));
        findings.run_id = asked.about.run_id.clone();
        judge_version(&mut findings, asked.about.version.as_deref(), asked.trouble.as_deref());
        findings.dependence = asked.about.dependence;
        judge_rights(&mut findings, &tried, &asked.rights.unwrap_or_default(), demands);
        judge_buffer(&mut findings, asked.buffer, demands.buffer);
        subscribed = tried.subscriber.ok();
    }
    Examined { findings, subscribed }
}

/// What the Redis answered to questions.
#[derive(Default)]
struct Asked {
    about: About,
    rights: Option<Rights>,
    buffer: Option<BufferLimit>,
    /// Why it did not answer.
    trouble: Option<String>,
}

/// What came of trying.
struct Tried {
    publishing: Result<(), LinkError>,
    subscriber: Result<Box<dyn Subscriber>, LinkError>,
}

impl Examination<'_> {
    async fn step<T>(&self, step: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        limited(left.min(self.demands.limit), step).await
    }

    /// Opens a connection, and logs in.
    async fn connect(&self, findings: &mut Findings) -> Option<std::sync::Arc<dyn Publisher>> {
        if let Err(error) = self.step(self.endpoint.reach()).await {
            findings.fail(CheckKind::Reachable, error.to_string(), REACH);
            return None;
        }
        findings.pass(CheckKind::Reachable);
        match self.step(self.endpoint.publisher()).await {
            Ok(publisher) => {
                [CheckKind::Redis, CheckKind::Tls, CheckKind::Login]
                    .into_iter()
                    .for_each(|what| findings.pass(what));
                Some(publisher)
            }
            Err(error) => {
                let (what, fix) = blame(&error, self.endpoint.is_encrypted());
                if what == CheckKind::Login {
                    findings.pass(CheckKind::Redis);
                    findings.pass(CheckKind::Tls);
                }
                findings.fail(what, error.to_string(), fix);
                None
            }
        }
    }

    async fn ask(&self) -> Asked {
        let mut asked = Asked::default();
        let asking = async {
            let mut interview = self.step(self.endpoint.interview()).await?;
            self.ask_all(&mut *interview, &mut asked).await
        };
        if let Err(error) = asking.await {
            asked.trouble = Some(error.to_string());
        }
        asked
    }

    async fn ask_all(&self, interview: &mut dyn Interview, asked: &mut Asked) -> Result<(), LinkError> {
        asked.about = self.step(interview.about()).await?;
        asked.rights = self.step(interview.rights(&self.demands.channels)).await?;
        asked.buffer = self.step(interview.buffer_limit()).await?;
        Ok(())
    }

    /// Subscribes and publishes, over connections like those that the server would use.
    async fn try_out(&self, publisher: &dyn Publisher) -> Tried {
        let trial = &self.demands.trial;
        let publishing = self.step(publisher.publish(trial, Bytes::new()));
        let subscribing = self.step(async {
            let mut subscriber = self.endpoint.subscriber().await?;
            subscriber.subscribe(std::slice::from_ref(trial)).await?;
            loop {
                let arrivals = subscriber.next().await?;
                if arrivals.contains(&Arrival::Rejected) {
                    let text = format!("it forbids the channel {trial}");
                    return Err(LinkError::new(LinkErrorKind::Forbidden, text));
                }
                if arrivals.contains(&Arrival::Confirmed) {
                    return Ok(subscriber);
                }
            }
        });
        let (published, subscriber) = tokio::join!(publishing, subscribing);
        Tried {
            publishing: published.map(drop),
            subscriber,
        }
    }
}

const REACH: &str = "start Redis there, or correct host and port; let firewalls and network policies pass this server";
const ANSWER: &str =
    "make sure that a Redis listens on this port, and that it is neither hung nor full; restart it if it is";
const ENCRYPT: &str = "write rediss:// if the port uses TLS, else redis://; give each server the CA and client certificate with the URLs \
     of its configured nodes (?ca=FILE&cert=FILE&key=FILE)";
const LOG_IN: &str = "give this Redis the user and password that wsmesh has (requirepass, or ACL SETUSER USER on >PASSWORD), or give \
     each server the right ones (--redis-password-file, or its own --redis)";
const LOG_IN_OPEN: &str = "give this Redis the password that the servers have (requirepass), or take it from each of them, out of both \
     --redis-password-file and --redis";
const REDIS: &str = "make sure that a Redis listens on this port, or correct host and port";

/// Which check a failure to log in belongs to, and what to do.
fn blame(error: &LinkError, is_encrypted: bool) -> (CheckKind, &'static str) {
    match error.kind {
        LinkErrorKind::Auth if error.to_string().contains("has no password") => (CheckKind::Login, LOG_IN_OPEN),
        LinkErrorKind::Auth | LinkErrorKind::Rejected | LinkErrorKind::Forbidden => (CheckKind::Login, LOG_IN),
        LinkErrorKind::Protocol if error.to_string().contains("rediss://") => (CheckKind::Tls, ENCRYPT),
        LinkErrorKind::Protocol => (CheckKind::Redis, REDIS),
        _ if is_encrypted => (CheckKind::Tls, ENCRYPT),
        _ => (CheckKind::Redis, ANSWER),
    }
}

fn judge_version(findings: &mut Findings, version: Option<&str>, trouble: Option<&str>) {
    let Some(version) = version else {
        let why = trouble.unwrap_or("it does not say (INFO may be forbidden)");
        return findings.doubt(CheckKind::Version, why);
    };
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => findings.pass(CheckKind::Version),
        (Some(_), Some(_)) => {
            let why = format!(
                "it is Redis {version}, which has no ACL rules for channels and cannot say what waits for a connection"
            );
            let fix = format!("use Redis {}.{} or newer, or Valkey", OLDEST.0, OLDEST.1);
            findings.fail(CheckKind::Version, why, fix);
        }
        _ => findings.doubt(CheckKind::Version, format!("it calls its version {version:?}")),
    }
}

/// What was tried counts, and what the Redis says about other channels.
fn judge_rights(findings: &mut Findings, tried: &Tried, rights: &Rights, demands: &Demands) {
    let fix = format!(
        "ACL SETUSER USER +publish +subscribe +unsubscribe +ping {}",
        demands.rules
    );
    let subscribing = tried.subscriber.as_ref().map(drop);
    let all = [
        (
            CheckKind::Publish,
            tried.publishing.as_ref().map(drop),
            &rights.publish_denied,
        ),
        (CheckKind::Subscribe, subscribing, &rights.subscribe_denied),
    ];
    for (what, tried, denied) in all {
        match (tried, denied) {
            (Ok(()), None) => findings.pass(what),
            (_, Some(denied)) => findings.fail(what, denied.clone(), fix.as_str()),
            (Err(error), None) if matches!(error.kind, LinkErrorKind::Auth | LinkErrorKind::Forbidden) => {
                findings.fail(what, error.to_string(), fix.as_str());
            }
            (Err(error), None) => findings.fail(what, error.to_string(), ANSWER),
        }
    }
}

fn judge_buffer(findings: &mut Findings, limit: Option<BufferLimit>, needed: u64) {
    let Some(limit) = limit else {
        return findings.doubt(CheckKind::OutputBuffer, "it does not say (CONFIG GET may be forbidden)");
    };
    let hard = (limit.hard, "for a subscriber");
    let soft = (limit.soft, "for a subscriber that is behind for a moment");
    let bounds = if limit.soft_seconds < SOFT_SECONDS {
        vec![hard, soft]
    } else {
        vec![hard]
    };
    let small = bounds.into_iter().find(|(bytes, _)| (1..needed).contains(bytes));
    match small {
        None => findings.pass(CheckKind::OutputBuffer),
        Some((bytes, whom)) => {
            let why = format!(
                "it buffers {bytes} bytes {whom}, and {needed} are needed: else a message of half that size would end every subscriber's \
                 connection"
            );
            // What the images and the chart of wsmesh use, if that is enough.
            let (hard, soft) = (needed.max(64 * 1024 * 1024), needed.max(32 * 1024 * 1024));
            let fix = format!("CONFIG SET client-output-buffer-limit \"pubsub {hard} {soft} {SOFT_SECONDS}\"");
            findings.fail(CheckKind::OutputBuffer, why, fix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::preflight::CheckResult;

    const MB: u64 = 1024 * 1024;

    fn result(what: CheckKind, judge: impl FnOnce(&mut Findings)) -> CheckResult {
        let mut findings = Findings::default();
        judge(&mut findings);
        let checks = findings.into_preflight().checks;
        checks
            .into_iter()
            .find(|check| check.what == what)
            .expect("every kind")
            .result
    }

    #[test]
    fn a_redis_older_than_6_2_fails_and_one_that_does_not_say_is_unknown() {
        let of = |version| result(CheckKind::Version, |findings| judge_version(findings, version, None));
        for version in ["6.2.0", "7.0.15", "8.4.0", "10.0.1"] {
            assert_eq!(of(Some(version)), CheckResult::Passed, "{version}");
        }
        for version in ["6.0.16", "5.0.14", "2.8"] {
            let CheckResult::Failed { why, fix } = of(Some(version)) else {
                panic!("{version}")
            };
            assert!(why.contains(version) && fix.contains("6.2"), "{why}: {fix}");
        }
        for version in [None, Some("unstable"), Some("")] {
            assert!(matches!(of(version), CheckResult::Unknown { .. }), "{version:?}");
        }
    }

    #[test]
    fn a_small_buffer_fails_with_the_number_and_the_command_that_mends_it() {
        let of = |hard, soft, soft_seconds| {
            let limit = BufferLimit {
                hard,
                soft,
                soft_seconds,
            };
            result(CheckKind::OutputBuffer, |findings| {
                judge_buffer(findings, Some(limit), 16 * MB)
            })
        };
        assert_eq!(of(32 * MB, 8 * MB, 60), CheckResult::Passed, "Redis's default");
        assert_eq!(of(64 * MB, 32 * MB, 10), CheckResult::Passed, "the chart's");
        assert_eq!(of(0, 0, 0), CheckResult::Passed, "no limit");
        for (hard, soft, seconds, number) in [(32, 8, 0, 8 * MB), (1, 0, 0, MB), (15, 1, 1, 15 * MB)] {
            let CheckResult::Failed { why, fix } = of(hard * MB, soft * MB, seconds) else {
                panic!("{hard} {soft}")
            };
            assert!(why.contains(&format!("{number} bytes")), "{why}");
            assert!(fix.contains("pubsub 67108864 33554432 10"), "{fix}");
        }
        let unknown = result(CheckKind::OutputBuffer, |findings| judge_buffer(findings, None, MB));
        assert!(matches!(unknown, CheckResult::Unknown { .. }));
    }
}
