//! Why a collector did not get, or did not take, what it was sent, and what to do about it: in the same words for every signal.

use axum::http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::signal::Signal;

/// Longest text of a collector that is logged, in characters.
const MAX_SAID: usize = 200;

/// Why something did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody answered, or not in time; with the reason, which names no secrets.
    NoAnswer(String),
    /// The collector answered that it does not take them.
    Refused(StatusCode),
    /// The collector took the others.
    Rejected(Rejected),
}

/// What a collector did not take of a request that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// How many spans, values or lines, as the collector says.
    pub(crate) items: u64,
    /// Why, in the words of the collector; may be empty.
    pub(crate) why: String,
}

impl Rejected {
    /// Reads an answer. One that is no message of OTLP says nothing about what was taken.
    pub(super) fn of(answer: &[u8]) -> Option<Self> {
        // The answers for traces, metrics and logs have the same fields with the same numbers.
        let part = ExportTraceServiceResponse::decode(answer).ok()?.partial_success?;
        let items = u64::try_from(part.rejected_spans).ok().filter(|items| *items > 0)?;
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let why = part.error_message.chars().map(plain).take(MAX_SAID).collect();
        Some(Self { items, why })
    }
}

impl Failure {
    /// Whether the same batch may be taken later, by the specification of OTLP.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Rejected(_) => false,
        }
    }

    /// The reason as it was told, if it was.
    pub(super) fn why(&self) -> Option<&str> {
        match self {
            Self::NoAnswer(why) => Some(why),
            Self::Rejected(part) => Some(&*part.why).filter(|why| !why.is_empty()),
            Self::Refused(_) => None,
        }
    }
}

/// What to do about it.
pub(super) fn advice(signal: Signal, failure: &Failure) -> String {
    let name = signal.variable();
    let variable = |what: &str| format!("OTEL_EXPORTER_OTLP_{name}_{what} or OTEL_EXPORTER_OTLP_{what}");
    let endpoint = variable("ENDPOINT");
    let Failure::Refused(status) = failure else {
        return match failure {
            Failure::NoAnswer(_) => format!(
                "check that {endpoint} is right, that a server answers there, and its certificate if it is https"
            ),
            _ => "its own log says why".to_owned(),
        };
    };
    match status.as_u16() {
        300..=399 => {
            format!("it says that they belong elsewhere, which is not followed: write that address in {endpoint}")
        }
        401 | 403 | 407 => format!("check {}, or user and password in {endpoint}", variable("HEADERS")),
        404 | 405 => format!(
            "check the path of {endpoint}: collectors usually take {} at {}",
            signal.plural(),
            signal.path()
        ),
        413 => match signal {
            Signal::Traces => {
                "allow larger requests there, or send fewer spans at once with OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
            }
            Signal::Metrics => "allow larger requests there",
            Signal::Logs => {
                "allow larger requests there, or send fewer lines at once with OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"
            }
        }
        .to_owned(),
        429 | 502..=504 => match signal {
            Signal::Traces => {
                "it has too much to do or does not work: if that lasts, sample less with OTEL_TRACES_SAMPLER=parentbased_traceidratio and a \
                 share in OTEL_TRACES_SAMPLER_ARG"
            }
            Signal::Metrics => {
                "it has too much to do or does not work: push less often with OTEL_METRIC_EXPORT_INTERVAL if that lasts"
            }
            Signal::Logs => "it has too much to do or does not work: log less with --log-level if that lasts",
        }
        .to_owned(),
        _ => "its own log says why; it must take OTLP over HTTP as protobuf".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
    use opentelemetry_proto::tonic::collector::metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
    };

    use super::*;

    #[test]
    fn every_failure_of_every_signal_has_advice_that_names_its_own_variables() {
        let refused = |status| Failure::Refused(StatusCode::from_u16(status).expect("valid"));
        for signal in Signal::ALL {
            let own = format!("OTEL_EXPORTER_OTLP_{}_", signal.variable());
            for (failure, part) in [
                (Failure::NoAnswer("refused".to_owned()), "certificate"),
                (refused(307), "elsewhere"),
                (refused(401), "_HEADERS"),
                (refused(403), "password"),
                (refused(404), signal.path()),
                (refused(405), signal.path()),
                (refused(413), "larger requests"),
                (refused(429), "too much to do"),
                (refused(503), "too much to do"),
                (refused(400), "own log"),
                (refused(500), "own log"),
                (
                    Failure::Rejected(Rejected {
                        items: 1,
                        why: String::new(),
                    }),
                    "own log",
                ),
            ] {
                let advice = advice(signal, &failure);
                assert!(advice.contains(part), "{signal:?}, {failure:?}: {advice}");
                let of_certificate = matches!(failure, Failure::NoAnswer(_));
                assert_eq!(advice.contains("certificate"), of_certificate, "{signal:?}: {advice}");
                for other in Signal::ALL.into_iter().filter(|other| *other != signal) {
                    let of_other = format!("OTLP_{}_", other.variable());
                    assert!(!advice.contains(&of_other), "{signal:?}, {failure:?}: {advice}");
                }
                let names_endpoint = advice.contains("_ENDPOINT");
                assert_eq!(
                    names_endpoint,
                    advice.contains(&own),
                    "{signal:?}, {failure:?}: {advice}"
                );
            }
            let busy = advice(signal, &refused(429));
            let only_for_traces = busy.contains("OTEL_TRACES_SAMPLER=parentbased_traceidratio")
                && busy.contains("OTEL_TRACES_SAMPLER_ARG");
            assert_eq!(only_for_traces, signal == Signal::Traces, "{busy}");
        }
    }

    #[test]
    fn what_a_collector_rejected_is_read_from_the_answer_for_each_signal_and_nothing_else_is() {
        let why = "too old\n".repeat(100);
        let of_logs = ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess {
                rejected_log_records: 3,
                error_message: why.clone(),
            }),
        };
        let of_metrics = |rejected_data_points| {
            let partial_success = Some(ExportMetricsPartialSuccess {
                rejected_data_points,
                error_message: why.clone(),
            });
            ExportMetricsServiceResponse { partial_success }.encode_to_vec()
        };
        for answer in [of_logs.encode_to_vec(), of_metrics(3)] {
            let rejected = Rejected::of(&answer).expect("some were");
            assert_eq!((rejected.items, rejected.why.len()), (3, MAX_SAID));
            assert!(!rejected.why.contains('\n'), "{}", rejected.why);
        }
        // A warning without a rejection, and what is no answer.
        for answer in [
            of_metrics(0),
            of_metrics(-5),
            Vec::new(),
            b"no message of OTLP".to_vec(),
        ] {
            assert_eq!(Rejected::of(&answer), None, "{answer:?}");
        }
    }
}
