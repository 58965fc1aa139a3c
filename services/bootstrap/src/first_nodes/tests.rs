//! DNS is a real server on loopback, over UDP and TCP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::SRV;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::settings::Value;

/// What the server says.
#[derive(Debug, Clone)]
enum Says {
    /// These targets, for questions in the search domain.
    Targets(Vec<String>),
    /// The same, but over UDP only that it is too much.
    OverTcp(Vec<String>),
    Code(ResponseCode),
    Nothing,
    Garbage,
}

/// A DNS server.
struct Dns {
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<String>>>,
    address: SocketAddr,
    _serving: [AbortOnDropHandle<()>; 2],
}

impl Dns {
    async fn start(says: Says) -> Self {
        // The same port for both: another process may have taken one of them.
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
            let address = tcp.local_addr().expect("bound");
            if let Ok(udp) = UdpSocket::bind(address).await {
                break (tcp, udp);
            }
        };
        let address = udp.local_addr().expect("bound");
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::<Mutex<Vec<String>>>::default());
        let over_udp = serve_udp(udp, says.clone(), asked.clone());
        let over_tcp = serve_tcp(tcp, says.clone(), asked.clone());
        Self {
            says,
            asked,
            address,
            _serving: [
                AbortOnDropHandle::new(tokio::spawn(over_udp)),
                AbortOnDropHandle::new(tokio::spawn(over_tcp)),
            ],
        }
    }

    fn pods(&self, service: &str) -> Pods {
        let port = self.address.port();
        let configured = move || {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = port);
            let server = NameServerConfig::new(IpAddr::V4(Ipv4Addr::LOCALHOST), true, connections);
            let search = ["games.svc.cluster.local.", "svc.cluster.local."];
            let search = search.map(|name| Name::from_ascii(name).expect("a name"));
            let mut options = ResolverOpts::default();
            options.ndots = 5;
            options.timeout = Duration::from_millis(300);
            Ok((ResolverConfig::from_parts(None, search.to_vec(), vec![server]), options))
        };
        Pods {
            service: RedisService::parse(service).expect("valid"),
            configured: Arc::new(configured),
        }
    }
}

async fn serve_udp(socket: UdpSocket, says: Arc<Mutex<Says>>, asked: Arc<Mutex<Vec<String>>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let now = says.lock().clone();
        if let Some(answer) = answer(&buffer[..length], &now, true, &asked) {
            socket.send_to(&answer, peer).await.expect("sent");
        }
    }
}

async fn serve_tcp(listener: TcpListener, says: Arc<Mutex<Says>>, asked: Arc<Mutex<Vec<String>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let now = says.lock().clone();
        // A client may close its connection at any time.
        let _ = serve_stream(stream, &now, &asked).await;
    }
}

async fn serve_stream(mut stream: TcpStream, now: &Says, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut question = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut question).await?;
    if let Some(answer) = answer(&question, now, false, asked) {
        stream.write_u16(answer.len() as u16).await?;
        stream.write_all(&answer).await?;
    }
    Ok(())
}

fn answer(question: &[u8], now: &Says, is_udp: bool, asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).expect("a question");
    let query = question.queries.first().expect("one").clone();
    asked.lock().push(query.name().to_string());
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let is_known = query.name().to_string().ends_with(".games.svc.cluster.local.");
    match now {
        Says::Nothing => return None,
        Says::Garbage => return Some(b"garbage".to_vec()),
        Says::Code(code) => answer.metadata.response_code = *code,
        Says::Targets(_) | Says::OverTcp(_) if !is_known => answer.metadata.response_code = ResponseCode::NXDomain,
        Says::OverTcp(_) if is_udp => answer.metadata.truncation = true,
        Says::Targets(targets) | Says::OverTcp(targets) => {
            let records = targets.iter().map(|target| {
                let target = Name::from_ascii(target).expect("a name");
                Record::from_rdata(query.name().clone(), 5, RData::SRV(SRV::new(0, 1, 6379, target)))
            });
            answer.add_answers(records.collect::<Vec<_>>());
        }
    }
    let bytes = answer.to_vec().expect("encoded");
    if is_udp && bytes.len() > usize::from(question.max_payload()) {
        let truncated = Says::OverTcp(Vec::new());
        return self::answer(&question.to_vec().expect("encoded"), &truncated, true, asked);
    }
    Some(bytes)
}

fn targets(ordinals: std::ops::Range<u32>) -> Vec<String> {
    let target = |ordinal| format!("wsmesh-redis-{ordinal}.wsmesh-redis.games.svc.cluster.local.");
    ordinals.map(target).collect()
}

