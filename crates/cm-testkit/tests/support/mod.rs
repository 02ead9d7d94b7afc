//! A client for the model server that shows exactly what came over the wire.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What nothing in these tests may take longer than, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    /// Without the chunks' frames.
    pub body: String,
    /// Whether it came to its proper end.
    pub whole: bool,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The events of a stream: name (if any) and data.
    pub fn events(&self) -> Vec<(String, Value)> {
        let event = |block: &str| {
            let field = |name: &str| {
                block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
            };
            let data = field("data:");
            (field("event:"), serde_json::from_str(&data).unwrap_or(Value::String(data)))
        };
        self.body.split("\n\n").filter(|block| !block.trim().is_empty()).map(event).collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.events().into_iter().map(|(name, _)| name).collect()
    }
}

/// Sends a request and leaves the connection to be read.
pub fn send(url: &str, method: &str, path: &str, body: &Value) -> TcpStream {
    let address = url.strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: kit/1\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("written");
    stream
}

/// Reads the answer to its end.
pub fn receive(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).expect("UTF-8");
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let (body, ended) =
        if head.contains("transfer-encoding: chunked") { unchunked(rest) } else { (rest.to_owned(), true) };
    Answer { status, head, body, whole: read.is_ok() && ended && status != 0 }
}

pub fn ask(url: &str, method: &str, path: &str, body: &Value) -> Answer {
    receive(send(url, method, path, body))
}

fn unchunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        if size == 0 {
            return (body, true);
        }
        let Some(piece) = after.get(..size) else { return (body + after, false) };
        body += piece;
        rest = after.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}
