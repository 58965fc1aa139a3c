//! Checks of single settings, declared with them: `#[check(within(1..=1024))]`. The text of a problem follows the setting's
//! name and says what to write. For the documentation, a check also says which values are allowed.

use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Value;

/// Shortest time limit that makes sense: below this, nothing arrives in time.
pub const SHORTEST_LIMIT: Duration = Duration::from_millis(10);

/// No duration is longer: beyond this, clocks overflow before anybody sees the end.
pub const LONGEST_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// A condition on a value, in addition to its type. A function that returns a [`Verdict`] is a check, too.
pub trait Check<T: ?Sized> {
    /// The problems of the value: sentences that follow the setting's name. Empty if it is valid.
    fn problems(&self, value: &T) -> Vec<String>;

    /// The allowed values, for the documentation: `1 to 1024`. Empty if the setting's text says it.
    fn allowed(&self) -> String {
        String::new()
    }
}

/// The result of a function that is a check: `Ok` or the problem, or all problems.
pub trait Verdict {
    /// The problems.
    fn problems(self) -> Vec<String>;
}

impl Verdict for Result<(), String> {
    fn problems(self) -> Vec<String> {
        self.err().into_iter().collect()
    }
}

impl Verdict for Vec<String> {
    fn problems(self) -> Vec<String> {
        self
    }
}

impl<T: ?Sized, V: Verdict, F: Fn(&T) -> V> Check<T> for F {
    fn problems(&self, value: &T) -> Vec<String> {
        self(value).problems()
    }
}

/// A value that can be compared with bounds.
pub trait Bounded: Value + PartialOrd {
    /// How a value below its bounds is called, and one above them.
    const WORDS: (&'static str, &'static str) = ("too small", "too large");

    /// The largest that makes sense at all.
    const LARGEST: Option<Self> = None;

    /// A bound as people write it.
    fn written(&self) -> String {
        match self.show() {
            Some(toml::Value::String(text)) => text,
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }
}

impl Bounded for u16 {}
impl Bounded for u32 {}
impl Bounded for usize {}
impl Bounded for f64 {
    fn written(&self) -> String {
        self.to_string()
    }
}

impl Bounded for Duration {
    const WORDS: (&'static str, &'static str) = ("too short", "too long");
    const LARGEST: Option<Self> = Some(LONGEST_DURATION);

    fn written(&self) -> String {
        match self.as_secs() {
            seconds if self.subsec_nanos() > 0 => {
                format!("{}ms", seconds as u128 * 1000 + u128::from(self.subsec_millis()))
            }
            seconds if seconds > 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
            seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
            seconds => format!("{seconds}s"),
        }
    }
}

/// Bounds of a value: see [`within`], [`at_least`], [`at_most`].
#[derive(Debug, Clone, Copy)]
pub struct Bounds<T> {
    least: Option<T>,
    most: Option<T>,
    /// The meaning of zero, if it is allowed in addition to the bounds.
    zero: Option<&'static str>,
}

/// From the first to the last.
pub fn within<T: Bounded>(range: RangeInclusive<T>) -> Bounds<T> {
    let (least, most) = range.into_inner();
    Bounds {
        least: Some(least),
        most: Some(most),
        zero: None,
    }
}

/// This or more. For a duration: up to a year.
pub fn at_least<T: Bounded>(least: T) -> Bounds<T> {
    Bounds {
        least: Some(least),
        most: None,
        zero: None,
    }
}

/// This or less.
pub fn at_most<T: Bounded>(most: T) -> Bounds<T> {
    Bounds {
        least: None,
        most: Some(most),
        zero: None,
    }
}

impl<T: Bounded> Bounds<T> {
    /// Zero is allowed as well, and means this: `no limit`.
    #[must_use]
    pub fn or_zero(self, meaning: &'static str) -> Self {
        Self {
            zero: Some(meaning),
            ..self
        }
    }
}

impl<T: Bounded + Default> Check<T> for Bounds<T> {
    fn problems(&self, value: &T) -> Vec<String> {
        let zero = T::default();
        let or_zero = match self.zero {
            Some(_) if *value == zero => return Vec::new(),
            Some(meaning) => format!("{} ({meaning}), or ", zero.written()),
            None => String::new(),
        };
        let (below, above) = T::WORDS;
        // A value that cannot be compared (NaN) is outside the bounds.
        if let Some(least) = &self.least
            && value.partial_cmp(least).is_none_or(Ordering::is_lt)
        {
            return vec![format!("is {below}: write {or_zero}at least {}", least.written())];
        }
        if let Some(most) = self.most.as_ref().or(T::LARGEST.as_ref())
            && value.partial_cmp(most).is_none_or(Ordering::is_gt)
        {
            return vec![format!("is {above}: write {or_zero}at most {}", most.written())];
        }
        Vec::new()
    }

