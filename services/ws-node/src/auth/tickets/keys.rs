//! The keys of tickets: what a backend shows to get tickets, and what signs them. The file is read again while the server runs.
//!
//! ws-nodes see a new file at different times, up to two minutes apart in Kubernetes. So a new key is accepted at once and
//! signs only after that, and a former one is accepted for as long as tickets that it signed may be valid. A ws-node that starts
//! meanwhile cannot know that its key is new, and signs with it at once: to lose no ticket then either, the new key is first added
//! as the second line, so that every ws-node accepts it, and only later becomes the first.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, TokenData, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use subtle::{Choice, ConstantTimeEq};
use wsmesh_bootstrap::{Live, Secret, SecretFile};

use super::LONGEST_TTL;
use crate::auth::error::AuthError;
use crate::auth::settings::ticket_keys;

/// Tickets are signed with a key that is derived for this purpose: the key of the API itself signs nothing.
const PURPOSE: &[u8] = b"wsmesh ticket 1";

/// By then every ws-node has read a new file: the kubelet updates mounted Secrets within about a minute and a half.
const KNOWN_EVERYWHERE: Duration = Duration::from_secs(120);

/// How long tickets of a former key may be valid.
const TICKETS_VALID: Duration = KNOWN_EVERYWHERE.saturating_add(LONGEST_TTL);

/// One key.
struct Key {
    /// What a caller of the API shows.
    api_key: Secret,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// The keys of a file. The first one signs.
type OfFile = Vec<Key>;

/// The keys that are valid.
pub(super) struct Keys {
    files: Live<OfFile>,
    overlap: Duration,
}

impl Keys {
    /// The error says what to do.
    pub(super) fn start(file: &SecretFile, overlap: Duration) -> Result<Self, String> {
        let read = |file: &SecretFile| ticket_keys(file)?.into_iter().map(Key::new).collect();
        let files = Live::start(file, overlap.max(TICKETS_VALID), read)?;
        Ok(Self { files, overlap })
    }

    /// Whether this is a key of the API.
    pub(super) fn let_in(&self, shown: &[u8]) -> bool {
        let files = self.files.in_force(self.overlap);
        let keys = files.iter().flat_map(|file| file.iter());
        let right = keys.map(|key| shown.ct_eq(key.api_key.expose()));
        right.fold(Choice::from(0), |one, other| one | other).into()
    }

    /// Signs a ticket, if that is possible at all.
    pub(super) fn sign(&self, header: &Header, claims: &impl Serialize) -> Option<String> {
        // The one that has been there for long enough. With a key that must not be used any more, none waits.
        let files = self.files.in_force(KNOWN_EVERYWHERE.min(self.overlap));
        let file: &Arc<OfFile> = files.last()?;
        jsonwebtoken::encode(header, claims, &file.first()?.encoding).ok()
    }

    /// Reads a ticket that one of the keys signed.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        ticket: &str,
        validation: &Validation,
    ) -> Result<TokenData<T>, AuthError> {
        let files = self.files.in_force(TICKETS_VALID);
        let mut failed = AuthError::BadTicket;
        for key in files.iter().flat_map(|file| file.iter()) {
            match jsonwebtoken::decode(ticket, &key.decoding, validation) {
                Ok(opened) => return Ok(opened),
                Err(error) if *error.kind() == ErrorKind::ExpiredSignature => failed = AuthError::ExpiredTicket,
                Err(_) => {}
            }
        }
        Err(failed)
    }
}

