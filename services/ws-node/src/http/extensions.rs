//! Negotiation of permessage-deflate (RFC 7692, section 7.1): accepts the first offer of a client that fits.
//!
//! Neither side keeps its window between messages: this server asks for that in its answer. An offer that wants a smaller
//! window of the server is not accepted, since all clients get the same bytes.

use axum::http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};

const NAME: &str = "permessage-deflate";

/// The answer to the offers of a client, if one is accepted. A malformed offer is ignored.
pub(super) fn deflate(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS);
    let mut offers = values.iter().filter_map(|value| value.to_str().ok()).flat_map(offers);
    offers.find_map(accept).map(HeaderValue::from_static)
}

/// Offers are separated by commas; none of the values that are known has one, quoted or not.
fn offers(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim)
}

fn accept(offer: &str) -> Option<&'static str> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut seen = Vec::new();
    let mut names_window = false;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start())?)),
            None => (part, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            ("server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) if window(bits).is_some() => {}
            ("server_max_window_bits", Some(bits)) if window(bits) == Some(15) => names_window = true,
            _ => return None,
        }
    }
    Some(if names_window {
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15"
    } else {
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    })
}

fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

/// 8 to 15, without leading zeros.
fn window(bits: &str) -> Option<u8> {
    match bits {
        "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15" => bits.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offers: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        }
        deflate(&headers).map(|value| value.to_str().expect("text").to_owned())
    }

    const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn the_offers_of_browsers_and_libraries_are_accepted() {
        for offers in [
            &["permessage-deflate"][..],
            &["permessage-deflate; client_max_window_bits"],
            &["permessage-deflate;client_no_context_takeover ; server_no_context_takeover"],
            &["permessage-deflate; client_max_window_bits=\"10\""],
            &["x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=8"],
            &["mux; max-channels=4", "permessage-deflate"],
            &["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
            &["permessage-deflate; something_new, permessage-deflate"],
        ] {
            assert_eq!(answer(offers).as_deref(), Some(PLAIN), "{offers:?}");
        }
        let named = answer(&["permessage-deflate; server_max_window_bits=15"]);
        assert_eq!(named, Some(format!("{PLAIN}; server_max_window_bits=15")));
    }

    #[test]
    fn offers_that_cannot_be_met_or_read_are_ignored() {
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=08",
            "permessage-deflate; client_max_window_bits=\"9",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; unknown",
            "permessage-deflate;",
        ] {
            assert_eq!(answer(&[offer]), None, "{offer}");
        }
    }
}
