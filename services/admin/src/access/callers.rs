//! Who may use the API: the tokens of the files, of an identity provider and of Kubernetes, and how often an address may show
//! wrong ones. Knows no HTTP.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wsmesh_tokens::{Failures, Rate, VerifyError};

use super::caller::Caller;
use super::door::Unknown;
use super::files::{Kind, Source};
use super::listing::highest;
use super::metrics::AccessMetrics;
use super::reviews::{Reviews, Unsaid};
use super::settings::AccessSettings;
use super::signed::Signed;
use super::token::Digest;
use super::tokens::Tokens;

/// How often the files with tokens are looked at. A token that was removed stops working within this time.
const REREAD: Duration = Duration::from_secs(5);
/// Wrong tokens that an address may show at once, and then per second: enough for people who mistype, and for callers whose token was
/// just replaced; a token cannot be guessed with it.
const WRONG_AT_ONCE: u32 = 10;
const WRONG_PER_SECOND: u32 = 1;
/// Longest token that is looked at: tokens of identity providers list groups and may have some thousand characters.
const MAX_CHARS: usize = 16 * 1024;
/// What is sent to a user of Kubernetes for longer than one answer ends after this time, as nobody says when its token expires.
const REVIEWED_STAY: Duration = Duration::from_secs(600);
/// When an address may try again that has too many tokens in question.
const CROWDED: Duration = Duration::from_secs(1);

/// Who may use the API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Access(Arc<Inner>);

struct Inner {
    /// Everyone may (demo profile only).
    open: bool,
    tokens: ArcSwap<Tokens>,
    /// Only its holder replaces the tokens.
    sources: Mutex<Vec<Source>>,
    signed: Option<Signed>,
    reviews: Option<Reviews>,
    failures: Failures,
    trusted_proxies: Vec<IpNet>,
    metrics: Option<AccessMetrics>,
}

impl Access {
    /// Everyone who reaches the port.
    #[cfg(test)]
    pub(crate) fn open() -> Self {
        Self::of(Vec::new(), |inner| inner.open = true)
    }

    /// Whoever has this token, as an operator.
    #[cfg(test)]
    pub(crate) fn of_token(token: super::token::Token) -> Self {
        Self::of(vec![Source::of_token(&token)], |_| ())
    }

    /// Whoever has a token of this file.
    #[cfg(test)]
    pub(crate) fn of_file(path: &std::path::Path) -> Self {
        let text = std::fs::read(path).expect("a file");
        let source = Source::new(Kind::List, path, &text);
        Self::of(vec![source.expect("tokens")], |_| ())
    }

