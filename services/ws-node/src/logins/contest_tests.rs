//! A small model of a cluster: servers with wrong clocks, messages with any delay in any order, logins at any moment.

use std::collections::{BTreeSet, BinaryHeap};

use proptest::prelude::*;
use wsmesh_adapter::ClientId;

use super::*;

const SECOND: Micros = 1_000_000;
const MINUTE: Micros = 60 * SECOND;

#[derive(Debug, Clone)]
enum Event {
    /// A connection is there, not yet reachable.
    Attach(usize),
    /// It can be reached, and is claimed.
    Enter(usize),
    Publish(usize),
    Published {
        server: usize,
        number: u64,
        receivers: usize,
    },
    Tick(usize),
    Deliver {
        to: usize,
        from: usize,
        news: News,
    },
}

/// One login of the scenario: on which server, when, and how long until it can be reached.
#[derive(Debug, Clone)]
struct Arrival {
    server: usize,
    at: Micros,
    confirming: Micros,
}

struct Server {
    rules: Rules,
    name: ServerName,
    contest: Contest,
    /// Indexes of its logins, once they are attached, until they are closed.
    present: Vec<usize>,
    /// It subscribes to the client: since its first login was confirmed.
    subscribes: bool,
}

struct Cluster {
    servers: Vec<Server>,
    arrivals: Vec<Arrival>,
    queue: BinaryHeap<(std::cmp::Reverse<Micros>, usize)>,
    events: Vec<Event>,
    delays: Vec<Micros>,
    drawn: usize,
    admitted: BTreeSet<usize>,
}

impl Cluster {
    fn new(policy: LoginPolicy, most: usize, epochs: &[u64], arrivals: Vec<Arrival>, delays: Vec<Micros>) -> Self {
        let server = |(index, &epoch_us): (usize, &u64)| Server {
            rules: Rules {
                policy,
                most,
                instance: index as u64 + 1,
                epoch_us,
            },
            name: ServerName::new(format!("ws-{index}")).expect("valid"),
            contest: Contest::default(),
            present: Vec::new(),
            subscribes: false,
        };
        let mut cluster = Self {
            servers: epochs.iter().enumerate().map(server).collect(),
            queue: BinaryHeap::new(),
            events: Vec::new(),
            delays,
            drawn: 0,
            admitted: BTreeSet::new(),
            arrivals: Vec::new(),
        };
        for (login, arrival) in arrivals.iter().enumerate() {
            cluster.at(arrival.at, Event::Attach(login));
            cluster.at(arrival.at + arrival.confirming, Event::Enter(login));
        }
        cluster.arrivals = arrivals;
        cluster
    }

    fn at(&mut self, time: Micros, event: Event) {
        self.queue.push((std::cmp::Reverse(time), self.events.len()));
        self.events.push(event);
    }

    fn delay(&mut self) -> Micros {
        self.drawn += 1;
        1 + self.delays[self.drawn % self.delays.len()]
    }

    /// Runs until no event is left; returns the logins that are still there.
    fn run(mut self) -> (Vec<usize>, BTreeSet<usize>) {
        let mut steps = 0;
        while let Some((std::cmp::Reverse(now), event)) = self.queue.pop() {
            steps += 1;
            assert!(steps < 50_000, "they never come to an end");
            self.step(self.events[event].clone(), now);
        }
        let mut left: Vec<_> = self.servers.iter().flat_map(|server| server.present.clone()).collect();
        left.sort_unstable();
        (left, self.admitted)
    }

    fn refresh(&mut self, server: usize) {
        let server = &mut self.servers[server];
        let connections: Vec<_> = server
            .present
            .iter()
            .map(|&login| (ConnectionId(login as u64), self.arrivals[login].at))
            .collect();
        server.contest.refresh(server.rules, &connections);
    }

