//! Decides which logins of one client stay, as one server sees it: state without I/O. `claims` calls it and carries out the
//! returned [`Act`]s; nothing here sends, closes or waits.
//!
//! All servers rank all logins alike: by *generation*, the wall clock of the login's server when it came, then by process and
//! connection. Clocks differ, so a server *raises* the generation of a login that certainly came later than another one: its
//! reported age is smaller by more than any delay explains. Generations never fall.
//!
//! Only the server that has a login closes it, when its latest generation loses against those that other servers reported.
//! With [`LoginPolicy::Newest`], those can only have risen since, so no server closes one of the N highest. With
//! [`LoginPolicy::Oldest`], a newcomer waits and beats no other login until it *settles*; a settled login is never raised, so
//! no server closes one of the N lowest. The server that claims last hears of all logins, because a login can be reached
//! before it is claimed. So all losers are closed, in whatever order the messages arrive.

use std::collections::BTreeMap;

use wsmesh_adapter::{ConnectionId, ServerName};

use super::LoginPolicy;
use super::login::{Login, Micros, News, Purpose, Rules};

/// Longest wait for the answers to a claim, and with `Oldest` for the admission of a newcomer, in microseconds.
pub(super) const ROUND: Micros = 500_000;

/// A decision for `claims` to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Publish a claim to every server that holds the client: [`Contest::claim`], and report how many got it:
    /// [`Contest::published`].
    Claim,
    /// Send this to one server.
    Tell(ServerName, Purpose, Vec<Login>),
    /// Close this connection: it has lost.
    Close(ConnectionId),
    /// Let this newcomer in.
    Admit(ConnectionId),
}

#[derive(Debug)]
struct Own {
    connection: u64,
    since: Micros,
    generation: u64,
    settled: bool,
    lost: bool,
    raised: bool,
}

/// The latest message of another server.
#[derive(Debug)]
struct Reported {
    server: ServerName,
    said_us: Micros,
    /// When it was sent, at the latest, by this server's clock.
    at: Micros,
    logins: Vec<Login>,
    /// The losing logins (connection, generation) that the other server was told of.
    told_losing: Vec<(u64, u64)>,
}

/// A claim whose answers are waited for.
#[derive(Debug)]
struct Round {
    number: u64,
    since: Micros,
    expected: Option<usize>,
    answered: Vec<u64>,
    /// The claim is no longer true.
    outdated: bool,
}

/// The logins of one client, as this server knows them.
#[derive(Debug, Default)]
pub(super) struct Contest {
    own: Vec<Own>,
    /// Other servers, by process: what they reported since this server's oldest open claim.
    reported: BTreeMap<u64, Reported>,
    round: Option<Round>,
    rounds: u64,
    /// Another server was told of a newcomer here before it had settled.
    told_unsettled: bool,
}

impl Contest {
    /// Updates the list of this server's connections, and when each came.
    pub(super) fn refresh(&mut self, rules: Rules, connections: &[(ConnectionId, Micros)]) {
        self.own
            .retain(|own| connections.iter().any(|(connection, _)| connection.0 == own.connection));
        for &(connection, since) in connections {
            if self.own.iter().all(|own| own.connection != connection.0) {
                self.own.push(Own {
                    connection: connection.0,
                    since,
                    generation: rules.epoch_us + since,
                    settled: rules.policy != LoginPolicy::Oldest,
                    lost: false,
                    raised: false,
                });
            }
        }
        self.own.sort_by_key(|own| (own.since, own.connection));
    }

    /// Whether the contest can be forgotten.
    pub(super) fn is_idle(&self, rules: Rules) -> bool {
        let plain = rules.policy != LoginPolicy::Oldest && self.own.iter().all(|own| !own.raised && !own.lost);
        self.round.is_none() && (plain || self.own.is_empty())
    }

    /// This server's logins, as it reports them now.
    pub(super) fn logins(&self, rules: Rules, now: Micros) -> Vec<Login> {
        let own = self.own.iter().filter(|own| !own.lost);
        own.map(|own| own.login(rules, now)).collect()
    }

    /// Claims this server's logins as they are now, under the number that is returned, and waits for answers.
    pub(super) fn claim(&mut self, now: Micros) -> u64 {
        self.rounds += 1;
        self.round = Some(Round {
            number: self.rounds,
            since: now,
            expected: None,
            answered: Vec::new(),
            outdated: false,
        });
        self.told_unsettled = false;
        self.rounds
    }

