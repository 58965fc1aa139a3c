//! Something that is made of files, such as a password or a certificate. The files are read again whenever it is needed.
//!
//! While they cannot be used (missing, empty, half written), the last good state stays in use, which is logged once. Contents
//! are compared, not times, because mounted Secrets change by a swap of links. A file system that hangs holds up one thread,
//! and nobody else: whoever asks meanwhile gets the last good state, too.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;

/// Larger files are not read: neither passwords nor certificates are.
const MAX_BYTES: u64 = 1024 * 1024;
/// Longest wait for a file system.
const PATIENCE: Duration = Duration::from_millis(500);

/// The contents of some files.
pub(crate) type Contents = Vec<Vec<u8>>;

/// Makes a value of the files' contents, in the order of the paths.
type Make<T> = Box<dyn Fn(&[NamedFile], &[Vec<u8>]) -> Result<T, String> + Send + Sync>;

/// A file, and what people call what is in it.
pub(crate) struct NamedFile {
    pub(crate) what: &'static str,
    pub(crate) path: PathBuf,
}

impl NamedFile {
    /// Why it cannot be used.
    pub(crate) fn unusable(&self, why: &dyn fmt::Display) -> String {
        format!("the {} {} cannot be used: {why}", self.what, self.path.display())
    }
}

/// A value that is made of files. Cheap to clone; clones share what was read.
pub(crate) struct FromFiles<T>(Arc<Shared<T>>);

struct Shared<T> {
    files: Vec<NamedFile>,
    make: Make<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// The last good value, and what it was made of.
    good: Option<(Contents, T)>,
    /// What is wrong with the files now. Logged already.
    problem: Option<String>,
    is_reading: bool,
}

impl<T> Clone for FromFiles<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for FromFiles<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FromFiles({})", shown(&self.0.files))
    }
}

/// The files, for people.
impl<T> fmt::Display for FromFiles<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0.files))
    }
}

impl<T: Clone + Send + 'static> FromFiles<T> {
    /// Reads nothing yet.
    pub(crate) fn new(
        files: Vec<NamedFile>,
        make: impl Fn(&[NamedFile], &[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            good: None,
            problem: None,
            is_reading: false,
        };
        Self(Arc::new(Shared {
            files,
            make: Box::new(make),
            state: Mutex::new(state),
        }))
    }

    /// The first file.
    pub(crate) fn path(&self) -> &Path {
        self.0.files.first().map_or(Path::new(""), |file| &file.path)
    }

    /// Reads the files on this thread, and does not fall back to what was good before. For the start.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn read(&self) -> Result<T, String> {
        let contents = self.0.contents()?;
        let made = (self.0.make)(&self.0.files, &contents)?;
        self.0.state.lock().good = Some((contents, made.clone()));
        Ok(made)
    }

    /// The value as the files are now, or else the last good one.
    ///
    /// # Errors
    /// When there is no good one: a sentence that names the file.
    pub(crate) async fn now(&self) -> Result<T, String> {
        let is_free = !std::mem::replace(&mut self.0.state.lock().is_reading, true);
        if is_free {
            let shared = self.0.clone();
            let reading = tokio::task::spawn_blocking(move || shared.read_again());
            if timeout(PATIENCE, reading).await.is_err() {
                tracing::warn!(files = %shown(&self.0.files), "reading these files takes long: what was read before stays in use; check the file system that they are on");
            }
        }
        let state = self.0.state.lock();
        match (&state.good, &state.problem) {
            (Some((_, good)), _) => Ok(good.clone()),
            (None, Some(problem)) => Err(problem.clone()),
            (None, None) => Err(format!("{} could not be read in time", shown(&self.0.files))),
        }
    }
}

/// Lets others read again when it is dropped.
struct Reading<'a, T>(&'a Mutex<State<T>>);

impl<T> Drop for Reading<'_, T> {
    fn drop(&mut self) {
        self.0.lock().is_reading = false;
    }
}

impl<T: Clone> Shared<T> {
    fn contents(&self) -> Result<Contents, String> {
        self.files.iter().map(contents).collect()
    }

