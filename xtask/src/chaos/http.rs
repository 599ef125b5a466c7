//! One HTTP request on a connection of its own, bounded in time: senders here expect the worst.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A status and a body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Sends a request to a port of this machine; `head` is lines of headers, each with its `\r\n`.
pub(super) async fn request(
    port: u16,
    method: &str,
    path: &str,
    head: &str,
    body: &str,
) -> Result<Answer> {
    tokio::time::timeout(LIMIT, exchange(port, method, path, head, body))
        .await
        .context("no answer in time")?
}

async fn exchange(port: u16, method: &str, path: &str, head: &str, body: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // HTTP/1.0 asks for an answer without chunks that ends with the connection.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: 127.0.0.1\r\n{head}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    parse(&bytes).context("the answer is cut off")
}

/// Reads an answer; `None` when it is not whole.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) if body.len() < length => None,
        Some(_) | None => Some(Answer { status, body: body.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_off_answer_is_none() {
        let whole = b"HTTP/1.0 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        let answer = parse(whole).expect("it is whole");
        assert_eq!((answer.status, answer.body.as_str()), (202, "{}"));
        assert!(parse(&whole[..whole.len() - 1]).is_none());
        assert!(parse(b"HTTP/1.0 202 Acc").is_none());
    }
}
