//! The tokens file: TOML, one `[[tokens]]` table a token, one `[[kubernetes]]` table a user or group of Kubernetes. Read strictly:
//! everything wrong is found at once, and a file with anything wrong counts for nothing.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::role::Role;
use super::token::Digest;

/// Most tables of one kind.
const MAX_ENTRIES: usize = 1_000;
/// Longest name.
const MAX_NAME_CHARS: usize = 64;
/// Names of callers that no file gives.
const RESERVED: [&str; 2] = ["demo", "token"];

/// A token that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) role: Role,
    /// May change clients, too.
    pub(super) clients: bool,
    pub(super) digest: Digest,
}

/// The role of a user, or of everyone in a group, as the Kubernetes API names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) whom: Whom,
    pub(super) role: Role,
    pub(super) clients: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Whom {
    User(String),
    Group(String),
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) tokens: Vec<Listed>,
    pub(super) mappings: Vec<Mapping>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenTable {
    name: String,
    role: Role,
    sha256: String,
    #[serde(default)]
    clients: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KubernetesTable {
    user: Option<String>,
    group: Option<String>,
    role: Role,
    #[serde(default)]
    clients: bool,
}

impl Listing {
    /// Reads a file's text at the start.
    ///
    /// # Errors
    /// As [`Listing::read_again`], and when nobody could use the API with it.
    pub(super) fn read(text: &str) -> Result<Self, Vec<String>> {
        let listing = Self::read_again(text)?;
        match listing == Self::default() {
            true => Err(vec![
                "has no token, so nobody could use the API: make one with `admin token --name NAME --role ROLE`"
                    .to_owned(),
            ]),
            false => Ok(listing),
        }
    }

    /// Reads a file's text after a change: the last token may be taken away.
    ///
    /// # Errors
    /// Everything that is wrong, one sentence each. None holds what is written as `sha256`.
    pub(super) fn read_again(text: &str) -> Result<Self, Vec<String>> {
        let mut file: toml::Table =
            toml::from_str(text).map_err(|error| vec![format!("is not valid TOML: {}", one_line(error.message()))])?;
        let mut wrong = Vec::new();
        let tokens = tables::<TokenTable>(&mut file, "tokens", &mut wrong);
        let mappings = tables::<KubernetesTable>(&mut file, "kubernetes", &mut wrong);
        for key in file.keys() {
            wrong.push(format!(
                "{key}: is not known; write [[tokens]] and [[kubernetes]] tables"
            ));
        }
        let mut listing = Self::default();
        for (place, table) in tokens {
            match listed(table) {
                Ok(token) => listing.add(&place, token, &mut wrong),
                Err(why) => wrong.extend(why.into_iter().map(|why| format!("{place}: {why}"))),
            }
        }
        for (place, table) in mappings {
            match mapping(table) {
                Ok(mapping) if listing.mappings.iter().any(|other| other.whom == mapping.whom) => {
                    wrong.push(format!("{place}: this user or group is listed already"));
                }
                Ok(mapping) => listing.mappings.push(mapping),
                Err(why) => wrong.push(format!("{place}: {why}")),
            }
        }
        if wrong.is_empty() { Ok(listing) } else { Err(wrong) }
    }

    /// Two tokens may have one name while one replaces the other, but then mean the same caller.
    fn add(&mut self, place: &str, token: Listed, wrong: &mut Vec<String>) {
        let mut others = self.tokens.iter();
        if others.any(|other| other.digest == token.digest) {
            wrong.push(format!("{place}: this token is listed already"));
            return;
        }
        let same_name = self.tokens.iter().find(|other| other.name == token.name);
        if same_name.is_some_and(|other| (other.role, other.clients) != (token.role, token.clients)) {
            wrong.push(format!(
                "{place}: {} has another role above: choose another name",
                token.name
            ));
            return;
        }
        self.tokens.push(token);
    }
}

/// The tables of one kind, each with its place in the file for people.
fn tables<T: DeserializeOwned>(file: &mut toml::Table, kind: &str, wrong: &mut Vec<String>) -> Vec<(String, T)> {
    let tables = match file.remove(kind) {
        None => return Vec::new(),
        Some(toml::Value::Array(tables)) => tables,
        Some(_) => {
            wrong.push(format!("{kind}: write [[{kind}]] tables"));
            return Vec::new();
        }
    };
    if tables.len() > MAX_ENTRIES {
        wrong.push(format!(
            "{kind}: has {} tables, at most {MAX_ENTRIES} are read",
            tables.len()
        ));
        return Vec::new();
    }
    let mut read = Vec::with_capacity(tables.len());
    for (number, table) in tables.into_iter().enumerate() {
        let place = format!("{kind} {}", number + 1);
        match table.try_into() {
            Ok(table) => read.push((place, table)),
            Err(error) => wrong.push(format!("{place}: {}", one_line(error.message()))),
        }
    }
    read
}

fn listed(table: TokenTable) -> Result<Listed, Vec<String>> {
    let mut wrong = Vec::new();
    if let Err(why) = check_name(&table.name) {
        wrong.push(why);
    }
    if let Err(why) = check_clients(table.role, table.clients) {
        wrong.push(why.to_owned());
    }
    let digest = Digest::from_hex(&table.sha256);
    if digest.is_none() {
        wrong
            .push("sha256 must be the SHA-256 of the token, 64 hexadecimal digits: `admin token` prints it".to_owned());
    }
    match digest.filter(|_| wrong.is_empty()) {
        Some(digest) => Ok(Listed {
            name: table.name,
            role: table.role,
            clients: table.clients,
            digest,
        }),
        None => Err(wrong),
    }
}

fn mapping(table: KubernetesTable) -> Result<Mapping, String> {
    check_clients(table.role, table.clients)?;
    let whom = match (table.user, table.group) {
        (Some(user), None) if !user.is_empty() => Whom::User(user),
        (None, Some(group)) if !group.is_empty() => Whom::Group(group),
        _ => return Err("name one user or one group".to_owned()),
    };
    Ok(Mapping {
        whom,
        role: table.role,
        clients: table.clients,
    })
}

/// Whether a token may have this name.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.@".contains(char);
    if !(1..=MAX_NAME_CHARS).contains(&name.len()) || !name.chars().all(is_plain) {
        return Err(format!(
            "a name has 1 to {MAX_NAME_CHARS} letters, digits, -, _, . and @"
        ));
    }
    match RESERVED.contains(&name) {
        true => Err(format!("{name} is the name of another caller: choose another")),
        false => Ok(()),
    }
}

