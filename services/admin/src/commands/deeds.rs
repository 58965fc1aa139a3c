//! What the lines of a batch did, for the audit: one sum for each kind of command and result, however many lines there are. A line
//! counts when it has ended, or when it is dropped on its way because its caller went away.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use parking_lot::Mutex;

use crate::audit::went_away;

/// What was done, by kind of command and by result.
#[derive(Debug, Default)]
pub(crate) struct Deeds(Mutex<BTreeMap<(&'static str, u16), Sum>>);

#[derive(Debug, Default)]
struct Sum {
    count: u64,
    /// Each as often as it was named.
    targets: Vec<String>,
}

/// A line that is carried out. It counts when this is dropped.
#[derive(Debug)]
pub(super) struct Deed<'a> {
    deeds: &'a Deeds,
    what: Option<(&'static str, String)>,
    status: Option<StatusCode>,
}

impl Deeds {
    /// A line that does this from now on; nothing if it only reads.
    pub(super) fn begin(&self, what: Option<(&'static str, String)>) -> Deed<'_> {
        Deed {
            deeds: self,
            what,
            status: None,
        }
    }

    /// Each sum: what was done, to whom, with which status, and how often.
    pub(crate) fn take(&self) -> impl Iterator<Item = (&'static str, Vec<String>, StatusCode, u64)> + use<> {
        let sums = std::mem::take(&mut *self.0.lock());
        sums.into_iter().map(|((action, status), sum)| {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (action, sum.targets, status, sum.count)
        })
    }
}

impl Deed<'_> {
    /// What came of it.
    pub(super) fn ended(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Deed<'_> {
    fn drop(&mut self) {
        let Some((action, target)) = self.what.take() else {
            return;
        };
        let status = self.status.unwrap_or_else(went_away);
        let mut sums = self.deeds.0.lock();
        let sum = sums.entry((action, status.as_u16())).or_default();
        sum.count += 1;
        if !target.is_empty() {
            sum.targets.push(target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_kind_and_result_are_one_sum() {
        let deeds = Deeds::default();
        for number in 0..12 {
            deeds
                .begin(Some(("join", format!("client {number}"))))
                .ended(StatusCode::OK);
            deeds
                .begin(Some(("broadcast", String::new())))
                .ended(StatusCode::ACCEPTED);
            deeds.begin(None).ended(StatusCode::OK);
        }
        deeds
            .begin(Some(("join", "client x".to_owned())))
            .ended(StatusCode::NOT_FOUND);
        // Its caller goes away.
        drop(deeds.begin(Some(("join", "client y".to_owned()))));
        let sums: Vec<_> = deeds.take().collect();
        assert_eq!(sums[0], ("broadcast", Vec::new(), StatusCode::ACCEPTED, 12));
        let (action, targets, status, count) = &sums[1];
        assert_eq!((*action, status.as_u16(), *count), ("join", 200, 12));
        assert_eq!((targets.len(), targets[11].as_str()), (12, "client 11"));
        assert_eq!(sums[2], ("join", vec!["client x".to_owned()], StatusCode::NOT_FOUND, 1));
        assert_eq!(sums[3], ("join", vec!["client y".to_owned()], went_away(), 1));
        assert_eq!(deeds.take().count(), 0);
    }
}
