//! Waits for the head of a request without reading it from the stream: a peer that sends it byte by byte costs no memory and hardly
//! any CPU time.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::garbled::Garbled;

/// Largest request head.
pub(super) const HEAD_BYTES: usize = 16 * 1024;

/// Pauses between checks of a connection whose head comes in pieces: the first, and the longest.
const PIECES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

/// Resolves when a whole request head has arrived, or as many bytes as a head may have. Resolves with the reason if the bytes cannot
/// become a request.
pub(super) async fn head_is_here(stream: &TcpStream) -> io::Result<Option<Garbled>> {
    let (mut seen, mut pause) = (0, PIECES.0);
    loop {
        let head = poll_fn(|context| {
            let mut head = [MaybeUninit::uninit(); HEAD_BYTES];
            let mut head = ReadBuf::uninit(&mut head);
            let length = ready!(stream.poll_peek(context, &mut head))?;
            if length == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            let end = end_of(head.filled(), seen);
            let garbled = Garbled::find(&head.filled()[..end.unwrap_or(length)], seen);
            seen = length;
            Poll::Ready(Ok((end.is_some() || length == HEAD_BYTES, garbled)))
        });
        match head.await? {
            (_, Some(garbled)) => return Ok(Some(garbled)),
            (true, None) => return Ok(None),
            (false, None) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(PIECES.1);
    }
}

/// The end of the head. It is not within the first `seen` bytes.
fn end_of(head: &[u8], seen: usize) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let from = seen.saturating_sub(END.len() - 1).min(head.len());
    let at = head[from..].windows(END.len()).position(|end| end == END)?;
    Some(from + at + END.len())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn the_end_of_a_head_is_found_in_whatever_pieces_it_comes() {
        let head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nmore";
        let end = head.len() - 4;
        for seen in 0..end {
            for length in seen..=head.len() {
                let found = (length >= end).then_some(end);
                assert_eq!(end_of(&head[..length], seen), found, "{seen} {length}");
            }
        }
    }

    #[tokio::test]
    async fn a_head_has_arrived_with_its_last_byte_and_stays_in_the_stream() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound"))
            .await
            .expect("connects");
        let (mut server, _) = listener.accept().await.expect("accepted");
        let mut waiting = Box::pin(head_is_here(&server));
        for byte in &REQUEST[..REQUEST.len() - 1] {
            client.write_all(&[*byte]).await.expect("written");
            let early = timeout(Duration::from_millis(5), &mut waiting).await;
            assert!(early.is_err(), "{early:?}");
        }
        client.write_all(&REQUEST[REQUEST.len() - 1..]).await.expect("written");
        let garbled = timeout(PATIENCE, waiting).await.expect("seen").expect("open");
        assert_eq!(garbled, None);
        let mut head = vec![0; REQUEST.len()];
        server.read_exact(&mut head).await.expect("all of it");
        assert_eq!(head, REQUEST);
        drop(client);
        let ended = timeout(PATIENCE, head_is_here(&server)).await.expect("seen");
        assert_eq!(ended.expect_err("it has ended").kind(), io::ErrorKind::UnexpectedEof);
    }
}
