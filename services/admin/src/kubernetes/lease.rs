//! The Lease by which one admin leads: it alone follows the StatefulSet, and another takes over when it ends or is cut off.
//!
//! Each request has a time limit. A holder stops by itself [`Pace::deadline`] after it sent the last renewal that was stored; others
//! wait [`Pace::duration`], which is longer, after they saw that renewal. Both times are monotonic, and the times written into the
//! Lease are for people only, so clocks may differ and jump. A write names the version that it replaces, so of two admins one wins.
//! Only an admin that hears a Redis node can do what a leader does: a deaf one does not take the Lease, and soon gives it back.
//!
//! Crates for this (kube-lease-manager, kube-leader-election) compare the times in the Lease with their own clock, renew without naming
//! a version, and wait for an answer without a limit.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::leadership::{Leadership, Standing};
use super::said;

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
    /// How long the holder leads without hearing a Redis node.
    pub(crate) deaf: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(9),
            deadline: Duration::from_secs(6),
            every: Duration::from_millis(1500),
            answer: Duration::from_secs(2),
            deaf: Duration::from_secs(5),
        }
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
pub(crate) struct Lease<H> {
    leases: Api<Object>,
    name: String,
    me: String,
    pace: Pace,
    /// Whether this admin hears a Redis node now.
    hears: H,
    deaf_since: Option<Instant>,
    standing: Sender<Standing>,
    observed: Option<Observed>,
}

impl<H: Fn() -> bool> Lease<H> {
    /// A Lease of the client's namespace; `me` is unique among those who want it, and `hears` says whether it hears a Redis node now.
    /// Nothing happens before [`Lease::keep`].
    pub(crate) fn new(client: Client, name: &str, me: &str, pace: Pace, hears: H) -> (Self, Leadership) {
        let (standing, seen) = tokio::sync::watch::channel(Standing::default());
        let lease = Self {
            leases: Api::default_namespaced(client),
            name: name.to_owned(),
            me: me.to_owned(),
            pace,
            hears,
            deaf_since: None,
            standing,
            observed: None,
        };
        (lease, Leadership::new(seen))
    }

    /// Takes and renews the Lease until `shutdown`, then gives it back. Whoever acts as the leader must have stopped by then.
    pub(crate) async fn keep(mut self, shutdown: CancellationToken) {
        let mut every = interval(self.pace.every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let answer = self.pace.answer;
        let mut is_unsure = false;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = every.tick() => {}
            }
            // A request that is dropped may be stored all the same, and then the Lease could not be given back.
            tokio::select! {
                () = self.step() => {}
                () = after(&shutdown, answer) => is_unsure = true,
            }
        }
        self.release(is_unsure).await;
    }

    /// One look at the Lease, and one renewal or attempt to take it.
    async fn step(&mut self) {
        let led = self.leads();
        let result = self.try_step().await;
        let problem = result.err();
        if let Some(problem) = &problem
            && self.standing.borrow().problem.is_none()
        {
            tracing::warn!(
                lease = self.name,
                problem,
                "the Lease cannot be used; trying again: check admin's rights (admin doctor)"
            );
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
        let (leads, deaf) = (self.leads(), self.deaf_for());
        if leads && deaf.is_some_and(|time| time >= self.pace.deaf) {
            tracing::warn!(
                lease = self.name,
                "this admin hears no Redis node: it gives the Lease back"
            );
            self.give_back().await?;
        } else if self.may_take() && (leads || deaf.is_none()) {
            self.write(self.claim()).await?;
        }
        Ok(())
    }

    /// How long this admin has heard no Redis node; none if it hears one.
    fn deaf_for(&mut self) -> Option<Duration> {
        if (self.hears)() {
            self.deaf_since = None;
            return None;
        }
        Some(self.deaf_since.get_or_insert_with(Instant::now).elapsed())
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

    /// Ends. If this admin holds the Lease, or that `is_unsure`, it gives it back, so that another one leads at once.
    async fn release(mut self, is_unsure: bool) {
        if !is_unsure && !self.leads() && self.holder() != Some(&self.me) {
            return;
        }
        match self.give_back().await {
            Ok(()) => tracing::info!(lease = self.name, "this admin gave the Lease back"),
            Err(problem) => tracing::warn!(
                lease = self.name,
                problem,
                "the Lease could not be given back: another admin leads later"
            ),
        }
    }

    /// Gives the Lease back, if this admin holds it.
    async fn give_back(&mut self) -> Result<(), String> {
        self.standing.send_modify(|standing| standing.mine_until = None);
        if self.holder() == Some(&self.me) && self.put_back().await.is_ok() {
            return Ok(());
        }
        // A renewal may have been stored whose answer did not come: what is known is old.
        self.look().await?;
        match self.holder() {
            Some(holder) if holder == self.me => self.put_back().await,
            _ => Ok(()),
        }
    }

    /// Writes that nobody holds the Lease.
    async fn put_back(&mut self) -> Result<(), String> {
        let spec = LeaseSpec {
            holder_identity: None,
            renew_time: Some(MicroTime(Timestamp::now())),
            ..self.spec().cloned().unwrap_or_default()
        };
        let (params, object) = (PostParams::default(), self.with(spec));
        let written = self.within(self.leases.replace(&self.name, &params, &object)).await?;
        self.observe(Some(written));
        Ok(())
    }

    async fn within<T>(&self, answer: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
        match timeout(self.pace.answer, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(said(&error)),
            Err(_) => Err(format!(
                "the Kubernetes API did not answer within {} s",
                self.pace.answer.as_secs_f64()
            )),
        }
    }
}

/// Waits until this long after the shutdown.
async fn after(shutdown: &CancellationToken, time: Duration) {
    shutdown.cancelled().await;
    sleep(time).await;
}
