//! How much would be interrupted if a server ended: its clients and the work that it tells about. Pure.

use std::collections::BTreeMap;

use wsmesh_adapter::{Gathered, ServerName, StatsPart};
use wsmesh_protocol::report::{EDGE, LOAD, LoadReport};

/// Of each server that has clients or work of its own and answered. The others are left out, as nothing is known of them, and so are those
/// whose report cannot be read: none is not what they said.
pub(crate) fn loads(gathered: &Gathered<StatsPart>) -> BTreeMap<ServerName, u64> {
    let load = |part: &StatsPart| {
        let work = match part.reports.get(LOAD) {
            Some(report) => Some(serde_json::from_str::<LoadReport>(report.get()).ok()?.work),
            None => None,
        };
        let has_clients = part.clients > 0 || part.reports.contains_key(EDGE);
        (has_clients || work.is_some()).then(|| part.clients.saturating_add(work.unwrap_or_default()))
    };
    let servers = gathered.servers.iter();
    servers
        .filter_map(|(server, part)| Some((server.clone(), load(part)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(clients: u64, reports: &[(&str, &str)]) -> StatsPart {
        let raw = |json: &&str| serde_json::value::RawValue::from_string((*json).to_owned()).expect("JSON");
        StatsPart {
            clients,
            reports: reports
                .iter()
                .map(|(name, json)| ((*name).to_owned(), raw(json)))
                .collect(),
            ..StatsPart::default()
        }
    }

    #[test]
    fn clients_and_work_are_load_and_servers_without_either_or_with_a_report_that_cannot_be_read_are_left_out() {
        let servers = [
            ("admin-1", part(0, &[("process", "{}")])),
            ("logic-1", part(0, &[("load", r#"{"work":3,"later":1}"#)])),
            ("odd-1", part(2, &[("load", r#""none""#)])),
            ("ws-1", part(0, &[("edge", "{}")])),
            ("ws-2", part(7, &[("edge", "{}")])),
        ];
        let gathered = Gathered {
            servers: servers
                .map(|(name, part)| (ServerName::new(name).expect("a name"), part))
                .into(),
            missing: Vec::new(),
            complete: true,
        };
        let loads = loads(&gathered).into_iter();
        let loads: Vec<_> = loads.map(|(server, load)| (server.to_string(), load)).collect();
        let expected = [("logic-1", 3), ("ws-1", 0), ("ws-2", 7)];
        assert_eq!(loads, expected.map(|(server, load)| (server.to_owned(), load)));
    }
}
