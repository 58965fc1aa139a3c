//! Which logins of a client stay, as the settings name it.

/// Which logins of a client stay when there are more than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginPolicy {
    /// The newest stay; older ones are closed with 4012. The default: a client that comes back while its old connection is
    /// half-dead is let in at once.
    #[default]
    Newest,
    /// The oldest stay; a new one is closed with 1013.
    Oldest,
    /// All stay, however many there are. Servers do not ask each other.
    Many,
}

wsmesh_bootstrap::choices!(
    LoginPolicy, "login policy",
    "newest" => LoginPolicy::Newest,
    "oldest" => LoginPolicy::Oldest,
    "many" => LoginPolicy::Many,
);