    /// As the settings say; starts to fetch keys if they name a URL. `kubernetes` is the API that checks tokens.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) fn start(
        token: Option<&wsmesh_bootstrap::SecretFile>,
        settings: &AccessSettings,
        kubernetes: Option<kube::Client>,
        metrics: AccessMetrics,
    ) -> Result<Self, String> {
        let files = [(Kind::Single, token), (Kind::List, settings.tokens_file.as_ref())];
        let mut sources = Vec::new();
        for (kind, file) in files {
            if let Some(file) = file {
                let source = Source::new(kind, file.path(), file.secret().expose());
                sources.push(source.map_err(|wrong| format!("{}: {}", file.path().display(), wrong.join("; ")))?);
            }
        }
        let signed = Signed::start(settings)?;
        Ok(Self::of(sources, |inner| {
            inner.open = token.is_none() && !settings.lets_in();
            inner.signed = signed;
            let audiences = settings.kubernetes_audiences.clone();
            inner.reviews = kubernetes.map(|client| Reviews::new(client, audiences));
            inner.trusted_proxies.clone_from(&settings.trusted_proxies);
            inner.metrics = Some(metrics);
        }))
    }

    fn of(sources: Vec<Source>, set: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner {
            open: false,
            tokens: ArcSwap::from_pointee(in_force(&Tokens::default(), &sources)),
            sources: Mutex::new(sources),
            signed: None,
            reviews: None,
            failures: Failures::of(Rate::new(WRONG_PER_SECOND, WRONG_AT_ONCE)),
            trusted_proxies: Vec::new(),
            metrics: None,
        };
        set(&mut inner);
        Self(Arc::new(inner))
    }

    /// Whether no token is needed.
    pub(crate) fn is_open(&self) -> bool {
        self.0.open
    }

    pub(super) fn trusted_proxies(&self) -> &[IpNet] {
        &self.0.trusted_proxies
    }

    /// Reads the files again until `ended`.
    pub(crate) async fn run(self, ended: CancellationToken) {
        let mut every = interval(REREAD);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let reading = async {
            loop {
                every.tick().await;
                let access = self.clone();
                // A file system may hang: it hangs the reading then, and nothing else.
                let read = tokio::task::spawn_blocking(move || access.reread()).await;
                if let Err(error) = read {
                    tracing::error!(%error, "the files with tokens could not be looked at: this is a bug");
                }
            }
        };
        ended.run_until_cancelled(reading).await;
        if let Some(signed) = &self.0.signed {
            signed.stop().await;
        }
    }

    /// Reads the files again now.
    pub(crate) fn reread(&self) {
        let mut sources = self.0.sources.lock();
        let changed = sources
            .iter_mut()
            .map(Source::reread)
            .filter(|changed| *changed)
            .count();
        if changed > 0 {
            let old = self.0.tokens.load_full();
            let new = Arc::new(in_force(&old, &sources));
            self.0.tokens.store(new.clone());
            // Only now, so that nobody who ends comes back with the same token.
            old.revoke_all_but(&new);
        }
        if let Some(metrics) = &self.0.metrics {
            let wrong = sources.iter().filter(|source| source.problem.is_some()).count();
            metrics.stale_files.set(i64::try_from(wrong).unwrap_or(i64::MAX));
        }
    }

    /// For the ops port: how many tokens count, and which files are wrong.
    pub(crate) fn stats(&self) -> serde_json::Value {
        let sources = self.0.sources.lock();
        let problems: Vec<_> = sources.iter().filter_map(|source| source.problem.as_deref()).collect();
        serde_json::json!({"tokens": self.0.tokens.load().count(), "problems": problems})
    }

    /// Counts a request that was not let in.
    pub(super) fn count(&self, why: &Unknown) {
        if let Some(metrics) = &self.0.metrics {
            metrics.failed(why.reason());
        }
    }

    /// The caller that this token belongs to.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn enter(&self, token: Option<&str>, address: Option<IpAddr>) -> Result<Caller, Unknown> {
        if self.0.open {
            return Ok(Caller::demo());
        }
        let token = token.ok_or(Unknown::NoToken)?;
        self.0.failures.may_try(address).map_err(Unknown::Slowed)?;
        let found = self.find(token, address).await;
        if matches!(found, Err(Unknown::Wrong { .. })) {
            self.0.failures.count(address);
        }
        found
    }

    async fn find(&self, token: &str, address: Option<IpAddr>) -> Result<Caller, Unknown> {
        if token.len() > MAX_CHARS {
            return Err(Unknown::not_listed());
        }
        let listed = self.0.tokens.load().find(&Digest::of(token));
        if let Some(caller) = listed {
            return Ok(caller);
        }
        let is_jwt = token.split('.').count() == 3;
        let mut why = Unknown::not_listed();
        if let Some(signed) = self.0.signed.as_ref().filter(|_| is_jwt) {
            match signed.caller(token).await {
                Ok(caller) => return Ok(caller),
                Err(error) => why = unverified(&error),
            }
        }
        match self.0.reviews.as_ref().filter(|_| is_jwt) {
            Some(reviews) => self.reviewed(reviews, (token, address), why).await,
            None => Err(why),
        }
    }

    /// The caller that the Kubernetes API says; `otherwise` is why it is no other caller.
    async fn reviewed(
        &self,
        reviews: &Reviews,
        (token, address): (&str, Option<IpAddr>),
        otherwise: Unknown,
    ) -> Result<Caller, Unknown> {
        let user = reviews.user(token, address).await.map_err(|why| match why {
            Unsaid::Crowded => Unknown::Slowed(CROWDED),
            Unsaid::Failed(why) => {
                tracing::warn!(
                    why,
                    "the Kubernetes API does not say whose a token is: admin needs to create tokenreviews"
                );
                Unknown::Unavailable {
                    reason: "kubernetes",
                    detail: "the Kubernetes API does not say now whose this token is: try again".to_owned(),
                }
            }
        })?;
        let Some(user) = user else {
            return Err(otherwise);
        };
        let role = highest(&self.0.tokens.load().mappings, &user.name, &user.groups);
        let (role, clients) = role.ok_or_else(|| Unknown::Wrong {
            reason: "no_role",
            detail: format!(
                "{} has no role here: list the user or a group in the tokens file",
                user.name
            ),
        })?;
        // Names of tokens have no colon, so nobody is called as somebody else.
        let name = format!("kubernetes:{}", user.name);
        let caller = Caller::new(name, role, CancellationToken::new()).with_clients(clients);
        Ok(caller.until(Instant::now().checked_add(REVIEWED_STAY)))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

/// What the sources say together.
fn in_force(old: &Tokens, sources: &[Source]) -> Tokens {
    let listings = || sources.iter().map(|source| &source.listing);
    let tokens = listings().flat_map(|listing| listing.tokens.iter().cloned());
    let mappings = listings().flat_map(|listing| listing.mappings.iter().cloned());
    old.replaced_by(tokens.collect(), mappings.collect())
}

fn unverified(error: &VerifyError) -> Unknown {
    let (reason, detail) = (error.reason(), error.to_string());
    match error {
        VerifyError::NoKeysYet => Unknown::Unavailable { reason, detail },
        _ => Unknown::Wrong { reason, detail },
    }
}
