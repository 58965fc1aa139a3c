//! Who leads, as everybody in this process asks it. `lease` decides it.

#[cfg(test)]
use std::time::Duration;

use tokio::sync::watch::Receiver;
#[cfg(test)]
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep_until};

/// Who leads, as this admin sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    standing: Receiver<Standing>,
}

/// What is known about who leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) holder: Option<String>,
    /// This admin leads until then.
    pub(super) mine_until: Option<Instant>,
    /// Why that is not known.
    pub(super) problem: Option<String>,
}

impl Leadership {
    /// Follows what is known.
    pub(super) fn new(standing: Receiver<Standing>) -> Self {
        Self { standing }
    }

    /// Nobody leads, ever: outside of Kubernetes there is nothing to lead.
    pub(crate) fn nobody() -> Self {
        let (_, standing) = tokio::sync::watch::channel(Standing::default());
        Self { standing }
    }

    /// Whether this admin leads now.
    pub(crate) fn is_mine(&self) -> bool {
        self.standing.borrow().leads(Instant::now())
    }

    /// The admin that leads; none if that is not known.
    pub(crate) fn leader(&self) -> Option<String> {
        self.standing.borrow().holder.clone()
    }

    /// Why nobody may lead: the Lease cannot be read or written.
    pub(crate) fn problem(&self) -> Option<String> {
        self.standing.borrow().problem.clone()
    }

    /// Waits until this admin leads.
    pub(crate) async fn taken(&self) {
        let mut standing = self.standing.clone();
        let mine = standing.wait_for(|standing| standing.leads(Instant::now()));
        if mine.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this admin does not lead.
    pub(crate) async fn lost(&self) {
        let mut standing = self.standing.clone();
        loop {
            let until = standing.borrow_and_update().mine_until;
            let Some(until) = until.filter(|until| Instant::now() < *until) else {
                return;
            };
            tokio::select! {
                () = sleep_until(until) => {}
                changed = standing.changed() => if changed.is_err() { return },
            }
        }
    }

    /// For tests: this admin leads while the sender has `true`; else `other` does.
    #[cfg(test)]
    pub(crate) fn scripted(me: &str, other: &str) -> (ScriptedLead, Self) {
        let (sender, standing) = tokio::sync::watch::channel(Standing::default());
        let script = ScriptedLead {
            me: me.to_owned(),
            other: other.to_owned(),
            sender,
        };
        (script, Self { standing })
    }
}

/// Who leads, as a test says.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct ScriptedLead {
    me: String,
    other: String,
    sender: Sender<Standing>,
}

#[cfg(test)]
impl ScriptedLead {
    /// This admin leads.
    pub(crate) fn give(&self) {
        self.sender.send_replace(Standing {
            holder: Some(self.me.clone()),
            mine_until: Some(Instant::now() + Duration::from_secs(86_400)),
            problem: None,
        });
    }

    /// The other one leads.
    pub(crate) fn take(&self) {
        self.sender.send_replace(Standing {
            holder: Some(self.other.clone()),
            ..Standing::default()
        });
    }
}

impl Standing {
    pub(super) fn leads(&self, now: Instant) -> bool {
        self.mine_until.is_some_and(|until| now < until)
    }
}
