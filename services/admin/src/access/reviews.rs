//! Callers with a token of Kubernetes: the Kubernetes API says whose it is (TokenReview). Its answers count for 30 s, and at most a
//! thousand are kept: a removed service account stops working within that time. Wrong tokens have a place of their own, so that they
//! push out no right one.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::caller::is_short_line;
use super::questions::Questions;
use super::token::Digest;
use crate::kubernetes::said;

/// How long an answer counts.
pub(super) const COUNTS_FOR: Duration = Duration::from_secs(30);
/// Most answers that are kept. Beyond that, the Kubernetes API is asked each time.
const MAX_KEPT: usize = 1_000;
/// Most wrong tokens that are kept.
const MAX_WRONG: usize = 200;
/// Longest name of a user: service accounts have long ones.
const MAX_USER_CHARS: usize = 400;
/// Most questions at once. Others wait for their turn.
const AT_ONCE: usize = 8;
/// Longest time for one question, the wait for its turn included.
const LIMIT: Duration = Duration::from_secs(3);

/// A user, as the Kubernetes API names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

/// Why it is not known whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// The Kubernetes API does not say; why.
    Failed(String),
    /// The address has too many tokens in question.
    Crowded,
}

/// Asks the Kubernetes API whose tokens are.
pub(super) struct Reviews {
    api: Api<TokenReview>,
    /// The audiences that tokens must be for. None: the Kubernetes API itself.
    audiences: Vec<String>,
    turns: Semaphore,
    questions: Questions,
    /// Whose tokens are, by their SHA-256, and until when that counts.
    answers: Mutex<Answers<User>>,
    /// Tokens that are nobody's.
    wrong: Mutex<Answers<()>>,
}

type Answers<T> = HashMap<Digest, (Instant, T)>;

impl Reviews {
    /// Asks with this client about tokens that are for one of these audiences.
    pub(super) fn new(client: Client, audiences: Vec<String>) -> Self {
        Self {
            api: Api::all(client),
            audiences,
            turns: Semaphore::new(AT_ONCE),
            questions: Questions::default(),
            answers: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// Whose token this is, which came from this address; None if nobody's.
    ///
    /// # Errors
    /// When it is not known now.
    pub(super) async fn user(&self, token: &str, address: Option<IpAddr>) -> Result<Option<User>, Unsaid> {
        let digest = Digest::of(token);
        if let Some(known) = self.known(&digest) {
            return Ok(known);
        }
        let question = self.questions.begin(address, digest).ok_or(Unsaid::Crowded)?;
        let asking = async {
            let _turn = question.turn().await;
            // Another request with the same token may have asked meanwhile.
            if let Some(known) = self.known(&digest) {
                return Ok(known);
            }
            let user = self.ask(token).await?;
            let until = Instant::now() + COUNTS_FOR;
            match &user {
                Some(user) => keep(&mut self.answers.lock(), MAX_KEPT, digest, (until, user.clone())),
                None => keep(&mut self.wrong.lock(), MAX_WRONG, digest, (until, ())),
            }
            Ok(user)
        };
        let answered = timeout(LIMIT, asking).await;
        answered
            .unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
            .map_err(Unsaid::Failed)
    }

    /// What was answered before, if that counts.
    fn known(&self, digest: &Digest) -> Option<Option<User>> {
        let now = Instant::now();
        let user = self.answers.lock().get(digest).cloned();
        if let Some((_, user)) = user.filter(|(until, _)| now < *until) {
            return Some(Some(user));
        }
        let is_wrong = self.wrong.lock().get(digest).is_some_and(|(until, ())| now < *until);
        is_wrong.then_some(None)
    }

    async fn ask(&self, token: &str) -> Result<Option<User>, String> {
        let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
        let audiences = (!self.audiences.is_empty()).then(|| self.audiences.clone());
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                audiences,
            },
            ..TokenReview::default()
        };
        let created = self.api.create(&PostParams::default(), &review).await;
        let status = created.map_err(|error| said(&error))?.status.unwrap_or_default();
        // An API that does not know audiences answers none: then the token is for the API.
        let audiences = status.audiences.unwrap_or_default();
        let is_for_us = self.audiences.is_empty() || audiences.iter().any(|one| self.audiences.contains(one));
        let is_right = status.authenticated == Some(true) && is_for_us;
        let user = status.user.filter(|_| is_right);
        Ok(user.and_then(|user| {
            Some(User {
                name: user.username.filter(|name| is_short_line(name, MAX_USER_CHARS))?,
                groups: user.groups.unwrap_or_default(),
            })
        }))
    }
}

/// Keeps an answer if there is room. Old ones make room.
fn keep<T>(answers: &mut Answers<T>, most: usize, digest: Digest, answer: (Instant, T)) {
    if answers.len() >= most {
        let now = Instant::now();
        answers.retain(|_, (until, _)| now < *until);
    }
    if answers.len() < most || answers.contains_key(&digest) {
        answers.insert(digest, answer);
    }
}

