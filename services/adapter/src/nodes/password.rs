//! A password of nodes: a text, or a file that is read at every connection attempt.
//!
//! After a rotation, some nodes may still have the password from before, in whatever order servers and nodes learn the new
//! one. So the passwords that worked lately are kept in memory, and the last other one is tried where the one in the file is
//! refused. Never shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::files::{FromFiles, NamedFile};

/// Passwords that worked and are kept: the one in the file, and the one before it.
const KEPT: usize = 2;

/// Passwords that worked, in the order in which the file had them.
#[derive(Default)]
struct Worked {
    /// The latest first.
    kept: Vec<Text>,
    /// What the file had when it was read last. It may never have worked.
    current: Option<Text>,
}

impl Worked {
    /// The file has this one now. One that worked before is the latest again: after a rollback, the next rotation comes from there.
    fn read(&mut self, current: &Text) {
        if self.current.as_ref() == Some(current) {
            return;
        }
        self.current = Some(current.clone());
        if let Some(index) = self.kept.iter().position(|kept| kept == current) {
            self.kept[..=index].rotate_right(1);
        }
    }

    /// A node accepted this one. Success changes no order: a node that is late must not make the one before look new.
    fn accepted(&mut self, password: &Text) {
        if self.kept.contains(password) {
            return;
        }
        let is_current = self.current.as_ref() == Some(password);
        let index = if is_current { 0 } else { self.kept.len().min(1) };
        self.kept.insert(index, password.clone());
        self.kept.truncate(KEPT);
    }

    /// The latest one except the one in the file.
    fn other(&self, current: &Text) -> Option<Text> {
        self.kept.iter().find(|kept| *kept != current).cloned()
    }
}

/// A file with a password, for example from a mounted Secret of Kubernetes. Clones share what was read and which passwords
/// worked: give all nodes with the same password a clone of one.
#[derive(Clone)]
pub struct PasswordFile {
    file: FromFiles<Text>,
    worked: Arc<Mutex<Worked>>,
}

/// A password as text.
pub(crate) type Text = Arc<str>;

/// A password of a node.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Password {
    Text(Text),
    File(PasswordFile),
}

impl PasswordFile {
    /// Reads the file, to find out whether it can be used. Line ends at its end are not part of the password.
    ///
    /// # Errors
    /// A sentence that names the file and says what is wrong.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, String> {
        let file = NamedFile {
            what: "password file",
            path: path.into(),
        };
        let password = Self {
            file: FromFiles::new(vec![file], text),
            worked: Arc::default(),
        };
        password.file.read().map(|_| password)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Notes that a node accepted a password.
    fn note(&self, password: &Text) {
        self.worked.lock().accepted(password);
    }
}

fn text(files: &[NamedFile], contents: &[Vec<u8>]) -> Result<Text, String> {
    let unusable = |why: &str| files.first().map_or_else(String::new, |file| file.unusable(&why));
    let bytes = contents.first().map_or(&[][..], Vec::as_slice);
    let text = std::str::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8 text"))?;
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err(unusable("it is empty: write the password of Redis into it")),
        text => Ok(text.into()),
    }
}

impl PartialEq for PasswordFile {
    fn eq(&self, other: &Self) -> bool {
        self.path() == other.path()
    }
}

impl Eq for PasswordFile {}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordFile({})", self.path().display())
    }
}

/// Passwords to try, one after the other, until a node accepts one.
pub(crate) struct Attempts {
    passwords: Vec<Text>,
    file: Option<PasswordFile>,
}

impl Password {
    /// What to try now: the password, and the other one of the file that worked last, if there is one.
    ///
    /// # Errors
    /// When the file was never readable: a sentence that names it.
    pub(crate) async fn attempts(&self) -> Result<Attempts, String> {
        match self {
            Self::Text(text) => Ok(Attempts {
                passwords: vec![text.clone()],
                file: None,
            }),
            Self::File(file) => {
                let current = file.file.now().await?;
                let other = {
                    let mut worked = file.worked.lock();
                    worked.read(&current);
                    worked.other(&current)
                };
                Ok(Attempts {
                    passwords: std::iter::once(current).chain(other).collect(),
                    file: Some(file.clone()),
                })
            }
        }
    }
}

impl Attempts {
    /// Without a password.
    pub(crate) fn of_nobody() -> Self {
        Self {
            passwords: Vec::new(),
            file: None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Text> {
        self.passwords.iter()
    }

    /// A node accepted one of them.
    pub(crate) fn note(&self, password: &Text) {
        if let Some(file) = &self.file {
            file.note(password);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tried(password: &Password) -> Vec<String> {
        let attempts = password.attempts().await.expect("readable");
        attempts.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn the_password_before_is_tried_after_the_one_in_the_file_whichever_node_is_late() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write("one\n");
        let file = PasswordFile::read(&path).expect("readable");
        let password = Password::File(file.clone());
        assert_eq!(tried(&password).await, ["one"]);
        file.note(&"one".into());
        write("two\r\n");
        assert_eq!(tried(&password).await, ["two", "one"]);
        // A node that has both, then one that is late.
        file.note(&"two".into());
        file.note(&"one".into());
        assert_eq!(tried(&password).await, ["two", "one"]);
        write("three");
        assert_eq!(tried(&password).await, ["three", "two"]);
        // A password that never worked is not kept.
        write("four");
        assert_eq!(tried(&password).await, ["four", "two"]);
        write("one");
        assert_eq!(tried(&password).await, ["one", "two"]);
    }

    #[tokio::test]
    async fn after_a_rollback_and_a_new_rotation_the_password_that_was_current_last_is_the_other_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        std::fs::write(&path, "one").expect("written");
        let file = PasswordFile::read(&path).expect("readable");
        let password = Password::File(file.clone());
        for text in ["one", "two", "one"] {
            std::fs::write(&path, text).expect("written");
            assert_eq!(tried(&password).await[0], text);
            file.note(&text.into());
        }
        assert_eq!(tried(&password).await, ["one", "two"]);
        std::fs::write(&path, "three").expect("written");
        assert_eq!(tried(&password).await, ["three", "one"]);
        // A node that is late with both.
        file.note(&"one".into());
        file.note(&"three".into());
        assert_eq!(tried(&password).await, ["three", "one"]);
    }

    #[tokio::test]
    async fn a_password_is_never_shown_and_an_unusable_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        for (bytes, why) in [
            (&b""[..], "is empty"),
            (b"\n\r\n", "is empty"),
            (b"\xff", "is not UTF-8 text"),
        ] {
            std::fs::write(&path, bytes).expect("written");
            let problem = PasswordFile::read(&path).expect_err("unusable");
            assert!(problem.contains(why) && problem.contains("password"), "{problem}");
        }
        std::fs::write(&path, "hunter2").expect("written");
        let file = PasswordFile::read(&path).expect("readable");
        assert!(!format!("{file:?}").contains("hunter2"), "{file:?}");
        assert_eq!(file, PasswordFile::read(&path).expect("readable"));
    }
}
