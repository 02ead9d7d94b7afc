//! Where an agent is: a unix socket or a TCP address with a token; reading it, and opening a stream to it.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::error::ClientError;

/// The most bytes a unix socket's path may have (`sockaddr_un` holds 108 with the final zero).
const MAX_SOCKET_PATH: usize = 107;

/// The most bytes of a token file that are read.
const MAX_TOKEN_FILE: u64 = 4096;

/// An agent's secret. It is never printed: there is no `Display`, and `Debug` hides it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token as given; white space around it (a file's last newline) is no part of it.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The token in a file (at most 4 KiB).
    ///
    /// # Errors
    /// The file cannot be read, is larger, or is empty.
    pub fn from_file(path: &Path) -> io::Result<Self> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("token file {}: {e}", path.display()));
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_TOKEN_FILE + 1).read_to_string(&mut text))
            .map_err(named)?;
        let token = Self::new(&text);
        if token.is_empty() {
            return Err(named(io::Error::new(io::ErrorKind::InvalidData, "it is empty")));
        }
        if text.len() as u64 > MAX_TOKEN_FILE {
            return Err(named(io::Error::new(io::ErrorKind::InvalidData, "it is no token: over 4 KiB")));
        }
        Ok(token)
    }

    /// Whether there is none: enough for a unix socket.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The secret itself, for the one frame that carries it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Token(none)" } else { "Token(…)" })
    }
}

/// Where an agent listens. Parsed from `unix:/path`, `/path`, `ws://host:port/`, `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket. The kernel vouches for the user, so no token is needed.
    Unix(PathBuf),
    /// A TCP address; the agent wants its token.
    Tcp {
        /// Name or address, an IPv6 one without brackets.
        host: String,
        /// Port.
        port: u16,
        /// The agent's token.
        token: Token,
    },
}

impl Endpoint {
    /// The same place with this token. A unix socket needs none and keeps none.
    #[must_use]
    pub fn with_token(mut self, new: Token) -> Self {
        if let Self::Tcp { token, .. } = &mut self {
            *token = new;
        }
        self
    }

    /// Where an agent of this user listens when nothing else was said:
    /// `$XDG_RUNTIME_DIR/cm-agent/agent.sock`. `None` without a runtime directory.
    pub fn default_socket() -> Option<Self> {
        let runtime = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
        runtime.is_absolute().then(|| Self::Unix(runtime.join("cm-agent/agent.sock")))
    }

    /// The token its log-in sends.
    pub fn token(&self) -> Token {
        match self {
            Self::Unix(_) => Token::default(),
            Self::Tcp { token, .. } => token.clone(),
        }
    }

    /// Opens the byte stream.
    pub(crate) async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Tcp { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Commands are small and each waits for its answer.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// Any byte stream a connection can run over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "ws://[{host}]:{port}/"),
            Self::Tcp { host, port, .. } => write!(f, "ws://{host}:{port}/"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let wrong = |why: &str| ClientError::Address { text: text.to_owned(), why: why.to_owned() };
        if text.starts_with("wss://") || text.starts_with("https://") {
            return Err(wrong("agents do not speak TLS; reach another host's agent through ssh"));
        }
        if let Some(path) = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text)) {
            let path = path.strip_prefix("//").unwrap_or(path);
            return socket_path(path).map_err(|why| wrong(&why));
        }
        let address = match text.strip_prefix("ws://") {
            // Agents serve any path.
            Some(rest) => rest.split('/').next().unwrap_or(rest),
            None => text,
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        let port = port.parse().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| wrong("the port is no number from 1 to 65535"))?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(|| wrong("`]` is missing"))?,
            None if host.contains(':') => return Err(wrong("an IPv6 address stands in brackets")),
            None => host,
        };
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '?' | '#'))
        {
            return Err(wrong("that is no host name"));
        }
        Ok(Self::Tcp { host: host.to_owned(), port, token: Token::default() })
    }
}

fn socket_path(path: &str) -> Result<Endpoint, String> {
    if !path.starts_with('/') {
        return Err("a socket's path is absolute".into());
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err(format!("a socket's path has at most {MAX_SOCKET_PATH} bytes, this one {}", path.len()));
    }
    Ok(Endpoint::Unix(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match text.parse::<Endpoint>() {
            Ok(endpoint) => endpoint.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            if expected.contains("://") || expected.starts_with("unix:") {
                found == expected
            } else {
                found.contains(expected) && found.contains("is no address of an agent")
            },
            "{text}: {found:?}, not {expected:?}"
        );
    }

    #[test]
    fn addresses() {
        check("/run/a.sock", "unix:/run/a.sock");
        check("unix:/run/a.sock", "unix:/run/a.sock");
        check("unix:///run/a.sock", "unix:/run/a.sock");
        check("127.0.0.1:9876", "ws://127.0.0.1:9876/");
        check("ws://127.0.0.1:9876/", "ws://127.0.0.1:9876/");
        check("ws://127.0.0.1:9876", "ws://127.0.0.1:9876/");
        check("ws://build-1:9876/agent/x", "ws://build-1:9876/");
        check("[::1]:9876", "ws://[::1]:9876/");
        check("ws://[::1]:9876/", "ws://[::1]:9876/");
        check("", "the port is missing");
        check("localhost", "the port is missing");
        check("localhost:", "no number from 1");
        check("localhost:0", "no number from 1");
        check("localhost:70000", "no number from 1");
        check(":9876", "the host is missing");
        check("::1:9876", "in brackets");
        check("[::1:9876", "`]` is missing");
        check("a b:1", "no host name");
        check("user@host:1", "no host name");
        check("unix:run/a.sock", "absolute");
        check("unix:", "absolute");
        check("wss://host:1/", "through ssh");
        check(&format!("/{}", "a".repeat(107)), "at most 107 bytes, this one 108");
    }

    #[test]
    fn a_token_is_never_printed() {
        let endpoint: Endpoint = "127.0.0.1:9876".parse().unwrap();
        let endpoint = endpoint.with_token(Token::new("s3cret\n"));
        assert_eq!(endpoint.token().reveal(), "s3cret");
        let printed = format!("{endpoint:?} {endpoint} {:#?}", endpoint.token());
        assert!(!printed.contains("s3cret"), "{printed}");
        assert!(Endpoint::Unix("/a".into()).with_token(Token::new("x")).token().is_empty());
    }

    #[test]
    fn token_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let said = |path: &Path| Token::from_file(path).map_err(|e| e.to_string());
        assert!(said(&file).unwrap_err().contains("token file"));
        std::fs::write(&file, " \n").unwrap();
        assert!(said(&file).unwrap_err().contains("it is empty"));
        std::fs::write(&file, "x".repeat(5000)).unwrap();
        assert!(said(&file).unwrap_err().contains("over 4 KiB"));
        std::fs::write(&file, "s3cret\n").unwrap();
        assert_eq!(said(&file).unwrap().reveal(), "s3cret");
    }
}
