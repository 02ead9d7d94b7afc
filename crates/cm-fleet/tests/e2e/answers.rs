//! Prompts settled by the program itself, against an agent that is played by the test.

use std::path::PathBuf;
use std::sync::Arc;

use cm_protocol::SessionInfo;
use tokio::net::UnixListener;
use tokio_util::task::AbortOnDropHandle;

use crate::fake::{Agent, command, question, session};
use crate::support::{Place, Ran};

/// An agent with some sessions that wait, at a socket.
struct Fake {
    place: Place,
    agent: Arc<Agent>,
    _task: AbortOnDropHandle<()>,
}

impl Fake {
    fn start(sessions: Vec<SessionInfo>) -> Self {
        let place = Place::new();
        let listener = UnixListener::bind(socket(&place)).expect("a socket");
        let agent = Agent::new(sessions, None);
        let serving = Arc::clone(&agent);
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.serve(stream).await;
            }
        }));
        Self { place, agent, _task: task }
    }

    async fn expect(&self, code: i32, args: &[&str]) -> Ran {
        let socket = socket(&self.place).display().to_string();
        let all: Vec<&str> = ["--socket", &socket].iter().chain(args).copied().collect();
        self.place.expect(code, &all).await
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let socket = socket(&self.place).display().to_string();
        let all: Vec<&str> = ["--socket", &socket].iter().chain(args).copied().collect();
        self.place.run(&all).await
    }

    fn answered(&self) -> Vec<String> {
        self.agent.answered()
    }
}

fn socket(place: &Place) -> PathBuf {
    place.path("fake.sock")
}

