//! `admin top`: a live view of a cluster in a terminal, from the stream of any admin's API. It needs no settings of admin and no
//! Redis, only the URL of one and a token that may read.

mod events;
mod stream;

mod snapshot;

mod numbers;
mod table;
mod tabs;

mod screen;

mod draw;
mod terminal;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use tokio::sync::mpsc;
use tokio::time::timeout;

use screen::{News, Screen};
use snapshot::Snapshot;
use stream::Source;
use tabs::Tab;

/// The name of the tool.
pub(crate) const TOP: &str = "top";

const URL: &str = "url";
/// The id of the setting of admin: its flag there means the same file.
const TOKEN_FILE: &str = "token_file";
const CA: &str = "ca";
const ONCE: &str = "once";

/// News that wait while the screen is drawn.
const NEWS: usize = 8;
/// Longest wait for the first snapshot with `--once`.
const FIRST: Duration = Duration::from_secs(10);

/// Its command line.
pub(crate) fn command() -> Command {
    let url = Arg::new(URL)
        .long("url")
        .value_name("URL")
        .default_value("http://127.0.0.1:9100")
        .help("Where an admin serves its API, with its path prefix if it has one");
    let token = Arg::new(TOKEN_FILE)
        .long("token-file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .env("WSMESH_TOKEN_FILE")
        .hide_env_values(true)
        .help("File with a token of the API; one that may only read is enough");
    let ca = Arg::new(CA)
        .long("ca")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("PEM file with the authorities that the admin's certificate is checked with, in place of the system's");
    let once = Arg::new(ONCE)
        .long("once")
        .action(ArgAction::SetTrue)
        .help("Print the servers as a plain table, and exit");
    Command::new(TOP)
        .about("Live view of servers, nodes, rooms and rates in the terminal; ? lists the keys")
        .next_line_help(true)
        .args([url, token, ca, once])
}

/// Runs it.
///
/// # Errors
/// When this is no terminal, an argument is wrong, or with `--once` no snapshot comes.
pub(crate) fn run(arguments: &ArgMatches) -> anyhow::Result<ExitCode> {
    let url = arguments.get_one::<String>(URL).map_or("", String::as_str);
    let path = |id| arguments.get_one::<PathBuf>(id).map(PathBuf::as_path);
    let source = Source::new(url, path(TOKEN_FILE), path(CA))?;
    let is_once = arguments.get_flag(ONCE);
    let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if !is_once && !is_terminal {
        let api = url.trim_end_matches('/');
        anyhow::bail!(
            "this is no terminal: use admin top --once for a table, or curl {api}/api/v1/stats for the numbers"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (sender, mut news) = mpsc::channel(NEWS);
        let following = tokio::spawn(source.follow(sender));
        let result = match is_once {
            true => once(&mut news).await,
            false => terminal::show(Screen::new(url), news).await,
        };
        following.abort();
        // Aborted, which is no error.
        let _ = following.await;
        result
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the first snapshot.
async fn once(news: &mut mpsc::Receiver<News>) -> anyhow::Result<()> {
    let snapshot = timeout(FIRST, first(news)).await;
    let snapshot = snapshot.unwrap_or_else(|_| anyhow::bail!("no snapshot came within {} s", FIRST.as_secs()))?;
    wsmesh_bootstrap::print(plain(&snapshot))
}

async fn first(news: &mut mpsc::Receiver<News>) -> anyhow::Result<Snapshot> {
    loop {
        match news.recv().await {
            Some(News::Snapshot(snapshot)) => return Ok(*snapshot),
            Some(News::Lost(why)) => anyhow::bail!("{why}"),
            Some(News::Connected | News::Happened(_)) => {}
            None => anyhow::bail!("the stream ended"),
        }
    }
}

/// The servers, by name.
fn plain(snapshot: &Snapshot) -> String {
    let mut table = Tab::Servers.table(snapshot);
    table.sort(table::Sort {
        column: 0,
        direction: table::Direction::Up,
    });
    table.plain()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_table_has_every_column_and_is_ordered_by_name() {
        let text = plain(&snapshot::tests::snapshot());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[0].starts_with("SERVER  SERVICE") && lines[0].ends_with("VERSION"),
            "{text}"
        );
        assert!(lines[2].starts_with("ws-0    ws-node  serving "), "{text}");
    }

    #[test]
    fn the_command_line_is_consistent_and_has_defaults() {
        command().debug_assert();
        let matches = command().get_matches_from([TOP, "--token-file", "/a/file"]);
        assert_eq!(
            matches.get_one::<String>(URL).map(String::as_str),
            Some("http://127.0.0.1:9100")
        );
        assert_eq!(matches.get_one::<PathBuf>(TOKEN_FILE), Some(&PathBuf::from("/a/file")));
    }
}
