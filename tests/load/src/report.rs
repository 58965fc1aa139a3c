//! The results of a run, as JSON and as text.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use crate::duty::churn::ChurnReport;
use crate::measure::latency::LatencySummary;
use crate::measure::process::ProcessReport;
use crate::run::Measured;
use crate::run::shared::Counts;

/// The results of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The mode.
    pub mode: String,
    /// How connections were made.
    pub connecting: Connecting,
    /// The length of the measurement, s.
    pub seconds: f64,
    /// Modes with messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<MessageReport>,
    /// Mode `request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestReport>,
    /// Mode `churn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<ChurnReport>,
    /// Mode `reconnect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect: Option<ReconnectReport>,
    /// Mode `slow`: how the clients that never read ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_clients: Option<Counts>,
    /// How connections ended that should have stayed, or why they could not be made again.
    pub ended: Counts,
    /// The watched processes.
    pub processes: Vec<ProcessReport>,
    /// CPU use of this tool, as a share of one core. Near 1 per thread the tool itself is the bottleneck.
    pub own_cpu_share: f64,
    /// CPU time of this tool per delivery or reply, µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_cpu_us_per_delivery: Option<f64>,
}

/// How connections were made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Connecting {
    pub connections: usize,
    pub seconds: f64,
    pub per_second: f64,
}

/// Results of messages. "Measured" is the time after the warm-up; everything else counts from the first message on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageReport {
    /// Messages sent.
    pub sent: u64,
    /// Expected deliveries: messages times measured members of the room.
    pub expected: u64,
    /// Deliveries to measured members, each counted once.
    pub delivered: u64,
    /// Deliveries that did not arrive.
    pub lost: u64,
    /// Deliveries that arrived twice.
    pub doubled: u64,
    /// Deliveries that arrived after a later message of the same publisher.
    pub out_of_order: u64,
    /// Deliveries to clients that should not get them.
    pub strays: u64,
    /// Frames that are neither a push nor a reply.
    pub unknown: u64,
    /// How often a window did not move for two seconds and was given up.
    pub stalls: u64,
    /// Deliveries while measured.
    pub measured: u64,
    /// The same per second.
    pub deliveries_per_s: f64,
    /// From sending a message (at a fixed rate: from when it was due) until a client had it.
    pub latency: Option<LatencySummary>,
    /// At a fixed rate: how late messages were sent. It is part of the latency, caused by this tool.
    pub lateness: Option<LatencySummary>,
}

/// Results of requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestReport {
    /// The event.
    pub event: String,
    /// Requests sent.
    pub sent: u64,
    /// Replies, each counted once, also those with an error.
    pub replies: u64,
    /// Requests without a reply.
    pub unanswered: u64,
    /// Replies that arrived twice.
    pub doubled: u64,
    /// Replies with an error, by code.
    pub errors: Counts,
    /// Frames that are not replies.
    pub others: u64,
    /// Replies while measured.
    pub measured: u64,
    /// The same per second.
    pub replies_per_s: f64,
    /// From sending a request (at a fixed rate: from when it was due) until its reply.
    pub latency: Option<LatencySummary>,
}

/// Results of reconnecting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReconnectReport {
    /// Connections that are back.
    pub back: u64,
    /// Connections that are not back.
    pub missing: u64,
    /// Connections whose close frame had a delay.
    pub told_when: u64,
    /// From the first end until the last connection was back; `None` if one is missing.
    pub seconds_until_all_back: Option<f64>,
    /// Attempts that failed, by status or reason.
    pub failed_attempts: Counts,
    /// How the server ended connections.
    pub ends: Counts,
    /// From the end of each connection until it was back.
    pub until_back: Option<LatencySummary>,
    /// From the start of the successful attempt until the upgrade.
    pub upgrade: Option<LatencySummary>,
}

impl Report {
    /// A report without the parts of single modes. `deliveries`: deliveries or replies while measured.
    #[must_use]
    pub fn new(
        mode: &str,
        connecting: Connecting,
        measured: &Measured,
        deliveries: u64,
        processes: Vec<ProcessReport>,
        ended: Counts,
    ) -> Self {
        Self {
            mode: mode.to_owned(),
            connecting,
            seconds: measured.seconds,
            messages: None,
            requests: None,
            churn: None,
            reconnect: None,
            slow_clients: None,
            ended,
            processes,
            own_cpu_share: measured.own_cpu_s / measured.seconds,
            own_cpu_us_per_delivery: (deliveries > 0).then(|| measured.own_cpu_s * 1e6 / deliveries as f64),
        }
    }

