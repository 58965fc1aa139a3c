//! What the Kubernetes API answers instead of what was asked for, as one sentence. Never the whole status: it repeats itself.

use kube::core::Status;

/// Why the API did not do it.
pub(crate) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status_said(status),
        error => error.to_string(),
    }
}

/// The message of a status, with its code and reason.
pub(super) fn status_said(status: &Status) -> String {
    format!("{} ({} {})", status.message, status.code, status.reason)
}
