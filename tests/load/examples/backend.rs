//! A backend that costs as little as possible, to measure what the way to it costs: answers every POST with `{"ok":true}`, or,
//! on the path `/hang`, never.
//!
//! ```sh
//! cargo run --release -p wsmesh-load --example backend -- 127.0.0.1:8080
//! ```

use std::io::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&address).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that breaks is its client's matter.
        tokio::spawn(serve(stream));
    }
}

async fn serve(mut stream: TcpStream) -> Option<()> {
    let mut read = Vec::with_capacity(16 * 1024);
    loop {
        while let Some(length) = request(&read) {
            if read.starts_with(b"POST /hang ") {
                // Until the other side gives up.
                read.clear();
                break;
            }
            read.drain(..length);
            stream.write_all(ANSWER).await.ok()?;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// The length of the first request, if it is complete.
fn request(read: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(read).ok()? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return None,
    };
    let length = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    let body: usize = std::str::from_utf8(length.value).ok()?.parse().ok()?;
    (read.len() >= head + body).then_some(head + body)
}
