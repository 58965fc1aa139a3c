//! The files with tokens, read again while admin runs. A file that is wrong after a change counts for nothing: the tokens that it had
//! stay in force until it is right again. Contents are compared, not times, as mounted Secrets change by a swap of links.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::listing::{Listed, Listing};
use super::role::Role;
use super::token::Token;

/// Largest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;
/// The name of the caller with the token of `--token-file`.
const SINGLE: &str = "token";

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One token, with every right.
    Single,
    /// A list of tokens.
    List,
}

/// A file with tokens.
#[derive(Debug)]
pub(super) struct Source {
    kind: Kind,
    /// Empty: it is no file, and stays as it is.
    path: PathBuf,
    /// As it was read last, whether it was right or not.
    text: Result<Vec<u8>, String>,
    /// What counts.
    pub(super) listing: Listing,
    /// What is wrong with the file as it is now.
    pub(super) problem: Option<String>,
}

/// Reads a file's text at the start.
///
/// # Errors
/// Everything that is wrong, one sentence each.
pub(super) fn read(kind: Kind, text: &[u8]) -> Result<Listing, Vec<String>> {
    let text = std::str::from_utf8(text).map_err(|_| vec!["is not text in UTF-8".to_owned()])?;
    match kind {
        Kind::List => Listing::read(text),
        Kind::Single => {
            let token = Token::new(text.trim()).map_err(|error| vec![error.to_string()])?;
            Ok(single(&token))
        }
    }
}

/// Reads a file's text after a change.
fn read_again(kind: Kind, text: &[u8]) -> Result<Listing, Vec<String>> {
    match (kind, std::str::from_utf8(text)) {
        (Kind::List, Ok(text)) => Listing::read_again(text),
        _ => read(kind, text),
    }
}

/// One token, with every right.
fn single(token: &Token) -> Listing {
    Listing {
        tokens: vec![Listed {
            name: SINGLE.to_owned(),
            role: Role::Operator,
            clients: false,
            digest: token.digest(),
        }],
        mappings: Vec::new(),
    }
}

impl Source {
    /// A file whose text has been read already.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn new(kind: Kind, path: &Path, text: &[u8]) -> Result<Self, Vec<String>> {
        Ok(Self {
            kind,
            path: path.to_owned(),
            text: Ok(text.to_owned()),
            listing: read(kind, text)?,
            problem: None,
        })
    }

    /// A token of no file.
    #[cfg(test)]
    pub(super) fn of_token(token: &Token) -> Self {
        Self {
            kind: Kind::Single,
            path: PathBuf::new(),
            text: Ok(Vec::new()),
            listing: single(token),
            problem: None,
        }
    }

    /// Reads the file again if it is one. Whether other tokens count now.
    pub(super) fn reread(&mut self) -> bool {
        if self.path.as_os_str().is_empty() {
            return false;
        }
        let text = contents(&self.path);
        let is_empty = self.kind == Kind::List && text.as_ref().is_ok_and(|text| text.trim_ascii().is_empty());
        let is_as_before = text == self.text;
        if is_as_before && !(is_empty && self.problem.is_some()) {
            return false;
        }
        let read = match &text {
            // It may be about to be written. If it stays empty, that is what it says.
            Ok(_) if is_empty && !is_as_before => Err(vec!["is empty; if it stays so, it has no token".to_owned()]),
            Ok(text) => read_again(self.kind, text),
            Err(why) => Err(vec![why.clone()]),
        };
        self.text = text;
        match read {
            Ok(listing) => {
                let file = self.path.display();
                match listing == Listing::default() {
                    true => {
                        tracing::warn!(%file, "the file with tokens of the API has none any more: nobody gets in with it")
                    }
                    false => tracing::info!(%file, "the tokens of the API were read again"),
                }
                self.problem = None;
                let is_new = listing != self.listing;
                self.listing = listing;
                is_new
            }
            Err(wrong) => {
                let problem = format!("{}: {}", self.path.display(), wrong.join("; "));
                tracing::error!(
                    problem,
                    "the tokens of the API cannot be read again: those before the change stay in force; correct the file"
                );
                self.problem = Some(problem);
                false
            }
        }
    }
}

/// The bytes of a file, without line ends at its end, as settings are read.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("has more than {MAX_BYTES} bytes"));
    }
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::access::token::Digest;

    fn list(name: &str, token: &str) -> String {
        format!(
            "[[tokens]]\nname = \"{name}\"\nrole = \"viewer\"\nsha256 = \"{}\"\n",
            Digest::of(token)
        )
    }

    fn names(source: &Source) -> Vec<&str> {
        source.listing.tokens.iter().map(|token| token.name.as_str()).collect()
    }

    #[test]
    fn a_file_that_is_replaced_counts_and_garbage_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.toml");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write(&list("ci", "a"));
        let mut source = Source::new(Kind::List, &path, list("ci", "a").trim_end().as_bytes()).expect("valid");
        assert!(!source.reread());
        write(&list("shop", "b"));
        assert!(source.reread() && names(&source) == ["shop"]);
        for garbage in ["[[tokens]", "", "\u{0}\u{1}", &list("a b", "x"), &"#".repeat(2_000_000)] {
            write(garbage);
            assert!(!source.reread());
            let problem = source.problem.clone().expect("a problem");
            assert!(problem.contains("tokens.toml"), "{problem}");
            assert_eq!(names(&source), ["shop"]);
        }
        std::fs::write(&path, b"\xff\xfe").expect("written");
        assert!(!source.reread());
        std::fs::remove_file(&path).expect("removed");
        assert!(
            !source.reread()
                && source
                    .problem
                    .clone()
                    .is_some_and(|problem| problem.contains("cannot be read"))
        );
        // As it was: nothing new, and no problem any more.
        write(&list("shop", "b"));
        assert!(!source.reread() && source.problem.is_none());
    }

    #[test]
    fn the_last_token_can_be_taken_away_and_a_file_that_is_being_written_takes_none_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.toml");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        let mut source = Source::new(Kind::List, &path, list("ci", "a").trim_end().as_bytes()).expect("valid");
        for none in ["# nobody", "tokens = []"] {
            write(none);
            assert!(source.reread() && names(&source).is_empty() && source.problem.is_none());
            write(&list("ci", "a"));
            assert!(source.reread() && names(&source) == ["ci"]);
        }
        write("");
        assert!(!source.reread() && names(&source) == ["ci"]);
        write(&list("ci", "a"));
        assert!(!source.reread() && source.problem.is_none());
        write(" \n");
        assert!(!source.reread() && source.problem.is_some());
        assert!(source.reread() && names(&source).is_empty(), "it stays empty");
        assert!(!source.reread() && source.problem.is_none());
    }

    #[test]
    fn a_mounted_secret_that_is_swapped_by_its_link_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        for (version, token) in [("1", "0123456789abcdef"), ("2", "fedcba9876543210")] {
            std::fs::create_dir(folder.path().join(version)).expect("a folder");
            std::fs::write(folder.path().join(version).join("token"), token).expect("written");
        }
        let (link, path) = (folder.path().join("data"), folder.path().join("data/token"));
        symlink(folder.path().join("1"), &link).expect("a link");
        let mut source = Source::new(Kind::Single, &path, b"0123456789abcdef").expect("valid");
        assert!(!source.reread());
        symlink(folder.path().join("2"), folder.path().join("next")).expect("a link");
        std::fs::rename(folder.path().join("next"), &link).expect("swapped");
        assert!(source.reread());
        assert_eq!(source.listing.tokens[0].digest, Digest::of("fedcba9876543210"));
    }
}
