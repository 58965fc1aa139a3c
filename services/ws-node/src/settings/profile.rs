//! The defaults that depend on the profile, for the binary and for code that starts a ws-node in its own process.

use wsmesh_adapter::Namespace;
use wsmesh_bootstrap::SecretFile;

use super::EdgeSettings;
use crate::auth::AuthSettings;
use crate::namespaces::settings::demo_namespace;
use crate::routes::settings::demo_rules;

impl EdgeSettings {
    /// The defaults for production: clients prove who they are with tokens that this key verifies.
    pub fn production(jwt_key: SecretFile) -> Self {
        Self {
            auth: AuthSettings {
                jwt_key: Some(jwt_key),
                ..AuthSettings::default()
            },
            ..Self::default()
        }
    }

    /// The defaults for trying things out.
    pub fn demo() -> Self {
        Self::default().or_demo()
    }

    /// For suites that test conformance to RFC 6455: the same engine, but every message of up to 16 MiB, text or binary, is
    /// sent back unchanged, and every client is let in without an id. See the example `echo`.
    pub fn echo() -> Self {
        Self {
            max_message_bytes: 16 << 20,
            outbox_bytes: 64 << 20,
            outbox_total_bytes: 1 << 40,
            outbox_frames: 1 << 16,
            echo: true,
            demo: true,
            ..Self::default()
        }
    }

    /// With the defaults of the demo profile where nothing is set.
    pub(crate) fn or_demo(mut self) -> Self {
        self.demo = true;
        if self.client_rooms.is_empty() {
            self.client_rooms.extend(Namespace::new("chat"));
        }
        // Tables of the file say everything about their namespace.
        let chat = demo_namespace().filter(|chat| self.namespaces.iter().all(|own| own.name != chat.name));
        self.namespaces.extend(chat);
        // For trying out how many frames it can take.
        self.limits.events_per_second.get_or_insert(0);
        // A rule that is set replaces the demo's rule for the same event.
        let mut rules = demo_rules();
        rules.retain(|rule| self.rules.iter().all(|own| own.event != rule.event));
        rules.append(&mut self.rules);
        self.rules = rules.into();
        self
    }
}
