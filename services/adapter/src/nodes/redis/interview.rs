//! Questions to an address that may become a node, before anything is known of it: over a connection like those of the links,
//! which bounds what it reads. A command that the user may not use, or that this Redis does not know, leaves out what it would
//! have said.

use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;

use super::connection::Connection;
use super::inquiry::is_refusal;
use super::{Redis, info, limits, trouble};
use crate::nodes::inquiry::{About, BufferLimit, Interview, Rights};
use crate::nodes::link::{Boxed, Channel, LinkError};

/// A connection for these questions.
pub(super) struct RedisInterview {
    connection: Connection,
    /// The user that the URL names.
    user: Option<String>,
}

/// What a command answered; none if the user may not use it, or if this Redis does not know it.
type Answer = Option<BytesFrame>;

impl RedisInterview {
    pub(super) async fn connect(redis: &Redis) -> Result<Self, LinkError> {
        Ok(Self {
            connection: Connection::connect(redis).await?,
            user: redis.url.username().map(str::to_owned),
        })
    }

    /// Sends commands, and reads their answers.
    async fn ask(&mut self, commands: &[&[&str]]) -> Result<Vec<Answer>, LinkError> {
        for words in commands {
            let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
            self.connection.write(words).await?;
        }
        let mut answers = Vec::new();
        for _ in commands {
            let answer = match self.connection.answer().await? {
                BytesFrame::Error(said) if is_refusal(&said) => None,
                BytesFrame::Error(said) => return Err(trouble::rejected(self.connection.address(), &said)),
                answer => Some(answer),
            };
            answers.push(answer);
        }
        Ok(answers)
    }

    async fn ask_one(&mut self, command: &[&str]) -> Result<Answer, LinkError> {
        Ok(self.ask(&[command]).await?.pop().flatten())
    }

    /// Asks without doing it (Redis 7): what it says first against this command, whose first word is a channel, if anything. None if it cannot be
    /// asked.
    async fn denied(
        &mut self,
        user: &str,
        command: &str,
        more: &[&str],
        channels: &[Channel],
    ) -> Result<Option<Option<String>>, LinkError> {
        let question = ["ACL", "DRYRUN", user, command];
        let question = |channel| question.into_iter().chain([channel]).chain(more.iter().copied());
        let questions: Vec<Vec<&str>> = channels.iter().map(|channel| question(&**channel).collect()).collect();
        let questions: Vec<&[&str]> = questions.iter().map(Vec::as_slice).collect();
        let said: Option<Vec<_>> = self.ask(&questions).await?.into_iter().collect();
        let against = said.map(|said| said.into_iter().filter_map(text).find(|said| said != "OK"));
        Ok(against.map(|against| against.map(|against| trouble::shortened(&against))))
    }
}

fn text(answer: BytesFrame) -> Option<String> {
    match answer {
        BytesFrame::BulkString(text) | BytesFrame::SimpleString(text) => {
            Some(String::from_utf8_lossy(&text).into_owned())
        }
        _ => None,
    }
}

impl Interview for RedisInterview {
    fn about(&mut self) -> Boxed<'_, Result<About, LinkError>> {
        Box::pin(async {
            let said = self.ask_one(&["INFO"]).await?.and_then(text);
            Ok(info::about(said.as_deref().unwrap_or_default()))
        })
    }

    fn rights<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<Option<Rights>, LinkError>> {
        Box::pin(async {
            let user = self.ask_one(&["ACL", "WHOAMI"]).await?.and_then(text);
            let user = user.or_else(|| self.user.clone());
            let user = user.unwrap_or_else(|| "default".to_owned());
            let publishing = self.denied(&user, "PUBLISH", &[""], channels).await?;
            let subscribing = self.denied(&user, "SUBSCRIBE", &[], channels).await?;
            let rights = publishing.zip(subscribing);
            Ok(rights.map(|(publish_denied, subscribe_denied)| Rights {
                publish_denied,
                subscribe_denied,
            }))
        })
    }

    fn buffer_limit(&mut self) -> Boxed<'_, Result<Option<BufferLimit>, LinkError>> {
        Box::pin(async {
            let answer = self.ask_one(&["CONFIG", "GET", limits::PARAMETER]).await?;
            let value = match answer {
                Some(BytesFrame::Array(parts)) => parts.into_iter().nth(1).and_then(text),
                _ => None,
            };
            Ok(value.as_deref().and_then(limits::of_subscribers))
        })
    }
}
