//! What the lines of a batch did, for the audit: one sum for each kind of command and result, however many lines there are.

use std::collections::BTreeMap;

use axum::http::StatusCode;

/// How many targets of a kind of command are named. The others are counted.
const NAMED: usize = 10;

/// What was done, by kind of command and by result.
#[derive(Debug, Default)]
pub(crate) struct Deeds(BTreeMap<(&'static str, u16), Sum>);

#[derive(Debug, Default)]
struct Sum {
    count: u64,
    targets: Vec<String>,
}

impl Deeds {
    /// Counts a line that did this; nothing if it only read.
    pub(super) fn add(&mut self, deed: Option<(&'static str, String)>, status: StatusCode) {
        let Some((action, target)) = deed else { return };
        let sum = self.0.entry((action, status.as_u16())).or_default();
        sum.count += 1;
        if sum.targets.len() < NAMED && !target.is_empty() {
            sum.targets.push(target);
        }
    }

    /// Each sum: what was done, to whom, with which status, and how often.
    pub(crate) fn sums(self) -> impl Iterator<Item = (&'static str, String, StatusCode, u64)> {
        self.0.into_iter().map(|((action, status), sum)| {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let named = sum.targets.len() as u64;
            let mut target = sum.targets.join("; ");
            if named > 0 && named < sum.count {
                target = format!("{target}; and {} more", sum.count - named);
            }
            (action, target, status, sum.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_kind_and_result_are_one_sum() {
        let mut deeds = Deeds::default();
        for number in 0..12 {
            deeds.add(Some(("join", format!("client {number}"))), StatusCode::OK);
            deeds.add(Some(("broadcast", String::new())), StatusCode::ACCEPTED);
            deeds.add(None, StatusCode::OK);
        }
        deeds.add(Some(("join", "client x".to_owned())), StatusCode::NOT_FOUND);
        let sums: Vec<_> = deeds.sums().collect();
        assert_eq!(sums[0], ("broadcast", String::new(), StatusCode::ACCEPTED, 12));
        let (action, target, status, count) = &sums[1];
        assert_eq!((*action, status.as_u16(), *count), ("join", 200, 12));
        assert!(
            target.starts_with("client 0; ") && target.ends_with("client 9; and 2 more"),
            "{target}"
        );
        assert_eq!(sums[2], ("join", "client x".to_owned(), StatusCode::NOT_FOUND, 1));
    }
}
