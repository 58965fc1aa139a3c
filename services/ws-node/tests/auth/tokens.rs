//! Tokens that are accepted, and all kinds that must not be.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use ws_node::{AuthSettings, EdgeSettings, Limits};

use crate::common::until;
use crate::door::{closed, counted, door, door_with, is_here, knock, knock_and_look, show};
use crate::signer::{Signer, now};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn keyed(signer: &Signer) -> AuthSettings {
    AuthSettings {
        jwt_key: Some(signer.key_file()),
        ..AuthSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_algorithm_opens_with_its_own_key_and_with_no_other() {
    let signers = [Signer::secret(SECRET), Signer::rsa(), Signer::p256(), Signer::ed25519()];
    for ours in &signers {
        let server = door(keyed(ours)).await;
        for theirs in &signers {
            let knocked = show(&server, &theirs.token("888", json!({}))).await;
            let refused = knocked.as_ref().err().map(|(status, _)| *status);
            let expected = (ours.algorithm != theirs.algorithm).then_some(401);
            assert_eq!(refused, expected, "{:?} {:?}", ours.algorithm, theirs.algorithm);
        }
    }
    let several = signers[1..]
        .iter()
        .map(|signer| signer.file.clone())
        .collect::<String>();
    let server = door(keyed(&Signer::secret(&several))).await;
    for signer in &signers[1..] {
        assert!(
            show(&server, &signer.token("888", json!({}))).await.is_ok(),
            "{:?}",
            signer.algorithm
        );
    }
}

/// A token of these three parts, valid or not.
fn forged(header: Value, claims: Value, signature: &str) -> String {
    let part = |value: Value| {
        // Uses the library's own encoder, with a token that is thrown away.
        let token = jsonwebtoken::encode(&Header::default(), &value, &EncodingKey::from_secret(b"x")).expect("signs");
        token.split('.').nth(1).expect("three parts").to_owned()
    };
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_never_chooses_how_it_is_verified() {
    let rsa = Signer::rsa();
    let server = door(keyed(&rsa)).await;
    let claims = json!({"sub": "888", "exp": now() + 3600});
    let signed = rsa.sign(&claims);
    let signature = signed.rsplit('.').next().expect("three parts");
    // RFC 8725, section 2.1: the public key, which everybody knows, taken for a secret.
    let confused = |secret: &str, algorithm| {
        jsonwebtoken::encode(
            &Header::new(algorithm),
            &claims,
            &EncodingKey::from_secret(secret.as_bytes()),
        )
        .expect("signs")
    };
    let der = rsa
        .file
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect::<String>();
    let bad = [
        confused(&rsa.file, Algorithm::HS256),
        confused(rsa.file.trim_end(), Algorithm::HS256),
        confused(&der, Algorithm::HS256),
        confused(&rsa.file, Algorithm::HS512),
        forged(json!({"alg": "none"}), claims.clone(), ""),
        forged(json!({"alg": "None"}), claims.clone(), signature),
        forged(json!({"alg": "RS256"}), claims.clone(), ""),
        forged(json!({"alg": "RS512"}), claims.clone(), signature),
        forged(json!({"alg": "PS256"}), claims.clone(), signature),
        forged(json!({"alg": "RS256", "jwk": rsa.jwk()}), claims.clone(), signature),
        forged(
            json!({"alg": "RS256"}),
            json!({"sub": "admin", "exp": now() + 3600}),
            signature,
        ),
        signed[..signed.len() - 4].to_owned(),
        format!("{signed}.{signature}"),
        format!("{signed}="),
        signed.replacen('.', "", 1),
        "..".to_owned(),
        "nonsense".to_owned(),
        "%00%ff%0d%0a".to_owned(),
    ];
    for token in &bad {
        let (status, text) = show(&server, token)
            .await
            .err()
            .unwrap_or_else(|| panic!("let in with {token}"));
        assert_eq!(status, 401, "{token}: {text}");
        assert!(!text.contains(token.as_str()), "{text}");
    }
    let refused = counted(&server.registry, "wsmesh_auth_failures_total", "bad_token");
    assert_eq!(refused, bad.len() as u64);
    assert!(show(&server, &signed).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_an_unknown_critical_header_is_rejected() {
    let signer = Signer::secret(SECRET);
    let server = door(keyed(&signer)).await;
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let claims = json!({"sub": "888", "exp": now() + 3600});
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("signs");
    assert_eq!(show(&server, &token).await.err().map(|(status, _)| status), Some(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_may_be_as_long_as_openid_connect_allows() {
    let signer = Signer::secret(SECRET);
    let server = door(keyed(&signer)).await;
    let provider = "f:2f0d5a1c-6a1e-4b59-9d5c-8f8f6f0d4a11:somebody.with.a.long.name@mail.example.org";
    for subject in [provider.to_owned(), "x".repeat(255)] {
        let knocked = show(&server, &signer.token(&subject, json!({}))).await;
        assert!(knocked.is_ok(), "{subject}: {:?}", knocked.err());
        until(&subject, || is_here(&server, &subject)).await;
    }
    let refused = show(&server, &signer.token(&"x".repeat(256), json!({}))).await.err();
    let (status, text) = refused.expect("too long");
    assert_eq!(
        (status, text.trim_end()),
        (400, "client id has 256 bytes: at most 255 are allowed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_null_counts_as_missing() {
    let signer = Signer::secret(SECRET);
    let server = door(keyed(&signer)).await;
    for claim in ["nbf", "iat", "jti", "aud", "iss", "rooms", "events"] {
        let knocked = show(&server, &signer.token("888", json!({claim: null}))).await;
        assert!(knocked.is_ok(), "{claim}: {:?}", knocked.err());
    }
    for claim in ["exp", "sub"] {
        let (status, text) = show(&server, &signer.token("888", json!({claim: null})))
            .await
            .err()
            .unwrap_or_else(|| panic!("let in without {claim}"));
        assert_eq!(status, 401);
        assert!(text.contains(&format!("the claim `{claim}`")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_audience_and_issuer_must_be_right() {
    let signer = Signer::secret(SECRET);
    let settings = AuthSettings {
        audiences: vec!["chat".to_owned(), "game".to_owned()],
        issuers: vec!["https://id.example.org".to_owned()],
        leeway: Duration::from_secs(5),
        ..keyed(&signer)
    };
    let server = door(settings).await;
    let good = json!({"sub": "888", "exp": now() + 60, "aud": "chat", "iss": "https://id.example.org"});
    let with = |key: &str, value: Value| {
        let mut claims = good.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().expect("claims").remove(key)),
            value => claims[key] = value,
        }
        signer.sign(&claims)
    };
    let accepted = [
        ("aud", json!("game")),
        ("aud", json!(["other", "chat"])),
        ("exp", json!(now() - 2)),
        ("exp", json!((now() + 60) as f64 + 0.5)),
        ("exp", json!(u64::MAX)),
        ("nbf", json!(now() + 2)),
        ("sub", json!(888)),
    ];
    for (key, value) in accepted {
        let knocked = show(&server, &with(key, value.clone())).await;
        assert!(knocked.is_ok(), "{key}: {value} {:?}", knocked.err());
    }
    for (key, value, reason) in [
        ("aud", json!("other"), "audience"),
        ("aud", json!([]), "audience"),
        ("aud", json!(["chatty"]), "audience"),
        ("aud", json!(7), "claims"),
        ("aud", Value::Null, "claims"),
        ("iss", json!("https://id.example.org.evil.net"), "issuer"),
        ("iss", Value::Null, "claims"),
        ("exp", json!(now() - 60), "expired"),
        ("exp", json!(0), "expired"),
        ("exp", json!("tomorrow"), "claims"),
        ("exp", json!(-1), "claims"),
        ("exp", json!(1e300), "claims"),
        ("exp", Value::Null, "claims"),
        ("nbf", json!(now() + 60), "not_yet"),
        ("nbf", json!("soon"), "claims"),
        ("sub", json!(["888"]), "bad_token"),
        ("sub", json!(1.5), "claims"),
        ("sub", Value::Null, "claims"),
    ] {
        let before = counted(&server.registry, "wsmesh_auth_failures_total", reason);
        let (status, text) = show(&server, &with(key, value.clone()))
            .await
            .err()
            .unwrap_or_else(|| panic!("{key} {value}"));
        assert_eq!(status, 401, "{key} {value}: {text}");
        let after = counted(&server.registry, "wsmesh_auth_failures_total", reason);
        assert_eq!(after, before + 1, "{key} {value}: {text}");
    }
    for id in ["", &"x".repeat(256), "a\nb"] {
        let (status, text) = show(&server, &with("sub", json!(id)))
            .await
            .err()
            .expect("no client id");
        assert_eq!(status, 400, "{id:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_comes_from_the_tokens_claim_only() {
    let signer = Signer::secret(SECRET);
    let settings = AuthSettings {
        id_claim: "user_id".to_owned(),
        ..keyed(&signer)
    };
    let server = door(settings).await;
    let token = signer.token("not me", json!({"user_id": "ann"}));
    let knocked = knock(&server, &format!("id=eve&token={token}&user_id=eve&sub=eve"), &[]).await;
    let mut client = knocked.expect("good");
    assert_eq!(
        client.request("enterForeground", json!(null)).await,
        json!({"ok": true})
    );
    assert!(is_here(&server, "ann") && !is_here(&server, "eve") && !is_here(&server, "not me"));
    let (status, _) = knock(&server, "id=ann", &[]).await.err().expect("an id proves nothing");
    assert_eq!(status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_found_in_each_place_and_the_subprotocol_wsmesh_is_answered() {
    let signer = Signer::secret(SECRET);
    let settings = AuthSettings {
        cookie: Some("session".to_owned()),
        allowed_origins: vec!["https://app.example.org".to_owned()],
        ..keyed(&signer)
    };
    let server = door(settings).await;
    let token = signer.token("888", json!({}));
    for (headers, subprotocol) in [
        (vec![("authorization", format!("Bearer {token}"))], None),
        (vec![("cookie", format!("theme=dark; session={token}"))], None),
        (
            vec![("sec-websocket-protocol", format!("wsmesh, bearer.{token}"))],
            Some("wsmesh"),
        ),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (_client, response) = knock_and_look(&server, "", &headers).await.expect("good");
        let answered = response.headers().get("sec-websocket-protocol");
        assert_eq!(answered.and_then(|value| value.to_str().ok()), subprotocol);
    }
    let cookie = format!("session={token}");
    let stolen = [("cookie", cookie.as_str()), ("origin", "https://evil.net")];
    assert_eq!(
        knock(&server, "", &stolen).await.err().map(|(status, _)| status),
        Some(403)
    );
    let wrong_first = [("authorization", "Bearer nonsense"), ("cookie", cookie.as_str())];
    assert_eq!(
        knock(&server, "", &wrong_first).await.err().map(|(status, _)| status),
        Some(401)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_token_is_rejected_with_its_request() {
    let signer = Signer::secret(SECRET);
    let server = door(keyed(&signer)).await;
    let huge = signer.token("888", json!({"filler": "x".repeat(20_000)}));
    let (status, _) = show(&server, &huge).await.err().expect("refused");
    assert!(matches!(status, 400 | 414 | 431), "{status}");
    let large = signer.token("888", json!({"filler": "x".repeat(8_000)}));
    assert!(
        show(&server, &large).await.is_ok(),
        "what fits into a request head is fine"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_bad_tokens_does_not_use_up_the_connections_of_others() {
    let signer = Signer::secret(SECRET);
    let settings = EdgeSettings {
        auth: AuthSettings {
            by_message: true,
            ..keyed(&signer)
        },
        limits: Limits {
            accept_rate: 40,
            trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
            ..closed().limits
        },
        ..closed()
    };
    let server = door_with(settings).await;
    let (bad, good) = (
        "token=bad".to_owned(),
        format!("token={}", signer.token("888", json!({}))),
    );
    let from = |address| [("X-Forwarded-For", address)];
    let mut refused = Vec::new();
    for _ in 0..80 {
        let (status, text) = knock(&server, &bad, &from("192.0.2.1")).await.err().expect("refused");
        assert!(
            status == 401 || text.contains("failed to authenticate"),
            "{status} {text}"
        );
        refused.push(status);
    }
    let tried = refused.iter().filter(|status| **status == 401).count();
    assert!((10..60).contains(&tried), "{refused:?}");
    assert!(
        knock(&server, &good, &from("192.0.2.2")).await.is_ok(),
        "others may come"
    );
    // Failures after the upgrade count, too.
    let mut refusal = None;
    for _ in 0..30 {
        match knock(&server, "", &from("192.0.2.3")).await {
            Ok(mut stranger) => {
                stranger.emit("authenticate", json!({"token": "bad"})).await;
                assert_eq!(stranger.close_code().await, Some(4011));
            }
            Err(refused) => {
                refusal = Some(refused);
                break;
            }
        }
    }
    let (status, text) = refusal.expect("refused at last");
    assert!(
        status == 429 && text.contains("failed to authenticate"),
        "{status} {text}"
    );
}