    fn allowed(&self) -> String {
        let bounds = match (&self.least, &self.most) {
            (Some(least), Some(most)) => format!("{} to {}", least.written(), most.written()),
            (Some(least), None) if *least == T::default() => String::new(),
            (Some(least), None) => format!("at least {}", least.written()),
            (None, Some(most)) => format!("at most {}", most.written()),
            (None, None) => String::new(),
        };
        match self.zero {
            Some(_) => format!("{}, or {bounds}", T::default().written()),
            None => bounds,
        }
    }
}

/// A text of at most this many bytes.
#[derive(Debug, Clone, Copy)]
pub struct MaxBytes(usize);

/// A text of at most this many bytes.
pub fn max_bytes(most: usize) -> MaxBytes {
    MaxBytes(most)
}

impl Check<String> for MaxBytes {
    fn problems(&self, value: &String) -> Vec<String> {
        match value.len() {
            length if length > self.0 => vec![format!("has {length} bytes: write at most {}", self.0)],
            _ => Vec::new(),
        }
    }

    fn allowed(&self) -> String {
        format!("at most {} bytes", self.0)
    }
}

/// A check of a text by a function.
#[derive(Debug, Clone, Copy)]
pub struct Text(fn(&str) -> Result<(), String>);

/// Checks a text with this function.
pub fn text(check: fn(&str) -> Result<(), String>) -> Text {
    Text(check)
}

impl Check<String> for Text {
    fn problems(&self, value: &String) -> Vec<String> {
        (self.0)(value).problems()
    }
}

/// A check for every value of a list, or for the value of an option if there is one.
#[derive(Debug, Clone, Copy)]
pub struct Each<C>(C);

/// Checks every value of a list, or the value of an option if there is one.
pub fn each<C>(check: C) -> Each<C> {
    Each(check)
}

impl<T, C: Check<T>> Check<Vec<T>> for Each<C> {
    fn problems(&self, values: &Vec<T>) -> Vec<String> {
        values.iter().flat_map(|value| self.0.problems(value)).collect()
    }

    fn allowed(&self) -> String {
        self.0.allowed()
    }
}

impl<T, C: Check<T>> Check<Option<T>> for Each<C> {
    fn problems(&self, value: &Option<T>) -> Vec<String> {
        value.iter().flat_map(|value| self.0.problems(value)).collect()
    }

    fn allowed(&self) -> String {
        self.0.allowed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_problem_of_a_value_outside_its_bounds_says_what_to_write() {
        let range = within(1_usize..=1024);
        assert_eq!(range.problems(&0), ["is too small: write at least 1"]);
        assert_eq!(range.problems(&1025), ["is too large: write at most 1024"]);
        assert!(range.problems(&1).is_empty() && range.problems(&1024).is_empty());
        assert_eq!(range.allowed(), "1 to 1024");
        let time = at_least(Duration::from_millis(10));
        assert_eq!(
            time.problems(&Duration::from_millis(9)),
            ["is too short: write at least 10ms"]
        );
        assert_eq!(time.problems(&Duration::MAX), ["is too long: write at most 8784h"]);
        assert_eq!(time.allowed(), "at least 10ms");
        assert_eq!(at_most(256_usize).problems(&257), ["is too large: write at most 256"]);
    }

    #[test]
    fn zero_may_be_allowed_in_addition_to_the_bounds_and_nan_never_is() {
        let age = at_least(Duration::from_secs(1)).or_zero("no limit");
        assert!(age.problems(&Duration::ZERO).is_empty());
        let short = age.problems(&Duration::from_millis(1));
        assert_eq!(short, ["is too short: write 0s (no limit), or at least 1s"]);
        let factor = within(1.05..=100.0).or_zero("off");
        assert!(factor.problems(&0.0).is_empty());
        assert_eq!(
            factor.problems(&f64::NAN),
            ["is too small: write 0 (off), or at least 1.05"]
        );
        assert_eq!(factor.allowed(), "0, or 1.05 to 100");
    }

    #[test]
    fn every_value_of_a_list_is_checked() {
        let short = each(max_bytes(3));
        let list = ["a", "long", "longer"].map(str::to_owned).to_vec();
        assert_eq!(short.problems(&list).len(), 2);
        assert_eq!(
            short.problems(&Some("four".to_owned())),
            ["has 4 bytes: write at most 3"]
        );
        assert!(short.problems(&None::<String>).is_empty());
    }

    #[test]
    fn bounds_are_written_as_people_write_durations() {
        let written = |ms| Duration::from_millis(ms).written();
        let all = [10, 1_500, 1_000, 90_000, 120_000, 86_400_000, 0].map(written);
        assert_eq!(all, ["10ms", "1500ms", "1s", "90s", "2m", "24h", "0s"]);
    }
}
