//! Error replies: how a server says that it did not do what a request asks for.

use serde::Deserialize;

/// What an error reply says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refusal {
    pub(crate) error: String,
    pub(crate) error_code: String,
}

impl Refusal {
    /// Reads a reply's payload; `None` if it is not an error reply. Most replies are good ones, so the text is searched
    /// before it is parsed.
    pub(crate) fn read(payload: &str) -> Option<Self> {
        if !payload.contains("\"errorCode\"") {
            return None;
        }
        serde_json::from_str(payload).ok()
    }

    /// Whether the server may agree if it is asked again soon.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            &*self.error_code,
            "TIMEOUT" | "UNAVAILABLE" | "OVERLOADED" | "RATE_LIMITED"
        )
    }
}
