//! What services can know about a client that is connected to a ws-node, and what clients cannot make them believe.

mod common;

use common::{Client, Other, PATIENCE, Server, bus, demo, sees, until};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use ws_node::{AuthSettings, EdgeSettings, Limits};
use wsmesh_adapter::{ClientContext, ClientId, MemoryBus};
use wsmesh_bootstrap::{Secret, SecretFile};
use wsmesh_protocol::forward::Forwarded;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn settings(context_headers: &[&str]) -> EdgeSettings {
    EdgeSettings {
        context_headers: context_headers.iter().map(ToString::to_string).collect(),
        auth: AuthSettings {
            jwt_key: Some(SecretFile::from_secret(Secret::new(SECRET))),
            by_message: true,
            ..AuthSettings::default()
        },
        ..demo()
    }
}

fn token(client: &str, level: u32) -> String {
    // In 2096.
    let claims = json!({"sub": client, "exp": 4_000_000_000_u64, "level": level});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("signs")
}

/// A ws-node and a service that know each other.
async fn cluster(settings: EdgeSettings) -> (MemoryBus, Server, Other) {
    let bus = bus();
    let server = Server::start("edge", &bus, settings).await;
    let logic = Other::start("logic", "game-logic", &bus).await;
    sees(server.node.adapter(), 2).await;
    sees(&logic.adapter, 2).await;
    (bus, server, logic)
}

/// Connects with these headers.
async fn connect(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> Client {
    let url = format!("ws://{}{path}", server.address);
    let mut request = url.into_client_request().expect("a URL");
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).expect("a header");
        request.headers_mut().append(*name, value);
    }
    let connecting = tokio::time::timeout(PATIENCE, connect_async(request));
    let (socket, _) = connecting.await.expect("answers").expect("upgrades");
    Client::new(socket)
}

fn id(id: &str) -> ClientId {
    ClientId::new(id).expect("valid")
}

/// The context of a client's only connection, as a service sees it.
async fn context(logic: &Other, client: &str) -> ClientContext {
    let mut contexts = logic.adapter.client(&id(client)).await.expect("known");
    assert_eq!(contexts.len(), 1, "{contexts:?}");
    contexts.remove(0)
}

