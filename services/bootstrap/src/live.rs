//! Secrets that are used as their file is now: the file is read again every few seconds, so a new secret needs no restart.
//!
//! A file that is wrong after a change (missing, empty, half written) counts for nothing, which is logged once: what was read
//! before stays in use until the file is right again. Contents are compared, not times, because mounted Secrets change by a swap
//! of links. What a secret replaced is remembered for a while, so that both can be valid while others still use the one before;
//! then it is forgotten. A read that hangs is logged, and no second one begins before it has ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::settings::SecretFile;

/// How often files with secrets are read again.
pub const REREAD: Duration = Duration::from_secs(5);

/// A read that takes longer hangs, as those of a file system on the network may.
const HANGS: Duration = Duration::from_secs(10);

/// Most former values that are remembered.
const MOST_FORMER: usize = 4;

/// What is made of a file with a secret, as the file is now. Cheap to clone; the last clone ends the reading.
pub struct Live<T> {
    values: Arc<RwLock<Values<T>>>,
    _reading: Option<Arc<AbortOnDropHandle<()>>>,
}

struct Values<T> {
    current: Arc<T>,
    /// Those before it, the latest first, and when each was replaced.
    former: Vec<(Arc<T>, Instant)>,
    changed: Option<Instant>,
}

/// Makes a value of a file.
type Make<T> = Box<dyn Fn(&SecretFile) -> Result<T, String> + Send>;

impl<T: Send + Sync + 'static> Live<T> {
    /// A value that stays as it is.
    pub fn fixed(value: T) -> Self {
        let values = Values {
            current: Arc::new(value),
            former: Vec::new(),
            changed: None,
        };
        Self {
            values: Arc::new(RwLock::new(values)),
            _reading: None,
        }
    }

    /// Makes the value of a file that has been read with the settings, and again whenever the file changed. A secret of no file
    /// stays as it is. A value that was replaced is remembered for `overlap`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What `make` says about the file as it is at the start.
    pub fn start(
        file: &SecretFile,
        overlap: Duration,
        make: impl Fn(&SecretFile) -> Result<T, String> + Send + 'static,
    ) -> Result<Self, String> {
        let live = Self::fixed(make(file)?);
        if file.path().as_os_str().is_empty() {
            return Ok(live);
        }
        let reader = Reader {
            last: file.clone(),
            problem: None,
            overlap,
            make: Box::new(make),
            values: live.values.clone(),
        };
        let reading = AbortOnDropHandle::new(tokio::spawn(reader.run()));
        Ok(Self {
            _reading: Some(Arc::new(reading)),
            ..live
        })
    }

    /// The value now.
    pub fn current(&self) -> Arc<T> {
        self.values.read().current.clone()
    }

    /// The value now, and then those that were replaced less than `overlap` ago, as far as they are remembered.
    pub fn in_force(&self, overlap: Duration) -> Vec<Arc<T>> {
        let values = self.values.read();
        let former = values.former.iter().filter(|(_, until)| until.elapsed() < overlap);
        let former = former.map(|(value, _)| value.clone());
        std::iter::once(values.current.clone()).chain(former).collect()
    }

    /// How long ago the value changed. None: it is the first one.
    pub fn changed(&self) -> Option<Duration> {
        self.values.read().changed.map(|since| since.elapsed())
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            _reading: self._reading.clone(),
        }
    }
}

impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// Reads one file again and again.
struct Reader<T> {
    /// What is in force.
    last: SecretFile,
    /// What is wrong with the file now. Logged already.
    problem: Option<String>,
    /// How long former values are remembered.
    overlap: Duration,
    make: Make<T>,
    values: Arc<RwLock<Values<T>>>,
}

impl<T> Reader<T> {
    async fn run(mut self) {
        let mut every = interval(REREAD);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, and the file was read just now.
        every.tick().await;
        loop {
            every.tick().await;
            self.forget();
            let read = self.read().await;
            self.take(read);
        }
    }

    /// Forgets former values whose time is over.
    fn forget(&self) {
        let is_over = |(_, until): &(Arc<T>, Instant)| until.elapsed() >= self.overlap;
        if self.values.read().former.iter().any(is_over) {
            self.values.write().former.retain(|former| !is_over(former));
        }
    }

    async fn read(&mut self) -> Result<SecretFile, String> {
        let path = self.last.path().to_owned();
        // A file system may hang: it hangs the reading of this file then, and nothing else.
        let mut reading = tokio::task::spawn_blocking(move || SecretFile::read(path));
        let read = match timeout(HANGS, &mut reading).await {
            Ok(read) => read,
            Err(_) => {
                self.fail(format!("reading it hangs for {} s already", HANGS.as_secs()));
                // Others would hang, too, each with a thread. This one ends when the file system answers.
                loop {
                    if let Ok(read) = timeout(REREAD, &mut reading).await {
                        break read;
                    }
                    self.forget();
                }
            }
        };
        read.unwrap_or_else(|error| Err(format!("{error}: this is a bug")))
    }

    fn take(&mut self, read: Result<SecretFile, String>) {
        if read.as_ref() == Ok(&self.last) {
            self.problem = None;
            return;
        }
        let made = read.and_then(|file| Ok(((self.make)(&file)?, file)));
        match made {
            Ok((value, file)) => {
                tracing::info!(file = %file.path().display(), "a secret was replaced: the new one is used from now on");
                let mut values = self.values.write();
                let former = std::mem::replace(&mut values.current, Arc::new(value));
                let now = Instant::now();
                values.changed = Some(now);
                if !self.overlap.is_zero() {
                    values.former.insert(0, (former, now));
                    values.former.truncate(MOST_FORMER);
                }
                drop(values);
                self.last = file;
                self.problem = None;
            }
            Err(problem) => self.fail(problem),
        }
    }

