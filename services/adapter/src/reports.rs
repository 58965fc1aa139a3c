//! What a server tells about itself when it is asked for its totals: reports with names, each made at that moment by whoever knows
//! it. Nothing is computed while nobody asks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::RawValue;

/// Makes a report. Called for every question about the totals, so it must be quick, and it must not wait.
pub type Report = Arc<dyn Fn() -> Value + Send + Sync>;

/// The reports of one server.
#[derive(Default)]
pub struct Reports {
    by_name: Mutex<BTreeMap<String, Report>>,
}

impl Reports {
    /// Adds a report, or replaces the one with this name.
    pub fn add(&self, name: &str, report: impl Fn() -> Value + Send + Sync + 'static) {
        self.by_name.lock().insert(name.to_owned(), Arc::new(report));
    }

    /// Every report as it is now. The lock is not held while they are made: a report may add another one.
    pub(crate) fn make(&self) -> BTreeMap<String, Box<RawValue>> {
        let reports = self.by_name.lock().clone();
        let made = reports.into_iter().filter_map(|(name, report)| {
            let json = serde_json::value::to_raw_value(&report()).ok()?;
            Some((name, json))
        });
        made.collect()
    }
}

/// The copy has the same reports now, and changes of its own later.
impl Clone for Reports {
    fn clone(&self) -> Self {
        let by_name = self.by_name.lock().clone();
        Self {
            by_name: Mutex::new(by_name),
        }
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.lock().keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(reports: &Reports) -> Vec<(String, String)> {
        let made = reports.make().into_iter();
        made.map(|(name, json)| (name, json.get().to_owned())).collect()
    }

    #[test]
    fn a_report_is_made_when_it_is_asked_for_and_a_later_one_of_its_name_replaces_it() {
        let reports = Reports::default();
        let calls = Arc::new(Mutex::new(0));
        let counted = calls.clone();
        reports.add("a", move || {
            *counted.lock() += 1;
            json!({"calls": *counted.lock()})
        });
        assert_eq!(*calls.lock(), 0);
        assert_eq!(made(&reports), [("a".to_owned(), r#"{"calls":1}"#.to_owned())]);
        reports.add("a", || json!(2));
        assert_eq!(made(&reports), [("a".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn a_copy_does_not_follow_later_changes() {
        let reports = Reports::default();
        let copy = reports.clone();
        reports.add("a", || json!(1));
        assert!(copy.make().is_empty());
    }
}
