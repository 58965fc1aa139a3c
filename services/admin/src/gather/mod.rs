//! Turns what each server reported into answers of the API. Pure functions over plain values: no HTTP, no bus, no clock.
//! Every answer says whether it is complete and which servers are missing.

mod clients;
mod edges;
mod loads;
mod measured;
mod membership;
mod nodes;
mod online;
mod page;
mod pods;
mod prominent;
mod refused;
mod reports;
mod rooms;
mod round_trips;
mod servers;
mod stats;

pub(crate) use clients::{ClientState, ClientView, RoomView, client, room};
pub(crate) use edges::{Choice, Edge, NoEdge, assign, edges};
pub(crate) use loads::loads;
#[cfg(test)]
pub(crate) use measured::LagMs;
pub(crate) use measured::{Measured, Rates, round};
pub(crate) use membership::{Lack, MembershipView, NodeDifference};
pub(crate) use nodes::{Facts, NodesView, Said, nodes, round_trips_of, with_facts, with_round_trips};
pub(crate) use online::{ClientsView, clients};
pub(crate) use page::{Cursor, Page};
pub(crate) use pods::{with_membership, with_pods};
pub(crate) use refused::{FailedServer, RefusedNode};
pub(crate) use reports::{EdgeReports, edge};
pub(crate) use rooms::{RoomsPage, RoomsView, rooms};
pub(crate) use round_trips::{RecentRoundTrips, RoundTrips, Slow};
pub(crate) use servers::{ClusterView, cluster};
pub(crate) use stats::{StatsView, stats};

use std::time::Duration;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use wsmesh_adapter::{Gathered, ServerName};

use crate::shapes::Name;

/// The part that all answers gathered from the servers have in common.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer<T> {
    /// When the last answer of a server had arrived.
    #[serde(serialize_with = "rfc3339")]
    pub(crate) as_of: Timestamp,
    /// How long ago that was when this answer was written.
    pub(crate) age_ms: u64,
    /// Whether every live server answered.
    pub(crate) complete: bool,
    /// Servers that did not answer, and why.
    pub(crate) missing: Vec<MissingServer>,
    /// The answer itself.
    #[serde(flatten)]
    pub(crate) body: T,
}

/// A server that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct MissingServer {
    #[schema(value_type = Name)]
    pub(crate) server: ServerName,
    pub(crate) why: String,
}

impl<T> Answer<T> {
    /// An answer that is as complete as `gathered`.
    pub(crate) fn new<P>(as_of: Timestamp, gathered: &Gathered<P>, body: T) -> Self {
        let mut missing = missing_servers(&gathered.missing);
        missing.sort_by(|a, b| a.server.cmp(&b.server));
        Self {
            as_of,
            age_ms: 0,
            complete: gathered.complete,
            missing,
            body,
        }
    }
}

impl<T> Answer<T> {
    /// The same answer, written this much later.
    pub(crate) fn at_age(self, age: Duration) -> Self {
        Self {
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            ..self
        }
    }

    /// The same answer, written later.
    pub(crate) fn aged(&self, age: Duration) -> Answer<&T> {
        Answer {
            as_of: self.as_of,
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            complete: self.complete,
            missing: self.missing.clone(),
            body: &self.body,
        }
    }
}

/// What all answers have in common, for their description.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "described, never made")]
struct Head {
    /// When the last answer of a server had arrived.
    #[schema(format = DateTime)]
    as_of: String,
    /// How long ago that was when this answer was written.
    age_ms: u64,
    /// Whether every live server answered.
    complete: bool,
    /// Servers that did not answer, and why.
    missing: Vec<MissingServer>,
}

impl<T: ToSchema> PartialSchema for Answer<T> {
    /// The body's object, with the common fields.
    fn schema() -> RefOr<Schema> {
        let mut schema = T::schema();
        if let (RefOr::T(Schema::Object(object)), RefOr::T(Schema::Object(head))) = (&mut schema, Head::schema()) {
            object.properties.extend(head.properties);
            object.required.extend(head.required);
        }
        schema
    }
}

impl<T: ToSchema> ToSchema for Answer<T> {
    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Head::schemas(schemas);
        T::schemas(schemas);
    }
}

/// Servers that did not answer, in their order.
pub(crate) fn missing_servers(missing: &[(ServerName, String)]) -> Vec<MissingServer> {
    let missing = missing.iter().map(|(server, why)| MissingServer {
        server: server.clone(),
        why: why.clone(),
    });
    missing.collect()
}

/// RFC 3339 in UTC with milliseconds, as `2026-11-23T02:40:00.123Z`.
pub(crate) fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// As [`rfc3339`], or null.
pub(crate) fn rfc3339_or_null<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_the_missing_servers_and_its_time() {
        let gathered = Gathered::<()> {
            servers: Vec::new(),
            missing: vec![(
                ServerName::new("edge-1").expect("a name"),
                "did not answer in time".to_owned(),
            )],
            complete: false,
        };
        let as_of = Timestamp::from_millisecond(1_700_000_000_000).expect("a time");
        let answer = Answer::new(as_of, &gathered, serde_json::json!({"count": 0}));
        assert_eq!(
            serde_json::to_value(answer).expect("JSON"),
            serde_json::json!({
                "asOf": "2023-11-14T22:13:20.000Z",
                "ageMs": 0,
                "complete": false,
                "missing": [{"server": "edge-1", "why": "did not answer in time"}],
                "count": 0,
            })
        );
    }
}