/// Whether `clients` says something for this role.
pub(super) fn check_clients(role: Role, clients: bool) -> Result<(), &'static str> {
    match (role, clients) {
        (Role::Viewer, true) => Err("clients = true is for the role publisher: a viewer changes nothing"),
        (Role::Operator, true) => {
            Err("clients = true is for the role publisher: an operator may do everything already")
        }
        _ => Ok(()),
    }
}

/// The roles that a user of Kubernetes has by these mappings: the highest.
pub(super) fn highest(mappings: &[Mapping], user: &str, groups: &[String]) -> Option<(Role, bool)> {
    let is_of = |whom: &Whom| match whom {
        Whom::User(name) => name == user,
        Whom::Group(name) => groups.contains(name),
    };
    let of_user: HashMap<Role, bool> =
        mappings
            .iter()
            .filter(|mapping| is_of(&mapping.whom))
            .fold(HashMap::new(), |mut roles, mapping| {
                *roles.entry(mapping.role).or_default() |= mapping.clients;
                roles
            });
    of_user.into_iter().max()
}

/// Parsers write some errors on several lines.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, role: &str, of: &str) -> String {
        format!(
            "[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{}\"\n",
            Digest::of(of)
        )
    }

    fn wrong(text: &str) -> Vec<String> {
        Listing::read(text).expect_err("rejected")
    }

    #[test]
    fn each_table_is_a_token_with_its_role() {
        let text = format!(
            "# comments are fine\n{}clients = true\n{}{}[[kubernetes]]\ngroup = \"admins\"\nrole = \"operator\"\n",
            token("shop", "publisher", "a"),
            token("ci", "viewer", "b"),
            token("ci", "viewer", "c")
        );
        let listing = Listing::read(&text).expect("valid");
        let tokens: Vec<_> = listing
            .tokens
            .iter()
            .map(|token| (token.name.as_str(), token.role, token.clients))
            .collect();
        let ci = ("ci", Role::Viewer, false);
        assert_eq!(tokens, [("shop", Role::Publisher, true), ci, ci]);
        assert_eq!(listing.mappings[0].whom, Whom::Group("admins".to_owned()));
    }

    #[test]
    fn everything_wrong_is_found_at_once_and_no_digest_is_shown() {
        let digest = Digest::of("a").to_string();
        let text = format!(
            "version = 1\n{}{}{}{}[[tokens]]\nname = \"x\"\nrole = \"king\"\nsha256 = \"{digest}\"\n\
             [[kubernetes]]\nrole = \"viewer\"\n",
            token("a b", "viewer", "1"),
            token("token", "operator", "2"),
            token("ci", "viewer", "3") + "clients = true\n",
            token("sha", "viewer", "4").replace("sha256 = \"", "sha256 = \"0"),
        );
        let problems = wrong(&text);
        assert_eq!(problems.len(), 7, "{problems:#?}");
        for (problem, part) in problems.iter().zip([
            "tokens 5",
            "version",
            "tokens 1",
            "tokens 2",
            "tokens 3",
            "tokens 4",
            "kubernetes 1",
        ]) {
            assert!(problem.starts_with(part), "{problem} / {part}");
        }
        assert!(!problems.concat().contains(&digest[..10]), "{problems:?}");
    }

    #[test]
    fn files_that_would_open_the_api_otherwise_than_meant_are_rejected() {
        for (text, why) in [
            (String::new(), "has no token"),
            ("garbage \u{0} [[".to_owned(), "not valid TOML"),
            ("tokens = 7".to_owned(), "write [[tokens]] tables"),
            (
                token("ci", "viewer", "a") + &token("other", "operator", "a"),
                "listed already",
            ),
            (
                token("ci", "viewer", "a") + &token("ci", "operator", "b"),
                "another role",
            ),
            (token("ci", "operator", "a") + "clients = true", "may do everything"),
            (token("ci", "viewer", "a") + "roles = []", "roles"),
            (
                "[[kubernetes]]\nuser = \"a\"\ngroup = \"b\"\nrole = \"viewer\"".to_owned(),
                "one user or one group",
            ),
            (token("demo", "viewer", "a"), "another caller"),
            ("[[tokens]]\n".repeat(MAX_ENTRIES + 1), "at most 1000"),
        ] {
            let problems = wrong(&text);
            assert!(problems.len() == 1 && problems[0].contains(why), "{text}: {problems:?}");
        }
    }

    #[test]
    fn a_user_has_the_highest_of_its_roles() {
        let mapping = |whom, role, clients| Mapping { whom, role, clients };
        let mappings = [
            mapping(Whom::User("ann".to_owned()), Role::Viewer, false),
            mapping(Whom::Group("shop".to_owned()), Role::Publisher, true),
            mapping(Whom::Group("chat".to_owned()), Role::Publisher, false),
        ];
        let of = |user: &str, groups: &[&str]| {
            let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
            highest(&mappings, user, &groups)
        };
        assert_eq!(of("ann", &[]), Some((Role::Viewer, false)));
        assert_eq!(of("ann", &["chat", "shop"]), Some((Role::Publisher, true)));
        assert_eq!(of("bob", &["chat"]), Some((Role::Publisher, false)));
        assert_eq!(of("shop", &[]), None);
    }
}
