//! Which server owns a queue or runs a match: rendezvous hashing over the live game-logic servers.
//!
//! Every server that sees the same roster finds the same owner, without asking others. When a server comes or goes, only its
//! keys move. The hash is the same in every build, which the standard library does not promise.

use std::hash::Hasher;

use fnv::FnvHasher;
use wsmesh_adapter::ServerName;

/// The server that owns `key`; `None` if there are no servers.
///
/// Each server's score is a hash of the key and its name; the highest owns the key (Thaler and Ravishankar, 1998).
pub fn owner<'a>(key: &str, servers: impl IntoIterator<Item = &'a ServerName>) -> Option<&'a ServerName> {
    servers
        .into_iter()
        .max_by_key(|server| (score(key, server.as_str()), *server))
}

/// All servers, each in its turn to own `key` if those before it went away.
pub fn ranked<'a>(key: &str, servers: impl IntoIterator<Item = &'a ServerName>) -> Vec<&'a ServerName> {
    let mut ranked: Vec<_> = servers.into_iter().collect();
    ranked.sort_by_key(|server| std::cmp::Reverse((score(key, server.as_str()), *server)));
    ranked
}

fn score(key: &str, server: &str) -> u64 {
    // FNV-1a over both texts and a separator that no name can hold, then the finalizer of SplitMix64, because FNV
    // alone leaves names that differ in their last character close together.
    let mut fnv = FnvHasher::default();
    for part in [key.as_bytes(), &[0], server.as_bytes()] {
        fnv.write(part);
    }
    let hash = fnv.finish();
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(count: usize) -> Vec<ServerName> {
        (0..count)
            .map(|i| ServerName::new(format!("game-logic-{i}")).expect("valid"))
            .collect()
    }

    #[test]
    fn scores_are_the_same_in_every_build() {
        assert_eq!(score("key-1", "game-logic-0"), 0x82d6_39c4_acd4_76b2);
    }

    #[test]
    fn keys_spread_evenly_over_servers_with_similar_names() {
        let servers = servers(5);
        let mut counts = [0_usize; 5];
        for i in 0..5_000 {
            let owner = owner(&format!("key-{i}"), &servers).expect("there are servers");
            counts[servers.iter().position(|server| server == owner).expect("one of them")] += 1;
        }
        assert!(counts.iter().all(|&count| (850..1_150).contains(&count)), "{counts:?}");
    }

    #[test]
    fn when_a_server_goes_only_its_keys_move_and_they_move_to_the_next_in_rank() {
        let all = servers(5);
        for i in 0..500 {
            let key = format!("key-{i}");
            let before = owner(&key, &all).expect("there are servers");
            let after = owner(&key, &all[1..]).expect("there are servers");
            if before == &all[0] {
                assert_eq!(after, ranked(&key, &all)[1]);
            } else {
                assert_eq!(after, before);
            }
        }
    }

    #[test]
    fn the_order_of_the_roster_does_not_matter_and_an_empty_one_owns_nothing() {
        let forward = servers(4);
        let backward: Vec<_> = forward.iter().rev().cloned().collect();
        assert_eq!(owner("duel", &forward), owner("duel", &backward));
        assert_eq!(owner("duel", &[]), None);
    }

    #[test]
    fn the_hash_is_the_same_in_every_build() {
        assert_eq!(score("duel", "game-logic-0"), 0x9c80_b380_cb31_5368);
    }
}
