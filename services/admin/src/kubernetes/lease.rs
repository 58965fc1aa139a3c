//! The Lease by which one admin leads: it alone follows the StatefulSet, and another takes over when it ends or is cut off.
//!
//! Each request has a time limit. A holder stops by itself [`Pace::deadline`] after it sent the last renewal that was stored; others
//! wait [`Pace::duration`], which is longer, after they saw that renewal. Both times are monotonic, and the times written into the
//! Lease are for people only, so clocks may differ and jump. A write names the version that it replaces, so of two admins one wins.
//!
//! Crates for this (kube-lease-manager, kube-leader-election) compare the times in the Lease with their own clock, renew without naming
//! a version, and wait for an answer without a limit.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// The times of a Lease. Another admin takes over at most `duration` and two of `every` after the last renewal: within 12 s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long others wait after the last renewal that they saw.
    pub(crate) duration: Duration,
    /// How long the holder leads after a renewal.
    pub(crate) deadline: Duration,
    /// How often the holder renews, and others look.
    pub(crate) every: Duration,
    /// Time limit of one request.
    pub(crate) answer: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(9),
            deadline: Duration::from_secs(6),
            every: Duration::from_millis(1500),
            answer: Duration::from_secs(2),
        }
    }
}

/// Who leads, as this admin sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    standing: Receiver<Standing>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Standing {
    holder: Option<String>,
    /// This admin leads until then.
    mine_until: Option<Instant>,
    /// Why that is not known.
    problem: Option<String>,
}

impl Leadership {
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
    fn leads(&self, now: Instant) -> bool {
        self.mine_until.is_some_and(|until| now < until)
    }
}

/// What was read of the Lease, and when it was seen to change last.
#[derive(Debug)]
struct Observed {
    object: Object,
    at: Instant,
}

/// Tries to hold a Lease, and holds it.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Api<Object>,
    name: String,
    me: String,
    pace: Pace,
    standing: Sender<Standing>,
    observed: Option<Observed>,
}

impl Lease {
    /// A Lease of the client's namespace; `me` is unique among those who want it. Nothing happens before [`Lease::keep`].
    pub(crate) fn new(client: Client, name: &str, me: &str, pace: Pace) -> (Self, Leadership) {
        let (standing, seen) = tokio::sync::watch::channel(Standing::default());
        let lease = Self {
            leases: Api::default_namespaced(client),
            name: name.to_owned(),
            me: me.to_owned(),
            pace,
            standing,
            observed: None,
        };
        (lease, Leadership { standing: seen })
    }

    /// Takes and renews the Lease until `shutdown`, then gives it back. Whoever acts as the leader must have stopped by then.
    pub(crate) async fn keep(mut self, shutdown: CancellationToken) {
        let mut every = interval(self.pace.every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let keeping = async {
            loop {
                every.tick().await;
                self.step().await;
            }
        };
        shutdown.run_until_cancelled(keeping).await;
        self.release().await;
    }

    /// One look at the Lease, and one renewal or attempt to take it.
    async fn step(&mut self) {
        let led = self.leads();
        let result = self.try_step().await;
        let problem = result.err();
        if let Some(problem) = &problem
            && self.standing.borrow().problem.is_none()
        {
            tracing::warn!(lease = self.name, problem, "the Lease cannot be used; trying again");
        }
        let leads = self.leads();
        if led && !leads {
            tracing::warn!(lease = self.name, "this admin does not lead any more");
        }
        let holder = self.holder().map(str::to_owned);
        self.standing.send_if_modified(|standing| {
            let before = standing.clone();
            // A holder that is not heard of any more is still the last one known.
            standing.holder = holder;
            standing.problem = problem;
            if !leads {
                standing.mine_until = None;
            }
            *standing != before
        });
    }

    async fn try_step(&mut self) -> Result<(), String> {
        // Who leads knows the Lease: it only writes, and reads when another one has written.
        if !self.leads() || self.observed.is_none() {
            self.look().await?;
        }
        if self.may_take() {
            self.write(self.claim()).await?;
        }
        Ok(())
    }

    /// Reads the Lease.
    async fn look(&mut self) -> Result<(), String> {
        let found = self.within(self.leases.get_opt(&self.name)).await?;
        self.observe(found);
        Ok(())
    }

    /// Notes a Lease that was read or written. What matters is when it was seen to change, by this server's own clock.
    fn observe(&mut self, found: Option<Object>) {
        let now = Instant::now();
        let at = match (&self.observed, &found) {
            (Some(before), Some(found)) if before.object.spec == found.spec => before.at,
            _ => now,
        };
        self.observed = found.map(|object| Observed { object, at });
    }

    fn spec(&self) -> Option<&LeaseSpec> {
        self.observed.as_ref()?.object.spec.as_ref()
    }

    fn holder(&self) -> Option<&str> {
        let holder = self.spec()?.holder_identity.as_deref()?;
        (!holder.is_empty()).then_some(holder)
    }

    /// Whether nobody else holds the Lease, as far as is known.
    fn may_take(&self) -> bool {
        let Some(holder) = self.holder() else { return true };
        if holder == self.me {
            return true;
        }
        // An admin of another version may have written another duration.
        let told = self.spec().and_then(|spec| spec.lease_duration_seconds);
        let told = told
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs);
        let duration = told.unwrap_or_default().max(self.pace.duration);
        self.observed
            .as_ref()
            .is_none_or(|observed| observed.at.elapsed() > duration)
    }