    fn step(&mut self, event: Event, now: Micros) {
        let (server, acts) = match event {
            Event::Attach(login) => {
                let server = self.arrivals[login].server;
                self.servers[server].present.push(login);
                return;
            }
            Event::Enter(login) => {
                let index = self.arrivals[login].server;
                self.refresh(index);
                let server = &mut self.servers[index];
                server.subscribes = true;
                server.contest.claim(now);
                let acts = server.contest.tick(server.rules, now);
                self.at(now, Event::Publish(index));
                (index, acts)
            }
            Event::Publish(index) => return self.publish(index, now),
            Event::Published {
                server: index,
                number,
                receivers,
            } => {
                self.refresh(index);
                let server = &mut self.servers[index];
                (index, server.contest.published(server.rules, number, receivers, now))
            }
            Event::Tick(index) => {
                self.refresh(index);
                let server = &mut self.servers[index];
                (index, server.contest.tick(server.rules, now))
            }
            Event::Deliver { to, from, news } => {
                self.refresh(to);
                let name = self.servers[from].name.clone();
                let server = &mut self.servers[to];
                (to, server.contest.receive(server.rules, &name, &news, 0, now))
            }
        };
        for act in acts {
            self.perform(server, act, now);
        }
    }

    fn publish(&mut self, index: usize, now: Micros) {
        self.refresh(index);
        let server = &mut self.servers[index];
        let number = server.contest.claim(now);
        let logins = server.contest.logins(server.rules, now);
        if logins.is_empty() {
            return;
        }
        let others: Vec<_> = (0..self.servers.len())
            .filter(|&other| other != index && self.servers[other].subscribes)
            .collect();
        let receivers = others.len();
        for to in others {
            self.send(index, to, Purpose::Claim(number), logins.clone(), now);
        }
        let confirmed = now + self.delay();
        let published = Event::Published {
            server: index,
            number,
            receivers,
        };
        self.at(confirmed, published);
        self.at(now + ROUND, Event::Tick(index));
    }

    fn send(&mut self, from: usize, to: usize, purpose: Purpose, logins: Vec<Login>, now: Micros) {
        let news = News {
            client: ClientId::new("ann").expect("valid"),
            purpose,
            instance: self.servers[from].rules.instance,
            said_us: now,
            logins,
        };
        let arrives = now + self.delay();
        self.at(arrives, Event::Deliver { to, from, news });
    }

    fn perform(&mut self, server: usize, act: Act, now: Micros) {
        match act {
            Act::Claim => self.at(now, Event::Publish(server)),
            Act::Tell(name, purpose, logins) => {
                let to = self.servers.iter().position(|other| other.name == name).expect("known");
                self.send(server, to, purpose, logins, now);
            }
            Act::Close(ConnectionId(login)) => {
                self.servers[server].present.retain(|&other| other as u64 != login);
            }
            Act::Admit(ConnectionId(login)) => _ = self.admitted.insert(login as usize),
        }
    }
}

/// Logins on up to five servers whose clocks are minutes apart, within `within`; messages take up to `delay`.
fn scenario(within: Micros, delay: Micros) -> impl Strategy<Value = (Vec<u64>, Vec<Arrival>, Vec<Micros>)> {
    let epochs = prop::collection::vec(0..20 * MINUTE, 2..=5);
    epochs.prop_flat_map(move |epochs| {
        let arrival = (0..epochs.len(), 0..within, 1..delay).prop_map(|(server, at, confirming)| Arrival {
            server,
            at: at + SECOND,
            confirming,
        });
        let arrivals = prop::collection::vec(arrival, 1..8);
        let delays = prop::collection::vec(0..delay, 97);
        (Just(epochs), arrivals, delays)
    })
}

/// Whether `later` came so long after `earlier` that no delay can hide the order.
fn clearly_later(arrivals: &[Arrival], later: usize, earlier: usize, delay: Micros) -> bool {
    let margin = delay * 2 * (arrivals.len() as u64 + 1);
    arrivals[later].at > arrivals[earlier].at + arrivals[earlier].confirming + margin
}

