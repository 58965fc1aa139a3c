//! What a server keeps of each connection's context, in little memory: most connections are never asked about.
//!
//! What does not change is one JSON text, which is read when somebody asks. Claims and data may change at any time, from any
//! thread; a reader sees them as they were before or after, never in between. Without a lock, so that handling an event may
//! look at them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::shard::ConnectionId;
use crate::wire::{ClientContext, ClientId, Instance, ServerName};

/// What a server says about a connection when it attaches it: see [`ClientContext`] for what each part is.
#[derive(Clone, Default)]
#[expect(missing_docs, reason = "the fields of the same names in ClientContext say it")]
pub struct Introduction {
    pub path: String,
    pub params: BTreeMap<String, Value>,
    pub headers: BTreeMap<String, String>,
    pub address: Option<IpAddr>,
    pub claims: Option<Box<RawValue>>,
    pub data: Option<Box<RawValue>>,
}

/// The context of one connection as it is now: a cheap handle, which may outlive the connection.
#[derive(Clone)]
pub struct LiveContext(Arc<Kept>);

struct Kept {
    /// When it was attached, in milliseconds since the Unix epoch.
    since_ms: u64,
    /// [`Fixed`] as JSON; none if there is nothing in it.
    fixed: Option<Box<str>>,
    changing: ArcSwapOption<Changing>,
}

/// What stays as it is.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Fixed {
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    params: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

/// What may change.
#[derive(Clone, Default)]
struct Changing {
    claims: Option<Arc<RawValue>>,
    data: Option<Arc<RawValue>>,
    /// When services replaced the data, if they did.
    data_since: Option<Instant>,
}

/// The server and process that connections belong to.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) server: ServerName,
    pub(crate) instance: Instance,
}

impl LiveContext {
    /// Of a connection that begins now.
    pub(crate) fn new(introduction: Introduction) -> Self {
        let Introduction {
            path,
            params,
            headers,
            address,
            claims,
            data,
        } = introduction;
        let is_bare = path.is_empty() && params.is_empty() && headers.is_empty() && address.is_none();
        let fixed = Fixed {
            path,
            params,
            headers,
            address,
        };
        let changing = Changing {
            claims: claims.map(Arc::from),
            data: data.map(Arc::from),
            data_since: None,
        };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(Arc::new(Kept {
            since_ms: since_epoch.map_or(0, |passed| passed.as_millis() as u64),
            // Maps with texts as keys can always be JSON.
            fixed: (!is_bare)
                .then(|| serde_json::to_string(&fixed).ok())
                .flatten()
                .map(Into::into),
            changing: ArcSwapOption::from(changing.kept()),
        }))
    }

    /// What services attached to the connection.
    pub fn data(&self) -> Option<Arc<RawValue>> {
        self.0.changing.load().as_ref().and_then(|now| now.data.clone())
    }

    /// Replaces the claims: the client has shown another token.
    pub fn set_claims(&self, claims: Option<Box<RawValue>>) {
        let claims: Option<Arc<RawValue>> = claims.map(Arc::from);
        self.change(|now| now.claims.clone_from(&claims));
    }

    /// Replaces what services attached, unless that was done after this was sent first.
    pub(super) fn set_data(&self, data: Option<&Arc<RawValue>>, sent: Option<Instant>) {
        self.change(|now| {
            let is_outdated = sent.is_some_and(|sent| now.data_since.is_some_and(|since| since > sent));
            if !is_outdated {
                now.data = data.cloned();
                now.data_since = Some(sent.unwrap_or_else(Instant::now));
            }
        });
    }

    fn change(&self, change: impl Fn(&mut Changing)) {
        self.0.changing.rcu(|now| {
            let mut next = now.as_deref().cloned().unwrap_or_default();
            change(&mut next);
            next.kept()
        });
    }

    /// The whole context, of a client's connection.
    pub(crate) fn of(&self, origin: &Origin, client: ClientId, connection: ConnectionId) -> ClientContext {
        // Written by this process.
        let fixed = self.0.fixed.as_deref().map(serde_json::from_str::<Fixed>);
        let Fixed {
            path,
            params,
            headers,
            address,
        } = fixed.and_then(Result::ok).unwrap_or_default();
        let now = self.0.changing.load_full();
        let json = |part: fn(&Changing) -> Option<&Arc<RawValue>>| {
            let part = now.as_deref().and_then(part);
            part.map(|json| RawValue::to_owned(json))
        };
        ClientContext {
            client,
            connection: origin.connection_name(connection),
            server: origin.server.clone(),
            since: UNIX_EPOCH + Duration::from_millis(self.0.since_ms),
            path,
            params,
            headers,
            address,
            claims: json(|now| now.claims.as_ref()),
            data: json(|now| now.data.as_ref()),
        }
    }
}

