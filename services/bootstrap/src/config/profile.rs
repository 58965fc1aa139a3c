//! How open a cluster is.

/// How open a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Everyone gets in, and the demo events are there. For trying, never in public.
    Demo,
    /// Authentication is required. The default, so that nobody is open by accident.
    #[default]
    Production,
}

impl Profile {
    /// Whether this is [`Profile::Demo`].
    pub fn is_demo(self) -> bool {
        self == Self::Demo
    }
}

crate::choices!(Profile, "profile", "demo" => Profile::Demo, "production" => Profile::Production);
