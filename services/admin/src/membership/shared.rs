//! What the tasks of membership share: the handles that they act through, and what is shown.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use wsmesh_adapter::{Adapter, NodeView};

use super::plan::Seat;
use crate::gather::MembershipView;
use crate::jobs::Jobs;
use crate::kubernetes::{Events, Leadership, PodNames};

/// What the leader told is shown for this long. It tells more often.
const TOLD_FOR: Duration = Duration::from_secs(15);

/// Why an admin that hears nobody does nothing.
const DEAF: &str = "this admin hears no Redis node, so it neither leads nor changes anything";

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) adapter: Adapter,
    pub(super) jobs: Jobs,
    pub(super) leadership: Leadership,
    pub(super) events: Events,
    pub(super) names: PodNames,
    /// What this admin sees by itself.
    seen: Mutex<MembershipView>,
    /// What the leader told last.
    told: Mutex<Option<(Instant, MembershipView)>>,
}

impl Shared {
    pub(super) fn new(adapter: Adapter, jobs: Jobs, leadership: Leadership, events: Events, names: PodNames) -> Self {
        let seen = MembershipView {
            problem: Some("the pods have not been looked at yet".to_owned()),
            ..MembershipView::default()
        };
        Self {
            adapter,
            jobs,
            leadership,
            events,
            names,
            seen: Mutex::new(seen),
            told: Mutex::default(),
        }
    }

    /// The nodes of the topology.
    pub(super) fn seats(&self) -> Vec<Seat> {
        let seat = |node: NodeView| Seat {
            ordinal: self.names.ordinal_of(&node.url),
            id: node.id,
            state: node.state,
        };
        self.adapter.topology().into_iter().map(seat).collect()
    }

    /// This admin has looked.
    pub(super) fn saw(&self, view: MembershipView) {
        *self.seen.lock() = view;
    }

    /// The leader told what it sees.
    pub(super) fn hear(&self, view: MembershipView) {
        *self.told.lock() = Some((Instant::now(), view));
    }

    /// What this admin sees by itself.
    pub(super) fn seen(&self) -> MembershipView {
        let mut seen = self.seen.lock().clone();
        seen.leader = self.leadership.leader();
        if !self.adapter.is_ready() {
            seen.problem = Some(DEAF.to_owned());
        }
        seen
    }

    /// What is shown. Only the leader knows what it tried.
    pub(super) fn view(&self) -> MembershipView {
        let seen = self.seen();
        if self.leadership.is_mine() {
            return seen;
        }
        let told = self.told.lock().clone();
        let told = told.filter(|(at, view)| at.elapsed() < TOLD_FOR && view.leader == seen.leader);
        if let Some((_, told)) = told {
            return told;
        }
        let why = match (self.leadership.problem(), &seen.leader) {
            (Some(problem), _) => format!("the Lease cannot be used: {problem}"),
            (None, Some(leader)) => format!("{leader} leads and has not told what it does"),
            (None, None) => "no admin leads yet".to_owned(),
        };
        MembershipView {
            problem: Some(seen.problem.unwrap_or(why)),
            ..seen
        }
    }
}