#[tokio::test]
async fn the_only_one_that_waits() {
    let fake = Fake::start(vec![session("aaaa", "one", command(3, "make")), session("bbbb", "busy", None)]);
    let ran = fake.expect(0, &["approve"]).await;
    assert_eq!(ran.out, "aaaa0000 approved\n");
    assert_eq!(ran.err, "aaaa0000/3 one asks to run make\n");
    assert_eq!(fake.answered(), ["aaaa/3 Allow [] None"]);

    fake.expect(0, &["deny", "one", "--message", "not now"]).await;
    assert_eq!(fake.answered(), [r#"aaaa/3 Deny [] Some("not now")"#]);
    fake.expect(0, &["answer", "one/3", "no"]).await;
    assert_eq!(fake.answered(), [r#"aaaa/3 Choose ["No"] None"#]);

    let gone = fake.expect(4, &["approve", "one/2"]).await;
    assert!(gone.err.contains("prompt 2 of session aaaa0000 is not open any more"), "{}", gone.err);
    let busy = fake.expect(4, &["deny", "busy"]).await;
    assert!(busy.err.contains("session bbbb0000 has no open prompt; it is running"), "{}", busy.err);
    assert_eq!(fake.expect(1, &["approve", "nobody"]).await.out, "");
    let option = fake.expect(2, &["answer", "one", "maybe"]).await;
    assert!(
        option.err.contains("`maybe` is none of the options") && option.err.contains("Esc  No"),
        "{option:?}"
    );
    assert!(fake.answered().is_empty());
}

#[tokio::test]
async fn several_wait() {
    let sessions = vec![
        session("aaaa", "one", command(3, "make")),
        session("bbbb", "two", command(1, "make")),
        session("cccc", "three", command(1, "rm -rf /\nmake")),
        session("dddd", "four", question(7)),
    ];
    let fake = Fake::start(sessions);
    let unclear = fake.expect(2, &["approve"]).await;
    for said in
        ["4 sessions wait; say which", "aaaa0000/3 one asks to run make", "dddd0000/7 four asks: Which"]
    {
        assert!(unclear.err.contains(said), "{}", unclear.err);
    }
    assert!(fake.answered().is_empty());

    let same = fake.expect(0, &["approve", "one", "--same"]).await;
    assert_eq!(same.out, "aaaa0000 approved\nbbbb0000 approved\n");
    assert_eq!(fake.answered(), ["aaaa/3 Allow [] None", "bbbb/1 Allow [] None"]);

    let all = fake.expect(4, &["approve", "--all"]).await;
    assert_eq!(all.out.lines().count(), 3);
    assert!(all.err.contains("it is not a matter of yes or no"), "{}", all.err);
    assert!(
        all.err.contains("| rm -rf /\n| make\n"),
        "a command of several lines is shown whole: {}",
        all.err
    );
    assert_eq!(fake.answered().len(), 3, "a question is not approved");

    fake.expect(0, &["answer", "four", "postgres"]).await;
    fake.expect(0, &["answer", "four", "1", "3"]).await;
    fake.expect(0, &["answer", "four", "--text", "none of them"]).await;
    assert_eq!(
        fake.answered(),
        [
            r#"dddd/7 Choose ["Postgres"] None"#,
            r#"dddd/7 Choose ["SQLite", "Postgres, replicated"] None"#,
            r#"dddd/7 Text [] Some("none of them")"#
        ]
    );
    let waiting = fake.expect(0, &["waiting"]).await.out;
    for said in
        ["aaaa0000  one · claude · /home/ada/shop", "> 1    Yes", "cm-fleet approve aaaa0000/3", "  | make"]
    {
        assert!(waiting.contains(said), "{said:?} is not in {waiting}");
    }
    assert_eq!(fake.expect(0, &["inbox", "--json"]).await.out.lines().count(), 4);
    assert!(fake.expect(0, &["sessions"]).await.out.contains("asks to run make"));
}

#[tokio::test]
async fn answers_that_do_not_arrive() {
    let fake = Fake::start(vec![
        session("aaaa", "stuck", command(3, "make")),
        session("bbbb", "late", command(3, "make")),
        session("cccc", "good", command(3, "make")),
    ]);
    let stuck = fake.expect(1, &["approve", "stuck"]).await;
    assert!(stuck.err.contains("does not show that the answer was taken"), "{}", stuck.err);
    let late = fake.expect(4, &["approve", "late"]).await;
    assert!(late.err.contains("prompt 3 is not open any more"), "{}", late.err);
    let all = fake.expect(1, &["deny", "--all"]).await;
    assert_eq!(all.out, "cccc0000 denied\n", "one that fails does not keep the others from their turn");
}

#[tokio::test]
async fn an_explanation() {
    let fake = Fake::start(vec![session("aaaa", "one", command(3, "make"))]);
    let page = fake.expect(0, &["explain", "one"]).await.out;
    for said in ["session     aaaa0000  one", "rule        claude/permission", "authority   hooks", "12s ago"]
    {
        assert!(page.contains(said), "{said:?} is not in {page}");
    }
    let json = fake.expect(0, &["explain", "aaaa", "--json"]).await.out;
    let value: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(value["authority"], "hooks");
    fake.expect(1, &["explain", "nobody"]).await;
}

#[tokio::test]
async fn a_recording() {
    let fake = Fake::start(vec![session("aaaa", "one", None)]);
    let recording = concat!(
        r#"{"at":1.0,"kind":"start","session":"cm-a","tool":"shell","toolVersion":null,"profile":"shell 1","#,
        r#""policy":"careful","task":true,"workDir":"/p","home":"/h","check":false,"memory":null}"#,
        "\n",
        r#"{"at":2.5,"kind":"exited","code":0,"signal":null}"#,
        "\n"
    );
    let folder = fake.place.path("s/cm-agent/recordings");
    std::fs::create_dir_all(&folder).expect("made");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(fake.place.path("s/cm-agent"), private).expect("made private");
    std::fs::write(folder.join(format!("cm-{:0<32}.jsonl", "aaaa")), recording).expect("written");
    for wanted in ["aaaa", "one", &folder.join(format!("cm-{:0<32}.jsonl", "aaaa")).display().to_string()] {
        let ran = fake.run(&["replay", wanted]).await;
        assert!(ran.out.contains("1.500  complete done code 0"), "{wanted}: {ran:?}");
    }
    let none = fake.expect(2, &["replay", "./none.jsonl"]).await;
    assert!(none.err.contains("cannot replay ./none.jsonl"), "{}", none.err);
    fake.place.expect(2, &["replay", "nobody"]).await;
}

#[tokio::test]
async fn nothing_waits() {
    let fake = Fake::start(vec![session("bbbb", "busy", None)]);
    assert!(fake.expect(4, &["approve"]).await.err.contains("nothing waits for an answer"));
    assert_eq!(fake.expect(0, &["approve", "--all"]).await.out, "nothing waits for an answer\n");
    assert_eq!(fake.expect(0, &["waiting"]).await.out, "nothing waits\n");
    assert_eq!(fake.expect(0, &["waiting", "--json"]).await.out, "");
    fake.place.expect(3, &["--no-start", "approve"]).await;
    fake.place.expect(2, &["answer", "x"]).await;
}
