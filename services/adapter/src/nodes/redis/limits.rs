//! What a Redis says to a connection that was just opened: which Redis it is; and to a subscriber, how much it buffers for it, and
//! the connection's number.

use redis_protocol::resp2::types::BytesFrame;

use super::connection::Connection;
use super::info;
use crate::nodes::inquiry::BufferLimit;
use crate::nodes::link::{LinkError, SubscriberNumber};
use crate::wire::RunId;

/// The section of INFO with the run id. Some servers that only imitate Redis have no other.
const ABOUT: &[&str] = &["INFO", "server"];

/// The parameter. Its value lists classes of clients, each with a hard limit, a soft limit and the soft limit's
/// seconds.
pub(super) const PARAMETER: &str = "client-output-buffer-limit";
const CLASS: &str = "pubsub";

/// What a Redis says about one subscribing connection. An ACL may forbid each question, and some servers only imitate
/// Redis.
#[derive(Debug, Default)]
pub(super) struct OfSubscriber {
    /// How many bytes Redis buffers for it before it ends the connection. None if Redis does not say, or if there is no limit.
    pub(super) holds: Option<usize>,
    /// The connection's number, if Redis says it.
    pub(super) number: Option<SubscriberNumber>,
    /// The run of Redis that it leads to, if Redis says it.
    pub(super) run: Option<RunId>,
}

/// Asks all in one round trip, on the subscriber's own connection: it must know its limit before the first message, and a
/// connection for questions is opened only when somebody asks.
pub(super) async fn of_subscriber(connection: &mut Connection) -> Result<OfSubscriber, LinkError> {
    connection
        .write_several(&[&["CONFIG", "GET", PARAMETER], &["CLIENT", "ID"], ABOUT])
        .await?;
    let holds = match connection.answer().await? {
        BytesFrame::Array(parts) => hard_limit(&parts),
        _ => None,
    };
    let number = match connection.answer().await? {
        BytesFrame::Integer(number) => number.try_into().ok(),
        _ => None,
    };
    let run = run(connection).await?;
    Ok(OfSubscriber { holds, number, run })
}

/// Asks which Redis a publishing connection leads to. Takes no longer than what a subscriber asks at the same time.
pub(super) async fn of_publisher(connection: &mut Connection) -> Result<Option<RunId>, LinkError> {
    connection.write_several(&[ABOUT]).await?;
    run(connection).await
}

/// Reads the answer to [`ABOUT`].
async fn run(connection: &mut Connection) -> Result<Option<RunId>, LinkError> {
    Ok(match connection.answer().await? {
        BytesFrame::BulkString(text) => info::run(&String::from_utf8_lossy(&text)),
        _ => None,
    })
}

fn hard_limit(answer: &[BytesFrame]) -> Option<usize> {
    let [_, BytesFrame::BulkString(value)] = answer else {
        return None;
    };
    let limit = of_subscribers(std::str::from_utf8(value).ok()?)?.hard;
    usize::try_from(limit).ok().filter(|limit| *limit > 0)
}

/// The limits of the class of subscribers, in the value of [`PARAMETER`].
pub(super) fn of_subscribers(value: &str) -> Option<BufferLimit> {
    let mut words = value.split_whitespace();
    words.find(|word| *word == CLASS)?;
    let mut number = || words.next()?.parse().ok();
    Some(BufferLimit {
        hard: number()?,
        soft: number()?,
        soft_seconds: number()?,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(value: &'static str) -> Option<usize> {
        let text = |text: &'static str| BytesFrame::BulkString(Bytes::from_static(text.as_bytes()));
        hard_limit(&[text(PARAMETER), text(value)])
    }

    #[test]
    fn the_hard_limit_of_the_subscriber_class_is_found() {
        let value = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(read(value), Some(33_554_432));
        assert_eq!(read("normal 0 0 0 pubsub 0 0 0"), None, "no limit");
        assert_eq!((read("pubsub"), read("normal 1 2 3"), read("")), (None, None, None));
        assert_eq!(hard_limit(&[]), None, "an unknown parameter");
    }
}
