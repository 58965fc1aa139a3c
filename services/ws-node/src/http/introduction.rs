//! What a request says about its connection, for services that ask: path, parameters, chosen headers, address.
//!
//! Never a credential that nobody asked for: parameters that may hold one are left out, and so are tokens among the subprotocols.
//! Headers, also those for credentials, are shown only if the settings name them.

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

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use serde_json::json;
    use wsmesh_protocol::ParamOptions;

    use super::*;

    fn introduced(query: &str, lines: &[(&'static str, &[u8])], shown: &[&str]) -> Introduction {
        let params = Params::parse("/chat/7", query, ParamOptions::default());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value).expect("a header");
            headers.append(HeaderName::from_static(name), value);
        }
        let shown: Vec<_> = shown.iter().map(ToString::to_string).collect();
        introduce(params, &headers, &shown, None)
    }

    #[test]
    fn parameters_that_may_hold_a_credential_never_appear() {
        let query = "id=888&token=s3cret&Token=s3cret&ticket=s3cret&TICKET=&token=s3cret&tokens=2&tag=a&tag=b";
        let found = introduced(query, &[], &[]);
        assert_eq!(found.path, "chat/7");
        assert_eq!(
            json!(found.params),
            json!({"id": "888", "tag": ["a", "b"], "tokens": "2"})
        );
    }

    #[test]
    fn only_headers_that_the_settings_name_are_shown() {
        let lines: [(_, &[u8]); 6] = [
            ("accept-language", b"de"),
            ("accept-language", b"en;q=0.5"),
            ("cookie", b"a=1"),
            ("cookie", b"b=2"),
            ("authorization", b"Bearer s3cret"),
            ("ce-client", b"somebody-else"),
        ];
        assert!(introduced("", &lines, &[]).headers.is_empty());
        let found = introduced("", &lines, &["Accept-Language", "x-none"]).headers;
        assert_eq!(json!(found), json!({"accept-language": "de, en;q=0.5"}));
        let found = introduced("", &lines, &["cookie"]).headers;
        assert_eq!(json!(found), json!({"cookie": "a=1; b=2"}));
    }

    #[test]
    fn a_token_among_the_subprotocols_is_never_shown_and_bytes_that_are_not_text_are_replaced() {
        let name = "sec-websocket-protocol";
        let lines: [(_, &[u8]); 2] = [(name, b"wsmesh, bearer.s3cret"), (name, b"BEARER.s3cret,v2.game")];
        let found = introduced("", &lines, &[name]).headers;
        assert_eq!(json!(found), json!({name: "wsmesh, v2.game"}));
        assert!(introduced("", &[(name, b"bearer.s3cret")], &[name]).headers.is_empty());
        let found = introduced("", &[("x-name", b"caf\xe9")], &["x-name"]).headers;
        assert_eq!(json!(found), json!({"x-name": "caf\u{fffd}"}));
    }
}
