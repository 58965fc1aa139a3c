//! The outcome of requests: each ends with an answer or an error that says why, and is handled once or not at all.

use std::collections::{BTreeMap, HashMap};

use super::Evidence;
use crate::record::Event;
use crate::server::LOGIC;

/// The outcome of requests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Requests {
    /// The number of requests.
    pub asked: u64,
    /// Answered.
    pub ok: u64,
    /// Ended with an error that says why.
    pub error: u64,
    /// Not answered in time although both servers were up all the time, or never ended.
    pub silent: u64,
    /// Handled more than once.
    pub twice: u64,
}

#[derive(Debug, Default)]
struct Request {
    asked: Option<(usize, u64)>,
    outcome: Option<Event>,
    handled: u32,
}

/// Collects the events of each request.
#[derive(Debug, Default)]
pub(super) struct Counter {
    requests: HashMap<u64, Request>,
}

impl Counter {
    pub(super) fn note(&mut self, life: usize, key: u64, at_us: u64, event: Event) {
        let request = self.requests.entry(key).or_default();
        match event {
            Event::Asked => request.asked = Some((life, at_us)),
            Event::Handled => request.handled += 1,
            outcome => request.outcome = Some(outcome),
        }
    }

    pub(super) fn count(&self, evidence: &Evidence) -> Requests {
        let mut count = Requests::default();
        for request in self.requests.values() {
            count.twice += u64::from(request.handled > 1);
            count.asked += u64::from(request.asked.is_some());
            match request.end(evidence) {
                Some(End::Ok) => count.ok += 1,
                Some(End::Error) => count.error += 1,
                Some(End::Silent) => count.silent += 1,
                None => {}
            }
        }
        count
    }

    /// Unanswered requests by sender, as text.
    pub(super) fn lines(&self, evidence: &Evidence) -> Vec<String> {
        let mut silent: BTreeMap<&str, Vec<(u64, bool)>> = BTreeMap::new();
        for request in self.requests.values() {
            if let (Some((asker, at_us)), Some(End::Silent)) = (request.asked, request.end(evidence)) {
                let requests = silent.entry(&evidence.lives[asker].name).or_default();
                requests.push((at_us.saturating_sub(evidence.load_us.0), request.handled > 0));
            }
        }
        let line = |(asker, mut requests): (&str, Vec<(u64, bool)>)| {
            requests.sort_unstable();
            let seconds = |request: Option<&(u64, bool)>| request.map_or(0.0, |(at_us, _)| *at_us as f64 / 1e6);
            let (first, last) = (seconds(requests.first()), seconds(requests.last()));
            let handled = requests.iter().filter(|(_, handled)| *handled).count();
            let count = requests.len();
            format!(
                "{count} silent requests of {asker} ({handled} handled), asked {first:.2} to {last:.2} s after load began"
            )
        };
        silent.into_iter().map(line).collect()
    }
}

enum End {
    Ok,
    Error,
    Silent,
}

impl Request {
    /// How it ended; `None` if its sender died meanwhile and needs no answer.
    fn end(&self, evidence: &Evidence) -> Option<End> {
        let (asker, at_us) = self.asked?;
        match self.outcome {
            Some(Event::Answered) => Some(End::Ok),
            Some(Event::TimedOut) if !may_time_out(evidence, asker, at_us) => Some(End::Silent),
            Some(_) => Some(End::Error),
            None if evidence.lives[asker].ended_us.is_none() => Some(End::Silent),
            None => None,
        }
    }
}

/// Whether one of both servers was cut off or stopped at that time.
fn may_time_out(evidence: &Evidence, asker: usize, at_us: u64) -> bool {
    let lives = &evidence.lives;
    let until_us = at_us + (evidence.pace.request() + evidence.pace.slack()).as_micros() as u64;
    let slack_us = evidence.pace.slack().as_micros() as u64;
    let concerned = |server: usize| server == lives[asker].server || evidence.plan.service(server) == LOGIC;
    let mut excuses = evidence.excuses.iter().filter(|excuse| concerned(excuse.server));
    excuses.any(|excuse| excuse.from_us < until_us && at_us < excuse.until_us.saturating_add(slack_us))
}
