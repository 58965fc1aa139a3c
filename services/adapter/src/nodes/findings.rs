//! The results of checks while they are made: each kind is undecided until something is known about it.

use super::preflight::{Check, CheckKind, CheckResult, Preflight};

/// All checks, in the order in which they are shown.
const ALL: [CheckKind; 9] = [
    CheckKind::Reachable,
    CheckKind::Redis,
    CheckKind::Tls,
    CheckKind::Login,
    CheckKind::Version,
    CheckKind::Publish,
    CheckKind::Subscribe,
    CheckKind::OutputBuffer,
    CheckKind::Identity,
];

/// Results so far.
#[derive(Debug)]
pub(crate) struct Findings {
    /// What the Redis calls this run of itself.
    pub(crate) run_id: Option<String>,
    /// Why it is not one independent Redis, if it is not.
    pub(crate) dependence: Option<String>,
    checks: [CheckResult; ALL.len()],
}

impl Default for Findings {
    fn default() -> Self {
        let undecided = || CheckResult::Unknown {
            why: "not tried, because an earlier check failed".to_owned(),
        };
        Self {
            run_id: None,
            dependence: None,
            checks: ALL.map(|_| undecided()),
        }
    }
}

impl Findings {
    pub(crate) fn pass(&mut self, what: CheckKind) {
        self.set(what, CheckResult::Passed);
    }

    pub(crate) fn fail(&mut self, what: CheckKind, why: impl Into<String>, fix: impl Into<String>) {
        let (why, fix) = (why.into(), fix.into());
        self.set(what, CheckResult::Failed { why, fix });
    }

    /// It cannot be found out.
    pub(crate) fn doubt(&mut self, what: CheckKind, why: impl Into<String>) {
        self.set(what, CheckResult::Unknown { why: why.into() });
    }

    fn set(&mut self, what: CheckKind, result: CheckResult) {
        if let Some(index) = ALL.iter().position(|kind| *kind == what) {
            self.checks[index] = result;
        }
    }

    /// The results for people.
    pub(crate) fn into_preflight(self) -> Preflight {
        let checks = ALL.into_iter().zip(self.checks);
        Preflight {
            run_id: self.run_id,
            checks: checks.map(|(what, result)| Check { what, result }).collect(),
        }
    }
}
