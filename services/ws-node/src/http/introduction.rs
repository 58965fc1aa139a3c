//! What a request says about its connection, for services that ask: path, parameters, chosen headers, address.
//!
//! Never a credential: parameters that may hold one are left out, and so are tokens among the subprotocols. Other headers are
//! shown only if the settings name them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, SEC_WEBSOCKET_PROTOCOL};
use serde_json::Value;
use wsmesh_adapter::Introduction;
use wsmesh_protocol::{Param, Params};

use super::credentials;
use crate::auth::subprotocol::is_answerable;

/// Introduces a connection, without the claims and the data that its proof or a hook may add.
pub(super) fn introduce(
    params: Params,
    headers: &HeaderMap,
    shown: &[String],
    address: Option<IpAddr>,
) -> Introduction {
    let values = params.values.into_iter();
    Introduction {
        path: params.path,
        params: values
            .filter(|(key, _)| !credentials::is_param(key))
            .map(|(key, value)| (key, json(value)))
            .collect(),
        headers: chosen(headers, shown),
        address,
        claims: None,
        data: None,
    }
}

fn json(param: Param) -> Value {
    match param {
        Param::One(value) => Value::String(value),
        Param::Many(values) => values.into(),
    }
}

/// The headers with these names. Several lines of one name are one text (RFC 9110, section 5.3), cookies as RFC 6265 joins them.
fn chosen(headers: &HeaderMap, names: &[String]) -> BTreeMap<String, String> {
    let names = names.iter().map(|name| name.to_ascii_lowercase());
    names
        .filter_map(|name| Some((value(headers, &name)?, name)))
        .map(|(value, name)| (name, value))
        .collect()
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()));
    if name == SEC_WEBSOCKET_PROTOCOL.as_str() {
        let lines: Vec<_> = lines.collect();
        let offers = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
        let offers: Vec<_> = offers.filter(|offer| is_answerable(offer)).collect();
        return (!offers.is_empty()).then(|| offers.join(", "));
    }
    let between = if name == COOKIE.as_str() { "; " } else { ", " };
    let lines: Vec<_> = lines.collect();
    (!lines.is_empty()).then(|| lines.join(between))
}
