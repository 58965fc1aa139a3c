//! Many commands in one body: NDJSON, one command a line. Each line has its own result, in the order of the lines; a line that
//! cannot be read or carried out is a problem of that line only.
//!
//! Commands of one kind that follow each other are started in their order without waiting for each other, and all messages are of
//! one kind. A command of another kind waits until those before it have ended.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;
use wsmesh_adapter::Adapter;

pub(crate) use super::command::Command;
use super::command::{Done, Kind};
use super::deeds::Deeds;
use super::{Outcome, Whereabouts};
use crate::access::Caller;
use crate::json::in_words;
use crate::problem::Problem;

/// Most commands of a batch.
const MAX_LINES: usize = 1_000;
/// Longest line, in bytes: as long as the body of a single request.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Most bytes of the results. Those that tell of no space left come on top: some hundred bytes each.
const MAX_RESULT_BYTES: usize = 8 * 1024 * 1024;
/// How many commands are under way at once, except messages, of which all are.
const AT_ONCE: usize = 64;

/// The result of a line.
#[derive(Serialize)]
struct Line<'a, T> {
    status: u16,
    body: &'a T,
}

/// The result of a line of a batch.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, never made")]
pub(crate) struct LineResult {
    /// The status that the command would have as a request of its own.
    #[schema(minimum = 100, maximum = 599)]
    status: u16,
    body: Outcome,
}

/// The bytes that are left for the results of a batch, also of those that wait for their turn.
struct Space(AtomicUsize);

/// Carries out the commands of a body as far as the caller may, until `deadline`; the results, one a line. What is left when the
/// results are too many bytes, or the time is over, is not begun. `deeds` counts what is done meanwhile.
///
/// # Errors
/// When there are no lines or too many. Nothing was done then.
pub(crate) async fn run(
    adapter: &Adapter,
    caller: &Caller,
    body: &Bytes,
    deadline: Instant,
    deeds: &Deeds,
) -> Result<Vec<u8>, Problem> {
    let mut results = Vec::with_capacity(256);
    let space = Space(AtomicUsize::new(MAX_RESULT_BYTES));
    let mut alike: Vec<Command> = Vec::new();
    for line in lines(body)? {
        let read = read(line).and_then(|command| may(caller, command, deeds));
        let continues = match (&read, alike.last()) {
            (Ok(command), Some(last)) => command.kind() == last.kind(),
            _ => false,
        };
        if !continues {
            let alike = std::mem::take(&mut alike);
            run_alike(adapter, alike, deadline, &space, (&mut results, deeds)).await;
        }
        match read {
            Ok(command) => alike.push(command),
            Err(problem) if space.is_left() => results.extend(space.line(&Err(problem))),
            Err(_) => results.extend(written(&Err(Problem::batch_too_large()))),
        }
    }
    run_alike(adapter, alike, deadline, &space, (&mut results, deeds)).await;
    Ok(results)
}

/// The command, if the caller may do that.
fn may(caller: &Caller, command: Command, deeds: &Deeds) -> Result<Command, Problem> {
    let needed = caller.need(command.right());
    if let Err(problem) = &needed {
        deeds.begin(command.deed()).ended(problem.status());
    }
    needed.map(|()| command)
}

impl Space {
    fn is_left(&self) -> bool {
        self.0.load(Relaxed) > 0
    }

    /// A result as a line if there is space for it, else what came of it instead; then no space is left for others either.
    fn line(&self, done: &Done) -> Vec<u8> {
        let line = written(done);
        let left = self.0.load(Relaxed).checked_sub(line.len());
        self.0.store(left.unwrap_or(0), Relaxed);
        match left {
            Some(_) => line,
            None => written(&Err(Problem::result_left_out())),
        }
    }
}

fn lines(body: &Bytes) -> Result<Vec<&[u8]>, Problem> {
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    if body.trim_ascii().is_empty() {
        return Err(Problem::bad_request(
            "the batch is empty: send one command a line, such as {\"broadcast\":{\"event\":\"say\"}}",
        ));
    }
    let count = body.iter().filter(|byte| **byte == b'\n').count() + 1;
    if count > MAX_LINES {
        return Err(Problem::bad_request(format!(
            "the batch has {count} lines, and nothing was done: send at most {MAX_LINES} at once"
        )));
    }
    Ok(body.split(|byte| *byte == b'\n').collect())
}

fn read(line: &[u8]) -> Result<Command, Problem> {
    if line.len() > MAX_LINE_BYTES {
        return Err(Problem::line_too_long(line.len(), MAX_LINE_BYTES));
    }
    if line.trim_ascii().is_empty() {
        return Err(Problem::bad_request("the line is empty: send one command a line"));
    }
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::bad_request(
            "not a command: send a JSON object, such as {\"broadcast\":{\"event\":\"say\"}}",
        ));
    }
    serde_json::from_slice(line).map_err(|error| {
        let why = in_words(&error.to_string());
        Problem::bad_request(format!("not a command: {why}"))
    })
}

fn written(done: &Done) -> Vec<u8> {
    let mut line = Vec::with_capacity(128);
    let written = match done {
        Ok(outcome) => serde_json::to_writer(
            &mut line,
            &Line {
                status: outcome.status().as_u16(),
                body: outcome,
            },
        ),
        Err(problem) => serde_json::to_writer(
            &mut line,
            &Line {
                status: problem.status().as_u16(),
                body: problem,
            },
        ),
    };
    // Neither has a map whose keys are not strings, and a vector takes everything.
    debug_assert!(written.is_ok());
    line.push(b'\n');
    line
}