async fn found(pods: &Pods) -> Result<Vec<String>, String> {
    Ok(pods.find().await?.iter().map(ToString::to_string).collect())
}

const SERVICE: &str = "redis://wsmesh-redis:6379#redis";

#[tokio::test]
async fn pods_are_found_by_the_search_domains_of_the_system() {
    let dns = Dns::start(Says::Targets(targets(0..3))).await;
    let pods = dns.pods(SERVICE);
    assert_eq!(
        found(&pods).await.expect("pods"),
        [
            "redis://wsmesh-redis-0.wsmesh-redis:6379#redis-0",
            "redis://wsmesh-redis-1.wsmesh-redis:6379#redis-1",
            "redis://wsmesh-redis-2.wsmesh-redis:6379#redis-2"
        ]
    );
    let asked = dns.asked.lock().clone();
    assert_eq!(asked, ["_redis._tcp.wsmesh-redis.games.svc.cluster.local."]);
}

#[tokio::test]
async fn what_dns_does_not_know_is_an_error_that_says_what_to_look_at_and_records_are_seen_once_they_are_there() {
    let dns = Dns::start(Says::Code(ResponseCode::NXDomain)).await;
    let pods = dns.pods(SERVICE);
    let nothing_yet = [
        (Says::Code(ResponseCode::NXDomain), "port named redis"),
        (Says::Targets(Vec::new()), "port named redis"),
        (Says::Code(ResponseCode::ServFail), "_redis._tcp.wsmesh-redis"),
        (Says::Code(ResponseCode::Refused), "_redis._tcp.wsmesh-redis"),
    ];
    for (says, reason) in nothing_yet {
        *dns.says.lock() = says.clone();
        let error = found(&pods).await.expect_err("nothing");
        assert!(error.contains(reason), "{says:?}: {error}");
    }
    *dns.says.lock() = Says::Targets(targets(1..2));
    assert_eq!(
        found(&pods).await.expect("one"),
        ["redis://wsmesh-redis-1.wsmesh-redis:6379#redis-1"]
    );
    *dns.says.lock() = Says::Targets(Vec::new());
    assert!(found(&pods).await.is_err(), "nothing is cached");
}

#[tokio::test]
async fn a_dns_server_that_is_silent_or_sends_garbage_ends_the_look_in_time() {
    let dns = Dns::start(Says::Nothing).await;
    let pods = dns.pods(SERVICE);
    for says in [Says::Nothing, Says::Garbage] {
        *dns.says.lock() = says.clone();
        let error = timeout(LOOK * 2, found(&pods))
            .await
            .expect("in time")
            .expect_err("nothing");
        assert!(
            error.contains("_redis._tcp.wsmesh-redis") || error.contains("within 8 s"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn many_pods_are_found_whether_their_records_fit_into_one_packet_or_not() {
    let dns = Dns::start(Says::Targets(Vec::new())).await;
    let pods = dns.pods(SERVICE);
    for (says, most) in [
        (Says::Targets(targets(0..8)), 8),
        (Says::Targets(targets(0..40)), 40),
        (Says::OverTcp(targets(0..2)), 2),
    ] {
        *dns.says.lock() = says;
        let nodes = found(&pods).await.expect("pods");
        assert_eq!(nodes.len(), most);
        assert!(nodes[most - 1].ends_with(&format!("#redis-{}", most - 1)), "{nodes:?}");
    }
}

#[tokio::test]
async fn records_that_are_no_pods_with_an_ordinal_are_left_out() {
    let mut mixed = targets(1..2);
    mixed.extend(["10-244-0-5.wsmesh-redis.games.svc.cluster.local.", "evil.example.org."].map(str::to_owned));
    let dns = Dns::start(Says::Targets(mixed)).await;
    assert_eq!(
        found(&dns.pods(SERVICE)).await.expect("one"),
        ["redis://wsmesh-redis-1.wsmesh-redis:6379#redis-1"]
    );
    *dns.says.lock() = Says::Targets(vec!["evil.example.org.".to_owned()]);
    let error = found(&dns.pods(SERVICE)).await.expect_err("none");
    assert!(error.contains("none of 1 DNS records"), "{error}");
}

#[tokio::test]
async fn nodes_that_are_found_have_the_login_of_the_service_and_do_not_show_it() {
    let dns = Dns::start(Says::Targets(targets(0..1))).await;
    let pods = dns.pods("redis://app:hunter2@wsmesh-redis#redis");
    let nodes = pods.find().await.expect("one");
    assert!(nodes[0].has_password() && pods.login().has_password());
    assert!(!format!("{nodes:?} {pods:?}").contains("hunter2"));
}
