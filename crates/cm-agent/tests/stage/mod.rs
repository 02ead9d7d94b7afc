//! A session in a real agent as its client follows it: every event, waited for with a deadline, and everything
//! that is known of the session where one does not come.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cm_client::{Client, Events, Incoming};
use cm_protocol::{
    Answer, AnswerDecision, CreateSession, Event, EventKind, Outcome, Policy, PolicyChoice, PolicyRule,
    PolicyVerdict, Prompt, Receipt, SendKeys, SessionId, State,
};

use super::support::Agent;

/// What no single step of a tool may take longer than, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the recordings of sessions are kept; else they go with the session.
const KEEP: &str = "CM_TEST_KEEP";

/// An agent, and one session of it that is followed.
pub struct Stage {
    pub agent: Agent,
    pub client: Client,
    pub id: SessionId,
    /// What the agent said when it made the session.
    pub warnings: Vec<String>,
    events: Events,
    /// Everything that was told of the session so far.
    pub told: Vec<EventKind>,
    /// The newest event's number.
    seq: u64,
}

impl Stage {
    /// Makes a session in an agent of its own and follows it from its first event on.
    pub async fn open(agent: Agent, request: CreateSession) -> Self {
        let client = agent.client().await.with_timeout(PATIENCE);
        let events = client.follow(None).await.expect("followed");
        let seq = events.start();
        let made = client.create_session(request).await.expect("made");
        let (id, warnings) = (made.session_id, made.warnings);
        Self { agent, client, id, warnings, events, told: Vec::new(), seq }
    }

