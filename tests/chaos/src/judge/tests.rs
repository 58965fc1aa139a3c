//! The judge on invented runs: it finds what is lost, doubled, late or silent, and accepts excuses only if they were reported.

use tempfile::TempDir;

use super::{Evidence, Tally, judge};
use crate::message::{ALL_SERVERS, Kind, Message};
use crate::pace::Pace;
use crate::plan::Plan;
use crate::process::{Life, Reported};
use crate::record::{Event, Log, Refusal, SERVER};
use crate::stage::Excuse;
use crate::talk::Lapse;

const SECOND: u64 = 1_000_000;
/// When all clients are in place and load runs.
const START: u64 = 1_000 * SECOND;

/// Two servers: `edge-0`, which sends, and `edge-1` with client 8 in room 7.
struct Run {
    folder: TempDir,
    logs: [Log; 2],
    lapses: Vec<Lapse>,
    excuses: Vec<Excuse>,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let logs = [0, 1].map(|life| Log::create(&folder.path().join(life.to_string())).expect("created"));
        Self {
            folder,
            logs,
            lapses: Vec::new(),
            excuses: Vec::new(),
        }
    }

    /// The first server does something with a message, this long after load began.
    fn sender(self, event: Event, message: Message, at_s: u64) -> Self {
        self.logs[0].note_at(event, message.key(), START + at_s * SECOND);
        self
    }

    /// The second server does something with a message.
    fn receiver(self, event: Event, message: Message, at_s: u64) -> Self {
        self.logs[1].note_at(event, message.key(), START + at_s * SECOND);
        self
    }

    fn lapse(mut self, from_s: u64, until_s: u64) -> Self {
        self.lapses.push(Lapse {
            reason: "isolated".to_owned(),
            node: None,
            from_us: START + from_s * SECOND,
            until_us: START + until_s * SECOND,
        });
        self
    }

    fn excuse(mut self, from_s: u64, until_s: u64) -> Self {
        self.excuses.push(Excuse {
            server: 1,
            from_us: START + from_s * SECOND,
            until_us: START + until_s * SECOND,
        });
        self
    }

    fn tally(self) -> Tally {
        self.logs.iter().for_each(Log::flush);
        let life = |server: usize, reported: Reported| Life {
            process: server as u16 + 1,
            server,
            name: format!("edge-{server}"),
            ended_us: None,
            reported: Reported {
                ready_us: Some(START - SECOND),
                ..reported
            },
            log: self.folder.path().join(server.to_string()),
        };
        let reported = Reported {
            attached: vec![(8, START - SECOND)],
            joined: vec![(8, 7, START - SECOND)],
            lapses: self.lapses,
            ..Reported::default()
        };
        let evidence = Evidence {
            plan: Plan::USUAL,
            pace: Pace {
                short: false,
                rate: 1,
                default_settings: false,
            },
            lives: vec![life(0, Reported::default()), life(1, reported)],
            excuses: self.excuses,
            load_us: (START, START + 100 * SECOND),
        };
        judge(&evidence).expect("logs can be read")
    }
}

fn message(kind: Kind, to: u16, sequence: u32) -> Message {
    Message {
        sender: 1,
        kind,
        to,
        sequence,
    }
}

fn to_room(sequence: u32) -> Message {
    message(Kind::Room, 7, sequence)
}

#[test]
fn a_message_that_arrives_once_and_in_time_is_delivered() {
    let tally = Run::new()
        .sender(Event::Accepted, to_room(1), 10)
        .receiver(Event::Received(8), to_room(1), 10)
        .tally();
    assert_eq!(
        (tally.sent, tally.delivered, tally.lost, tally.doubled, tally.late),
        (1, 1, 0, 0, 0)
    );
}

#[test]
fn a_message_that_does_not_arrive_is_lost_and_one_that_arrives_twice_is_doubled() {
    let tally = Run::new()
        .sender(Event::Accepted, to_room(1), 10)
        .sender(Event::Accepted, to_room(2), 11)
        .receiver(Event::Received(8), to_room(2), 11)
        .receiver(Event::Received(8), to_room(2), 14)
        .tally();
    assert_eq!((tally.delivered, tally.lost, tally.doubled), (1, 1, 1));
    assert_eq!(tally.details.len(), 2);
}

#[test]
fn a_delivery_after_more_than_a_second_is_late_and_silence_is_a_gap() {
    let tally = Run::new()
        .sender(Event::Accepted, to_room(1), 10)
        .receiver(Event::Received(8), to_room(1), 12)
        .tally();
    assert_eq!((tally.delivered, tally.late, tally.gap_ms), (1, 1, 100_000));
}

#[test]
fn an_event_for_all_servers_is_owed_to_the_sender_too() {
    let news = message(Kind::Event, ALL_SERVERS, 1);
    let tally = Run::new()
        .sender(Event::Accepted, news, 10)
        .receiver(Event::Received(SERVER), news, 10)
        .tally();
    assert_eq!((tally.delivered, tally.lost), (1, 1));
}

#[test]
fn losses_that_the_promise_excludes_must_be_reported() {
    let lost = || Run::new().sender(Event::Accepted, to_room(1), 20);
    let counts = |run: Run| {
        let tally = run.tally();
        (tally.lost, tally.excluded)
    };
    assert_eq!(counts(lost().excuse(15, 40).lapse(15, 40)), (0, 1));
    assert_eq!(counts(lost().excuse(15, 40)), (1, 0), "not reported");
    assert_eq!(counts(lost().lapse(15, 40)), (1, 0), "reported, but there was no fault");
    assert_eq!(
        counts(lost().excuse(15, 22).lapse(15, 22)),
        (1, 0),
        "both were back within the window"
    );
}

#[test]
fn a_refused_message_is_not_lost_where_the_promise_excludes_it() {
    let refused = || Run::new().sender(Event::Refused(Refusal::NoNode), to_room(1), 20);
    let tally = refused().excuse(15, 40).tally();
    assert_eq!((tally.sent, tally.refused, tally.lost, tally.excluded), (0, 1, 0, 1));
    assert_eq!(refused().tally().lost, 1);
    let nobody = Run::new()
        .sender(Event::Refused(Refusal::Nobody), to_room(1), 20)
        .tally();
    assert_eq!((nobody.refused, nobody.lost), (1, 0));
}

#[test]
fn requests_end_with_an_answer_or_an_error_and_are_handled_once() {
    let request = |sequence| message(Kind::Request, 0, sequence);
    let mut run = Run::new();
    for sequence in 1..=5 {
        run = run.sender(Event::Asked, request(sequence), 20);
    }
    let requests = run
        .receiver(Event::Handled, request(1), 20)
        .sender(Event::Answered, request(1), 20)
        .sender(Event::Failed, request(2), 21)
        .sender(Event::TimedOut, request(3), 32)
        .receiver(Event::Handled, request(5), 20)
        .receiver(Event::Handled, request(5), 22)
        .sender(Event::Answered, request(5), 22)
        .tally()
        .requests;
    assert_eq!(
        (requests.ok, requests.error, requests.silent, requests.twice),
        (2, 1, 2, 1)
    );
}
