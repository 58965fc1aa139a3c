//! Event → who handles it: built in, or a rule that forwards it to a service. One table, made once from the configuration.

mod demo;
mod payloads;
pub(crate) mod refresh;
mod rooms;
mod rules;
mod server;
pub(crate) mod settings;

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use wsmesh_adapter::{Adapter, ClientId, Namespace, Payload, ServiceName, Target};
use wsmesh_protocol::forward::{CLIENT_CLOSED, ClientClosed};
use wsmesh_protocol::{CallbackId, ErrorCode};

use crate::engine::{Background, Session};
use rules::Forwarding;
pub(crate) use server::listen;
pub(crate) use settings::AUTHENTICATE;
pub use settings::{PickBy, ReplyBy, Rule};

/// What came of a client's event: the reply's payload as JSON, or why there is none.
pub(crate) type Outcome = Result<Bytes, Refusal>;

/// Why an event was not handled, in the client's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) text: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

/// One event of one client.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) session: &'a Session,
    pub(crate) payload: &'a RawValue,
    /// What its reply is to name, if it wants one.
    pub(crate) callback_id: Option<&'a CallbackId<'a>>,
}

/// How a route handles an event: at once, or with time, or by handing it to someone who replies to the client.
pub(crate) enum Work {
    Done(Outcome),
    Later(Pin<Box<dyn Future<Output = Outcome>>>),
    Handed(Pin<Box<dyn Future<Output = Result<(), Refusal>>>>),
}

impl Work {
    /// A request ends within the time limit of requests, whatever it waits for: a client must not give up before it is
    /// answered.
    fn later(call: Call<'_>, work: impl Future<Output = Outcome> + 'static) -> Self {
        if call.callback_id.is_none() {
            return Self::Later(Box::pin(work));
        }
        let limit = call.session.edge().settings.request_timeout;
        Self::Later(Box::pin(async move {
            let too_late = |_| Err(Refusal::new(ErrorCode::Timeout, "this was not done in time"));
            tokio::time::timeout(limit, work).await.unwrap_or_else(too_late)
        }))
    }
}

/// The reply `{"ok":true}`.
const OK: Bytes = Bytes::from_static(br#"{"ok":true}"#);

/// Who handles an event.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    Background(Background),
    RefreshToken,
    JoinRoom,
    LeaveRoom,
    Echo,
    Say,
    Command,
    Rule(Arc<Forwarding>),
}

impl Route {
    /// Whether it is about the connection itself: allowed whatever events a token lists. Rooms have their own list.
    pub(crate) fn is_own(&self) -> bool {
        matches!(
            self,
            Self::Background(_) | Self::RefreshToken | Self::JoinRoom | Self::LeaveRoom
        )
    }

    /// Starts handling.
    pub(crate) fn start(&self, call: Call<'_>) -> Work {
        match self {
            Self::Background(background) => {
                call.session.link.set_background(*background);
                Work::Done(Ok(OK))
            }
            Self::RefreshToken => refresh::refresh(call),
            Self::JoinRoom => rooms::join(call),
            Self::LeaveRoom => rooms::leave(call),
            Self::Echo => Work::Done(Ok(OK)),
            Self::Say => demo::say(call),
            Self::Command => demo::command(call),
            Self::Rule(forwarding) => rules::forward(forwarding, call),
        }
    }
}

/// The table of events.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    routes: HashMap<Box<str>, Route>,
    /// Services of the rules: they are told when a client is gone.
    services: Vec<ServiceName>,
    /// Namespaces that clients may join by themselves.
    client_rooms: Vec<Namespace>,
    /// Built-in events whose place a rule took.
    replaced: Vec<Box<str>>,
}

impl Routes {
    /// Makes the table. A rule for the name of a built-in event takes its place, see [`Routes::replaced`].
    pub(crate) fn new(rules: Vec<Rule>, client_rooms: Vec<Namespace>, with_demo: bool) -> Self {
        let mut built_in = vec![
            ("enterBackground", Route::Background(Background::Entered)),
            ("enterForeground", Route::Background(Background::Left)),
        ];
        if !client_rooms.is_empty() {
            built_in.extend([("joinRoom", Route::JoinRoom), ("leaveRoom", Route::LeaveRoom)]);
        }
        if with_demo {
            built_in.extend([("echo", Route::Echo), ("say", Route::Say), ("command", Route::Command)]);
        }
        let mut services: Vec<_> = rules.iter().map(|rule| rule.service.clone()).collect();
        services.sort();
        services.dedup();
        let mut routes: HashMap<Box<str>, Route> = built_in.into_iter().map(|(name, r)| (name.into(), r)).collect();
        let mut replaced = Vec::new();
        for rule in rules {
            let event: Box<str> = rule.event.as_str().into();
            if routes
                .insert(event.clone(), Route::Rule(Arc::new(Forwarding::new(rule))))
                .is_some()
            {
                replaced.push(event);
            }
        }
        Self {
            routes,
            services,
            client_rooms,
            replaced,
        }
    }