impl Origin {
    /// A connection's name: unique in the cluster, also over time.
    pub(crate) fn connection_name(&self, connection: ConnectionId) -> String {
        format!("{}-{}", self.instance, connection.0)
    }
}

impl Changing {
    /// Nothing is kept of nothing.
    fn kept(self) -> Option<Arc<Self>> {
        let is_something = self.claims.is_some() || self.data.is_some() || self.data_since.is_some();
        is_something.then(|| Arc::new(self))
    }
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introduction").finish_non_exhaustive()
    }
}

impl fmt::Debug for LiveContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveContext").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    fn introduction() -> Introduction {
        Introduction {
            path: "chat".to_owned(),
            params: [("tag".to_owned(), json!(["a", "b"])), ("id".to_owned(), json!("é\"\n"))].into(),
            headers: [("cookie".to_owned(), "a=secret".to_owned())].into(),
            address: Some("203.0.113.7".parse().expect("an address")),
            claims: Some(raw(r#"{"sub":"ann"}"#)),
            data: Some(raw("7")),
        }
    }

    fn context(live: &LiveContext) -> ClientContext {
        let origin = Origin {
            server: ServerName::new("edge").expect("valid"),
            instance: Instance(0xabc),
        };
        live.of(&origin, ClientId::new("ann").expect("valid"), ConnectionId(7))
    }

    #[test]
    fn a_context_is_what_was_said_when_the_connection_came() {
        let (said, found) = (introduction(), context(&LiveContext::new(introduction())));
        assert_eq!((found.connection.as_str(), found.server.as_str()), ("abc-7", "edge"));
        assert_eq!(
            (found.path, found.params, found.headers, found.address),
            (said.path, said.params, said.headers, said.address)
        );
        assert_eq!(found.claims.as_deref().map(RawValue::get), Some(r#"{"sub":"ann"}"#));
        assert_eq!(found.data.as_deref().map(RawValue::get), Some("7"));
    }

    #[test]
    fn claims_and_data_are_replaced_each_without_the_other() {
        let live = LiveContext::new(introduction());
        live.set_claims(Some(raw(r#"{"sub":"bob"}"#)));
        live.set_data(Some(&raw("8").into()), None);
        let now = |live: &LiveContext| {
            let found = context(live);
            let text = |json: Option<Box<RawValue>>| json.map(|json| json.get().to_owned());
            (text(found.claims), text(found.data))
        };
        assert_eq!(now(&live), (Some(r#"{"sub":"bob"}"#.to_owned()), Some("8".to_owned())));
        live.set_data(None, None);
        assert!(live.data().is_none());
        live.set_claims(None);
        assert_eq!(now(&live), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_copy_does_not_undo_what_came_after_it() {
        let live = LiveContext::new(Introduction::default());
        let text = |live: &LiveContext| live.data().map(|data| data.get().to_owned());
        let (first, second, third) = (raw("1").into(), raw("2").into(), raw("3").into());
        let sent = Instant::now();
        tokio::time::advance(Duration::from_millis(1)).await;
        live.set_data(Some(&second), None);
        live.set_data(Some(&first), Some(sent));
        assert_eq!(text(&live).as_deref(), Some("2"));
        live.set_data(None, None);
        live.set_data(Some(&first), Some(sent));
        assert_eq!(text(&live), None, "removed is replaced, too");
        tokio::time::advance(Duration::from_millis(1)).await;
        live.set_data(Some(&third), Some(Instant::now()));
        assert_eq!(text(&live).as_deref(), Some("3"), "a copy of the newest order counts");
    }

    #[test]
    fn a_connection_about_which_nothing_is_known_takes_one_small_allocation() {
        let bare = LiveContext::new(Introduction::default());
        assert!(bare.0.fixed.is_none() && bare.0.changing.load().is_none());
        // With the two counters of the Arc, and one word in the hub and one in the connection's owner.
        assert!(size_of::<Kept>() + 16 <= 48, "{} bytes", size_of::<Kept>());
        assert_eq!(size_of::<LiveContext>(), size_of::<usize>());
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        let text = format!("{:?} {:?}", introduction(), LiveContext::new(introduction()));
        assert_eq!(text, "Introduction { .. } LiveContext { .. }");
    }
}
