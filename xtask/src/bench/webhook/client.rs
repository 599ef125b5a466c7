//! A bare HTTP/1.1 client on one kept connection: the two cores belong to what is measured.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection to the orchestrator.
pub(super) struct Client {
    stream: TcpStream,
    path: String,
    received: Vec<u8>,
}

impl Client {
    /// Connects; `path` is the source's webhook path.
    pub(super) async fn connect(port: u16, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, path: path.to_owned(), received: Vec::with_capacity(4096) })
    }

    /// Posts one push and waits for its 202.
    pub(super) async fn deliver(&mut self, body: &str) -> Result<()> {
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
             x-event-type: push\r\ncontent-length: {}\r\n\r\n{body}",
            self.path,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        let answer = self.answer().await?;
        if !answer.starts_with("HTTP/1.1 202") {
            bail!("a delivery was answered with: {answer}");
        }
        Ok(())
    }

    /// Reads one whole answer.
    async fn answer(&mut self) -> Result<String> {
        self.received.clear();
        loop {
            if let Some(length) = whole_answer(&self.received)? {
                self.received.truncate(length);
                return Ok(String::from_utf8_lossy(&self.received).into_owned());
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the orchestrator closed the connection");
            }
        }
    }
}

/// The length of the answer at the start of `bytes`, once all of it is there.
fn whole_answer(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .context("the answer has no content-length")?;
    let total = end + 4 + length.trim().parse::<usize>()?;
    Ok((bytes.len() >= total).then_some(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_body() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(whole_answer(answer).expect("valid"), Some(answer.len()));
        assert_eq!(whole_answer(&answer[..answer.len() - 1]).expect("valid"), None);
        assert_eq!(whole_answer(b"HTTP/1.1 202").expect("valid"), None);
        assert!(whole_answer(b"HTTP/1.1 202 Accepted\r\n\r\n").is_err());
    }
}