    /// The next event of this session that is what is waited for. Fails with all that is known.
    pub async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&EventKind) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let event = match tokio::time::timeout_at(deadline, self.events.next()).await {
                Ok(Some(Incoming::Event(event))) => event,
                Ok(Some(_)) => continue,
                Ok(None) => self.fail(what, "the agent closed the connection").await,
                Err(_) => self.fail(what, "it did not come").await,
            };
            self.take(&event);
            if event.kind.session_id() == Some(&self.id)
                && let Some(found) = wanted(&event.kind)
            {
                return found;
            }
            if let EventKind::SessionCompleted { .. } = &event.kind
                && event.kind.session_id() == Some(&self.id)
            {
                self.fail(what, "the task ended without it").await;
            }
        }
    }

    fn take(&mut self, event: &Event) {
        self.seq = event.seq;
        if event.kind.session_id() == Some(&self.id) {
            self.told.push(event.kind.clone());
        }
    }

    /// The next announcement of a state; its reason.
    pub async fn state(&mut self, wanted: State) -> String {
        self.until(&format!("the state {wanted}"), |event| match event {
            EventKind::StateChange { state, reason, .. } if *state == wanted => {
                Some(reason.clone().unwrap_or_default())
            }
            _ => None,
        })
        .await
    }

    /// The next question a person is asked.
    pub async fn asks(&mut self) -> Prompt {
        self.until("a question", |event| match event {
            EventKind::StateChange { state: State::Waiting, prompt, .. } => prompt.clone(),
            _ => None,
        })
        .await
    }

    /// The next thing done about a question.
    pub async fn receipt(&mut self) -> Receipt {
        self.until("a receipt", |event| match event {
            EventKind::Receipt { receipt, .. } => Some((**receipt).clone()),
            _ => None,
        })
        .await
    }

    /// How the task ends.
    pub async fn ends(&mut self) -> Outcome {
        self.until("the end of the task", |event| match event {
            EventKind::SessionCompleted { outcome, .. } => outcome.clone(),
            _ => None,
        })
        .await
    }

    /// How the task ends, which must be well.
    pub async fn done(&mut self) -> Outcome {
        let outcome = self.ends().await;
        if outcome.state != State::Done {
            self.fail("a good end", &format!("it ended so: {} {:?}", outcome.state, outcome.reason)).await;
        }
        outcome
    }

    /// How the task ends, which must be badly; its reason begins with this word.
    pub async fn fails(&mut self, word: &str) -> Outcome {
        let outcome = self.ends().await;
        let reason = outcome.reason.clone().unwrap_or_default();
        if outcome.state != State::Failed || !reason.starts_with(word) {
            let how = format!("it ended so: {} {:?}", outcome.state, outcome.reason);
            self.fail(&format!("a failure, {word}"), &how).await;
        }
        outcome
    }

    /// Looks again and again until something has come true.
    pub async fn comes(&mut self, what: &str, come: impl Fn() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !come() {
            if tokio::time::Instant::now() > deadline {
                self.fail(what, "it did not come").await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Settles the open question.
    pub async fn answers(&mut self, decision: AnswerDecision, word: &str) {
        let (options, text) = match decision {
            AnswerDecision::Choose => (vec![word.to_owned()], None),
            _ => (Vec::new(), Some(word.to_owned()).filter(|word| !word.is_empty())),
        };
        self.gives(Answer { decision, options, text, ..Answer::default() }).await;
    }

    /// Takes several options of the open question.
    pub async fn chooses(&mut self, words: &[&str]) {
        let options = words.iter().map(|&word| word.to_owned()).collect();
        self.gives(Answer { decision: AnswerDecision::Choose, options, ..Answer::default() }).await;
    }

    async fn gives(&mut self, answer: Answer) {
        let answered = self.client.answer(Answer { session_id: self.id.clone(), ..answer }).await;
        match answered {
            Ok(answered) if answered.observed == cm_protocol::KeysObserved::Submitted => {}
            other => self.fail("an answer", &format!("{other:?}")).await,
        }
    }

    /// A person presses these keys.
    pub async fn presses(&self, keys: &[&str]) {
        let named = keys.iter().map(|&key| key.to_owned()).collect();
        let keys = SendKeys { session_id: self.id.clone(), named, enter: Some(false), ..SendKeys::default() };
        self.client.send_keys(keys).await.expect("pressed");
    }

    /// A person types this and Enter.
    pub async fn types(&self, text: &str) {
        self.client.send_line(&self.id, text).await.expect("typed");
    }

    /// All receipts so far.
    pub fn receipts(&self) -> Vec<Receipt> {
        let receipts = self.told.iter().filter_map(|event| match event {
            EventKind::Receipt { receipt, .. } => Some((**receipt).clone()),
            _ => None,
        });
        receipts.collect()
    }

    /// All states announced so far, in order.
    pub fn states(&self) -> Vec<State> {
        let states = self.told.iter().filter_map(|event| match event {
            EventKind::StateChange { state, .. } => Some(*state),
            _ => None,
        });
        states.collect()
    }

    /// Takes in what has come meanwhile, without waiting.
    pub fn catch_up(&mut self) {
        while let Some(incoming) = self.events.try_next() {
            if let Incoming::Event(event) = incoming {
                self.take(&event);
            }
        }
    }

    /// The agent dies at once, and another one takes its place; events go on where they were.
    pub async fn restart(&mut self) {
        self.catch_up();
        self.agent.kill_9().await;
        self.agent.restart().await;
        self.client = self.agent.client().await.with_timeout(PATIENCE);
        self.events = self.client.follow(Some(self.seq)).await.expect("followed");
    }

    /// Ends the session, and proves that nothing of it is left.
    ///
    /// With `CM_TEST_KEEP=DIR` in the environment its recording is kept there, under the test's name.
    pub async fn close(self) {
        self.keep();
        self.client.kill_session(&self.id).await.expect("killed");
        super::peace::nothing_left(&self.agent, &self.client).await;
    }

    /// The pid of the program in the terminal.
    pub async fn pid(&self) -> i32 {
        self.client.get_session(&self.id).await.expect("there").pid.expect("it runs")
    }

    /// The recording of the session.
    pub fn recording(&self) -> PathBuf {
        self.agent.state().join("recordings").join(format!("{}.jsonl", self.id))
    }

    /// Keeps the recording, if it is to be kept.
    fn keep(&self) {
        if let Some(dir) = std::env::var_os(KEEP) {
            let test = std::thread::current().name().unwrap_or("test").replace("::", ".");
            let name = Path::new(&dir).join(format!("{test}.{}.jsonl", self.id));
            std::fs::copy(self.recording(), name).expect("kept");
        }
    }

    /// Says all there is to know, and fails.
    pub async fn fail(&mut self, what: &str, why: &str) -> ! {
        self.keep();
        self.catch_up();
        let told: Vec<String> = self.told.iter().map(|event| format!("{event:?}")).collect();
        let explained = match self.client.explain_session(&self.id).await {
            Ok(explained) => serde_json::to_string_pretty(&explained).unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        let recording = std::fs::read_to_string(self.recording()).unwrap_or_default();
        let decided: Vec<&str> = recording
            .lines()
            .filter(|line| !line.contains("\"kind\":\"screen\""))
            .map(|line| line.get(..400).unwrap_or(line))
            .collect();
        panic!(
            "waited for {what}: {why}\n── told ──\n{}\n── explained ──\n{explained}\n── recorded ──\n{}\n",
            told.join("\n"),
            decided.join("\n"),
        );
    }
}

/// What a session of a tool in a directory is asked for with.
pub fn request(tool: &str, task: &str, path: &Path) -> CreateSession {
    CreateSession {
        tool: Some(tool.to_owned()),
        task: Some(task.to_owned()).filter(|task| !task.is_empty()),
        context: Some(cm_protocol::Context { path: Some(path.display().to_string()), ..Default::default() }),
        size: Some(cm_protocol::Size { cols: 120, rows: 40 }),
        ..CreateSession::default()
    }
}

/// The rules of a test, in front of the careful ones.
pub fn policy(rules: Vec<PolicyRule>) -> Option<PolicyChoice> {
    Some(PolicyChoice::Rules(Policy { name: "test".into(), extends: Some("careful".into()), rules }))
}

/// Everything is asked.
pub fn all_asked() -> Option<PolicyChoice> {
    Some(PolicyChoice::Rules(Policy { name: "asked".into(), extends: None, rules: Vec::new() }))
}

/// A rule on a kind of prompt.
pub fn rule(kind: &str, then: PolicyVerdict, message: Option<&str>) -> PolicyRule {
    let message = message.map(str::to_owned);
    PolicyRule { kind: vec![kind.to_owned()], then, message, ..PolicyRule::default() }
}