    /// The Lease as it is when this admin holds it from now on, or still.
    fn claim(&self) -> Object {
        let before = self.spec().cloned().unwrap_or_default();
        let is_mine = self.holder() == Some(&self.me);
        let now = MicroTime(Timestamp::now());
        let seconds = self.pace.duration.as_secs_f64().ceil() as i32;
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: Some(seconds),
            renew_time: Some(now.clone()),
            acquire_time: if is_mine { before.acquire_time } else { Some(now) },
            lease_transitions: Some(before.lease_transitions.unwrap_or_default() + i32::from(!is_mine)),
            ..LeaseSpec::default()
        };
        self.with(spec)
    }

    /// The known Lease with this content. It names the version that it replaces.
    fn with(&self, spec: LeaseSpec) -> Object {
        let metadata = match &self.observed {
            Some(observed) => observed.object.metadata.clone(),
            None => ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
        };
        Object {
            metadata,
            spec: Some(spec),
        }
    }

    /// Writes the Lease. This admin leads from then on, if that was in time.
    async fn write(&mut self, object: Object) -> Result<(), String> {
        let sent = Instant::now();
        let params = PostParams::default();
        let was_mine = self.leads();
        let written = match &self.observed {
            Some(_) => self.within(self.leases.replace(&self.name, &params, &object)).await,
            None => self.within(self.leases.create(&params, &object)).await,
        };
        match written {
            Ok(object) => {
                self.observe(Some(object));
                let until = sent + self.pace.deadline;
                self.standing.send_modify(|standing| standing.mine_until = Some(until));
                if !was_mine {
                    tracing::info!(lease = self.name, "this admin leads now");
                }
                Ok(())
            }
            // Whether it was written is not known, or another one has written: what is known may be old.
            Err(problem) => {
                let look = self.look().await;
                if look.is_ok() && self.holder().is_some_and(|holder| holder != self.me) {
                    self.standing.send_modify(|standing| standing.mine_until = None);
                    return Ok(());
                }
                Err(problem)
            }
        }
    }

    fn leads(&self) -> bool {
        self.standing.borrow().leads(Instant::now())
    }

    /// Gives the Lease back, so that another admin leads at once.
    async fn release(mut self) {
        let was_mine = self.leads();
        self.standing.send_modify(|standing| standing.mine_until = None);
        if !was_mine {
            return;
        }
        let spec = LeaseSpec {
            holder_identity: None,
            renew_time: Some(MicroTime(Timestamp::now())),
            ..self.spec().cloned().unwrap_or_default()
        };
        let object = self.with(spec);
        let released = self
            .within(self.leases.replace(&self.name, &PostParams::default(), &object))
            .await;
        match released {
            Ok(_) => tracing::info!(lease = self.name, "this admin gave the Lease back"),
            Err(problem) => tracing::warn!(
                lease = self.name,
                problem,
                "the Lease could not be given back: another admin leads later"
            ),
        }
        self.observed = None;
    }

    async fn within<T>(&self, answer: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
        match timeout(self.pace.answer, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "the Kubernetes API did not answer within {} s",
                self.pace.answer.as_secs_f64()
            )),
        }
    }
}
