//! The clocks of the servers, compared by one question each: a server's clock is read about halfway through the round trip.

use super::diagnosis::{Finding, Part, count, list};
use super::evidence::{Cluster, Server};
use super::fixes::Fixes;

/// A clock that is further off than this is wrong: NTP keeps clocks within some ten milliseconds.
const WRONG_MS: i64 = 500;

const WHY: &str = "tokens are refused too early or accepted too late, a restarted server may be taken for an older process of its \
                   name, and times in logs, lapses and lags cannot be compared";

/// Judges the clocks: those of most are taken for right.
pub(crate) fn check(cluster: &Cluster, fixes: &Fixes) -> Part {
    let clocks: Vec<_> = cluster.servers.iter().filter_map(clock).collect();
    if clocks.is_empty() {
        return Part::skipped("clocks", "no server told its time");
    }
    // This machine's is one of them.
    let mut ahead: Vec<i64> = clocks.iter().map(|clock| clock.ahead_ms).chain([0]).collect();
    ahead.sort_unstable();
    let usual = ahead[ahead.len() / 2];
    let is_wrong = |ahead_ms: i64, unsure_ms: i64| (ahead_ms - usual).abs() > WRONG_MS + unsure_ms;
    let fix = "timedatectl set-ntp true   # on the machine of that server";
    let mut findings = Vec::new();
    for clock in clocks.iter().filter(|clock| is_wrong(clock.ahead_ms, clock.unsure_ms)) {
        let fix = fixes.pods(
            &format!(
                "get pod {} -o wide   # names its machine: mend its clock with timedatectl set-ntp true",
                clock.server.name()
            ),
            fix,
        );
        findings.push(
            Finding::warning(clock.server.name(), off(clock.ahead_ms - usual))
                .because(WHY)
                .fix(fix),
        );
    }
    if is_wrong(0, 0) {
        findings.push(
            Finding::warning("this machine", off(-usual))
                .because("the servers agree with each other: what this machine says about times is wrong")
                .fix("timedatectl set-ntp true"),
        );
    }
    let old = cluster
        .servers
        .iter()
        .filter(|server| server.answer.as_ref().is_ok_and(|answer| answer.clock_ms.is_none()));
    let old: Vec<_> = old.map(Server::name).collect();
    let widest = clocks.iter().map(|clock| (clock.ahead_ms - usual).abs()).max();
    let mut part = Part::new(
        "clocks",
        format!(
            "{} within {} ms",
            count(clocks.len(), "server"),
            widest.unwrap_or_default()
        ),
        findings,
    );
    part.skipped = (!old.is_empty()).then(|| format!("{} of an older version", list(old)));
    part
}

/// How far the clock of a server is ahead of this machine's.
struct Clock<'a> {
    server: &'a Server,
    ahead_ms: i64,
    /// By how much that may be wrong: half of the round trip.
    unsure_ms: i64,
}

fn clock(server: &Server) -> Option<Clock<'_>> {
    let answer = server.answer.as_ref().ok()?;
    let half = i64::try_from(answer.round_trip.as_millis() / 2).ok()?;
    let theirs = i64::try_from(answer.clock_ms?).ok()?;
    let asked = i64::try_from(answer.asked_ms).ok()?;
    Some(Clock {
        server,
        ahead_ms: theirs.checked_sub(asked)?.checked_sub(half)?,
        unsure_ms: half,
    })
}

fn off(ahead_ms: i64) -> String {
    let seconds = ahead_ms.unsigned_abs() as f64 / 1000.0;
    let how = if ahead_ms > 0 { "fast" } else { "slow" };
    format!("its clock is {seconds:.1} s {how}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::diagnosis::Severity;
    use super::super::fixture::{NOW, about, answer, cluster, fixes, only};
    use super::*;

    fn check(cluster: &Cluster) -> Part {
        super::check(cluster, &fixes())
    }

    fn ahead(cluster: &mut Cluster, server: usize, ms: i64) {
        answer(&mut cluster.servers[server]).clock_ms = NOW.checked_add_signed(ms);
    }

    #[test]
    fn clocks_that_are_right_have_no_finding() {
        let mut cluster = cluster();
        ahead(&mut cluster, 1, 400);
        let part = check(&cluster);
        assert_eq!(
            (part.findings.len(), part.looked_at.as_deref(), part.skipped.as_deref()),
            (0, Some("3 servers within 400 ms"), None)
        );
    }

    #[test]
    fn a_clock_that_is_more_than_half_a_second_off_is_a_warning() {
        let mut cluster = cluster();
        ahead(&mut cluster, 1, 1_600);
        ahead(&mut cluster, 2, -700);
        let part = check(&cluster);
        assert_eq!(about(&part), [(Severity::Warning, "ws-0"), (Severity::Warning, "ws-1")]);
        assert_eq!(part.findings[0].what, "its clock is 1.6 s fast");
        assert_eq!(part.findings[1].what, "its clock is 0.7 s slow");
    }

    #[test]
    fn half_of_a_slow_answers_round_trip_is_not_taken_for_a_difference() {
        let mut cluster = cluster();
        answer(&mut cluster.servers[1]).round_trip = Duration::from_millis(3_000);
        for ms in [0, 1_500, 3_000] {
            ahead(&mut cluster, 1, ms);
            assert_eq!(
                check(&cluster).findings,
                [],
                "its clock is right if it was read after {ms} ms"
            );
        }
        ahead(&mut cluster, 1, 60_000);
        assert_eq!(only(&check(&cluster)).about, "ws-0");
    }

    #[test]
    fn when_this_machine_is_wrong_the_servers_are_not_blamed() {
        let mut cluster = cluster();
        for server in 0..3 {
            ahead(&mut cluster, server, 7_000);
        }
        let part = check(&cluster);
        assert_eq!(
            (only(&part).about.as_str(), only(&part).what.as_str()),
            ("this machine", "its clock is 7.0 s slow")
        );
    }

    #[test]
    fn servers_of_an_older_version_tell_no_time() {
        let mut cluster = cluster();
        answer(&mut cluster.servers[0]).clock_ms = None;
        assert_eq!(check(&cluster).skipped.as_deref(), Some("admin-0 of an older version"));
        for server in &mut cluster.servers {
            answer(server).clock_ms = None;
        }
        assert_eq!(check(&cluster).looked_at, None);
    }
}
