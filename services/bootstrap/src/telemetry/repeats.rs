//! Holds back what one place in the code logs again and again, and sums it up in one line per minute.
//!
//! The first warnings and errors of a place are always shown, in every minute. Nothing is held back for longer than a minute, or
//! than the process runs. Lines below a warning are never held back: whoever turned them on wants them. Costs nothing for them but
//! a counter, and a short lock for the others. It never formats or writes while it holds that lock.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::layer::{Context, Filter};

use super::lines::Lines;

/// Lines of one place that are shown in a minute.
const SHOWN: u64 = 5;
/// How often held back lines are summed up.
const MINUTE: Duration = Duration::from_secs(60);
/// Most places that are remembered in a minute. Lines of further ones are shown: there are fewer in the code.
const MOST_PLACES: usize = 1024;
/// The part of a held back line that its sum shows, in characters.
const EXAMPLE_CHARS: usize = 200;
/// Where sums are logged. They are never held back.
const SUMS: &str = module_path!();

/// What was logged in this minute. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repeats(Arc<Mutex<HashMap<u64, Place>>>);

/// A place in the code that logs.
#[derive(Debug)]
struct Place {
    is_error: bool,
    module: String,
    lines: u64,
    /// The first line that was held back.
    example: Option<String>,
}

impl Repeats {
    /// What decides about each line. It must come after the filter for the level, and there must be only one.
    pub(super) fn filter(&self) -> NotTooOften {
        NotTooOften {
            repeats: self.clone(),
            counts: Lines::of_this_process(),
        }
    }

    /// Sums up once a minute. Never returns.
    pub(crate) async fn keep(&self) {
        loop {
            tokio::time::sleep(MINUTE).await;
            self.sum_up();
        }
    }

    /// Logs how many lines were held back, and begins a new minute.
    pub(super) fn sum_up(&self) {
        let places = std::mem::take(&mut *self.0.lock());
        let mut held_back: Vec<Place> = places.into_values().filter(|place| place.lines > SHOWN).collect();
        held_back.sort_unstable_by(|a, b| a.module.cmp(&b.module));
        for place in held_back {
            place.sum_up();
        }
    }

    /// Whether this line is shown.
    fn is_shown(&self, event: &Event<'_>) -> bool {
        let level = *event.metadata().level();
        if level > Level::WARN || event.metadata().target() == SUMS {
            return true;
        }
        let key = place(event);
        let needs_example = {
            let mut places = self.0.lock();
            if places.len() >= MOST_PLACES && !places.contains_key(&key) {
                return true;
            }
            let place = places.entry(key).or_insert_with(|| Place::of(event));
            place.lines += 1;
            if place.lines <= SHOWN {
                return true;
            }
            place.example.is_none()
        };
        if needs_example {
            // Not under the lock: a value that is formatted may log.
            let example = Example::of(event);
            if let Some(place) = self.0.lock().get_mut(&key) {
                place.example.get_or_insert(example);
            }
        }
        false
    }
}

impl Place {
    fn of(event: &Event<'_>) -> Self {
        let about = event.normalized_metadata();
        let about = about.as_ref().unwrap_or_else(|| event.metadata());
        Self {
            is_error: *about.level() == Level::ERROR,
            module: about.target().to_owned(),
            lines: 0,
            example: None,
        }
    }

    fn sum_up(self) {
        let Self { is_error, module, .. } = self;
        let (lines, example) = (self.lines - SHOWN, self.example.unwrap_or_default());
        match is_error {
            true => tracing::error!(lines, module, "{lines} more of these in the last minute: {example}"),
            false => tracing::warn!(lines, module, "{lines} more of these in the last minute: {example}"),
        }
    }
}

/// A place is where the macro stands; for the crate `log`, whose lines all come through a few places of its bridge, what it tells.
fn place(event: &Event<'_>) -> u64 {
    let mut key = DefaultHasher::new();
    event.metadata().callsite().hash(&mut key);
    if let Some(about) = event.normalized_metadata() {
        (about.target(), about.file(), about.line()).hash(&mut key);
    }
    key.finish()
}

/// The text of a line, as far as it is kept.
struct Example(String);

impl Example {
    fn of(event: &Event<'_>) -> String {
        let mut example = Self(String::new());
        event.record(&mut example);
        example.0
    }
}

impl Visit for Example {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // It ends with an error when there is enough.
            let _enough = write!(self, "{value:?}");
        }
    }
}

impl Write for Example {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = EXAMPLE_CHARS.saturating_sub(self.0.chars().count());
        match text.char_indices().nth(room) {
            None => self.0.push_str(text),
            Some((end, _)) => {
                self.0.push_str(&text[..end]);
                self.0.push('…');
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

/// The filter of [`Repeats`]. Counts the lines, too.
pub(super) struct NotTooOften {
    repeats: Repeats,
    counts: Option<Lines>,
}

impl<S: Subscriber> Filter<S> for NotTooOften {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    /// A place that is always enabled must not be refused by [`Filter::event_enabled`]: tracing-subscriber checks that, if it is
    /// not optimised.
    fn callsite_enabled(&self, about: &'static Metadata<'static>) -> Interest {
        match *about.level() <= Level::WARN {
            true => Interest::sometimes(),
            false => Interest::always(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let is_shown = self.repeats.is_shown(event);
        if let Some(counts) = &self.counts {
            match is_shown {
                true => counts.count(*event.metadata().level()),
                false => counts.count_summed(),
            }
        }
        is_shown
    }
}

#[cfg(test)]
#[path = "repeats_tests.rs"]
mod tests;
