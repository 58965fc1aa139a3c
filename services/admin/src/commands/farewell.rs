//! How a connection is closed: the code, and in it whether the client comes back. Only `wsmesh_protocol::CloseCode` knows what a
//! code means.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use wsmesh_adapter::Dismissal;
use wsmesh_protocol::CloseCode;

use crate::json::{whole, whole_or_null};
use crate::problem::Problem;

/// Longest reason, in bytes: a close frame carries no more.
const MAX_REASON_BYTES: usize = 123;
/// Longest time after which a client is told to come back: an hour.
const MAX_DELAY_MS: u64 = 3_600_000;

/// What a client is told when its connections are closed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Farewell {
    /// The close code: 1000 to 1003, 1007 to 1014, or 3000 to 4999. Default: by comeBack.
    #[schema(minimum = 1000, maximum = 4999)]
    #[serde(default, deserialize_with = "whole_or_null")]
    pub(crate) code: Option<u16>,
    /// A short text for the client: at most 123 bytes. Not with a number as comeBack, which takes its place.
    #[schema(max_length = 123)]
    pub(crate) reason: Option<String>,
    /// Default: as the code says, and never without a code. A code that tells clients something else is rejected.
    pub(crate) come_back: Option<ComeBack>,
}

/// Whether the client comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComeBack {
    Never,
    Now,
    /// After this many milliseconds.
    After(u64),
}

impl PartialSchema for ComeBack {
    fn schema() -> RefOr<Schema> {
        let word = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["never", "now"]));
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(MAX_DELAY_MS as usize));
        let either = OneOfBuilder::new()
            .item(word)
            .item(number)
            .description(Some(
                "\"never\": code 4010, the client does not reconnect. \"now\": 1001, it reconnects. A number: 1013, it reconnects \
                 after so many milliseconds.",
            ));
        RefOr::T(either.build().into())
    }
}

impl ToSchema for ComeBack {}

impl ComeBack {
    fn code(self) -> CloseCode {
        match self {
            Self::Never => CloseCode::ForcedLogout,
            Self::Now => CloseCode::GoingAway,
            Self::After(_) => CloseCode::TryAgainLater,
        }
    }
}

impl Farewell {
    /// The code and the reason of the close frame.
    ///
    /// # Errors
    /// When the code cannot be sent, contradicts `comeBack`, or the reason does not fit.
    pub(super) fn dismissal(self) -> Result<Dismissal, Problem> {
        let come_back = self.come_back.unwrap_or(ComeBack::Never);
        let code = self.code.map_or(come_back.code(), CloseCode::from);
        if !CloseCode::may_be_sent(code.into()) {
            return Err(Problem::bad_request(format!(
                "{} is not a close code that can be sent: use 1000 to 1003, 1007 to 1014, or 3000 to 4999",
                u16::from(code)
            )));
        }
        if self
            .come_back
            .is_some_and(|come_back| code.group() != come_back.code().group())
        {
            return Err(Problem::bad_request(format!(
                "code {} tells clients something else than comeBack: leave one of them out",
                u16::from(code)
            )));
        }
        let reason = match (come_back, self.reason) {
            (ComeBack::After(ms), _) if ms > MAX_DELAY_MS => {
                return Err(Problem::bad_request(format!(
                    "comeBack must be at most {MAX_DELAY_MS} ms"
                )));
            }
            (ComeBack::After(_), Some(_)) => {
                return Err(Problem::bad_request(
                    "the reason carries the time of comeBack: leave reason out",
                ));
            }
            (ComeBack::After(ms), None) => code.reason_with_delay(ms),
            (_, reason) => reason.unwrap_or_default(),
        };
        if reason.len() > MAX_REASON_BYTES {
            return Err(Problem::bad_request(format!(
                "reason has {} bytes: a close frame carries at most {MAX_REASON_BYTES}",
                reason.len()
            )));
        }
        Ok(Dismissal {
            code: code.into(),
            reason: reason.into(),
        })
    }
}

impl<'de> Deserialize<'de> for ComeBack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = ComeBack;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"never\", \"now\" or a number of milliseconds for comeBack")
            }

            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<ComeBack, E> {
                Ok(ComeBack::After(ms))
            }

            fn visit_f64<E: de::Error>(self, ms: f64) -> Result<ComeBack, E> {
                let after = whole(ms).map(ComeBack::After);
                after.ok_or_else(|| E::invalid_value(de::Unexpected::Float(ms), &self))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ComeBack, E> {
                match word {
                    "never" => Ok(ComeBack::Never),
                    "now" => Ok(ComeBack::Now),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Word)
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_protocol::Group;

    use super::*;

    fn read(json: &str) -> Result<(u16, String), String> {
        let farewell: Farewell = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let dismissal = farewell.dismissal().map_err(|problem| problem.detail().to_owned())?;
        Ok((dismissal.code, dismissal.reason.to_string()))
    }

    #[test]
    fn come_back_decides_the_code_and_every_sdk_reads_it_back() {
        for (json, code, reason, group) in [
            ("{}", 4010, "", Group::DoNotComeBack),
            (
                r#"{"comeBack":"never","reason":"bye"}"#,
                4010,
                "bye",
                Group::DoNotComeBack,
            ),
            (r#"{"comeBack":"now"}"#, 1001, "", Group::ComeBackNow),
            (
                r#"{"comeBack":1500}"#,
                1013,
                "retry-after-ms=1500",
                Group::ComeBackAfterDelay,
            ),
            (
                r#"{"comeBack":0,"code":1012}"#,
                1012,
                "retry-after-ms=0",
                Group::ComeBackAfterDelay,
            ),
            (r#"{"code":4999,"reason":"own"}"#, 4999, "own", Group::ComeBackNow),
            (r#"{"code":1000,"comeBack":"never"}"#, 1000, "", Group::DoNotComeBack),
        ] {
            assert_eq!(read(json), Ok((code, reason.to_owned())), "{json}");
            assert_eq!(CloseCode::from(code).group(), group, "{json}");
        }
        assert_eq!(CloseCode::parse_delay("retry-after-ms=1500"), Some(1500));
    }

    #[test]
    fn what_a_close_frame_cannot_say_is_rejected_with_the_reason() {
        let long = format!(r#"{{"reason":"{}"}}"#, "ü".repeat(62));
        for (json, why) in [
            (r#"{"code":1006}"#, "1006 is not a close code"),
            (r#"{"code":70000}"#, "70000"),
            (r#"{"code":4010,"comeBack":"now"}"#, "something else than comeBack"),
            (r#"{"code":4999,"comeBack":100}"#, "something else than comeBack"),
            (r#"{"comeBack":100,"reason":"soon"}"#, "leave reason out"),
            (r#"{"comeBack":3600001}"#, "at most 3600000"),
            (r#"{"comeBack":-1}"#, "milliseconds"),
            (r#"{"comeBack":1.5}"#, "milliseconds"),
            (r#"{"comeBack":"later"}"#, "milliseconds"),
            (&long, "124 bytes"),
        ] {
            let problem = read(json).expect_err(json);
            assert!(problem.contains(why), "{json}: {problem}");
        }
    }
}