/// Carries out commands of one kind, and writes their results and what was done.
async fn run_alike(
    adapter: &Adapter,
    commands: Vec<Command>,
    deadline: Instant,
    space: &Space,
    (results, deeds): (&mut Vec<u8>, &Deeds),
) {
    let at_once = match commands.first() {
        None => return,
        Some(first) if first.kind() == Kind::Message => MAX_LINES,
        Some(_) => AT_ONCE,
    };
    let may_begin = || match Instant::now() < deadline {
        _ if !space.is_left() => Err(Problem::batch_too_large()),
        false => Err(Problem::batch_is_over()),
        true => Ok(()),
    };
    let receivers: Vec<_> = commands.iter().filter_map(Command::receiver).cloned().collect();
    let asking = Whereabouts::of_all(adapter, &receivers);
    // Without an answer nothing is known of the receivers.
    let whereabouts = timeout_at(deadline, asking).await.unwrap_or_default();
    // What is asked for a line of its own is there before the line's turn, so that its messages keep their place.
    let asked = commands.into_iter().map(async |command| {
        let own = match &command {
            Command::SendToClients(send) if may_begin().is_ok() => {
                timeout_at(deadline, Whereabouts::of_ids(adapter, &send.ids)).await.ok()
            }
            _ => None,
        };
        (command, own)
    });
    let running = stream::iter(asked).buffered(AT_ONCE).map(async |(command, own)| {
        if let Err(problem) = may_begin() {
            return written(&Err(problem));
        }
        let deed = deeds.begin(command.deed());
        let whereabouts = match &own {
            Some(Ok(own)) => own,
            _ => &whereabouts,
        };
        let done = timeout_at(deadline, command.run(adapter, whereabouts)).await;
        let done = done.unwrap_or_else(|_| Err(Problem::batch_overdue()));
        let status = done.as_ref().map_or_else(Problem::status, Outcome::status);
        deed.ended(status);
        space.line(&done)
    });
    let mut running = running.buffered(at_once);
    while let Some(line) = running.next().await {
        results.extend(line);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::*;

    fn problem(line: &[u8]) -> String {
        read(line).expect_err("rejected").detail().to_owned()
    }

    #[test]
    fn each_line_is_one_command_and_payloads_stay_as_they_are_written() {
        let line = br#"{"sendToRoom":{"room":{"namespace":"chat","id":"a"},"event":"say","payload":{"big":12345678901234567890}}}"#;
        let Ok(Command::SendToRoom(send)) = read(line) else {
            panic!("a message to a room");
        };
        assert_eq!(
            send.payload.expect("a payload").get(),
            r#"{"big":12345678901234567890}"#
        );
        // Windows ends lines with CR LF.
        assert!(matches!(
            read(b"{\"query\":{\"ids\":[\"ann\"]}}\r"),
            Ok(Command::Query(_))
        ));
    }

    #[test]
    fn a_line_that_is_no_command_says_what_is_wrong() {
        for (line, why) in [
            (&b""[..], "empty"),
            (b"  \r", "empty"),
            (b"say", "not a command"),
            (b"{}", "not a command"),
            (br#"["broadcast"]"#, "send a JSON object"),
            (br#""broadcast""#, "send a JSON object"),
            (br#"{"broadcast":["say"]}"#, "send a JSON object"),
            (br#"{"sendToClient":["ann","say"]}"#, "send a JSON object"),
            (
                br#"{"join":{"client":"ann","room":["chat","a"]}}"#,
                "send a JSON object",
            ),
            (
                br#"{"ask":{"client":"ann","event":"a","timeoutMs":"1"}}"#,
                "expected a whole number",
            ),
            (br#"{"shout":{}}"#, "unknown variant `shout`"),
            (br#"{"broadcast":{"event":"a"},"query":{"ids":["a"]}}"#, "column"),
            (br#"{"broadcast":{"event":"a","room":1}}"#, "unknown field `room`"),
            (br#"{"sendToClient":{"client":"","event":"a"}}"#, "client id is empty"),
            (b"{\"broadcast\":{\"event\":\"\xff\"}}", "not a command"),
            ("\u{feff}{\"broadcast\":{\"event\":\"a\"}}".as_bytes(), "not a command"),
        ] {
            let problem = problem(line);
            assert!(problem.contains(why), "{}: {problem}", String::from_utf8_lossy(line));
        }
        assert!(problem(&vec![b' '; MAX_LINE_BYTES + 1]).contains("1048577 bytes"));
    }

    #[test]
    fn the_lines_of_the_readme_are_one_of_each_command() {
        let readme = include_str!("../../README.md");
        let (_, lines) = readme.split_once("/batch -H").expect("an example");
        let examples = lines.lines().skip(1).take_while(|line| *line != "END");
        let mut seen = HashSet::new();
        for line in examples {
            let command = read(line.as_bytes()).unwrap_or_else(|problem| panic!("{line}: {}", problem.detail()));
            assert!(seen.insert(discriminant(&command)), "{line}");
        }
        let unknown = problem(br#"{"shout":{}}"#);
        let (_, names) = unknown.split_once("expected one of ").expect("all names");
        assert_eq!(seen.len(), names.split(", ").count(), "{names}");
    }

    #[test]
    fn lines_are_counted_before_anything_is_done() {
        let count = |body: &str| lines(&Bytes::copy_from_slice(body.as_bytes())).map(|lines| lines.len());
        assert_eq!(count("a\nb\n"), Ok(2));
        assert_eq!(count("a\n\nb"), Ok(3));
        assert_eq!(count(&"a\n".repeat(MAX_LINES)), Ok(MAX_LINES));
        assert!(count(&"a\n".repeat(MAX_LINES + 1)).is_err());
        assert!(count("").is_err() && count("\n").is_err());
    }
}
