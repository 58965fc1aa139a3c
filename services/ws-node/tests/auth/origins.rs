//! Pages that may connect, and pages that may not.

use serde_json::json;
use ws_node::AuthSettings;

use crate::common::Server;
use crate::door::{door, knock};
use crate::signer::Signer;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn with_origins(origins: &[&str]) -> (Server, String) {
    let signer = Signer::secret(SECRET);
    let settings = AuthSettings {
        jwt_key: Some(signer.key_file()),
        allowed_origins: origins.iter().map(ToString::to_string).collect(),
        ..AuthSettings::default()
    };
    (
        door(settings).await,
        format!("token={}", signer.token("888", json!({}))),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_listed_gets_403_and_a_sentence() {
    let (server, token) = with_origins(&["https://app.example.org", "https://*.example.com"]).await;
    for good in ["https://app.example.org", "https://a.b.example.com"] {
        assert!(knock(&server, &token, &[("origin", good)]).await.is_ok(), "{good}");
    }
    for bad in [
        "https://evil.net",
        "http://app.example.org",
        "https://example.com",
        "null",
    ] {
        let (status, text) = knock(&server, &token, &[("origin", bad)]).await.err().expect(bad);
        assert_eq!(
            (status, text.as_str()),
            (403, "pages of this origin may not connect here"),
            "{bad}"
        );
    }
    let twice = [
        ("origin", "https://app.example.org"),
        ("origin", "https://app.example.org"),
    ];
    assert_eq!(
        knock(&server, &token, &twice).await.err().map(|(status, _)| status),
        Some(403)
    );
    assert!(
        knock(&server, &token, &[]).await.is_ok(),
        "a request without an origin does not come from a page"
    );
    let (no_list, token) = with_origins(&[]).await;
    assert!(knock(&no_list, &token, &[("origin", "https://any.net")]).await.is_ok());
}
