//! Passwords of Redis that change while servers run: in whatever order servers and nodes learn the new one, nothing is lost,
//! nothing comes twice, and no server is restarted. The file is a mounted Secret, as Kubernetes swaps it.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::interval;
use wsmesh_adapter::{Bus, NodeUrl, PasswordFile};

use crate::support::redis::Redis;
use crate::support::{Client, Server, acquainted, bob_is_reached, client, frame, options, soon, until};

/// A Secret, mounted as Kubernetes does it.
struct Mounted {
    folder: tempfile::TempDir,
    version: u32,
}

impl Mounted {
    fn new(password: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mounted = Self { folder, version: 0 };
        mounted.swap(password.as_bytes());
        symlink("..data/password", mounted.path()).expect("a link");
        mounted
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    fn swap(&mut self, contents: &[u8]) {
        self.version += 1;
        let (folder, version) = (self.folder.path(), format!("..{}", self.version));
        std::fs::create_dir(folder.join(&version)).expect("a folder");
        std::fs::write(folder.join(&version).join("password"), contents).expect("written");
        symlink(&version, folder.join("..data_tmp")).expect("a link");
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapped");
    }

    fn bus(&self, redis: &[Redis]) -> Bus {
        let file = PasswordFile::read(self.path()).expect("a password");
        let url = |(index, redis): (usize, &Redis)| {
            let url = NodeUrl::parse(&redis.url(&format!("redis-{index}"))).expect("valid");
            url.with_password_file(file.clone())
        };
        Bus::Redis(redis.iter().enumerate().map(url).collect())
    }
}

/// Who changes a Redis: on a connection that stays logged in.
struct Operator(BufReader<TcpStream>);

impl Operator {
    async fn login(redis: &Redis, password: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", redis.port)).await.expect("connects");
        let mut operator = Self(BufReader::new(stream));
        operator.run(&format!("AUTH {password}")).await;
        operator
    }

    async fn run(&mut self, command: &str) {
        let line = format!("{command}\r\n");
        self.0.write_all(line.as_bytes()).await.expect("written");
        let mut answer = String::new();
        soon("an answer", self.0.read_line(&mut answer))
            .await
            .expect("Redis lives");
        assert!(answer.starts_with(['+', ':']), "{command}: {answer}");
    }

    async fn accept(&mut self, password: &str) {
        self.run(&format!("ACL SETUSER default >{password}")).await;
    }

    async fn forget(&mut self, password: &str) {
        self.run(&format!("ACL SETUSER default <{password}")).await;
    }
}

/// Two nodes with a password, two servers with its file, and who changes the nodes.
struct World {
    redis: Vec<Redis>,
    operators: Vec<Operator>,
    servers: [Server; 2],
    secret: Mounted,
}

impl World {
    async fn start() -> Self {
        let secret = Mounted::new("one");
        let redis: Vec<Redis> = (0..2).map(|_| Redis::start(&["--requirepass", "one"])).collect();
        let mut operators = Vec::new();
        for redis in &redis {
            operators.push(Operator::login(redis, "one").await);
        }
        let start = async |name| Server::ready(options(name, "ws-node", secret.bus(&redis))).await;
        let servers = [start("one").await, start("two").await];
        acquainted(&[&servers[0], &servers[1]]).await;
        Self {
            redis,
            operators,
            servers,
            secret,
        }
    }

    /// Ends the connections of the servers to a node, and waits until both servers hear it again.
    async fn cut(&mut self, node: usize) {
        let seen = |server: &Server| {
            let nodes = server.adapter.nodes();
            let node = nodes.borrow()[node].clone();
            (node.heard, node.reconnects)
        };
        let before = [seen(&self.servers[0]).1, seen(&self.servers[1]).1];
        self.operators[node].run("CLIENT KILL TYPE pubsub").await;
        self.operators[node].run("CLIENT KILL TYPE normal").await;
        for (server, before) in self.servers.iter().zip(before) {
            until("the node is heard again", || {
                let (heard, reconnects) = seen(server);
                heard && reconnects > before
            })
            .await;
        }
    }

    async fn cut_all(&mut self) {
        for node in 0..self.redis.len() {
            self.cut(node).await;
        }
    }

