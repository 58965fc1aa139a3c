//! Opens TCP connections to host names with several addresses, some of which may not answer: RFC 8305, "happy
//! eyeballs".
//!
//! An address that does not answer costs a quarter of a second, not a whole time limit: then the next one is tried in
//! parallel. Address families alternate, starting with the one that the system prefers. The first connection wins and
//! the other attempts are dropped. After an address that refuses, the next one is tried at once. Names are resolved by
//! the system's resolver, which returns both families together.
//!
//! Why no existing crate: `happy-eyeballs` 0.2.1 still waits for the silent address when a refusal and the end of its
//! delay coincide, and leaves a task behind; `tokio-happy-eyeballs` 0.1.0 and hyper-util try the addresses of one
//! family one after another.

#[cfg(feature = "testing")]
pub mod testing;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep};

/// How long an attempt runs before the next one starts (RFC 8305, section 5: "Connection Attempt Delay").
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to a host, by name or address (IPv6 with or without brackets).
///
/// `limit` is the time limit that the caller enforces: attempts start early enough for each address to be tried within
/// it. Dropping the future ends all attempts.
///
/// # Errors
/// When the name cannot be resolved, or when all addresses refuse: then with the first refusal.
pub async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let addresses = alternating(&lookup(host, port).await?);
    let delay = delay(addresses.len(), limit);
    connect_first(addresses, delay).await
}

/// Short enough for the last address to be tried within the limit, with some time left for it.
fn delay(addresses: usize, limit: Duration) -> Duration {
    let turns = u32::try_from(addresses).unwrap_or(u32::MAX).saturating_add(1);
    ATTEMPT_DELAY.min(limit / turns)
}

async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    #[cfg(feature = "testing")]
    if let Some(addresses) = testing::addresses(host) {
        return Ok(addresses);
    }
    Ok(lookup_host((host, port)).await?.collect())
}

/// Takes addresses from both families in turn, starting with the family of the first address.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut order = Vec::with_capacity(addresses.len());
    for address in first {
        order.push(address);
        order.extend(second.next());
    }
    order.extend(second);
    order
}

async fn connect_first(addresses: Vec<SocketAddr>, delay: Duration) -> io::Result<TcpStream> {
    // A single address needs no timer. In tests with a paused clock, a timer would move the clock forward.
    if let [only] = addresses[..] {
        return TcpStream::connect(only).await;
    }
    let mut next = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut refusal = None;
    let mut turn = pin!(sleep(Duration::ZERO));
    while next.len() > 0 || !attempts.is_empty() {
        tokio::select! {
            biased;
            Some(result) = attempts.next(), if !attempts.is_empty() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    refusal.get_or_insert(error);
                    turn.as_mut().reset(Instant::now());
                }
            },
            () = &mut turn, if next.len() > 0 => {
                attempts.extend(next.next().map(TcpStream::connect));
                turn.as_mut().reset(Instant::now() + delay);
            }
        }
    }
    Err(refusal.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;
    use crate::testing::{Silent, name};

    const LIMIT: Duration = Duration::from_secs(20);

    async fn live(ip: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        (listener, address)
    }

    async fn dead() -> SocketAddr {
        live("127.0.0.1").await.1
    }

    /// Connects to a name with these addresses.
    async fn to(host: &str, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        name(host, addresses);
        timeout(LIMIT, connect(host, 1, LIMIT)).await.expect("in time")
    }

    #[tokio::test]
    async fn silent_addresses_do_not_hold_up_a_later_one() {
        let silent = [Silent::start().await, Silent::start().await];
        let (_listener, live) = live("127.0.0.1").await;
        let start = Instant::now();
        let stream = to("passed-by.test", &[silent[0].address(), silent[1].address(), live]).await;
        assert_eq!(stream.expect("connects").peer_addr().ok(), Some(live));
        assert!(
            start.elapsed() >= ATTEMPT_DELAY * 2,
            "each attempt runs alone for its time"
        );
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next_at_once() {
        let (dead, silent) = (dead().await, Silent::start().await);
        let (_listener, live) = live("127.0.0.1").await;
        for addresses in [
            [dead, dead, live],
            [silent.address(), dead, live],
            [dead, silent.address(), live],
        ] {
            let stream = to("refusing.test", &addresses).await.expect("connects");
            assert_eq!(stream.peer_addr().ok(), Some(live), "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn when_all_refuse_the_first_refusal_is_returned() {
        let refused = to("all-dead.test", &[dead().await, dead().await]).await;
        assert_eq!(refused.expect_err("nobody").kind(), io::ErrorKind::ConnectionRefused);
        let nobody = to("nowhere.test", &[]).await;
        assert!(nobody.expect_err("nobody").to_string().contains("no address"));
        let unknown = connect("no-such-host.invalid", 1, LIMIT).await;
        assert!(unknown.is_err());
    }

    #[test]
    fn a_short_limit_is_divided_among_the_addresses() {
        assert_eq!(delay(4, Duration::from_millis(50)), Duration::from_millis(10));
        assert_eq!(delay(4, Duration::from_secs(2)), ATTEMPT_DELAY);
        assert_eq!(delay(usize::MAX, Duration::from_millis(1)), Duration::ZERO);
    }

    #[tokio::test]
    async fn ip_addresses_are_accepted_with_and_without_brackets() {
        let (listener, live) = live("127.0.0.1").await;
        connect("127.0.0.1", live.port(), LIMIT).await.expect("connects");
        drop(listener);
        let refused = connect("[::1]", live.port(), LIMIT).await.expect_err("nobody there");
        assert_ne!(refused.kind(), io::ErrorKind::InvalidInput, "{refused}");
    }

    #[test]
    fn families_alternate_starting_with_the_preferred_one() {
        let order = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().expect(text)).collect();
            let order = alternating(&addresses);
            order.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let (a, b, c) = ("[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1");
        let (x, y) = ("192.0.2.1:1", "192.0.2.2:1");
        assert_eq!(order(&[a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(order(&[x, y, a]), [x, a, y]);
        assert_eq!(order(&[x, y]), [x, y]);
        assert!(order(&[]).is_empty());
    }
}
