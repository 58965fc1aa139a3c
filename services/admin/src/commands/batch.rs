//! Many commands in one body: NDJSON, one command a line. Each line has its own result, in the order of the lines; a line that
//! cannot be read or carried out is a problem of that line only.
//!
//! Commands of one kind that follow each other are started in their order without waiting for each other, and all messages are of
//! one kind. A command of another kind waits until those before it have ended.

use axum::body::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use wsmesh_adapter::{Adapter, ClientId, Room};

use super::farewell::ComeBack;
use super::{Detail, Farewell, Message, Outcome, Whereabouts};
use crate::problem::Problem;

/// Most commands of a batch.
const MAX_LINES: usize = 1_000;
/// Longest line, in bytes: as long as the body of a single request.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// How many commands are under way at once, except messages, of which all are.
const AT_ONCE: usize = 64;

/// One line: an object whose only field names the command.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Command {
    SendToRoom(SendToRoom),
    SendToClient(SendToClient),
    SendToClients(SendToClients),
    Broadcast(Broadcast),
    Ask(Ask),
    Join(Membership),
    Leave(Membership),
    Disconnect(Disconnect),
    Query(Query),
    CloseRoom(CloseRoom),
    SetData(SetData),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendToRoom {
    room: Room,
    event: String,
    payload: Option<Box<RawValue>>,
    #[serde(default)]
    except: Vec<ClientId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendToClient {
    client: ClientId,
    event: String,
    payload: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendToClients {
    ids: Vec<ClientId>,
    event: String,
    payload: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Broadcast {
    event: String,
    payload: Option<Box<RawValue>>,
    #[serde(default)]
    except: Vec<ClientId>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Ask {
    client: ClientId,
    event: String,
    payload: Option<Box<RawValue>>,
    timeout_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Membership {
    client: ClientId,
    room: Room,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Disconnect {
    client: ClientId,
    code: Option<u16>,
    reason: Option<String>,
    come_back: Option<ComeBack>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    ids: Vec<ClientId>,
    #[serde(default)]
    detail: Detail,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetData {
    client: ClientId,
    /// Null removes it.
    data: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseRoom {
    room: Room,
    event: Option<String>,
    payload: Option<Box<RawValue>>,
}

/// The result of a line.
#[derive(Serialize)]
struct Line<'a, T> {
    status: u16,
    body: &'a T,
}

type Done = Result<Outcome, Problem>;

/// Carries out the commands of a body, until `deadline`; the results, one a line.
///
/// # Errors
/// When there are no lines or too many. Nothing was done then.
pub(crate) async fn run(adapter: &Adapter, body: &Bytes, deadline: Instant) -> Result<Vec<u8>, Problem> {
    let mut results = Vec::with_capacity(256);
    let mut alike: Vec<Command> = Vec::new();
    for line in lines(body)? {
        let read = read(line);
        let continues = match (&read, alike.last()) {
            (Ok(command), Some(last)) => command.kind() == last.kind(),
            _ => false,
        };
        if !continues {
            run_alike(adapter, std::mem::take(&mut alike), deadline, &mut results).await;
        }
        match read {
            Ok(command) => alike.push(command),
            Err(problem) => write(&mut results, &Err(problem)),
        }
    }
    run_alike(adapter, alike, deadline, &mut results).await;
    Ok(results)
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
    serde_json::from_slice(line).map_err(|error| Problem::bad_request(format!("not a command: {error}")))
}

fn write(results: &mut Vec<u8>, done: &Done) {
    let written = match done {
        Ok(outcome) => serde_json::to_writer(
            &mut *results,
            &Line {
                status: outcome.status().as_u16(),
                body: outcome,
            },
        ),
        Err(problem) => serde_json::to_writer(
            &mut *results,
            &Line {
                status: problem.status().as_u16(),
                body: problem,
            },
        ),
    };
    // Neither has a map whose keys are not strings, and a vector takes everything.
    debug_assert!(written.is_ok());
    results.push(b'\n');
}

/// Carries out commands of one kind, and writes their results.
async fn run_alike(adapter: &Adapter, commands: Vec<Command>, deadline: Instant, results: &mut Vec<u8>) {
    let at_once = match commands.first() {
        None => return,
        Some(first) if first.kind() == Kind::Message => MAX_LINES,
        Some(_) => AT_ONCE,
    };
    let receivers: Vec<_> = commands.iter().filter_map(Command::receiver).cloned().collect();
    let asking = Whereabouts::of_all(adapter, &receivers);
    // Without an answer nothing is known of the receivers.
    let whereabouts = timeout_at(deadline, asking).await.unwrap_or_default();
    // What is asked for a line of its own is there before the line's turn, so that its messages keep their place.
    let asked = commands.into_iter().map(async |command| {
        let own = match &command {
            Command::SendToClients(send) => timeout_at(deadline, Whereabouts::of_ids(adapter, &send.ids)).await.ok(),
            _ => None,
        };
        (command, own)
    });
    let running = stream::iter(asked).buffered(AT_ONCE).map(async |(command, own)| {
        let whereabouts = match &own {
            Some(Ok(own)) => own,
            _ => &whereabouts,
        };
        let done = timeout_at(deadline, command.run(adapter, whereabouts)).await;
        done.unwrap_or_else(|_| Err(Problem::batch_overdue()))
    });
    let mut running = running.buffered(at_once);
    while let Some(done) = running.next().await {
        write(results, &done);
    }
}

/// Commands of one kind do not wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Messages,
    Ask,
    Join,
    Leave,
    Disconnect,
    Query,
    CloseRoom,
    SetData,
}

impl Command {
    fn kind(&self) -> Kind {
        match self {
            Self::SendToRoom(_) | Self::SendToClient(_) | Self::Broadcast(_) => Kind::Message,
            Self::SendToClients(_) => Kind::Messages,
            Self::Ask(_) => Kind::Ask,
            Self::Join(_) => Kind::Join,
            Self::Leave(_) => Kind::Leave,
            Self::Disconnect(_) => Kind::Disconnect,
            Self::Query(_) => Kind::Query,
            Self::CloseRoom(_) => Kind::CloseRoom,
            Self::SetData(_) => Kind::SetData,
        }
    }

    /// The client whose whereabouts must be known before.
    fn receiver(&self) -> Option<&ClientId> {
        match self {
            Self::SendToClient(send) => Some(&send.client),
            _ => None,
        }
    }

    async fn run(self, adapter: &Adapter, whereabouts: &Whereabouts) -> Done {
        match self {
            Self::SendToRoom(send) => {
                let message = Message::new(send.event, send.payload)?;
                super::to_room(adapter, &send.room, &message, send.except)
                    .await
                    .map(Into::into)
            }
            Self::SendToClient(send) => {
                let message = Message::new(send.event, send.payload)?;
                super::to_client(adapter, &send.client, &message, whereabouts).await
            }
            Self::SendToClients(send) => {
                let message = Message::new(send.event, send.payload)?;
                super::to_clients(adapter, send.ids, &message, whereabouts)
                    .await
                    .map(Into::into)
            }
            Self::Broadcast(send) => {
                let message = Message::new(send.event, send.payload)?;
                super::to_everyone(adapter, &message, send.except).await.map(Into::into)
            }
            Self::Ask(ask) => {
                let question = Message::new(ask.event, ask.payload)?;
                super::ask(adapter, &ask.client, &question, ask.timeout_ms).await
            }
            Self::Join(Membership { client, room }) => super::join(adapter, &client, &room).await,
            Self::Leave(Membership { client, room }) => super::leave(adapter, &client, &room).await,
            Self::Disconnect(disconnect) => {
                let farewell = Farewell {
                    code: disconnect.code,
                    reason: disconnect.reason,
                    come_back: disconnect.come_back,
                };
                super::disconnect(adapter, &disconnect.client, farewell).await
            }
            Self::Query(Query { ids, detail }) => super::query(adapter, ids, detail).await,
            Self::SetData(SetData { client, data }) => super::set_data(adapter, &client, &data).await,
            Self::CloseRoom(close) => {
                let last = Message::last(close.event, close.payload)?;
                super::close_room(adapter, &close.room, last.as_ref()).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn lines_are_counted_before_anything_is_done() {
        let count = |body: &str| lines(&Bytes::copy_from_slice(body.as_bytes())).map(|lines| lines.len());
        assert_eq!(count("a\nb\n"), Ok(2));
        assert_eq!(count("a\n\nb"), Ok(3));
        assert_eq!(count(&"a\n".repeat(MAX_LINES)), Ok(MAX_LINES));
        assert!(count(&"a\n".repeat(MAX_LINES + 1)).is_err());
        assert!(count("").is_err() && count("\n").is_err());
    }
}
