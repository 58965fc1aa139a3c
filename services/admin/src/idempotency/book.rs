//! The keys that are remembered, each with what it was used for and the answer. Bounded in bytes and in running requests.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Uri, response};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::problem::Problem;

/// How long a key is remembered after the answer.
const KEPT_FOR: Duration = Duration::from_secs(120);
/// Most bytes of keys and answers; a message's takes some hundred.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Most requests with a key that run at once.
const MAX_RUNNING: usize = 256;
/// Largest answer that is remembered; of a larger one, and of one that takes more than is reserved and left, it is remembered only
/// that it was given.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// What a request that runs has reserved for its answer. All that may run at once reserve half of the book.
const RESERVED_BYTES: usize = 64 * 1024;
/// What an entry costs beside its key and its answer's body: headers, the maps.
const OVERHEAD_BYTES: usize = 512;

/// The keys of one admin. Cheap to clone. Owns the requests that run with a key.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    book: Arc<Mutex<Book>>,
    /// Two, because a request that only looks the same must not get another one's answer.
    hashers: [RandomState; 2],
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What a key was used for: method, path, query and body.
pub(crate) type Fingerprint = [u64; 2];

/// An answer, whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: response::Parts,
    pub(crate) body: Bytes,
}

/// What a request with a key has to do.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Run, and finish the entry.
    New(Running),
    /// Give this answer.
    Repeat(Answer),
    /// Wait: the first request is still running.
    Running,
    /// The key belongs to another request.
    Different,
    /// No more keys can be remembered.
    Full,
}

#[derive(Debug)]
struct Book {
    max_bytes: usize,
    entries: HashMap<Arc<str>, Entry>,
    /// Those that have an answer, by the time when they are forgotten.
    ends: VecDeque<(Instant, Arc<str>)>,
    bytes: usize,
    running: usize,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    cost: usize,
    /// None while the request runs; then the cost has what is reserved.
    answer: Option<Answer>,
}

/// A key whose request runs. Dropped without an answer, it is forgotten.
#[derive(Debug)]
pub(crate) struct Running {
    book: Arc<Mutex<Book>>,
    key: Arc<str>,
}

impl Default for Keys {
    fn default() -> Self {
        Self::limited(MAX_BYTES)
    }
}