    /// Logs a problem, once.
    fn fail(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            let file = self.last.path().display();
            tracing::error!(%file, problem, "a secret cannot be read again: the one before stays in use; correct the file");
        }
        self.problem = Some(problem);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use tokio::time::{advance, sleep};

    use super::*;

    const HOURS: Duration = Duration::from_secs(10 * 3600);

    /// Texts with `=` only.
    fn text(file: &SecretFile) -> Result<String, String> {
        let text = file.secret().expose_text().map_err(|error| error.to_string())?;
        match text.contains('=') {
            true => Ok(text.to_owned()),
            false => Err("has no =".to_owned()),
        }
    }

    fn live(path: &Path) -> Live<String> {
        Live::start(&SecretFile::read(path).expect("readable"), HOURS, text).expect("good")
    }

    /// Until the file was read again, which another thread does.
    async fn reread(live: &Live<String>, expected: &str) {
        for _ in 0..100 {
            sleep(REREAD).await;
            if *live.current() == expected {
                return;
            }
        }
        panic!("{:?} instead of {expected:?}", live.current());
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_counts_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "a=1").expect("written");
        let live = live(&path);
        assert_eq!((live.current().as_str(), live.changed()), ("a=1", None));
        let broken: [&[u8]; 4] = [b"", b"\n", b"half", b"\xff="];
        for bytes in broken {
            std::fs::write(&path, bytes).expect("written");
            sleep(REREAD * 3).await;
            assert_eq!(*live.current(), "a=1");
        }
        std::fs::write(&path, vec![b'='; 2_000_000]).expect("written");
        sleep(REREAD * 3).await;
        std::fs::remove_file(&path).expect("removed");
        sleep(REREAD * 3).await;
        assert_eq!(live.in_force(REREAD), [Arc::new("a=1".to_owned())]);
        std::fs::write(&path, "a=2\n").expect("written");
        reread(&live, "a=2").await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_value_before_stays_in_force_for_the_overlap_and_no_longer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let minute = Duration::from_secs(60);
        std::fs::write(&path, "a=1").expect("written");
        let live = live(&path);
        for (number, expected) in [("a=2", vec!["a=2", "a=1"]), ("a=3", vec!["a=3", "a=2", "a=1"])] {
            std::fs::write(&path, number).expect("written");
            reread(&live, number).await;
            let in_force = live.in_force(minute * 60);
            assert!(in_force.iter().map(|value| value.as_str()).eq(expected), "{in_force:?}");
        }
        assert_eq!(live.in_force(Duration::ZERO).len(), 1);
        advance(minute * 61).await;
        assert_eq!(live.in_force(minute * 60).len(), 1);
        for n in 4..20 {
            std::fs::write(&path, format!("a={n}")).expect("written");
            reread(&live, &format!("a={n}")).await;
        }
        assert_eq!(live.in_force(minute * 600).len(), 1 + MOST_FORMER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mounted_secret_that_is_swapped_by_its_link_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        for (version, text) in [("..1", "a=1"), ("..2", "a=2")] {
            std::fs::create_dir(folder.join(version)).expect("a folder");
            std::fs::write(folder.join(version).join("key"), text).expect("written");
        }
        symlink("..1", folder.join("..data")).expect("a link");
        symlink("..data/key", folder.join("key")).expect("a link");
        let live = live(&folder.join("key"));
        symlink("..2", folder.join("..data_tmp")).expect("a link");
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapped");
        reread(&live, "a=2").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_of_no_file_stays_and_nothing_is_shown() {
        let secret = SecretFile::from_secret(crate::Secret::new("hunter=2"));
        let live = Live::start(&secret, HOURS, text).expect("good");
        sleep(REREAD * 3).await;
        assert_eq!(*live.current(), "hunter=2");
        assert!(!format!("{live:?}").contains("hunter"));
        assert!(Live::start(&SecretFile::from_secret(crate::Secret::new("half")), HOURS, text).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_whose_overlap_is_over_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        for overlap in [Duration::ZERO, Duration::from_secs(60)] {
            std::fs::write(&path, "a=1").expect("written");
            let file = SecretFile::read(&path).expect("readable");
            let live = Live::start(&file, overlap, text).expect("good");
            let former = Arc::downgrade(&live.current());
            std::fs::write(&path, "a=2").expect("written");
            reread(&live, "a=2").await;
            assert_eq!(former.upgrade().is_some(), !overlap.is_zero());
            sleep(overlap + REREAD * 2).await;
            assert!(former.upgrade().is_none() && live.changed().is_some());
        }
    }

    #[tokio::test]
    async fn a_read_that_hangs_is_told_and_counts_when_it_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "a=1").expect("written");
        let live = Live::fixed("a=1".to_owned());
        let mut reader = Reader {
            last: SecretFile::read(&path).expect("readable"),
            problem: None,
            overlap: HOURS,
            make: Box::new(text),
            values: live.values.clone(),
        };
        std::fs::remove_file(&path).expect("removed");
        // Reading it waits for a writer.
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("runs").success());
        tokio::time::pause();
        let read = {
            let mut reading = std::pin::pin!(reader.read());
            assert!(futures_util::poll!(&mut reading).is_pending());
            advance(HANGS + REREAD).await;
            assert!(futures_util::poll!(&mut reading).is_pending());
            std::fs::write(&path, "a=2").expect("written");
            tokio::time::resume();
            reading.await
        };
        assert!(reader.problem.as_ref().is_some_and(|problem| problem.contains("hangs")));
        reader.take(read);
        assert_eq!((live.current().as_str(), reader.problem), ("a=2", None));
    }
}
