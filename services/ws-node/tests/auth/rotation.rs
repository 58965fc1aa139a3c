//! Keys that are replaced in their file while a ws-node runs. The file is a mounted Secret, as Kubernetes swaps it.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::time::{interval, timeout};
use ws_node::AuthSettings;
use wsmesh_bootstrap::{REREAD, SecretFile};

use crate::common::{Server, until};
use crate::door::{door, is_here, show};
use crate::signer::Signer;

/// Longest wait until a file was read again: this machine may be busy.
const READ_AGAIN: Duration = REREAD.saturating_mul(10);

struct Mounted {
    folder: tempfile::TempDir,
    version: u32,
}

impl Mounted {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mounted = Self { folder, version: 0 };
        mounted.swap(text);
        symlink("..data/key", mounted.path()).expect("a link");
        mounted
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    fn file(&self) -> Option<SecretFile> {
        Some(SecretFile::read(self.path()).expect("readable"))
    }

    fn swap(&mut self, text: &str) {
        self.version += 1;
        let (folder, version) = (self.folder.path(), format!("..{}", self.version));
        std::fs::create_dir(folder.join(&version)).expect("a folder");
        std::fs::write(folder.join(&version).join("key"), text).expect("written");
        symlink(&version, folder.join("..data_tmp")).expect("a link");
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapped");
    }
}

async fn until_let_in(server: &Server, signer: &Signer) {
    let trying = async {
        let mut pace = interval(Duration::from_millis(200));
        while show(server, &signer.token("888", json!({}))).await.is_err() {
            pace.tick().await;
        }
    };
    timeout(READ_AGAIN, trying).await.expect("the file is read again");
}

async fn status(server: &Server, signer: &Signer) -> Option<u16> {
    let knocked = show(server, &signer.token("888", json!({}))).await;
    knocked.err().map(|(status, _)| status)
}

fn signers() -> (Signer, Signer) {
    let secret = |name: &str| Signer::secret(&format!("{name}-0123456789abcdef0123456789abcdef"));
    (secret("old"), secret("new"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_key_counts_without_a_restart_and_both_are_accepted_for_the_overlap() {
    let (old, new) = signers();
    let mut secret = Mounted::new(&old.file);
    let auth = AuthSettings {
        jwt_key: secret.file(),
        ..AuthSettings::default()
    };
    let server = door(auth).await;
    let _stays = show(&server, &old.token("777", json!({}))).await.expect("let in");
    assert_eq!(status(&server, &new).await, Some(401));
    secret.swap("");
    secret.swap(&new.file);
    until_let_in(&server, &new).await;
    assert_eq!(status(&server, &old).await, None, "for the overlap");
    until("who is in stays in", || is_here(&server, "777")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_overlap_a_replaced_key_lets_nobody_in() {
    let (old, new) = signers();
    let mut secret = Mounted::new(&old.file);
    let auth = AuthSettings {
        jwt_key: secret.file(),
        key_overlap: Duration::ZERO,
        ..AuthSettings::default()
    };
    let server = door(auth).await;
    assert_eq!(status(&server, &old).await, None);
    secret.swap(&new.file);
    until_let_in(&server, &new).await;
    assert_eq!(status(&server, &old).await, Some(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_keys_in_a_jwks_are_accepted_at_the_same_time() {
    let both = r#"{"keys": [
        {"kty": "oct", "kid": "new", "k": "bmV3LTAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"},
        {"kty": "oct", "kid": "old", "k": "b2xkLTAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"}]}"#;
    let secret = Mounted::new(both);
    let auth = AuthSettings {
        jwt_key: secret.file(),
        ..AuthSettings::default()
    };
    let server = door(auth).await;
    let (old, new) = signers();
    assert_eq!((status(&server, &old).await, status(&server, &new).await), (None, None));
    let (old, new) = (old.named("old"), new.named("new"));
    assert_eq!((status(&server, &old).await, status(&server, &new).await), (None, None));
    assert_eq!(
        status(&server, &old.named("new")).await,
        Some(401),
        "signed with another one"
    );
}