    /// Notes that a claim reached this many servers, and decides.
    pub(super) fn published(&mut self, rules: Rules, number: u64, receivers: usize, now: Micros) -> Vec<Act> {
        if let Some(round) = self.round.as_mut().filter(|round| round.number == number) {
            round.expected = Some(receivers);
        }
        self.decide(rules, &[], now)
    }

    /// Decides again, because time has passed since the claim.
    pub(super) fn tick(&mut self, rules: Rules, now: Micros) -> Vec<Act> {
        self.decide(rules, &[], now)
    }

    /// Stops waiting for answers to this claim, however many came.
    pub(super) fn give_up(&mut self, number: u64) {
        if self.is_open(number) {
            self.forget_round();
        }
    }

    /// Stops waiting for answers if there is no login here that could lose by them.
    pub(super) fn give_up_without_logins(&mut self) {
        if self.own.iter().all(|own| own.lost) {
            self.forget_round();
        }
    }

    fn forget_round(&mut self) {
        self.round = None;
        self.reported.clear();
    }

    /// Whether this claim waits for answers.
    pub(super) fn is_open(&self, number: u64) -> bool {
        self.round.as_ref().is_some_and(|round| round.number == number)
    }

    /// Whether a connection was admitted or has lost; None if that is not decided.
    pub(super) fn admitted(&self, connection: ConnectionId) -> Option<bool> {
        let own = self.own.iter().find(|own| own.connection == connection.0)?;
        (own.settled || own.lost).then_some(!own.lost)
    }

    /// Takes the message of another server, which was sent at least `age` ago.
    pub(super) fn receive(
        &mut self,
        rules: Rules,
        server: &ServerName,
        news: &News,
        age: Micros,
        now: Micros,
    ) -> Vec<Act> {
        let sent_at = now.saturating_sub(age);
        let theirs: Vec<Login> = news
            .logins
            .iter()
            .copied()
            .filter(|l| l.instance == news.instance)
            .collect();
        let later = self
            .reported
            .get(&news.instance)
            .is_none_or(|reported| reported.said_us <= news.said_us);
        if self.round.is_some() && later {
            let told_losing = self
                .reported
                .remove(&news.instance)
                .map(|reported| reported.told_losing)
                .unwrap_or_default();
            let reported = Reported {
                server: server.clone(),
                said_us: news.said_us,
                at: sent_at,
                logins: theirs,
                told_losing,
            };
            self.reported.insert(news.instance, reported);
        }
        if let Some(round) = &mut self.round
            && news.purpose == Purpose::Answer(round.number)
            && !round.answered.contains(&news.instance)
        {
            round.answered.push(news.instance);
        }
        let said: Vec<_> = news.logins.iter().map(|login| (*login, sent_at)).collect();
        let mut acts = self.decide(rules, &said, now);
        if let Purpose::Claim(number) = news.purpose {
            let logins = self.logins(rules, now);
            self.told_unsettled |= logins.iter().any(|login| !login.settled);
            acts.push(Act::Tell(server.clone(), Purpose::Answer(number), logins));
        }
        acts
    }

    /// Raises, closes and settles this server's logins by everything that was reported and by `said`, and tells others.
    fn decide(&mut self, rules: Rules, said: &[(Login, Micros)], now: Micros) -> Vec<Act> {
        let mut others: BTreeMap<(u64, u64), (Login, Micros)> = BTreeMap::new();
        let reported = self
            .reported
            .values()
            .flat_map(|reported| reported.logins.iter().map(|login| (*login, reported.at)));
        for (login, at) in reported.chain(said.iter().copied()) {
            let known = others.entry((login.instance, login.connection)).or_insert((login, at));
            if (login.generation, login.settled) > (known.0.generation, known.0.settled) {
                *known = (login, at);
            }
        }
        others.retain(|(instance, _), _| *instance != rules.instance);
        let others: Vec<_> = others.into_values().collect();
        let mut acts = Vec::new();
        let raised = self.raise(rules, &others, now);
        self.close_losers(rules, &others, now, &mut acts);
        let settled = self.settle(rules, &others, now, &mut acts);
        if let Some(round) = &mut self.round {
            round.outdated |= raised || settled;
        } else if raised {
            self.claim(now);
            acts.push(Act::Claim);
            return acts;
        }
        self.tell_losers(rules, now, &mut acts);
        self.end_round(now, &mut acts);
        acts
    }