    fn read_again(&self) {
        let _reading = Reading(&self.state);
        let contents = self.contents();
        {
            let mut state = self.state.lock();
            let good = state.good.as_ref().map(|(contents, _)| contents);
            if good.is_some_and(|good| contents.as_ref() == Ok(good)) {
                state.problem = None;
                return;
            }
        }
        // Without the lock: making a value may take a while.
        let made = contents.and_then(|contents| Ok(((self.make)(&self.files, &contents)?, contents)));
        let mut state = self.state.lock();
        match made {
            Ok((value, contents)) => {
                if state.good.replace((contents, value)).is_some() {
                    tracing::info!(files = %shown(&self.files), "these files changed: new connections to Redis use what is in them now");
                }
                state.problem = None;
            }
            Err(problem) => {
                let is_news = state.problem.as_ref() != Some(&problem);
                if is_news && state.good.is_some() {
                    tracing::error!("{problem}; what was read before stays in use: correct the file");
                }
                state.problem = Some(problem);
            }
        }
    }
}

fn shown(files: &[NamedFile]) -> String {
    if files.is_empty() {
        return "what the system provides".to_owned();
    }
    let paths: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
    paths.join(", ")
}

fn contents(file: &NamedFile) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| file.unusable(&error);
    let mut bytes = Vec::new();
    let opened = File::open(&file.path).map_err(failed)?;
    opened.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(file.unusable(&format!("it has more than {MAX_BYTES} bytes"))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn text(path: PathBuf) -> FromFiles<String> {
        let what = "password file";
        FromFiles::new(vec![NamedFile { what, path }], |files, contents| {
            let text = String::from_utf8(contents[0].clone()).map_err(|_| files[0].unusable(&"it is no text"))?;
            match text.is_empty() {
                true => Err(files[0].unusable(&"it is empty")),
                false => Ok(text),
            }
        })
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_leaves_the_last_good_state_in_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        let from = text(path.clone());
        assert!(from.now().await.expect_err("missing").contains("password"));
        std::fs::write(&path, "one").expect("written");
        assert_eq!(from.now().await.as_deref(), Ok("one"));
        let broken: [&[u8]; 3] = [b"", b"\xff\xfe", &[b'x'; MAX_BYTES as usize + 1]];
        for bytes in broken {
            std::fs::write(&path, bytes).expect("written");
            assert_eq!(from.now().await.as_deref(), Ok("one"));
            assert!(from.0.state.lock().problem.is_some());
            assert!(from.read().is_err(), "at the start nothing is hidden");
        }
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("a folder in its place");
        assert_eq!(from.now().await.as_deref(), Ok("one"));
        std::fs::remove_dir(&path).expect("removed");
        std::fs::write(&path, "two").expect("written");
        assert_eq!(from.now().await.as_deref(), Ok("two"));
        assert!(from.0.state.lock().problem.is_none());
    }

    #[tokio::test]
    async fn a_mounted_secret_that_is_swapped_by_its_link_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        for version in ["..1", "..2"] {
            std::fs::create_dir(folder.join(version)).expect("a folder");
            std::fs::write(folder.join(version).join("password"), version).expect("written");
        }
        symlink("..1", folder.join("..data")).expect("a link");
        symlink("..data/password", folder.join("password")).expect("a link");
        let from = text(folder.join("password"));
        assert_eq!(from.now().await.as_deref(), Ok("..1"));
        symlink("..2", folder.join("..data_tmp")).expect("a link");
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapped");
        std::fs::remove_dir_all(folder.join("..1")).expect("removed");
        assert_eq!(from.now().await.as_deref(), Ok("..2"));
    }

    #[tokio::test]
    async fn whoever_asks_while_a_file_system_hangs_gets_the_last_good_state() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        std::fs::write(&path, "one").expect("written");
        let from = text(path.clone());
        from.read().expect("readable");
        std::fs::write(&path, "two").expect("written");
        // As a reader that hangs leaves it.
        from.0.state.lock().is_reading = true;
        assert_eq!(from.now().await.as_deref(), Ok("one"));
        from.0.state.lock().is_reading = false;
        assert_eq!(from.now().await.as_deref(), Ok("two"));
    }
}
