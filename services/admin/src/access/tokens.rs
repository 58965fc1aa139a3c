//! The tokens that count now, and what becomes of their callers when others take their place.

use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::listing::{Listed, Mapping};
use super::token::Digest;

/// All tokens that count, and the roles of users of Kubernetes.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    listed: Vec<InForce>,
    pub(super) mappings: Vec<Mapping>,
}

#[derive(Debug)]
struct InForce {
    token: Listed,
    /// Cancelled when it no longer counts as it is.
    revoked: CancellationToken,
}

impl Tokens {
    /// The caller with this token. Each token is compared, so that the time does not tell which one it is.
    pub(super) fn find(&self, given: &Digest) -> Option<Caller> {
        let mut found = None;
        for in_force in &self.listed {
            if in_force.token.digest.is(given) && found.is_none() {
                found = Some(in_force);
            }
        }
        let InForce { token, revoked } = found?;
        let caller = Caller::new(token.name.clone(), token.role, revoked.clone());
        Some(caller.with_clients(token.clients))
    }

    /// These tokens in place of the present ones. A token that stays as it is keeps its callers.
    pub(super) fn replaced_by(&self, tokens: Vec<Listed>, mappings: Vec<Mapping>) -> Self {
        let listed = tokens.into_iter().map(|token| {
            let same = self.listed.iter().find(|old| old.token == token);
            InForce {
                revoked: same.map(|old| old.revoked.clone()).unwrap_or_default(),
                token,
            }
        });
        Self {
            listed: listed.collect(),
            mappings,
        }
    }

    /// Ends the callers of tokens that are not among `now`.
    pub(super) fn revoke_all_but(&self, now: &Self) {
        for old in &self.listed {
            if !now.listed.iter().any(|new| new.token == old.token) {
                tracing::info!(name = old.token.name, role = %old.token.role, "a token of the API no longer counts");
                old.revoked.cancel();
            }
        }
    }

    /// How many tokens count.
    pub(super) fn count(&self) -> usize {
        self.listed.len()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::access::Role;

    fn listed(name: &str, role: Role, token: &str) -> Listed {
        Listed {
            name: name.to_owned(),
            role,
            clients: false,
            digest: Digest::of(token),
        }
    }

    fn replace(old: &Tokens, tokens: Vec<Listed>) -> Tokens {
        let new = old.replaced_by(tokens, Vec::new());
        old.revoke_all_but(&new);
        new
    }

    #[tokio::test]
    async fn callers_of_a_removed_token_end_and_those_of_a_kept_one_stay() {
        let first = replace(
            &Tokens::default(),
            vec![listed("ci", Role::Viewer, "a"), listed("shop", Role::Publisher, "b")],
        );
        let (ci, shop) = (first.find(&Digest::of("a")), first.find(&Digest::of("b")));
        let (ci, shop) = (ci.expect("listed"), shop.expect("listed"));
        assert_eq!((ci.name.as_str(), ci.role), ("ci", Role::Viewer));
        // The token of the shop gets another role: who had it with the old one begins anew.
        let second = replace(
            &first,
            vec![listed("ci", Role::Viewer, "a"), listed("shop", Role::Operator, "b")],
        );
        assert!(ci.ended().now_or_never().is_none());
        shop.ended().await;
        let third = replace(&second, vec![listed("shop", Role::Operator, "b")]);
        ci.ended().await;
        assert!(third.find(&Digest::of("a")).is_none());
        assert_eq!(
            third.find(&Digest::of("b")).map(|caller| caller.role),
            Some(Role::Operator)
        );
    }
}
