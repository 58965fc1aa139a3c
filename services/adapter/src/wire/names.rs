//! Names and ids: of clusters, servers, services, clients, rooms and processes.
//!
//! A name is checked once, when it is created. After that it can be used in a channel, a log line or a frame. Names are
//! never parsed back out of a Redis channel.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Longest name or id, in bytes of UTF-8: the limit of OpenID Connect for a subject, and more than a pod's name can
/// have.
pub const MAX_NAME_BYTES: usize = 255;

/// Why a name is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty.
    #[error("{what} is empty: it needs 1 to {MAX_NAME_BYTES} bytes")]
    Empty {
        /// The kind of name, for example `client id`.
        what: &'static str,
    },
    /// The name has more than [`MAX_NAME_BYTES`] bytes.
    #[error("{what} has {bytes} bytes: at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// The kind of name.
        what: &'static str,
        /// The number of bytes.
        bytes: usize,
    },
    /// The name contains a control character, which would break log lines and frames.
    #[error("{what} has a control character at position {position}")]
    ControlCharacter {
        /// The kind of name.
        what: &'static str,
        /// Index of the character, from 0.
        position: usize,
    },
}

fn checked(what: &'static str, name: &str) -> Result<Arc<str>, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > MAX_NAME_BYTES {
        let bytes = name.len();
        return Err(NameError::TooLong { what, bytes });
    }
    if let Some(position) = name.chars().position(char::is_control) {
        return Err(NameError::ControlCharacter { what, position });
    }
    Ok(Arc::from(name))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks a name and takes it.
            ///
            /// # Errors
            /// When it is empty, longer than [`MAX_NAME_BYTES`] bytes, or contains a control character.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                checked($what, name.as_ref()).map(Self)
            }

            /// The name as a string.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<&str> for $type {
            type Error = NameError;
            fn try_from(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
    };
}

name!(
    /// The unique name of one running server; in Kubernetes the pod's name.
    ServerName,
    "server name"
);
name!(
    /// The kind of a server: `ws-node`, `game-logic`, `admin` or one of your own.
    ServiceName,
    "service name"
);
name!(
    /// The id of one end user's connection.
    ClientId,
    "client id"
);
name!(
    /// The id of a Redis node: the fragment of its URL, else `host:port`.
    NodeId,
    "node id"
);
name!(
    /// The namespace of rooms, for example `chat`.
    Namespace,
    "room namespace"
);
name!(
    /// The id of a room inside its namespace.
    RoomId,
    "room id"
);

/// The name of a whole cluster, so that two clusters on the same channels notice each other. Empty, the default: it fits every
/// other one.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId(Option<Arc<str>>);

impl ClusterId {
    /// Checks an id and takes it.
    ///
    /// # Errors
    /// When it is longer than [`MAX_NAME_BYTES`] bytes, or contains a control character.
    pub fn new(id: impl AsRef<str>) -> Result<Self, NameError> {
        match id.as_ref() {
            "" => Ok(Self(None)),
            id => checked("cluster id", id).map(|id| Self(Some(id))),
        }
    }

    /// The id as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether servers with these two ids may be of one cluster: the ids are the same, or one of them is empty.
    pub fn fits(&self, other: &Self) -> bool {
        self.is_empty() || other.is_empty() || self == other
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for ClusterId {
    type Error = NameError;
    fn try_from(id: String) -> Result<Self, NameError> {
        Self::new(id)
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> Self {
        id.as_str().to_owned()
    }
}

/// A set of clients across servers, addressed by namespace and id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Room {
    /// The namespace, for example `chat`.
    pub namespace: Namespace,
    /// The id inside the namespace.
    pub id: RoomId,
}

impl Room {
    /// Checks both parts and creates a room's address.
    ///
    /// # Errors
    /// When either part is not a valid name.
    pub fn new(namespace: impl AsRef<str>, id: impl AsRef<str>) -> Result<Self, NameError> {
        Ok(Self {
            namespace: Namespace::new(namespace)?,
            id: RoomId::new(id)?,
        })
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.id)
    }
}

/// One life of one process. Ordered by start time, so that the older of two servers with one name is known.
///
/// 41 bits of milliseconds since the Unix epoch, then 22 random bits: unique among servers, and below 2^63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instance(pub u64);

impl Instance {
    const RANDOM_BITS: u32 = 22;

    /// The identity of a server that starts now. Within one process, a later one is always greater.
    pub fn now() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis() as u64);
        let random = u64::from(rand::random::<u32>()) & ((1 << Self::RANDOM_BITS) - 1);
        let drawn = ms << Self::RANDOM_BITS | random;
        let last = LAST.fetch_max(drawn, Ordering::AcqRel);
        Self(if drawn > last {
            drawn
        } else {
            LAST.fetch_add(1, Ordering::AcqRel) + 1
        })
    }

    /// When it started, in milliseconds since the Unix epoch, by its own clock.
    pub fn started_ms(self) -> u64 {
        self.0 >> Self::RANDOM_BITS
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_255_bytes_is_valid_and_one_of_256_is_not() {
        assert!(ClientId::new("x".repeat(255)).is_ok());
        assert!(ClientId::new("é".repeat(127)).is_ok());
        for long in ["x".repeat(256), "é".repeat(128)] {
            let refused = ClientId::new(long).expect_err("256 bytes");
            assert_eq!(refused.to_string(), "client id has 256 bytes: at most 255 are allowed");
        }
    }

    #[test]
    fn empty_names_and_control_characters_are_rejected() {
        assert_eq!(RoomId::new(""), Err(NameError::Empty { what: "room id" }));
        assert_eq!(
            ServerName::new("a\nb"),
            Err(NameError::ControlCharacter {
                what: "server name",
                position: 1
            })
        );
    }

    #[test]
    fn an_empty_cluster_id_fits_every_other_one_and_two_that_differ_do_not_fit() {
        let id = |id: &str| ClusterId::new(id).expect("valid");
        assert!(id("").fits(&id("shop/mesh")) && id("shop/mesh").fits(&id("")) && id("a").fits(&id("a")));
        assert!(!id("a").fits(&id("b")));
        assert!(ClusterId::new("a\nb").is_err() && ClusterId::new("x".repeat(256)).is_err());
    }

    #[test]
    fn a_later_instance_is_greater() {
        let first = Instance::now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(Instance::now() > first);
    }
}