impl fmt::Debug for Reviews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reviews").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use axum::http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::access::questions::OF_ADDRESS;

    /// A client of an API server that knows one token, and how often it was asked.
    fn api_server(allowed: bool) -> (Client, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counting = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            counting.fetch_add(1, Relaxed);
            async move {
                assert_eq!(request.uri().path(), "/apis/authentication.k8s.io/v1/tokenreviews");
                let body = request.into_body().collect_bytes().await.expect("a body");
                let review: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
                let user = |name: &str| json!({"username": name, "groups": ["ops"]});
                let status = match review["spec"]["token"].as_str() {
                    Some("right") => json!({"authenticated": true, "user": user("ann")}),
                    Some("for wsmesh") => {
                        // As an API server says it that knows audiences.
                        let is_asked = review["spec"]["audiences"] == json!(["wsmesh", "other"]);
                        json!({"authenticated": is_asked, "user": user("ann"), "audiences": ["wsmesh"]})
                    }
                    Some("for another") => {
                        json!({"authenticated": true, "user": user("ann"), "audiences": ["vault"]})
                    }
                    Some("two lines") => json!({"authenticated": true, "user": user("ann\nbob")}),
                    _ => json!({"authenticated": false, "error": "no"}),
                };
                let (code, answer) = match allowed {
                    true => (
                        201,
                        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
                        "spec": {}, "status": status}),
                    ),
                    false => (
                        403,
                        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": "tokenreviews is forbidden", "reason": "Forbidden", "code": 403}),
                    ),
                };
                let response = Response::builder().status(code);
                Ok::<_, Infallible>(
                    response
                        .body(Body::from(answer.to_string().into_bytes()))
                        .expect("a response"),
                )
            }
        });
        (Client::new(service, "game"), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn the_kubernetes_api_is_asked_once_and_again_when_its_answer_is_old() {
        let (client, asked) = api_server(true);
        let reviews = Reviews::new(client, Vec::new());
        let ann = User {
            name: "ann".to_owned(),
            groups: vec!["ops".to_owned()],
        };
        for _ in 0..3 {
            assert_eq!(reviews.user("right", None).await, Ok(Some(ann.clone())));
            assert_eq!(reviews.user("wrong", None).await, Ok(None));
        }
        assert_eq!(asked.load(Relaxed), 2);
        tokio::time::advance(COUNTS_FOR).await;
        assert_eq!(reviews.user("right", None).await, Ok(Some(ann)));
        assert_eq!(asked.load(Relaxed), 3);
    }

    #[tokio::test]
    async fn a_token_for_another_audience_is_nobodys() {
        let (client, _) = api_server(true);
        let reviews = Reviews::new(client, vec!["wsmesh".to_owned(), "other".to_owned()]);
        let is_right = async |token: &str| reviews.user(token, None).await.expect("answered").is_some();
        assert!(is_right("for wsmesh").await);
        // The last is what an API server says that does not know audiences.
        for wrong in ["for another", "right"] {
            assert!(!is_right(wrong).await, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_no_short_line_is_nobodys() {
        let (client, _) = api_server(true);
        let reviews = Reviews::new(client, Vec::new());
        assert_eq!(reviews.user("two lines", None).await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_kubernetes_api_hangs_an_address_has_few_tokens_in_question() {
        let service =
            tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
        let reviews = Arc::new(Reviews::new(Client::new(service, "game"), Vec::new()));
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let asked = (0..OF_ADDRESS + 5).map(|number| {
            let reviews = reviews.clone();
            async move { reviews.user(&number.to_string(), address).await }
        });
        let answers = futures_util::future::join_all(asked).await;
        let crowded = answers.iter().filter(|answer| **answer == Err(Unsaid::Crowded));
        assert_eq!(crowded.count(), 5, "{answers:?}");
        // They have ended.
        assert!(matches!(reviews.user("x", address).await, Err(Unsaid::Failed(_))));
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_no_answer_about_the_token() {
        let (client, _) = api_server(false);
        let reviews = Reviews::new(client, Vec::new());
        let why = reviews.user("right", None).await.expect_err("forbidden");
        assert!(
            matches!(&why, Unsaid::Failed(why) if why.contains("forbidden")),
            "{why:?}"
        );
    }

    #[tokio::test]
    async fn the_number_of_answers_that_are_kept_is_bounded() {
        let (client, _) = api_server(true);
        let reviews = Reviews::new(client, Vec::new());
        for number in 0..MAX_KEPT + 10 {
            assert_eq!(reviews.user(&number.to_string(), None).await, Ok(None));
        }
        assert_eq!(reviews.wrong.lock().len(), MAX_WRONG);
        // They push out no right one, and leave room for it.
        assert!(reviews.user("right", None).await.is_ok_and(|user| user.is_some()));
        assert_eq!(reviews.answers.lock().len(), 1);
        let mut answers = Answers::new();
        for number in 0..MAX_KEPT + 10 {
            let until = Instant::now() + COUNTS_FOR;
            keep(&mut answers, MAX_KEPT, Digest::of(&number.to_string()), (until, ()));
        }
        assert_eq!(answers.len(), MAX_KEPT);
    }
}
