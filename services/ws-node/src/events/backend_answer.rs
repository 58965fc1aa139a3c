//! What a client gets for a backend's answer. Of a failure it learns the kind, and what the backend wrote for it in a problem
//! (RFC 9457); nothing else.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use wsmesh_protocol::ErrorCode;

use super::call::OK;
use super::refusal::Refusal;
use super::work::Outcome;
use crate::backends::{Answer, Backend, Failure};

/// Longest `code` that a backend may give.
const LONGEST_CODE: usize = 32;

/// The members of a problem that concern a client. A member of another type is as good as none.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    detail: Value,
    #[serde(default)]
    code: Value,
}

/// The outcome for the client. An answer that nobody can use is logged.
pub(super) fn outcome(answered: Result<Answer, Failure>, backend: &Backend) -> Outcome {
    match answered {
        Ok(answer) if answer.status.is_success() => payload(answer.body).inspect_err(|_| {
            backend.answered_badly("its body is not JSON");
        }),
        Ok(answer) => {
            let (code, is_usable) = code(answer.status);
            if answer.status.is_server_error() {
                backend.answered_badly(&format!("its status is {}", answer.status));
            } else if !is_usable && !answer.is_problem {
                backend.answered_badly(&format!("its status is {}, which has no meaning here", answer.status));
            }
            Err(refusal(code, &answer))
        }
        Err(failure) => Err(Refusal::new(code_of(failure), text(code_of(failure)))),
    }
}

/// The body, if it is JSON.
fn payload(body: Bytes) -> Outcome {
    if body.is_empty() {
        return Ok(OK);
    }
    match serde_json::from_slice::<&RawValue>(&body) {
        Ok(_) => Ok(body),
        Err(_) => Err(Refusal::new(ErrorCode::Internal, text(ErrorCode::Internal))),
    }
}

/// The error for a status, and whether the status may be meant for a client.
fn code(status: StatusCode) -> (ErrorCode, bool) {
    let code = match status.as_u16() {
        400 | 422 => ErrorCode::BadPayload,
        401 | 403 => ErrorCode::NotAllowed,
        404 | 410 => ErrorCode::NotFound,
        409 => ErrorCode::Conflict,
        413 => ErrorCode::TooBig,
        429 => ErrorCode::Overloaded,
        500.. => ErrorCode::Unavailable,
        // Redirects, which are not followed, and statuses about how the backend was asked.
        _ => return (ErrorCode::Internal, false),
    };
    (code, true)
}

fn code_of(failure: Failure) -> ErrorCode {
    match failure {
        Failure::Overloaded => ErrorCode::Overloaded,
        Failure::Unavailable => ErrorCode::Unavailable,
        Failure::TimedOut => ErrorCode::Timeout,
        Failure::BadAnswer(_) => ErrorCode::Internal,
    }
}

/// The text where the backend gives none.
fn text(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadPayload => "the backend does not accept this payload",
        ErrorCode::NotAllowed => "the backend does not allow this",
        ErrorCode::NotFound => "the backend does not know what this is about",
        ErrorCode::Conflict => "this contradicts what the backend has already",
        ErrorCode::TooBig => "this is too large for the backend",
        ErrorCode::Overloaded => "the backend is overloaded; try again later",
        ErrorCode::Timeout => "the backend did not answer in time",
        ErrorCode::Unavailable => "the backend is not available now; try again later",
        _ => "the backend's answer cannot be used",
    }
}

fn refusal(code: ErrorCode, answer: &Answer) -> Refusal {
    // What a server error says is for its own developers: frameworks write the text of the exception there.
    let problem = (answer.is_problem && !answer.status.is_server_error())
        .then(|| serde_json::from_slice::<Problem>(&answer.body));
    let Some(Ok(problem)) = problem else {
        return Refusal::new(code, text(code));
    };
    let refusal = match problem.detail {
        Value::String(detail) => Refusal::new(code, detail),
        _ => Refusal::new(code, text(code)),
    };
    match problem.code {
        Value::String(code) if is_code(&code) => refusal.with_own_code(code),
        _ => refusal,
    }
}

fn is_code(text: &str) -> bool {
    (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, is_problem: bool, body: &'static str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            retry_after: None,
            is_problem,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn each_status_has_the_code_of_the_documentation() {
        let readme = include_str!("../../README.md");
        let rows = readme
            .lines()
            .skip_while(|line| !line.starts_with("| the backend's status |"));
        let mut documented = 0;
        for row in rows.skip(2).take_while(|line| line.starts_with('|')) {
            let mut cells = row.split('|').skip(1).map(str::trim);
            let (statuses, expected) = (cells.next().expect("statuses"), cells.next().expect("a code"));
            let numbers = statuses
                .split(',')
                .filter_map(|number| number.trim().parse::<u16>().ok());
            for status in numbers.filter(|status| *status >= 300) {
                let (code, _) = code(StatusCode::from_u16(status).expect("a status"));
                assert!(
                    expected.contains(&format!("`{code}`")),
                    "{status}: {code}, documented as {expected}"
                );
                documented += 1;
            }
        }
        assert!(documented >= 12, "only {documented} statuses are documented");
    }

    #[test]
    fn json_passes_byte_for_byte_and_nothing_is_ok() {
        let json = "  {\"a\": [1, \"\\u20ac\"]}\n";
        assert_eq!(payload(Bytes::from_static(json.as_bytes())).expect("JSON"), json);
        assert_eq!(payload(Bytes::new()).expect("nothing"), r#"{"ok":true}"#);
        for body in ["<html>", "{", "{} {}", "\u{feff}{}", "nul", " "] {
            let refused = payload(Bytes::from(body)).expect_err(body);
            assert_eq!(refused.code, ErrorCode::Internal, "{body}");
        }
        assert!(payload(Bytes::from_static(b"\"\xff\"")).is_err(), "not UTF-8");
    }

    #[test]
    fn deeply_nested_json_is_passed_on_and_does_not_overflow_the_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(payload(Bytes::from(deep)).is_ok());
    }

    #[test]
    fn a_problem_gives_text_and_code_and_nothing_else_reaches_the_client() {
        let problem =
            r#"{"type":"about:blank","title":"Secret","detail":"too low\r\n","code":"BID_TOO_LOW","trace":"x"}"#;
        let refused = refusal(ErrorCode::Conflict, &answer(409, true, problem));
        assert_eq!((refused.written_code(), &*refused.text), ("BID_TOO_LOW", "too low\r\n"));
        let failed = refusal(ErrorCode::Unavailable, &answer(500, true, problem));
        assert_eq!(
            (failed.written_code(), &*failed.text),
            ("UNAVAILABLE", text(ErrorCode::Unavailable)),
            "a server error"
        );
        let refused = refusal(ErrorCode::Conflict, &answer(409, false, problem));
        let plain = ("CONFLICT", "this contradicts what the backend has already");
        assert_eq!(
            (refused.written_code(), &*refused.text),
            plain,
            "it does not say that it is a problem"
        );
        for body in [
            r#"{"detail":7,"code":"lower"}"#,
            r#"{"code":""}"#,
            r#"{"code":"A\"B"}"#,
            r#"{"code":"ABCDEFGHIJABCDEFGHIJABCDEFGHIJABC"}"#,
            r#"{"code":["A"]}"#,
            "[]",
            "",
        ] {
            let refused = refusal(ErrorCode::Conflict, &answer(409, true, body));
            assert_eq!((refused.written_code(), &*refused.text), plain, "{body}");
        }
    }
}
