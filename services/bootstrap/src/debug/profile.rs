//! The CPU profile of this process: which functions use its time. In the form of pprof, which `go tool pprof` reads.
//!
//! A timer of the kernel interrupts whichever thread runs, 99 times per second of CPU time, and the stack of that thread is noted.
//! Nothing is noted in the C library and what it calls, as a stack cannot be read safely there; that includes system calls. So the
//! sum of a profile is less than the CPU time that was used.

use std::convert::Infallible;
use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use pprof::protos::Message;
use pprof::{ProfilerGuard, ProfilerGuardBuilder, Symbol};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::gzip;

/// Stacks that are noted per second of CPU time: not in step with what happens a hundred times per second.
const FREQUENCY_HZ: i32 = 99;
/// Longest profile, in seconds. It must be shorter than a connection of the ops port may take to read its answer.
const MAX_SECONDS: u64 = 60;
/// How long a profile takes if the request does not say.
const SECONDS: u64 = 10;
/// How often the peer is sent something: without it, nobody would learn that the peer has gone.
const SIGN: Duration = Duration::from_secs(1);
/// Where no stack can be read while it is in use.
const BLOCKED: [&str; 4] = ["libc.so", "libgcc", "pthread", "vdso"];

/// Whether a profile is taken: of this process, however many servers are in it.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// How many of the innermost frames of a stack may be those of the profiler.
const MAX_OF_PROFILER: usize = 8;
/// How the names of the profiler's own functions begin.
const OF_PROFILER: [&str; 2] = ["backtrace::", "pprof::"];
/// The function of the profiler that the signal calls: all frames before it are of the profiler, whatever they are called.
const HANDLER: &str = "perf_signal_handler";
/// What returns from a handler of signals, in the C libraries.
const TRAMPOLINES: [&str; 3] = ["__restore_rt", "__kernel_rt_sigreturn", "_sigtramp"];

/// What a stack is called that holds nothing but the profiler.
const UNKNOWN: &[u8] = b"unknown";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default = "default_seconds")]
    seconds: u64,
}

fn default_seconds() -> u64 {
    SECONDS
}

/// How long a profile is to take. An error says what may be asked for.
fn seconds(uri: &Uri) -> Result<u64, String> {
    let allowed = format!("seconds must be 1 to {MAX_SECONDS}: /debug/profile?seconds={SECONDS}");
    match Query::<Parameters>::try_from_uri(uri) {
        Ok(Query(asked)) if (1..=MAX_SECONDS).contains(&asked.seconds) => Ok(asked.seconds),
        Ok(_) => Err(allowed),
        Err(rejection) => {
            // It names an unknown parameter.
            let why = rejection.source().map(ToString::to_string);
            Err(format!("{}; {allowed}", why.unwrap_or_else(|| rejection.to_string())))
        }
    }
}

/// `GET /debug/profile?seconds=10`. The answer begins at once and has its content when the profile is done.
pub(super) async fn answer(uri: Uri) -> Response {
    let seconds = match seconds(&uri) {
        Ok(seconds) => seconds,
        Err(problem) => return (StatusCode::BAD_REQUEST, problem + "\n").into_response(),
    };
    let Some(turn) = Turn::take() else {
        let text = "another profile of this process is being taken: wait until it is done\n";
        return (StatusCode::CONFLICT, text).into_response();
    };
    let begun = spawn_blocking(move || Profiling::begin(turn)).await;
    match begun.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(profiling) => {
            tracing::info!(seconds, "a CPU profile is taken on request");
            let content = profiling.content(Duration::from_secs(seconds));
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            (kind, Body::from_stream(content)).into_response()
        }
        Err(problem) => {
            tracing::error!(
                problem,
                "a CPU profile cannot be taken: does another profiler use SIGPROF in this process?"
            );
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("no profile can be taken: {problem}\n"),
            )
                .into_response()
        }
    }
}

/// The right to take the profile. Dropping it lets the next one begin.
struct Turn(());

impl Turn {
    fn take() -> Option<Self> {
        let is_free = TAKEN.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed);
        is_free.ok().map(|_| Self(()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

/// A profile that is being taken. Dropping it ends that.
struct Profiling {
    // In this order: the timer stops before the next profile may begin.
    guard: ProfilerGuard<'static>,
    _turn: Turn,
}

impl Profiling {
    /// Blocks for a moment: the first time, what reads stacks is set up.
    fn begin(turn: Turn) -> Result<Self, String> {
        let builder = ProfilerGuardBuilder::default()
            .frequency(FREQUENCY_HZ)
            .blocklist(&BLOCKED);
        let guard = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { guard, _turn: turn })
    }

    /// The file, while it is made. What goes wrong is logged, and the file ends there: the answer has begun.
    fn content(self, time: Duration) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        let until = Instant::now() + time;
        let begun = stream::iter([Ok(Bytes::from_static(gzip::HEAD))]);
        let rest = stream::unfold(Some(self), move |profiling| async move {
            let profiling = profiling?;
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                sleep(left.min(SIGN)).await;
                return Some((Ok(Bytes::from_static(gzip::EMPTY_BLOCK)), Some(profiling)));
            }
            let encoded = spawn_blocking(move || profiling.encode()).await;
            let encoded = encoded.unwrap_or_else(|error| Err(error.to_string()));
            let problem = encoded.as_ref().err();
            if let Some(problem) = problem {
                tracing::error!(problem, "a CPU profile cannot be written: this is a bug");
            }
            encoded.ok().map(|content| (Ok(content), None))
        });
        stream::StreamExt::chain(begun, rest)
    }

