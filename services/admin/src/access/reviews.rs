//! Callers with a token of Kubernetes: the Kubernetes API says whose it is (TokenReview). Its answers count for 30 s, wrong tokens
//! included, and at most a thousand are kept: a removed service account stops working within that time.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::token::Digest;

/// How long an answer counts.
pub(super) const COUNTS_FOR: Duration = Duration::from_secs(30);
/// Most answers that are kept. Beyond that, the Kubernetes API is asked each time.
const MAX_KEPT: usize = 1_000;
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

/// Asks the Kubernetes API whose tokens are.
pub(super) struct Reviews {
    api: Api<TokenReview>,
    turns: Semaphore,
    /// What was answered, by the token's SHA-256. None: it is nobody's.
    answers: Mutex<HashMap<Digest, (Instant, Option<User>)>>,
}

impl Reviews {
    /// Asks with this client.
    pub(super) fn new(client: Client) -> Self {
        Self {
            api: Api::all(client),
            turns: Semaphore::new(AT_ONCE),
            answers: Mutex::default(),
        }
    }

    /// Whose token this is; None if nobody's.
    ///
    /// # Errors
    /// When the Kubernetes API does not say. The sentence says why.
    pub(super) async fn user(&self, token: &str) -> Result<Option<User>, String> {
        let digest = Digest::of(token);
        let known = self.answers.lock().get(&digest).cloned();
        if let Some((until, user)) = known
            && Instant::now() < until
        {
            return Ok(user);
        }
        let asking = timeout(LIMIT, self.ask(token)).await;
        let user = asking.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))?;
        let now = Instant::now();
        let mut answers = self.answers.lock();
        if answers.len() >= MAX_KEPT {
            answers.retain(|_, (until, _)| now < *until);
        }
        if answers.len() < MAX_KEPT {
            answers.insert(digest, (now + COUNTS_FOR, user.clone()));
        }
        Ok(user)
    }

    async fn ask(&self, token: &str) -> Result<Option<User>, String> {
        let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let created = self.api.create(&PostParams::default(), &review).await;
        let status = created.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true));
        Ok(user.and_then(|user| {
            Some(User {
                name: user.username.filter(|name| !name.is_empty())?,
                groups: user.groups.unwrap_or_default(),
            })
        }))
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
                let status = match review["spec"]["token"] == "right" {
                    true => json!({"authenticated": true, "user": {"username": "ann", "groups": ["ops"]}}),
                    false => json!({"authenticated": false, "error": "no"}),
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
        let reviews = Reviews::new(client);
        let ann = User {
            name: "ann".to_owned(),
            groups: vec!["ops".to_owned()],
        };
        for _ in 0..3 {
            assert_eq!(reviews.user("right").await, Ok(Some(ann.clone())));
            assert_eq!(reviews.user("wrong").await, Ok(None));
        }
        assert_eq!(asked.load(Relaxed), 2);
        tokio::time::advance(COUNTS_FOR).await;
        assert_eq!(reviews.user("right").await, Ok(Some(ann)));
        assert_eq!(asked.load(Relaxed), 3);
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_no_answer_about_the_token() {
        let (client, _) = api_server(false);
        let why = Reviews::new(client).user("right").await.expect_err("forbidden");
        assert!(why.contains("forbidden"), "{why}");
    }

    #[tokio::test]
    async fn the_number_of_answers_that_are_kept_is_bounded() {
        let (client, _) = api_server(true);
        let reviews = Reviews::new(client);
        for number in 0..MAX_KEPT + 10 {
            assert_eq!(reviews.user(&number.to_string()).await, Ok(None));
        }
        assert_eq!(reviews.answers.lock().len(), MAX_KEPT);
    }
}
