//! What the doctor found: by part, each finding with its reason and the command that mends it. Plain values; their form in JSON is
//! part of what `admin doctor --json` promises.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::gather::rfc3339;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    /// Good to know.
    Note,
    /// It works, and may not tomorrow.
    Warning,
    /// Something does not work. The exit code is 1.
    Problem,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// The node, server or setting concerned.
    pub(crate) about: String,
    /// What is wrong.
    pub(crate) what: String,
    /// Why that matters.
    pub(crate) why: String,
    /// The commands that mend it, one a line, or what to do where no command can.
    pub(crate) fix: String,
}

impl Finding {
    fn new(severity: Severity, about: impl fmt::Display, what: impl Into<String>) -> Self {
        Self {
            severity,
            about: about.to_string(),
            what: what.into(),
            why: String::new(),
            fix: String::new(),
        }
    }

    pub(crate) fn problem(about: impl fmt::Display, what: impl Into<String>) -> Self {
        Self::new(Severity::Problem, about, what)
    }

    pub(crate) fn warning(about: impl fmt::Display, what: impl Into<String>) -> Self {
        Self::new(Severity::Warning, about, what)
    }

    pub(crate) fn note(about: impl fmt::Display, what: impl Into<String>) -> Self {
        Self::new(Severity::Note, about, what)
    }

    pub(crate) fn because(self, why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            ..self
        }
    }

    pub(crate) fn fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: fix.into(),
            ..self
        }
    }
}

/// What was looked at together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part {
    /// Its name: `redis`, `topology`, `servers`, `clocks`, `files`, `kubernetes`.
    pub(crate) part: &'static str,
    /// What was looked at, in words; none if it could not be.
    pub(crate) looked_at: Option<String>,
    /// Why it was not looked at, or not completely.
    pub(crate) skipped: Option<String>,
    /// The worst first.
    pub(crate) findings: Vec<Finding>,
}

impl Part {
    /// A part that was looked at.
    pub(crate) fn new(part: &'static str, looked_at: impl Into<String>, mut findings: Vec<Finding>) -> Self {
        // Stable: findings of one severity stay in their order.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self {
            part,
            looked_at: Some(looked_at.into()),
            skipped: None,
            findings,
        }
    }

    /// A part that could not be looked at although it should be: whether all is well there is not known, which is a problem.
    pub(crate) fn unseen(part: &'static str, why: &str, finding: Finding) -> Self {
        Self {
            findings: vec![finding],
            ..Self::skipped(part, why)
        }
    }

    /// A part that was not looked at.
    pub(crate) fn skipped(part: &'static str, why: impl Into<String>) -> Self {
        Self {
            part,
            looked_at: None,
            skipped: Some(why.into()),
            findings: Vec::new(),
        }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Diagnosis {
    #[serde(serialize_with = "rfc3339")]
    pub(crate) as_of: Timestamp,
    /// Of this program.
    pub(crate) version: &'static str,
    /// The worst finding; null if there is none.
    pub(crate) verdict: Option<Severity>,
    pub(crate) problems: usize,
    pub(crate) warnings: usize,
    pub(crate) notes: usize,
    pub(crate) parts: Vec<Part>,
}

impl Diagnosis {
    pub(crate) fn new(as_of: Timestamp, parts: Vec<Part>) -> Self {
        let count = |severity| {
            let findings = parts.iter().flat_map(|part| &part.findings);
            findings.filter(|finding| finding.severity == severity).count()
        };
        Self {
            as_of,
            version: wsmesh_bootstrap::VERSION,
            verdict: parts
                .iter()
                .flat_map(|part| &part.findings)
                .map(|finding| finding.severity)
                .max(),
            problems: count(Severity::Problem),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            parts,
        }
    }

    /// 0 without a problem, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        u8::from(self.problems > 0)
    }
}

/// `1 server`, `3 servers`.
pub(crate) fn count(number: usize, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        number => format!("{number} {of}s"),
    }
}

/// `a`, `a and b`, `a, b and c`; of more than six, the rest is counted.
pub(crate) fn list(names: impl IntoIterator<Item = impl fmt::Display>) -> String {
    const SHOWN: usize = 6;
    let mut names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    if names.len() > SHOWN + 1 {
        let rest = names.len() - SHOWN;
        names.truncate(SHOWN);
        names.push(format!("{rest} more"));
    }
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_verdict_and_only_problems_are_unhealthy() {
        let part = |findings| Part::new("redis", "1 node", findings);
        let diagnosis = |parts| Diagnosis::new(Timestamp::UNIX_EPOCH, parts);
        let nothing = diagnosis(vec![part(Vec::new()), Part::skipped("kubernetes", "not here")]);
        assert_eq!((nothing.verdict, nothing.exit_code()), (None, 0));
        let warned = diagnosis(vec![
            part(vec![Finding::note("a", "b")]),
            part(vec![Finding::warning("a", "b")]),
        ]);
        assert_eq!((warned.verdict, warned.exit_code()), (Some(Severity::Warning), 0));
        let ill = diagnosis(vec![part(vec![Finding::note("a", "b"), Finding::problem("a", "b")])]);
        assert_eq!((ill.verdict, ill.exit_code()), (Some(Severity::Problem), 1));
        assert_eq!((ill.problems, ill.warnings, ill.notes), (1, 0, 1));
        assert_eq!(
            ill.parts[0].findings[0].severity,
            Severity::Problem,
            "the worst comes first"
        );
    }

    #[test]
    fn a_diagnosis_is_one_document_of_a_stated_form() {
        let finding = Finding::problem("redis-0", "it is down")
            .because("it matters")
            .fix("do that");
        let parts = vec![
            Part::new("redis", "1 node", vec![finding]),
            Part::skipped("kubernetes", "not in Kubernetes"),
        ];
        assert_eq!(
            serde_json::to_value(Diagnosis::new(Timestamp::UNIX_EPOCH, parts)).expect("JSON"),
            serde_json::json!({
                "asOf": "1970-01-01T00:00:00.000Z",
                "version": wsmesh_bootstrap::VERSION,
                "verdict": "problem",
                "problems": 1,
                "warnings": 0,
                "notes": 0,
                "parts": [
                    {
                        "part": "redis",
                        "lookedAt": "1 node",
                        "skipped": null,
                        "findings": [
                            {"severity": "problem", "about": "redis-0", "what": "it is down", "why": "it matters", "fix": "do that"}
                        ],
                    },
                    {"part": "kubernetes", "lookedAt": null, "skipped": "not in Kubernetes", "findings": []},
                ],
            })
        );
    }

    #[test]
    fn names_are_listed_as_people_do_and_many_are_cut() {
        assert_eq!(list(["a"]), "a");
        assert_eq!(list(["a", "b", "c"]), "a, b and c");
        assert_eq!(list(0..7), "0, 1, 2, 3, 4, 5 and 6");
        assert_eq!(list(0..200), "0, 1, 2, 3, 4, 5 and 194 more");
        assert_eq!(list([""; 0]), "");
    }
}