    /// Opens connections for questions, with the password as it is now.
    async fn facts_are_known(&self) {
        for facts in soon("facts", self.servers[0].adapter.node_facts()).await {
            facts.facts.unwrap_or_else(|error| panic!("{}: {error}", facts.id));
        }
    }
}

/// Messages to `bob`, with numbers, until it is stopped.
struct Traffic {
    sending: tokio::task::JoinHandle<u64>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    fn start(from: &Server) -> Self {
        let (adapter, stop) = (from.adapter.clone(), Arc::new(AtomicBool::new(false)));
        let ended = stop.clone();
        let sending = tokio::spawn(async move {
            let mut pace = interval(Duration::from_millis(2));
            let mut sent = 0;
            while !ended.load(Ordering::Relaxed) {
                pace.tick().await;
                let message = frame(&sent.to_string());
                adapter.to_client(&client("bob"), message).await.expect("accepted");
                sent += 1;
            }
            sent
        });
        Self { sending, stop }
    }

    /// Every message arrived once.
    async fn end(self, bob: &mut Client) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = soon("the end", self.sending).await.expect("no panic");
        let mut seen = Vec::new();
        for _ in 0..sent {
            seen.push(bob.frame().await.parse::<u64>().expect("a number"));
        }
        bob.nothing().await;
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..sent), "each of {sent} once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_servers_learn_first_loses_nothing_and_doubles_nothing() {
    let mut world = World::start().await;
    let mut bob = world.servers[1].client("bob").await;
    let traffic = Traffic::start(&world.servers[0]);
    world.secret.swap(b"two\n");
    world.facts_are_known().await;
    world.cut(0).await;
    // The other node has both now, and this one still only the first.
    world.operators[1].accept("two").await;
    world.cut_all().await;
    world.operators[0].accept("two").await;
    world.cut_all().await;
    for operator in &mut world.operators {
        operator.forget("one").await;
    }
    world.cut_all().await;
    traffic.end(&mut bob).await;
    world.facts_are_known().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_nodes_learn_first_loses_nothing_and_doubles_nothing() {
    let mut world = World::start().await;
    let mut bob = world.servers[1].client("bob").await;
    let traffic = Traffic::start(&world.servers[0]);
    world.operators[0].accept("two").await;
    world.cut(0).await;
    world.operators[1].accept("two").await;
    world.cut_all().await;
    world.secret.swap(b"two");
    world.cut_all().await;
    for operator in &mut world.operators {
        operator.forget("one").await;
    }
    world.cut_all().await;
    traffic.end(&mut bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_file_that_is_empty_or_gone_for_a_while_disturbs_nobody() {
    let mut world = World::start().await;
    let mut bob = world.servers[1].client("bob").await;
    for broken in [&b""[..], b"\n", b"\xff\xfe"] {
        world.secret.swap(broken);
        world.cut_all().await;
        bob_is_reached(&world.servers[0], &mut bob).await;
    }
    std::fs::remove_file(world.secret.folder.path().join("..data")).expect("removed");
    world.cut_all().await;
    bob_is_reached(&world.servers[0], &mut bob).await;
    world.secret.swap(b"one");
    world.cut_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_starts_again_with_another_password_is_heard_once_the_file_has_it() {
    let mut world = World::start().await;
    let mut bob = world.servers[1].client("bob").await;
    let port = world.redis[0].port;
    world.redis[0].kill();
    world.redis[0] = Redis::start_on(port, &["--requirepass", "two"]);
    let nodes = world.servers[0].adapter.nodes();
    let refused = |text: &str| text.contains("WRONGPASS") && text.contains("check user and password");
    until("the status says why", || {
        let error = nodes.borrow()[0].error.clone();
        error.as_deref().is_some_and(refused)
    })
    .await;
    bob_is_reached(&world.servers[0], &mut bob).await;
    world.secret.swap(b"two");
    for server in &world.servers {
        let nodes = server.adapter.nodes();
        until("both nodes are heard, one with each password", || {
            nodes.borrow().iter().all(|node| node.heard)
        })
        .await;
    }
    world.operators[0] = Operator::login(&world.redis[0], "two").await;
    world.cut_all().await;
    bob_is_reached(&world.servers[0], &mut bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_wrong_password_only_gives_the_same_error_as_a_wrong_password_and_does_not_show_it() {
    let secret = Mounted::new("hunter2");
    let redis = [Redis::start(&["--requirepass", "one"])];
    let server = Server::start(options("one", "ws-node", secret.bus(&redis)));
    let nodes = server.adapter.nodes();
    let refused = |text: &str| text.contains("WRONGPASS") && text.contains("check user and password");
    until("the status says why", || {
        let error = nodes.borrow()[0].error.clone();
        error.as_deref().is_some_and(refused)
    })
    .await;
    assert!(!format!("{:?} {:?}", nodes.borrow(), secret.bus(&redis)).contains("hunter2"));
    server.stop().await;
}
