//! The verdict on a schedule: messages that should have arrived and did not, that arrived twice, and state that did not
//! converge.

use std::collections::{HashMap, HashSet};

use wsmesh_adapter::NodeState;

use crate::faults::{Kind, Plan, Touched};
use crate::load::{Load, Message, To, is_repeated};
use crate::server::{Cluster, Life, Notes};

/// An accepted message survives a fault that ends within this many seconds: the window, minus the time to notice the
/// end.
const OUTLASTED: f64 = 5.0;

/// How long a request waits, and how long it is on its way.
const LIMIT: f64 = 4.1;

/// The result of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) problems: Vec<String>,
    pub(crate) messages: u64,
    pub(crate) delivered: u64,
    pub(crate) excluded: u64,
}

impl Verdict {
    pub(crate) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.delivered += other.delivered;
        self.excluded += other.excluded;
    }
}

pub(crate) fn judge(plan: &Plan, cluster: &Cluster, load: &Load) -> Verdict {
    let notes = cluster.notes.borrow();
    let messages = load.messages.borrow();
    let mut verdict = Verdict {
        messages: messages.len() as u64,
        delivered: notes.received.len() as u64,
        ..Verdict::default()
    };
    let mut got: HashMap<(usize, &Life), u32> = HashMap::new();
    for received in &notes.received {
        *got.entry((received.message, &received.life)).or_default() += 1;
    }
    for ((message, life), times) in &got {
        if *times > 1 {
            verdict
                .problems
                .push(format!("m{message} arrived {times} times at {life:?}"));
        }
        let asked = matches!(messages[*message].to, To::Server(_));
        if asked && !is_repeated(*message) && got.keys().filter(|(other, _)| other == message).count() > 1 {
            verdict
                .problems
                .push(format!("request m{message} was handled by several lives"));
        }
    }
    late(plan, &notes, &messages, &mut verdict);
    let living: HashSet<Life> = cluster.lives().into_iter().map(|(life, _)| life).collect();
    for (number, message) in messages.iter().enumerate() {
        let sent = message.accepted == Some(true) && living.contains(&message.from);
        let expected = if sent {
            expected(message, &notes, &living)
        } else {
            HashSet::new()
        };
        for life in expected.iter().filter(|life| !got.contains_key(&(number, *life))) {
            if covered(plan, message, life) {
                verdict
                    .problems
                    .push(format!("m{number} {message:?} did not reach {life:?}"));
            } else {
                verdict.excluded += 1;
            }
        }
    }
    order(plan, &notes, &messages, &mut verdict);
    convergence(cluster, &notes, &living, &mut verdict);
    verdict
}

/// No request is handled after its caller has given up, unless a node or a link held it back: how long it does cannot be known.
fn late(plan: &Plan, notes: &Notes, messages: &[Message], verdict: &mut Verdict) {
    let holds_back = |kind| matches!(kind, Kind::Pause | Kind::Delay | Kind::Hang | Kind::Slow);
    if plan.faults.iter().any(|fault| holds_back(fault.kind)) {
        return;
    }
    for received in &notes.received {
        let message = &messages[received.message];
        let is_request = matches!(message.to, To::Server(_)) && !is_repeated(received.message);
        if is_request && received.at > message.at + LIMIT {
            verdict.problems.push(format!(
                "m{} was handled {:.1} s after it was sent",
                received.message,
                received.at - message.at
            ));
        }
    }
}

/// The lives that must get a message: they are still running and were subscribed when it was sent.
fn expected(message: &Message, notes: &Notes, living: &HashSet<Life>) -> HashSet<Life> {
    let lives: HashSet<Life> = match &message.to {
        To::Room(room) => {
            let joined = notes
                .joins
                .iter()
                .filter(|join| join.room == *room && join.until > message.at + 20.0);
            let joined = joined.filter(|join| join.from.is_some_and(|from| from < message.at));
            joined.map(|join| join.life.clone()).collect()
        }
        To::Everyone => {
            let ready = notes.ready.iter().filter(|(_, ready)| **ready < message.at);
            ready.map(|(life, _)| life.clone()).collect()
        }
        To::Server(life) => life.iter().cloned().collect(),
    };
    lives.into_iter().filter(|life| living.contains(life)).collect()
}

/// Whether sender and receiver shared a working node within the window.
fn covered(plan: &Plan, message: &Message, to: &Life) -> bool {
    let (from, to, at) = (&message.from.0, &to.0, message.at);
    if from == to {
        return true;
    }
    plan.nodes
        .iter()
        .filter(|node| !plan.moved.contains(*node))
        .any(|node| {
            let touched = [
                Touched::Node(node.clone()),
                Touched::Link(from.clone(), node.clone()),
                Touched::Link(to.clone(), node.clone()),
                Touched::Server(from.clone()),
                Touched::Server(to.clone()),
            ];
            let worked = touched.iter().all(|what| plan.clear(what, at - 2.0, at + 15.0));
            let spans = touched
                .iter()
                .flat_map(|what| plan.spans.get(what).into_iter().flatten());
            let ends = spans
                .map(|(_, end)| *end)
                .filter(|end| at < *end && *end <= at + OUTLASTED);
            let mut starts = ends.chain([at]);
            let began = starts.any(|start| touched.iter().all(|what| plan.clear(what, start + 1e-6, start + 12.0)));
            worked || began
        })
}

/// Messages of one sender to one topic must keep their order while there are no faults.
fn order(plan: &Plan, notes: &Notes, messages: &[Message], verdict: &mut Verdict) {
    let quiet = |from: f64, to: f64| plan.spans.keys().all(|what| plan.clear(what, from, to));
    let mut last: HashMap<(&Life, &Life, String), usize> = HashMap::new();
    for received in &notes.received {
        let message = &messages[received.message];
        let key = (&received.life, &message.from, format!("{:?}", message.to));
        let before = last.get(&key).copied();
        match before {
            Some(before) if before > received.message => {
                if quiet(message.at - 8.0, received.at) {
                    verdict
                        .problems
                        .push(format!("m{} arrived after m{before}", received.message));
                }
            }
            _ => _ = last.insert(key, received.message),
        }
    }
}

/// After healing, every server hears every node, all maps are equal, a node is active, and no join hangs.
fn convergence(cluster: &Cluster, notes: &Notes, living: &HashSet<Life>, verdict: &mut Verdict) {
    let mut maps = Vec::new();
    for (life, adapter) in cluster.lives() {
        let map = adapter.topology();
        for node in map.iter().filter(|node| node.state != NodeState::Gone) {
            let deaf: Vec<_> = node.servers.iter().filter(|server| !server.hears).collect();
            if !deaf.is_empty() || node.state != NodeState::Active {
                verdict.problems.push(format!(
                    "{life:?} sees {:?} {:?}, unheard by {deaf:?}",
                    node.id, node.state
                ));
            }
        }
        if map.iter().all(|node| node.state == NodeState::Gone) {
            verdict.problems.push(format!("{life:?} has no active node"));
        }
        maps.push(
            map.into_iter()
                .map(|node| (node.id, node.epoch, node.state, node.url))
                .collect::<Vec<_>>(),
        );
    }
    if maps.iter().any(|map| *map != maps[0]) {
        verdict.problems.push(format!("the maps differ: {maps:?}"));
    }
    let now = cluster.now();
    for join in notes.joins.iter().filter(|join| living.contains(&join.life)) {
        if join.from.is_none() && join.until.is_infinite() && now - join.called > 10.0 {
            verdict.problems.push(format!("a join hangs: {join:?}"));
        }
    }
}