impl Key {
    fn new(api_key: Secret) -> Result<Self, String> {
        let signing = EncodingKey::from_secret(api_key.expose());
        let derived = jsonwebtoken::crypto::sign(PURPOSE, &signing, Algorithm::HS256);
        let derived = derived.map_err(|error| error.to_string())?;
        Ok(Self {
            api_key,
            encoding: EncodingKey::from_secret(derived.as_bytes()),
            decoding: DecodingKey::from_secret(derived.as_bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde::Deserialize;
    use tokio::time::{advance, sleep};
    use wsmesh_bootstrap::REREAD;

    use super::*;

    const OLD: &str = "old-0123456789abcdef0123456789abcdef";
    const NEW: &str = "new-0123456789abcdef0123456789abcdef";
    const OVERLAP: Duration = Duration::from_secs(60);

    #[derive(Clone, Serialize, Deserialize)]
    struct Claims {
        exp: u64,
    }

    fn keys(path: &Path, overlap: Duration) -> Keys {
        Keys::start(&SecretFile::read(path).expect("readable"), overlap).expect("good")
    }

    fn write(path: &Path, lines: &[&str]) {
        std::fs::write(path, lines.join("\n")).expect("written");
    }

    async fn until_let_in(keys: &Keys, key: &str) {
        for _ in 0..100 {
            if keys.let_in(key.as_bytes()) {
                return;
            }
            sleep(REREAD).await;
        }
        panic!("the file was not read again");
    }

    fn ticket(keys: &Keys) -> String {
        let claims = Claims { exp: 9_999_999_999 };
        keys.sign(&Header::new(Algorithm::HS256), &claims).expect("signed")
    }

    fn opens(keys: &Keys, ticket: &str) -> bool {
        keys.open::<Claims>(ticket, &Validation::new(Algorithm::HS256)).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_replaced_key_is_valid_on_servers_that_read_the_file_earlier_or_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let (early, late) = (folder.path().join("early"), folder.path().join("late"));
        write(&early, &[OLD]);
        write(&late, &[OLD]);
        let (early_keys, late_keys) = (keys(&early, OVERLAP), keys(&late, OVERLAP));
        let before = ticket(&early_keys);
        write(&early, &[NEW]);
        until_let_in(&early_keys, NEW).await;
        assert!(early_keys.let_in(OLD.as_bytes()), "for the overlap");
        assert!(
            opens(&late_keys, &ticket(&early_keys)),
            "signed so that the other one can open it"
        );
        assert!(opens(&early_keys, &ticket(&late_keys)));
        write(&late, &[NEW]);
        until_let_in(&late_keys, NEW).await;
        assert!(opens(&late_keys, &before) && opens(&early_keys, &before));
        advance(KNOWN_EVERYWHERE).await;
        assert!(!early_keys.let_in(OLD.as_bytes()) && early_keys.let_in(NEW.as_bytes()));
        assert!(opens(&late_keys, &ticket(&early_keys)));
        advance(LONGEST_TTL).await;
        assert!(!opens(&early_keys, &before), "no such ticket is valid any more");
        assert!(opens(&early_keys, &ticket(&late_keys)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_starts_during_a_rotation_loses_no_ticket_if_the_new_key_was_added_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, lines: &[&str]| {
            let path = folder.path().join(name);
            write(&path, lines);
            path
        };
        let before = keys(&file("before", &[OLD]), OVERLAP);
        let added = keys(&file("added", &[OLD, NEW]), OVERLAP);
        assert!(opens(&before, &ticket(&added)) && opens(&added, &ticket(&before)));
        // Every server has both when they are swapped.
        let swapped = keys(&file("swapped", &[NEW, OLD]), OVERLAP);
        assert!(opens(&added, &ticket(&swapped)) && opens(&swapped, &ticket(&added)));
        assert!(!opens(&before, &ticket(&swapped)), "what the order is for");
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_overlap_a_former_key_lets_nobody_in_and_signs_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write(&path, &[OLD]);
        let keys = keys(&path, Duration::ZERO);
        let (before, alone) = (ticket(&keys), ticket(&keys));
        write(&path, &[NEW]);
        until_let_in(&keys, NEW).await;
        assert!(!keys.let_in(OLD.as_bytes()) && !keys.let_in(b""));
        assert_ne!(ticket(&keys), alone, "signed with the new one");
        assert!(
            opens(&keys, &before),
            "it is in the book of the server that issued it, once"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn several_keys_are_accepted_the_first_signs_and_a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write(&path, &[NEW, "", OLD]);
        let keys = keys(&path, OVERLAP);
        assert!(keys.let_in(NEW.as_bytes()) && keys.let_in(OLD.as_bytes()));
        let only = SecretFile::from_secret(Secret::new(NEW));
        assert!(opens(&Keys::start(&only, OVERLAP).expect("good"), &ticket(&keys)));
        for broken in [&["short"][..], &[NEW, "with space 0123456789abcdef0123456789"], &[]] {
            write(&path, broken);
            sleep(REREAD * 3).await;
            assert!(keys.let_in(OLD.as_bytes()), "{broken:?}");
        }
    }
}