impl Keys {
    /// Keys that take up to so many bytes.
    fn limited(max_bytes: usize) -> Self {
        let book = Book {
            max_bytes,
            entries: HashMap::new(),
            ends: VecDeque::new(),
            bytes: 0,
            running: 0,
        };
        Self {
            book: Arc::new(Mutex::new(book)),
            hashers: [RandomState::new(), RandomState::new()],
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// What a request is told apart from others by.
    pub(crate) fn fingerprint(&self, method: &Method, uri: &Uri, body: &Bytes) -> Fingerprint {
        let request = (method, uri.path(), uri.query(), body);
        self.hashers.each_ref().map(|hasher| hasher.hash_one(request))
    }

    /// Looks a key up, and notes it if it is new.
    pub(crate) fn take(&self, key: String, fingerprint: Fingerprint) -> Taken {
        let mut book = self.book.lock();
        book.forget_old(Instant::now());
        if let Some(entry) = book.entries.get(key.as_str()) {
            return match &entry.answer {
                _ if entry.fingerprint != fingerprint => Taken::Different,
                Some(answer) => Taken::Repeat(answer.clone()),
                None => Taken::Running,
            };
        }
        let cost = key.len() + OVERHEAD_BYTES + RESERVED_BYTES;
        if book.bytes + cost > book.max_bytes || book.running >= MAX_RUNNING {
            return Taken::Full;
        }
        book.bytes += cost;
        book.running += 1;
        let key: Arc<str> = key.into();
        let entry = Entry {
            fingerprint,
            cost,
            answer: None,
        };
        book.entries.insert(key.clone(), entry);
        Taken::New(Running {
            book: self.book.clone(),
            key,
        })
    }

    /// Runs a request to its end, whether its caller waits or not. Nothing if this admin ends before.
    pub(crate) async fn run<T: Send + 'static>(&self, request: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let stop = self.stop.clone();
        let task = self.tasks.spawn(async move { stop.run_until_cancelled(request).await });
        match task.await {
            Ok(done) => done,
            // A panic is the request's own, whether it has a key or not.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }

    /// Ends the requests that still run.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Running {
    /// Remembers the answer from now on.
    pub(crate) fn finish(self, answer: Answer) {
        let mut book = self.book.lock();
        let book = &mut *book;
        let Some(entry) = book.entries.get_mut(&self.key) else {
            return;
        };
        let without = book.bytes - RESERVED_BYTES;
        let answer = match answer.body.len() {
            bytes if bytes > MAX_ANSWER_BYTES || without + bytes > book.max_bytes => too_large(bytes),
            _ => answer,
        };
        let bytes = answer.body.len();
        book.bytes = without + bytes;
        entry.cost = entry.cost - RESERVED_BYTES + bytes;
        entry.answer = Some(answer);
        book.ends.push_back((Instant::now() + KEPT_FOR, self.key.clone()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut book = self.book.lock();
        book.running = book.running.saturating_sub(1);
        if book.entries.get(&self.key).is_some_and(|entry| entry.answer.is_none()) {
            book.forget(&self.key);
        }
    }
}

impl Book {
    fn forget_old(&mut self, now: Instant) {
        while let Some((_, key)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.cost;
        }
    }
}

/// Stands for an answer that is not remembered.
fn too_large(bytes: usize) -> Answer {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    let detail = format!(
        "the request with this idempotency key was carried out; its answer of {bytes} bytes was too large to be remembered"
    );
    let problem = Problem::new(StatusCode::CONFLICT, detail).with_code("answer-forgotten");
    let body = Bytes::from(serde_json::to_vec(&problem).unwrap_or_default());
    let (mut head, _) = problem.into_response().into_parts();
    head.extensions.clear();
    Answer { head, body }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn answer(text: &str) -> Answer {
        let (head, _) = "".into_response().into_parts();
        let body = Bytes::copy_from_slice(text.as_bytes());
        Answer { head, body }
    }

    fn new(keys: &Keys, key: &str) -> Running {
        match keys.take(key.to_owned(), [1, 1]) {
            Taken::New(running) => running,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_remembered_for_two_minutes_after_it_was_given() {
        let keys = Keys::default();
        let running = new(&keys, "a");
        tokio::time::advance(KEPT_FOR * 2).await;
        assert!(matches!(keys.take("a".to_owned(), [1, 1]), Taken::Running));
        running.finish(answer("done"));
        tokio::time::advance(KEPT_FOR - Duration::from_millis(1)).await;
        assert!(matches!(keys.take("a".to_owned(), [1, 1]), Taken::Repeat(answer) if answer.body == "done"));
        assert!(matches!(keys.take("a".to_owned(), [1, 2]), Taken::Different));
        tokio::time::advance(Duration::from_millis(1)).await;
        drop(new(&keys, "a"));
        let book = keys.book.lock();
        assert_eq!(
            (book.bytes, book.running, book.entries.len(), book.ends.len()),
            (0, 0, 0, 0)
        );
    }

    #[tokio::test]
    async fn a_full_book_takes_no_new_key_and_forgets_none() {
        let keys = Keys::limited(2 * (OVERHEAD_BYTES + 1) + 8 + RESERVED_BYTES);
        new(&keys, "a").finish(answer("12345678"));
        let second = new(&keys, "b");
        assert!(matches!(keys.take("c".to_owned(), [1, 1]), Taken::Full));
        assert!(matches!(keys.take("a".to_owned(), [1, 1]), Taken::Repeat(_)));
        drop(second);
        drop(new(&keys, "c"));
    }

    #[tokio::test]
    async fn the_book_keeps_to_its_bytes_while_requests_run() {
        let max_bytes = 3 * (OVERHEAD_BYTES + 1 + RESERVED_BYTES);
        let keys = Keys::limited(max_bytes);
        let (first, second, third) = (new(&keys, "a"), new(&keys, "b"), new(&keys, "c"));
        let bytes = || keys.book.lock().bytes;
        assert_eq!(bytes(), max_bytes);
        // Not more than is reserved is left.
        first.finish(answer(&"x".repeat(RESERVED_BYTES + 1)));
        assert!(
            matches!(keys.take("a".to_owned(), [1, 1]), Taken::Repeat(answer) if answer.head.status.as_u16() == 409)
        );
        second.finish(answer(&"x".repeat(RESERVED_BYTES)));
        assert!(matches!(keys.take("b".to_owned(), [1, 1]), Taken::Repeat(answer) if answer.head.status.is_success()));
        // The first has left room for more than is reserved.
        third.finish(answer(&"x".repeat(RESERVED_BYTES + 1)));
        assert!(matches!(keys.take("c".to_owned(), [1, 1]), Taken::Repeat(answer) if answer.head.status.is_success()));
        assert!(bytes() <= max_bytes);
    }

    #[tokio::test]
    async fn requests_that_run_are_limited_and_large_answers_are_not_kept() {
        let keys = Keys::default();
        let running: Vec<_> = (0..MAX_RUNNING).map(|number| new(&keys, &number.to_string())).collect();
        assert!(matches!(keys.take("one more".to_owned(), [1, 1]), Taken::Full));
        drop(running);
        new(&keys, "large").finish(answer(&"x".repeat(MAX_ANSWER_BYTES + 1)));
        let Taken::Repeat(repeat) = keys.take("large".to_owned(), [1, 1]) else {
            panic!("it was carried out");
        };
        assert_eq!(repeat.head.status.as_u16(), 409);
        assert!(String::from_utf8_lossy(&repeat.body).contains("answer-forgotten"));
    }
}
