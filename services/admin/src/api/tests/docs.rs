//! The page that shows the description, and what a browser may do on it.

use super::fixture::{Cluster, get};

#[tokio::test]
async fn the_docs_page_is_embedded_and_reads_the_description_beside_it() {
    let cluster = Cluster::new().await;
    for (router, prefix) in [(cluster.open(), ""), (cluster.behind(Some("/a/admin")), "/a/admin")] {
        let moved = get(&router, &format!("{prefix}/docs")).await;
        assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "docs/"));
        let page = get(&router, &format!("{prefix}/docs/")).await;
        assert!(page.header("content-type").starts_with("text/html"));
        let files: Vec<_> = page
            .text
            .split(['"'])
            .filter(|text| text.contains(".js") || text.contains(".css"))
            .collect();
        assert!(files.len() >= 4, "{}", page.text);
        for file in files {
            assert!(!file.contains("//"), "{file} comes from another host");
            let file = file.trim_start_matches("./");
            let answer = get(&router, &format!("{prefix}/docs/{file}")).await;
            assert_eq!(answer.status, 200, "{file}");
            assert_eq!(answer.header("cache-control"), "public, max-age=3600");
        }
        let initializer = get(&router, &format!("{prefix}/docs/swagger-initializer.js")).await;
        assert!(initializer.text.contains("../openapi.json"), "{}", initializer.text);
        assert!(!initializer.text.contains("https://"), "{}", initializer.text);
        get(&router, &format!("{prefix}/docs/no-such-file.js"))
            .await
            .problem(404);
    }
}

#[tokio::test]
async fn each_page_has_a_content_security_policy_and_only_the_docs_may_run_scripts() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let page = get(&open, "/docs/").await;
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self';",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    for path in ["/openapi.json", "/api/v1/stats", "/nothing"] {
        let answer = get(&open, path).await;
        assert!(
            !answer.header("content-security-policy").contains("script-src"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn behind_a_prefix_only_paths_with_it_lead_anywhere() {
    let cluster = Cluster::new().await;
    let router = cluster.behind(Some("/a/admin"));
    let moved = get(&router, "/a/admin").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "admin/"));
    assert_eq!(get(&router, "/a/admin/").await.status, 200);
    assert_eq!(get(&router, "/a/admin/api/v1/stats").await.status, 200);
    let detail = get(&router, "/a/admin/api/v1/stats?x=1").await.problem(400);
    assert!(detail.contains("`x`"), "{detail}");
    for path in ["/", "/api/v1/stats", "/a/admins/api/v1/stats", "/a"] {
        get(&router, path).await.problem(404);
    }
}