fn check(policy: LoginPolicy, most: usize, within: Micros, delay: Micros, cases: u32) {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    });
    let outcome = runner.run(&scenario(within, delay), |(epochs, arrivals, delays)| {
        let (left, admitted) = Cluster::new(policy, most, &epochs, arrivals.clone(), delays).run();
        prop_assert_eq!(left.len(), arrivals.len().min(most), "left: {:?}", left);
        for gone in (0..arrivals.len()).filter(|login| !left.contains(login)) {
            for &kept in &left {
                let wrong = match policy {
                    LoginPolicy::Oldest => clearly_later(&arrivals, kept, gone, delay),
                    _ => clearly_later(&arrivals, gone, kept, delay),
                };
                prop_assert!(!wrong, "{} was closed for {}", gone, kept);
            }
        }
        if policy == LoginPolicy::Oldest {
            prop_assert!(
                left.iter().all(|login| admitted.contains(login)),
                "a login waits forever"
            );
        }
        Ok(())
    });
    outcome.expect("exactly so many stay, and the right ones");
}

#[test]
fn of_logins_at_one_moment_exactly_one_stays_whatever_the_clocks_and_delays() {
    check(LoginPolicy::Newest, 1, 1000, 20_000, 2000);
    check(LoginPolicy::Oldest, 1, 1000, 20_000, 2000);
}

#[test]
fn of_logins_over_minutes_the_newest_or_the_oldest_stays() {
    check(LoginPolicy::Newest, 1, 3 * MINUTE, 50_000, 2000);
    check(LoginPolicy::Oldest, 1, 3 * MINUTE, 50_000, 2000);
}

#[test]
fn of_logins_close_together_exactly_the_allowed_number_stays() {
    for most in [1, 2, 3] {
        check(LoginPolicy::Newest, most, SECOND, 100_000, 1000);
        check(LoginPolicy::Oldest, most, SECOND, 100_000, 1000);
    }
}

#[test]
fn messages_that_arrive_after_the_wait_for_answers_do_not_change_how_many_stay() {
    for most in [1, 2] {
        check(LoginPolicy::Newest, most, SECOND, 5 * SECOND, 1000);
    }
    check(LoginPolicy::Oldest, 1, SECOND, 5 * SECOND, 1000);
}

#[test]
fn a_claim_that_is_replayed_late_does_not_close_a_newer_login() {
    let rules = |instance, epoch_us| Rules {
        policy: LoginPolicy::Newest,
        most: 1,
        instance,
        epoch_us,
    };
    // The older login is on a server whose clock is ten minutes ahead.
    let (ours, theirs) = (rules(1, 0), rules(2, 10 * MINUTE));
    let old_claim = News {
        client: ClientId::new("ann").expect("valid"),
        purpose: Purpose::Claim(1),
        instance: theirs.instance,
        said_us: 0,
        logins: vec![Login {
            instance: theirs.instance,
            connection: 1,
            generation: theirs.epoch_us,
            age_us: 0,
            settled: true,
        }],
    };
    let mut contest = Contest::default();
    contest.refresh(ours, &[(ConnectionId(7), 100 * SECOND)]);
    let server = ServerName::new("ws-2").expect("valid");
    // This server is three seconds old; a copy of a message from five seconds ago arrives now.
    let acts = contest.receive(ours, &server, &old_claim, 5 * SECOND, 103 * SECOND);
    assert!(!acts.iter().any(|act| matches!(act, Act::Close(_))), "{acts:?}");
    assert!(acts.contains(&Act::Claim), "{acts:?}");
    assert!(contest.logins(ours, 103 * SECOND)[0].generation > theirs.epoch_us);
}

#[test]
fn claims_of_clients_that_have_left_are_forgotten() {
    let rules = Rules {
        policy: LoginPolicy::Newest,
        most: 1,
        instance: 1,
        epoch_us: 0,
    };
    let mut contest = Contest::default();
    contest.refresh(rules, &[(ConnectionId(1), 5)]);
    contest.claim(10);
    contest.give_up_without_logins();
    assert!(!contest.is_idle(rules), "it is here");
    contest.refresh(rules, &[]);
    assert!(!contest.is_idle(rules));
    contest.give_up_without_logins();
    assert!(contest.is_idle(rules));
}