fn value(json: Option<&RawValue>) -> Value {
    json.map_or(Value::Null, |json| serde_json::from_str(json.get()).expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_knows_path_parameters_headers_address_and_claims_of_a_client() {
    let (_bus, server, logic) = cluster(settings(&["Accept-Language"])).await;
    let path = format!("/game/7?lang=de&tag=a&tag=b&token={}", token("ann", 1));
    let headers = [("accept-language", "de"), ("cookie", "session=s3cret")];
    let client = connect(&server, &path, &headers).await;
    let mut client = client.settled().await;
    let found = context(&logic, "ann").await;
    assert_eq!((found.client, found.server.as_str()), (id("ann"), "edge"));
    assert_eq!(
        (found.path.as_str(), found.address),
        ("game/7", Some(server.address.ip()))
    );
    assert_eq!(json!(found.params), json!({"lang": "de", "tag": ["a", "b"]}));
    assert_eq!(json!(found.headers), json!({"accept-language": "de"}));
    assert_eq!(value(found.claims.as_deref())["level"], 1);
    assert!(found.data.is_none());
    assert!(found.since.elapsed().expect("in the past") < 6 * PATIENCE);

    let reply = client.request("refreshToken", json!({"token": token("ann", 2)})).await;
    assert_eq!(reply["ok"], true);
    let renewed = context(&logic, "ann").await;
    assert_eq!(renewed.connection, found.connection);
    assert_eq!(value(renewed.claims.as_deref())["level"], 2, "the newest token counts");
    let refused = client.request("refreshToken", json!({"token": token("bob", 3)})).await;
    assert_eq!(refused["errorCode"], "NOT_ALLOWED");
    let unchanged = context(&logic, "ann").await;
    assert_eq!(value(unchanged.claims.as_deref())["level"], 2, "of another client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_authenticates_with_its_first_message_has_a_context_with_claims() {
    let (_bus, server, logic) = cluster(settings(&["x-device"])).await;
    let mut client = connect(&server, "/chat?lang=en", &[("x-device", "phone")]).await;
    let reply = client.request("authenticate", json!({"token": token("ann", 1)})).await;
    assert_eq!(reply["ok"], true);
    let found = context(&logic, "ann").await;
    assert_eq!(
        (found.path.as_str(), found.address),
        ("chat", Some(server.address.ip()))
    );
    assert_eq!(
        (json!(found.params), json!(found.headers)),
        (json!({"lang": "en"}), json!({"x-device": "phone"}))
    );
    assert_eq!(value(found.claims.as_deref())["level"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_look_like_those_of_the_server_change_nothing() {
    let forged = [
        ("x-forwarded-for", "198.51.100.7"),
        ("forwarded", "for=198.51.100.7"),
        ("x-real-ip", "198.51.100.7"),
        ("ce-client", "bob"),
        ("ce-connection", "1-1"),
        ("ce-data", "%7B%22admin%22%3Atrue%7D"),
    ];
    let (_bus, server, logic) = cluster(settings(&[])).await;
    let _client = connect(&server, "/?id=ann&address=198.51.100.7&claims=x&data=x", &forged)
        .await
        .settled()
        .await;
    let found = context(&logic, "ann").await;
    assert_eq!((found.client, found.address), (id("ann"), Some(server.address.ip())));
    assert!(found.headers.is_empty() && found.claims.is_none() && found.data.is_none());
    assert_ne!(found.connection, "1-1");

    let trusting = EdgeSettings {
        limits: Limits {
            trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
            ..Limits::default()
        },
        ..settings(&[])
    };
    let (_bus, server, logic) = cluster(trusting).await;
    let _client = connect(&server, "/?id=ann", &forged[..1]).await.settled().await;
    let address = context(&logic, "ann").await.address.expect("known");
    assert_eq!(
        address.to_string(),
        "198.51.100.7",
        "of a proxy that is trusted, it is believed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_a_service_attaches_travels_with_later_events_until_the_connection_ends() {
    let (_bus, server, logic) = cluster(settings(&[])).await;
    logic.adapter.on("gamePing", |event| async move {
        let json = event.payload.to_json().expect("can be JSON");
        let asked: Forwarded = serde_json::from_slice(&json).expect("as agreed");
        let _ = event.reply_with(&json!({"data": asked.data})).await;
    });
    let mut client = server.client("ann").await.settled().await;
    let asked = async |client: &mut Client| client.request("gamePing", json!(1)).await["data"].take();
    assert_eq!(asked(&mut client).await, Value::Null);
    for data in [
        json!({"team": "red", "text": "a\r\nb\u{0}é"}),
        json!([7]),
        json!("x".repeat(4094)),
    ] {
        assert!(
            logic
                .adapter
                .set_client_data(&id("ann"), Some(&data))
                .await
                .expect("set")
        );
        assert_eq!(asked(&mut client).await, data);
        assert_eq!(value(context(&logic, "ann").await.data.as_deref()), data);
    }
    client.socket.close(None).await.expect("closes");
    until("the client is gone", || !server.node.adapter().is_here(&id("ann"))).await;
    assert!(
        !logic
            .adapter
            .set_client_data(&id("ann"), Some(&1))
            .await
            .expect("known")
    );
    assert_eq!(logic.adapter.client(&id("ann")).await.expect("known"), []);
    let mut again = server.client("ann").await.settled().await;
    assert_eq!(
        asked(&mut again).await,
        Value::Null,
        "a new connection begins without it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_of_a_client_has_its_own_context_and_all_get_the_data() {
    let several = EdgeSettings {
        logins_per_client: 3,
        ..settings(&[])
    };
    let bus = bus();
    let (one, two) = tokio::join!(
        Server::start("edge-1", &bus, several.clone()),
        Server::start("edge-2", &bus, several)
    );
    sees(one.node.adapter(), 2).await;
    sees(two.node.adapter(), 2).await;
    let mut clients = Vec::new();
    for (server, device) in [(&one, "phone"), (&one, "tablet"), (&two, "desk")] {
        clients.push(connect(server, &format!("/{device}?id=ann"), &[]).await.settled().await);
    }
    let paths = async || {
        let found = two.node.adapter().client(&id("ann")).await.expect("known");
        let mut paths: Vec<_> = found
            .iter()
            .map(|context| (context.path.clone(), value(context.data.as_deref())))
            .collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        paths
    };
    assert!(
        one.node
            .adapter()
            .set_client_data(&id("ann"), Some(&7))
            .await
            .expect("set")
    );
    let expected = |paths: &[&str]| -> Vec<_> { paths.iter().map(|path| ((*path).to_owned(), json!(7))).collect() };
    assert_eq!(paths().await, expected(&["desk", "phone", "tablet"]));
    clients.remove(0).socket.close(None).await.expect("closes");
    until("the phone is gone", || {
        one.node.adapter().connections(&id("ann")).len() == 1
    })
    .await;
    assert_eq!(paths().await, expected(&["desk", "tablet"]));
}

#[test]
fn headers_that_cannot_be_names_are_rejected_at_the_start() {
    let arguments = [
        "--profile=demo",
        "--context-headers=a b",
        "--context-headers=cookie:",
        "--context-headers=x-ok",
    ];
    let problems =
        wsmesh_bootstrap::load::<ws_node::WsNodeService>(arguments, [("", ""); 0]).expect_err("two are wrong");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems.iter().all(|problem| problem.contains("accept-language")),
        "{problems:?}"
    );
}
