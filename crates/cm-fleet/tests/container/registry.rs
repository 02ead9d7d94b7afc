//! A registry on loopback that has one image under one name: as much of the protocol as an engine needs to pull it.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use cm_fleet::deploy::wanted::hex;
use serde_json::{Value, json};

/// What is asked for it, and what it answers: type and bytes.
type Answers = HashMap<String, (String, Arc<Vec<u8>>)>;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// The registry; it ends when it is dropped.
pub struct Registry {
    port: u16,
    answers: Arc<Mutex<Answers>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    /// One that has this image of Docker's here.
    pub fn serve(image: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answers, over) = (Arc::new(Mutex::new(answers(image))), Arc::new(AtomicBool::new(false)));
        let (known, ended) = (Arc::clone(&answers), Arc::clone(&over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let known = Arc::clone(&known);
                // An engine that has heard enough hangs up.
                thread::spawn(move || answer(&stream, &known));
            }
        });
        Self { port, answers, over, thread: Some(thread) }
    }

    /// The image's name there.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}/cm-agent:one", self.port)
    }

    /// It is another image now.
    pub fn now(&self, image: &str) {
        *self.answers.lock().unwrap() = answers(image);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Takes an image of Docker's to pieces.
fn answers(image: &str) -> Answers {
    let saved =
        Command::new("docker").args(["save", image]).stderr(Stdio::inherit()).output().unwrap().stdout;
    let files = files(&saved);
    let list: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let named = |value: &Value| files[value.as_str().unwrap()].clone();
    let mut answers = Answers::new();
    let mut blob = |kind: &str, bytes: Vec<u8>| {
        let digest = format!("sha256:{}", hex(&bytes));
        let told = json!({"mediaType": kind, "size": bytes.len(), "digest": digest});
        answers.insert(format!("blobs/{digest}"), (kind.to_owned(), Arc::new(bytes)));
        told
    };
    let config = blob(CONFIG, named(&list[0]["Config"]));
    let layers: Vec<Value> =
        list[0]["Layers"].as_array().unwrap().iter().map(|layer| blob(LAYER, named(layer))).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    let manifest = Arc::new(manifest.to_string().into_bytes());
    for tag in ["one".to_owned(), format!("sha256:{}", hex(&manifest))] {
        answers.insert(format!("manifests/{tag}"), (MANIFEST.to_owned(), Arc::clone(&manifest)));
    }
    answers
}

/// The files of a tar.
fn files(tar: &[u8]) -> HashMap<String, Vec<u8>> {
    let mut found = HashMap::new();
    let mut rest = tar;
    while rest.len() >= 512 && rest[0] != 0 {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_matches(['\0', ' ']).to_owned();
        let size = usize::from_str_radix(&text(&rest[124..136]), 8).unwrap();
        found.insert(text(&rest[..100]), rest[512..512 + size].to_vec());
        rest = &rest[(512 + size.next_multiple_of(512)).min(rest.len())..];
    }
    found
}

/// Answers one connection's requests, each told to be the last.
fn answer(stream: &TcpStream, known: &Mutex<Answers>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.take(1 << 16)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = first.split_whitespace();
    let (verb, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let found = match path.strip_prefix("/v2/cm-agent/") {
        Some(what) => known.lock().unwrap().get(what).cloned(),
        None => (path == "/v2/").then(|| ("application/json".to_owned(), Arc::new(b"{}".to_vec()))),
    };
    let mut stream = stream;
    let (status, kind, body) = match found {
        Some((kind, body)) => ("200 OK", kind, body),
        None => {
            let error = json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]});
            ("404 Not Found", "application/json".to_owned(), Arc::new(error.to_string().into_bytes()))
        }
    };
    let digest = path.rsplit('/').next().filter(|name| name.starts_with("sha256:"));
    let digest = digest.map_or_else(|| format!("sha256:{}", hex(&body)), str::to_owned);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Content-Digest: {digest}\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if verb != "HEAD" {
        stream.write_all(&body)?;
    }
    stream.shutdown(Shutdown::Write)
}
