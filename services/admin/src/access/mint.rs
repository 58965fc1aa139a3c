//! `admin token`: makes a new token, and the entry that the tokens file needs for it. Reads and writes no file.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::listing::{check_clients, check_name};
use super::role::Role;
use super::token::{Digest, random};

/// Its name on the command line.
pub(crate) const TOKEN: &str = "token";

const ROLES: [Role; 3] = [Role::Viewer, Role::Publisher, Role::Operator];

/// The subcommand.
pub(crate) fn command() -> Command {
    let name = Arg::new("name")
        .long("name")
        .value_name("NAME")
        .required(true)
        .help("Who or what will use it; goes into the audit");
    let role = Arg::new("role")
        .long("role")
        .required(true)
        .value_parser(PossibleValuesParser::new(ROLES.map(Role::as_str)))
        .help("What it may do");
    let clients = Arg::new("clients")
        .long("clients")
        .action(ArgAction::SetTrue)
        .help("With --role publisher: may change clients and their rooms, too");
    Command::new(TOKEN)
        .about("Makes a new token of the API, prints it once, and prints its entry for --tokens-file")
        .arg(name)
        .arg(role)
        .arg(clients)
}

/// What the subcommand prints: for people, and the entry can be appended to the file as it is.
///
/// # Errors
/// When the arguments make no valid entry. The sentence says why.
pub(crate) fn mint(arguments: &ArgMatches) -> anyhow::Result<String> {
    let text = |name| arguments.get_one::<String>(name).map_or("", String::as_str);
    let (name, clients) = (text("name"), arguments.get_flag("clients"));
    check_name(name).map_err(anyhow::Error::msg)?;
    let role = ROLES.into_iter().find(|role| role.as_str() == text("role"));
    let role = role.ok_or_else(|| anyhow::anyhow!("--role is viewer, publisher or operator"))?;
    check_clients(role, clients).map_err(anyhow::Error::msg)?;
    let token = random();
    Ok(format!(
        "# The token, shown only now. Callers send: authorization: Bearer TOKEN\n# {token}\n\n{}",
        entry(name, role, clients, &token)
    ))
}

fn entry(name: &str, role: Role, clients: bool, token: &str) -> String {
    let clients = if clients { "clients = true\n" } else { "" };
    format!(
        "[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\n{clients}sha256 = \"{}\"\n",
        Digest::of(token)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::listing::Listing;

    fn run(arguments: &[&str]) -> Result<String, String> {
        let arguments = ["token"].iter().chain(arguments);
        let matches = command()
            .try_get_matches_from(arguments)
            .map_err(|error| error.to_string())?;
        mint(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn the_entry_of_a_new_token_is_one_that_the_file_takes() {
        let printed = run(&["--name", "ci", "--role", "publisher", "--clients"]).expect("made");
        let token = printed
            .lines()
            .nth(1)
            .and_then(|line| line.strip_prefix("# "))
            .expect("the token");
        // As a whole, too: the token is in comments.
        let listing = Listing::read(&printed).expect("an entry");
        let listed = &listing.tokens[0];
        assert_eq!(
            (listed.name.as_str(), listed.role, listed.clients),
            ("ci", Role::Publisher, true)
        );
        assert_eq!(listed.digest, Digest::of(token));
        assert!(!entry("ci", Role::Viewer, false, token).contains(token));
    }

    #[test]
    fn arguments_that_make_no_entry_are_rejected() {
        for wrong in [
            &["--name", "ci"][..],
            &["--name", "ci", "--role", "king"],
            &["--name", "a b", "--role", "viewer"],
            &["--name", "token", "--role", "viewer"],
            &["--name", "ci", "--role", "viewer", "--clients"],
        ] {
            assert!(run(wrong).is_err(), "{wrong:?}");
        }
    }
}
