//! Roles, from the least to the most: each may do what the one before may. A right is what a route or a command needs.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a caller is to this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Reads, but no payloads and nothing that clients or services attached to connections.
    Viewer,
    /// Also sends to clients and asks them, and reads what is attached to connections.
    Publisher,
    /// Everything.
    Operator,
}

/// What a request or a line of a batch needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    /// To read what holds no payload.
    Read,
    /// To send to clients, to ask them, and to read what is attached to them.
    Publish,
    /// To change clients and their rooms: operators, and publishers whose token says `clients = true`.
    Clients,
    /// To change servers and nodes, and all else.
    Operate,
}

impl Role {
    /// As it is written in files and in answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Right {
    /// Whether a caller of this role has it; `clients`: its token says that it may change clients.
    pub(super) fn is_of(self, role: Role, clients: bool) -> bool {
        match self {
            Self::Read => true,
            Self::Publish => role >= Role::Publisher,
            Self::Clients => role == Role::Operator || (role == Role::Publisher && clients),
            Self::Operate => role == Role::Operator,
        }
    }

    /// The least role that has it, or may have it.
    pub(crate) fn least(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Publish | Self::Clients => Role::Publisher,
            Self::Operate => Role::Operator,
        }
    }

    /// Who has it, in words.
    pub(super) fn holders(self) -> &'static str {
        match self {
            Self::Read => "viewer",
            Self::Publish => "publisher",
            Self::Clients => "operator, or publisher with clients = true",
            Self::Operate => "operator",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_the_rights_of_the_one_before_and_more() {
        let rights = |role, clients| {
            [Right::Read, Right::Publish, Right::Clients, Right::Operate].map(|right| right.is_of(role, clients))
        };
        assert_eq!(rights(Role::Viewer, false), [true, false, false, false]);
        assert_eq!(rights(Role::Publisher, false), [true, true, false, false]);
        assert_eq!(rights(Role::Publisher, true), [true, true, true, false]);
        assert_eq!(rights(Role::Operator, false), [true; 4]);
        // A file that gives clients to a viewer is rejected; if one came by another way, it would not count.
        assert_eq!(rights(Role::Viewer, true), [true, false, false, false]);
    }

    #[test]
    fn a_role_is_shown_as_it_is_written() {
        for role in [Role::Viewer, Role::Publisher, Role::Operator] {
            let json = serde_json::to_string(&role).expect("JSON");
            assert_eq!(json, format!("\"{role}\""));
        }
    }
}
