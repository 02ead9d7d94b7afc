//! What was asked of the server, when, and what came of it: bounded, for tests to look at.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};

use super::asked::{Asked, Dialect, ToolResult};

/// Bodies are large (a tool describes all its tools each time): only the newest are kept.
const BODIES: usize = 32;

/// One request.
#[derive(Debug, Clone)]
pub struct Record {
    /// From 1, in the order of arrival.
    pub number: u64,
    /// When it had arrived.
    pub at: Instant,
    /// When its answer had been written, or the client had gone.
    pub ended: Option<Instant>,
    /// GET, POST, HEAD.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// As answered; 0 while nothing has been.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// What was asked, if the server understood it.
    pub played: Option<Played>,
    /// What was sent; empty if this request is not among the newest.
    pub body: Bytes,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has not yet.
    Underway,
    /// Answered to the end.
    Whole,
    /// Broken off, as the scenario says.
    Cut,
    /// The client went away first.
    Gone,
}

/// What was asked, and which step answered it.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// How it was put.
    pub dialect: Dialect,
    /// The model that was asked.
    pub model: String,
    /// The scenario.
    pub scenario: String,
    /// From 0.
    pub step: usize,
    /// Beside the conversation (a title, say); not a step.
    pub side: bool,
    /// Whether the answer was to come in pieces.
    pub stream: bool,
    /// The names of the client's tools.
    pub offered: Vec<String>,
    /// What came of the calls of the step before.
    pub results: Vec<ToolResult>,
    /// What the user wrote last.
    pub prompt: String,
    /// Where the client says it works.
    pub cwd: Option<String>,
}

impl Played {
    pub(super) fn of(asked: &Asked, scenario: String, step: usize) -> Self {
        Self {
            dialect: asked.dialect,
            model: asked.model.clone(),
            scenario,
            step,
            side: asked.wants.is_side(),
            stream: asked.stream,
            offered: asked.offered.iter().map(|tool| tool.name.clone()).collect(),
            results: asked.talk.results().to_vec(),
            prompt: asked.talk.prompt().to_owned(),
            cwd: asked.cwd.clone(),
        }
    }
}

impl Record {
    /// What was sent, as JSON; null if it is not kept or was none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// One line for people. `since` is when the server began.
    pub fn line(&self, since: Instant) -> String {
        let ms = |at: Instant| u64::try_from(at.duration_since(since).as_millis()).unwrap_or(u64::MAX);
        let mut line = json!({
            "ms": ms(self.at),
            "ended_ms": self.ended.map(ms),
            "n": self.number,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "outcome": format!("{:?}", self.outcome).to_lowercase(),
            "user_agent": self.user_agent,
        });
        if let Some(played) = &self.played {
            line["scenario"] = json!(played.scenario);
            line["step"] = json!(played.step);
            line["side"] = json!(played.side);
            line["model"] = json!(played.model);
            line["tools"] = json!(played.offered.len());
            line["cwd"] = json!(played.cwd);
            line["results"] = json!(played.results.len());
        }
        line.to_string()
    }
}

/// The newest requests.
#[derive(Debug)]
pub(super) struct Records {
    all: VecDeque<Record>,
    keep: usize,
    last: u64,
}

impl Records {
    pub(super) fn new(keep: usize) -> Self {
        Self { all: VecDeque::new(), keep: keep.max(1), last: 0 }
    }

    /// Takes a request in and returns its number.
    pub(super) fn add(&mut self, mut record: Record) -> u64 {
        self.last += 1;
        record.number = self.last;
        if self.all.len() == self.keep {
            self.all.pop_front();
        }
        self.all.push_back(record);
        if let Some(at) = self.all.len().checked_sub(BODIES + 1) {
            self.all[at].body = Bytes::new();
        }
        self.last
    }

    pub(super) fn change(&mut self, number: u64, change: impl FnOnce(&mut Record)) -> Option<Record> {
        let record = self.all.iter_mut().rev().find(|record| record.number == number)?;
        change(record);
        Some(record.clone())
    }

    pub(super) fn all(&self) -> Vec<Record> {
        self.all.iter().cloned().collect()
    }
}