    /// Moves logins above those that came earlier; whether any was moved.
    fn raise(&mut self, rules: Rules, others: &[(Login, Micros)], now: Micros) -> bool {
        let (mut floor, mut raised) = (0, false);
        for own in &mut self.own {
            let age = now.saturating_sub(own.since);
            // Reported ages are too small by the time that the message took, never too large.
            let earlier = others
                .iter()
                .filter(|(other, at)| other.age_us + now.saturating_sub(*at) > age);
            let above = earlier.map(|(other, _)| other.generation).max().unwrap_or(0).max(floor);
            let frozen = rules.policy == LoginPolicy::Oldest && own.settled || own.lost;
            if own.generation <= above && !frozen {
                own.generation = above + 1;
                own.raised = true;
                raised = true;
            }
            floor = floor.max(own.generation);
        }
        raised
    }

    fn close_losers(&mut self, rules: Rules, others: &[(Login, Micros)], now: Micros, acts: &mut Vec<Act>) {
        let mut all = self.logins(rules, now);
        all.extend(others.iter().map(|(login, _)| *login));
        for own in self.own.iter_mut().filter(|own| !own.lost) {
            if rules.loses(&own.login(rules, now), &all) {
                own.lost = true;
                acts.push(Act::Close(ConnectionId(own.connection)));
            }
        }
    }

    /// With `Oldest`, admits newcomers for which every server has answered, or that waited long enough. Returns whether other
    /// servers must be told.
    fn settle(&mut self, rules: Rules, others: &[(Login, Micros)], now: Micros, acts: &mut Vec<Act>) -> bool {
        let Some(round) = &self.round else { return false };
        let is_over = now.saturating_sub(round.since) >= ROUND;
        let is_complete = round.is_complete();
        if rules.policy != LoginPolicy::Oldest || !is_complete && !is_over {
            return false;
        }
        let mut settled = false;
        for own in self.own.iter_mut().filter(|own| !own.settled && !own.lost) {
            let rank = own.login(rules, now).rank();
            let waits_for = |(other, _): &(Login, Micros)| !other.settled && other.rank() < rank;
            if is_over || !others.iter().any(waits_for) {
                own.settled = true;
                settled = true;
                acts.push(Act::Admit(ConnectionId(own.connection)));
            }
        }
        if settled {
            // Two newcomers of one server may settle together: then the later one loses to the earlier.
            self.close_losers(rules, others, now, acts);
        }
        // A server that has not answered yet may know it as a newcomer.
        settled && (!others.is_empty() || self.told_unsettled || !is_complete)
    }

    /// Tells other servers which of their logins lose: if several may stay, only a server that heard of all can see it.
    fn tell_losers(&mut self, rules: Rules, now: Micros, acts: &mut Vec<Act>) {
        if rules.most == 1 || self.round.is_none() {
            return;
        }
        let mut all = self.logins(rules, now);
        for reported in self.reported.values() {
            let aged = |login: &Login| Login {
                age_us: login.age_us + now.saturating_sub(reported.at),
                ..*login
            };
            all.extend(reported.logins.iter().map(aged));
        }
        for reported in self.reported.values_mut() {
            let losing = reported.logins.iter().filter(|login| rules.loses(login, &all));
            let losing: Vec<_> = losing.map(|login| (login.connection, login.generation)).collect();
            if losing.iter().any(|login| !reported.told_losing.contains(login)) {
                reported.told_losing = losing;
                acts.push(Act::Tell(reported.server.clone(), Purpose::Verdict, all.clone()));
            }
        }
    }

    fn end_round(&mut self, now: Micros, acts: &mut Vec<Act>) {
        let Some(round) = &self.round else { return };
        let is_over = now.saturating_sub(round.since) >= ROUND;
        if !round.is_complete() && !is_over {
            return;
        }
        if round.outdated {
            self.claim(now);
            acts.push(Act::Claim);
        } else if round.is_complete() && self.own.iter().all(|own| own.settled || own.lost) {
            self.forget_round();
        }
    }
}

impl Own {
    fn login(&self, rules: Rules, now: Micros) -> Login {
        Login {
            instance: rules.instance,
            connection: self.connection,
            generation: self.generation,
            age_us: now.saturating_sub(self.since),
            settled: self.settled,
        }
    }
}

impl Round {
    fn is_complete(&self) -> bool {
        self.expected.is_some_and(|expected| self.answered.len() >= expected)
    }
}

#[cfg(test)]
#[path = "contest_tests.rs"]
mod tests;
