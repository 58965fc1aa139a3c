//! The records of all admins, newest first, in pages. Each admin answers for its own; one that does not is named.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wsmesh_adapter::{Adapter, Gathered, Payload, Refusal, RequestOptions, ServerName, Target};

use super::book::{Audit, Numbered};
use super::record::Record;
use crate::gather::{Cursor, Page};

/// Request to admins: records of yours, see [`Wanted`]. Reply: [`Part`].
const RECORDS: &str = "wsmesh.audit";
/// Why an admin is missing that answered something else.
const UNREADABLE: &str = "its answer cannot be read: have all admins the same version?";

/// A place among the records of all admins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    at_ms: i64,
    admin: ServerName,
    number: u64,
}

/// Which records are wanted.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    limit: usize,
    /// Only older ones.
    before: Option<Place>,
}

/// The records of one admin, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    records: Vec<(u64, Record)>,
    /// Whether it has older ones.
    more: bool,
}

/// `GET /api/v1/audit`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Audit)]
pub(crate) struct AuditView {
    /// Newest first.
    pub(crate) records: Vec<Record>,
    /// The cursor of the next page, if there is one.
    #[schema(value_type = Option<String>, format = "cursor")]
    pub(crate) next: Option<Cursor<Place>>,
}

impl Audit {
    /// Answers other admins, until the adapter ends.
    pub(crate) fn answer(&self, adapter: &Adapter) {
        let audit = self.clone();
        adapter.on_request(RECORDS, move |event| {
            let wanted = event.payload.parse::<Wanted>();
            let part = wanted
                .map(|wanted| audit.part(&wanted))
                .map_err(|error| Refusal::new("BAD_PAYLOAD", error.to_string()));
            async move { part }
        });
    }

    /// The newest records of each admin, before a place if one is given.
    pub(crate) async fn gather(&self, adapter: &Adapter, page: &Page<Place>) -> Gathered<Part> {
        let wanted = Wanted {
            limit: page.limit(),
            before: page.after().cloned(),
        };
        let mut gathered = Gathered {
            servers: vec![(self.admin().clone(), self.part(&wanted))],
            missing: Vec::new(),
            complete: true,
        };
        let admins = adapter
            .servers()
            .into_iter()
            .filter(|server| server.service == *adapter.service());
        let others: Vec<_> = admins
            .map(|server| server.name)
            .filter(|name| name != self.admin())
            .collect();
        if others.is_empty() {
            return gathered;
        }
        let asked = match Payload::new(&wanted) {
            Ok(payload) => {
                let target = Target::Servers(others.clone());
                let asked = adapter.ask(target, RECORDS, payload, RequestOptions::default()).await;
                asked.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match asked {
            Ok(outcome) => {
                for reply in outcome.replies {
                    match reply.payload.parse::<Part>() {
                        Ok(part) => gathered.servers.push((reply.server, part)),
                        Err(_) => gathered.missing.push((reply.server, UNREADABLE.to_owned())),
                    }
                }
                let silent = outcome.missing.into_iter();
                gathered
                    .missing
                    .extend(silent.map(|(server, why)| (server, why.to_string())));
            }
            Err(why) => gathered
                .missing
                .extend(others.into_iter().map(|server| (server, why.clone()))),
        }
        gathered.complete = gathered.missing.is_empty();
        gathered
    }

    /// The records of this admin that are wanted.
    fn part(&self, wanted: &Wanted) -> Part {
        let mut places: Vec<_> = self
            .all()
            .into_iter()
            .map(|kept| (Place::of(&kept), kept))
            .filter(|(place, _)| wanted.before.as_ref().is_none_or(|before| place < before))
            .collect();
        places.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        let more = places.len() > wanted.limit;
        places.truncate(wanted.limit);
        let records = places
            .into_iter()
            .map(|(_, Numbered { number, record })| (number, record));
        Part {
            records: records.collect(),
            more,
        }
    }
}

/// The newest of what the admins told.
pub(crate) fn page(gathered: &Gathered<Part>, limit: usize) -> AuditView {
    let parts = || gathered.servers.iter().map(|(_, part)| part);
    let records = parts().flat_map(|part| part.records.iter().cloned());
    let mut places: Vec<_> = records
        .map(|(number, record)| Numbered { number, record })
        .map(|kept| (Place::of(&kept), kept.record))
        .collect();
    places.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    let more = places.len() > limit || parts().any(|part| part.more);
    places.truncate(limit);
    let next = places.last().filter(|_| more).map(|(place, _)| Cursor(place.clone()));
    AuditView {
        records: places.into_iter().map(|(_, record)| record).collect(),
        next,
    }
}

impl Place {
    fn of(kept: &Numbered) -> Self {
        Self {
            at_ms: kept.record.at.as_millisecond(),
            admin: kept.record.admin.clone(),
            number: kept.number,
        }
    }
}