    /// Built-in events that a rule replaces, often by mistake: the author of the rule may not know that they exist.
    pub(crate) fn replaced(&self) -> impl Iterator<Item = &str> {
        self.replaced.iter().map(|event| &**event)
    }

    /// With what tokens bring along: they are renewed, and may allow rooms that the settings do not.
    pub(crate) fn with_tokens(mut self) -> Self {
        for name in settings::CREDENTIAL_EVENTS {
            self.routes.insert(name.into(), Route::RefreshToken);
        }
        for (name, route) in [("joinRoom", Route::JoinRoom), ("leaveRoom", Route::LeaveRoom)] {
            let taken = self.routes.entry(name.into()).or_insert(route);
            if matches!(taken, Route::Rule(_)) && !self.replaced().any(|event| event == name) {
                self.replaced.push(name.into());
            }
        }
        self
    }

    /// The route of an event and its name, which is one of a bounded set.
    pub(crate) fn find(&self, event: &str) -> Option<(&str, &Route)> {
        self.routes.get_key_value(event).map(|(name, route)| (&**name, route))
    }

    /// Whether clients may join rooms of this namespace by themselves.
    fn lets_clients_join(&self, namespace: &Namespace) -> bool {
        self.client_rooms.contains(namespace)
    }

    /// Tells every server of the rules' services that a client is gone.
    pub(crate) async fn tell_closed(&self, adapter: &Adapter, client: &ClientId) {
        let closed = ClientClosed {
            client: client.to_string(),
            server: adapter.name().to_string(),
        };
        for service in &self.services {
            let told = match Payload::new(&closed) {
                Ok(payload) => {
                    adapter
                        .emit(Target::Service(service.clone()), CLIENT_CLOSED, payload)
                        .await
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = told {
                tracing::debug!(%error, %service, "a service could not be told that a client is gone");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::settings::EdgeSettings;

    fn rule(event: &str) -> Rule {
        serde_json::from_str(&format!(r#"{{"event":"{event}","service":"s"}}"#)).expect("a rule")
    }

    #[test]
    fn a_rule_that_takes_the_place_of_a_built_in_event_is_known_as_such() {
        let rules = || ["enterBackground", "joinRoom", "echo", "mine"].map(rule).to_vec();
        let chat = Namespace::new("chat").expect("valid");
        let replaced = |routes: &Routes| routes.replaced().map(str::to_owned).collect::<Vec<_>>();
        let production = Routes::new(rules(), Vec::new(), false);
        assert_eq!(replaced(&production), ["enterBackground"]);
        assert_eq!(replaced(&production.with_tokens()), ["enterBackground", "joinRoom"]);
        let demo = Routes::new(rules(), vec![chat], true).with_tokens();
        assert_eq!(replaced(&demo), ["enterBackground", "joinRoom", "echo"]);
    }

    /// The events in the table of the protocol's README, with the profiles in which it says that they exist.
    fn documented() -> Vec<(String, String)> {
        let readme = include_str!("../../../protocol/README.md");
        let rows = readme
            .lines()
            .skip_while(|line| !line.starts_with("| event | profile | payload |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let mut events = Vec::new();
        for row in rows {
            let mut cells = row.split('|').skip(1);
            let (names, profile) = (cells.next().expect("names"), cells.next().expect("a profile"));
            for name in names.split(',') {
                events.push((name.trim().trim_matches('`').to_owned(), profile.trim().to_owned()));
            }
        }
        events
    }

    fn events(settings: EdgeSettings) -> BTreeSet<String> {
        let routes = Routes::new(settings.rules.0, settings.client_rooms, settings.demo);
        routes.routes.keys().map(|event| event.to_string()).collect()
    }

    #[test]
    fn the_readme_says_which_events_each_profile_has() {
        let (demo, production) = (events(EdgeSettings::demo()), events(EdgeSettings::default()));
        let documented = documented();
        for (event, profile) in &documented {
            let in_all = profile == "all";
            assert_eq!(
                in_all || profile.contains("demo"),
                demo.contains(event),
                "{event}: {profile}"
            );
            assert_eq!(in_all, production.contains(event), "{event}: {profile}");
        }
        let documented: BTreeSet<_> = documented.into_iter().map(|(event, _)| event).collect();
        let missing: Vec<_> = demo.difference(&documented).collect();
        assert!(missing.is_empty(), "the table lacks {missing:?}");
    }
}