    /// Blocks: finds the names of the functions.
    fn encode(self) -> Result<Bytes, String> {
        let mut report = self.guard.report();
        let report = report.frames_post_processor(|stack| cut_profiler(&mut stack.frames));
        let report = report.build().map_err(|error| error.to_string())?;
        drop(self);
        let profile = report.pprof().map_err(|error| error.to_string())?;
        let bytes = profile.write_to_bytes().map_err(|error| error.to_string())?;
        gzip::rest(&bytes).map(Bytes::from).map_err(|error| error.to_string())
    }
}

/// Takes the frames of the profiler itself off a stack, whose first frame is the innermost one: else each stack would end in them, and
/// the program's own functions would seem to use no time.
fn cut_profiler(frames: &mut Vec<Vec<Symbol>>) {
    let innermost = frames.iter().take(MAX_OF_PROFILER);
    // The first one: a handler of the program may have been interrupted.
    let handler = innermost.clone().position(|frame| frame.iter().any(is_handler));
    let begin = handler.map_or(0, |handler| handler + 1);
    let others = innermost
        .skip(begin)
        .take_while(|frame| frame.iter().any(is_of_profiler));
    let count = begin + others.count();
    frames.drain(..count);
    if frames.is_empty() {
        // Nothing of the program could be read.
        frames.push(vec![Symbol {
            name: Some(UNKNOWN.to_vec()),
            addr: None,
            lineno: None,
            filename: None,
        }]);
    }
}

fn is_of_profiler(symbol: &Symbol) -> bool {
    let name = symbol.name();
    // A method of a trait is shown as `<pprof::… as …>::name`.
    let name = name.trim_start_matches('<');
    OF_PROFILER.iter().any(|begin| name.starts_with(begin)) || TRAMPOLINES.contains(&name)
}

fn is_handler(symbol: &Symbol) -> bool {
    let name = symbol.name();
    TRAMPOLINES.contains(&&*name) || (name.starts_with("pprof::") && name.ends_with(HANDLER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_named_with_what_is_allowed() {
        let of = |path: &str| seconds(&path.parse().expect("a path"));
        assert_eq!(of("/debug/profile"), Ok(SECONDS));
        assert_eq!(of("/debug/profile?seconds=3"), Ok(3));
        for (wrong, named) in [
            ("second=3", "`second`"),
            ("seconds=3&thread=a", "`thread`"),
            ("seconds=0", "1 to 60"),
        ] {
            let problem = of(&format!("/debug/profile?{wrong}")).expect_err("refused");
            assert!(
                problem.contains(named) && problem.contains("seconds must be 1 to 60"),
                "{problem}"
            );
        }
    }

    fn frame(names: &[&str]) -> Vec<Symbol> {
        let symbol = |name: &&str| Symbol {
            name: Some(name.as_bytes().to_vec()),
            addr: None,
            lineno: None,
            filename: None,
        };
        names.iter().map(symbol).collect()
    }

    fn cut(frames: &[&[&str]]) -> Vec<String> {
        let mut frames: Vec<Vec<Symbol>> = frames.iter().map(|names| frame(names)).collect();
        cut_profiler(&mut frames);
        frames.iter().map(|frame| frame[0].name()).collect()
    }

    #[test]
    fn a_stack_ends_in_a_function_of_the_program_and_not_in_the_profiler() {
        let profiler: [&[&str]; 4] = [
            &[
                "backtrace::backtrace::libunwind::trace",
                "backtrace::backtrace::trace_unsynchronized",
            ],
            &["<pprof::backtrace::backtrace_rs::Trace as pprof::backtrace::Trace>::trace"],
            // A function of the standard library that was inlined into one of the profiler.
            &[
                "core::ops::function::FnOnce::call_once",
                "pprof::profiler::perf_signal_handler",
            ],
            &["__restore_rt"],
        ];
        let program: [&[&str]; 2] = [&["ws_node::session::read"], &["pprof::is_called_by", "main"]];
        let stack = [&profiler[..], &program].concat();
        assert_eq!(cut(&stack), ["ws_node::session::read", "pprof::is_called_by"]);
        assert_eq!(cut(&program), ["ws_node::session::read", "pprof::is_called_by"]);
        assert_eq!(cut(&profiler), ["unknown"]);
        assert_eq!(cut(&[&["ws_node::pprof::own"]]), ["ws_node::pprof::own"]);
    }

    #[test]
    fn a_frame_of_another_library_within_the_profiler_hides_nothing_and_no_handler_of_the_program_is_cut() {
        let profiler: [&[&str]; 6] = [
            &["backtrace::backtrace::libunwind::trace"],
            // Not inlined in a build that is not optimised.
            &["core::ops::function::impls::call_mut"],
            &["<pprof::backtrace::backtrace_rs::Trace as pprof::backtrace::Trace>::trace"],
            &["std::sync::poison::rwlock::try_write"],
            &["pprof::profiler::perf_signal_handler"],
            &["__restore_rt"],
        ];
        let program: [&[&str]; 3] = [&["tokio::signal::unix::action"], &["__restore_rt"], &["main"]];
        let all = ["tokio::signal::unix::action", "__restore_rt", "main"];
        assert_eq!(cut(&[&profiler[..], &program].concat()), all);
        // The name of the handler could not be read.
        let without_name = [&profiler[..4], &profiler[5..], &program].concat();
        assert_eq!(cut(&without_name), all);
        let without_trampoline = [&profiler[..5], &program].concat();
        assert_eq!(cut(&without_trampoline), all);
        assert_eq!(cut(&profiler), ["unknown"]);
        // What is further out is of the program.
        let mut deep = vec![&["game_logic::run"][..]; 8];
        deep.push(&["pprof::profiler::perf_signal_handler"]);
        assert_eq!(cut(&deep).len(), 9);
    }
}