    /// The problems, a sentence each. With `allow_loss`, lost and doubled messages are not problems.
    #[must_use]
    pub fn problems(&self, allow_loss: bool) -> Vec<String> {
        let mut problems = Vec::new();
        let mut wrong = |count: u64, what: &str| {
            if count > 0 {
                problems.push(format!("{count} {what}"));
            }
        };
        if let Some(messages) = &self.messages {
            if !allow_loss {
                wrong(messages.lost, "deliveries were lost");
                wrong(messages.doubled, "deliveries came twice");
            }
            wrong(
                messages.strays,
                "deliveries went to clients that should not have got them",
            );
            wrong(
                u64::from(messages.measured == 0),
                "measurement without a single delivery",
            );
        }
        if let Some(requests) = &self.requests {
            wrong(requests.unanswered, "requests were not answered");
            wrong(requests.doubled, "replies came twice");
            wrong(requests.errors.values().sum(), "requests were refused");
        }
        if let Some(reconnect) = &self.reconnect {
            wrong(reconnect.missing, "connections did not reconnect");
        }
        wrong(
            self.ended.values().sum(),
            "connections ended, or could not be made, though they should stay",
        );
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connecting {
            connections,
            seconds,
            per_second,
        } = &self.connecting;
        writeln!(
            f,
            "{}: {connections} connections in {seconds:.2} s ({per_second:.0}/s)",
            self.mode
        )?;
        self.fmt_messages(f)?;
        self.fmt_requests(f)?;
        if let Some(churn) = &self.churn {
            writeln!(f, "  churn       {} joined, {} left", churn.joined, churn.left)?;
            line(f, "until joined", churn.until_joined.as_ref())?;
        }
        self.fmt_reconnect(f)?;
        if let Some(slow) = &self.slow_clients {
            counted(f, "slow", slow)?;
        }
        counted(f, "ENDED", &self.ended)?;
        self.fmt_processes(f)
    }
}

impl Report {
    fn fmt_messages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(m) = &self.messages else { return Ok(()) };
        writeln!(
            f,
            "  measured    {} deliveries in {:.1} s: {:.0}/s",
            m.measured, self.seconds, m.deliveries_per_s
        )?;
        writeln!(
            f,
            "  in all      sent {}, expected {}, delivered {}, lost {}, doubled {}, out of order {}, strays {}, unknown {}, stalls {}",
            m.sent, m.expected, m.delivered, m.lost, m.doubled, m.out_of_order, m.strays, m.unknown, m.stalls
        )?;
        line(f, "latency", m.latency.as_ref())?;
        line(f, "sent late", m.lateness.as_ref())
    }

    fn fmt_requests(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(r) = &self.requests else { return Ok(()) };
        writeln!(
            f,
            "  measured    {} replies to {} in {:.1} s: {:.0}/s",
            r.measured, r.event, self.seconds, r.replies_per_s
        )?;
        writeln!(
            f,
            "  in all      sent {}, replies {}, unanswered {}, doubled {}, other frames {}",
            r.sent, r.replies, r.unanswered, r.doubled, r.others
        )?;
        counted(f, "refused", &r.errors)?;
        line(f, "latency", r.latency.as_ref())
    }

    fn fmt_reconnect(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(r) = &self.reconnect else { return Ok(()) };
        let all = r
            .seconds_until_all_back
            .map_or_else(|| "not all".to_owned(), |s| format!("all within {s:.2} s"));
        writeln!(
            f,
            "  back        {}, missing {}, {all}; {} were told when",
            r.back, r.missing, r.told_when
        )?;
        counted(f, "ended", &r.ends)?;
        counted(f, "failed", &r.failed_attempts)?;
        line(f, "until back", r.until_back.as_ref())?;
        line(f, "upgrade", r.upgrade.as_ref())
    }

    fn fmt_processes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for p in &self.processes {
            let mut more = String::new();
            if let Some(us) = p.cpu_us_per_delivery {
                write!(more, ", {us:.3} µs CPU per delivery")?;
            }
            if let Some(bytes) = p.bytes_per_connection {
                write!(more, ", {bytes:.0} bytes per connection")?;
            }
            let mb = |bytes: u64| bytes as f64 / 1e6;
            writeln!(
                f,
                "  {:<11} {:.0} % of a core, {:.1} -> {:.1} MB{more}",
                p.name,
                p.cpu_share * 100.0,
                mb(p.resident_before),
                mb(p.resident_after)
            )?;
        }
        let own = self
            .own_cpu_us_per_delivery
            .map_or_else(String::new, |us| format!(", {us:.3} µs per delivery"));
        writeln!(f, "  this tool   {:.0} % of a core{own}", self.own_cpu_share * 100.0)
    }
}

fn line(f: &mut fmt::Formatter<'_>, what: &str, latency: Option<&LatencySummary>) -> fmt::Result {
    let Some(l) = latency else { return Ok(()) };
    writeln!(
        f,
        "  {what:<11} min {:.0} µs, p50 {:.0}, p90 {:.0}, p99 {:.0}, p99.9 {:.0}, max {:.0}",
        l.min_us, l.p50_us, l.p90_us, l.p99_us, l.p999_us, l.max_us
    )
}

fn counted(f: &mut fmt::Formatter<'_>, what: &str, counts: &Counts) -> fmt::Result {
    for (label, count) in counts {
        writeln!(f, "  {what:<11} {count} x {label}")?;
    }
    Ok(())
}
