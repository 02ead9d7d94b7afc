//! Whatever arrives: no panic; and whatever is written is read back as it was.

use std::collections::BTreeMap;

use cm_protocol::{
    Acknowledge, Action, Answer, AnswerDecision, AuthReply, CapturePane, Check, ClientFrame,
    ConfirmDeployment, Context, Continues, CreateSession, ExplainSession, Fence, GetSession, Hook,
    KillSession, Lease, ListSessions, OnDone, Orphan, PauseSession, Policy, PolicyChoice, PolicyRule,
    PolicyVerdict, Probe, Renew, RenewLease, Repo, Report, ReportStatus, Request, RequestId, ResourceLimits,
    ResumeSession, SendKeys, ServerFrame, SessionId, Shutdown, Size, Subscribe, Transcript, UnwatchScreen,
    WatchScreen, Worktree, frame::to_text, request::ACTIONS,
};
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Number(n.into())),
        any::<u64>().prop_map(|n| Value::Number(n.into())),
        any::<f64>().prop_map(|n| Number::from_f64(n).map_or(Value::Null, Value::Number)),
        ".{0,20}".prop_map(Value::String),
        word().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((word(), inner), 0..8)
                .prop_map(|kv| Value::Object(kv.into_iter().collect())),
        ]
    })
}

/// A word the protocol knows, mostly; so that the readers get past their first look.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "action",
        "id",
        "type",
        "error",
        "code",
        "field",
        "sessionId",
        "keys",
        "lines",
        "task",
        "tool",
        "context",
        "path",
        "since",
        "state",
        "seq",
        "timestamp",
        "session",
        "sessions",
        "status",
        "agent",
        "attempt",
        "taskId",
        "auth_token",
        "state_change",
        "session_created",
        "snapshot",
        "screen",
        "notice",
        "session_completed",
        "editing",
        "done",
        "authenticated",
        "policy",
        "check",
        "worktree",
        "event",
        "decision",
        "promptId",
        "prompt",
        "receipt",
        "allow",
    ];
    prop_oneof![
        8 => prop::sample::select(known.to_vec()).prop_map(String::from),
        4 => prop::sample::select(ACTIONS.to_vec()).prop_map(String::from),
        1 => ".{0,8}",
    ]
}

fn session() -> impl Strategy<Value = SessionId> {
    prop_oneof![any::<u128>().prop_map(SessionId::from_bits), ".{0,12}".prop_map(SessionId)]
}

/// Seconds that survive JSON exactly.
fn seconds() -> impl Strategy<Value = f64> {
    (0u32..1_000_000).prop_map(|n| f64::from(n) / 4.0)
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(".{0,8}", 0..3)
}

fn policy() -> impl Strategy<Value = PolicyChoice> {
    let then = prop_oneof![Just(PolicyVerdict::Allow), Just(PolicyVerdict::Deny), Just(PolicyVerdict::Ask)];
    let lists = (words(), words(), words(), words(), words());
    let rule = (of(".{0,8}"), lists, then, of(".{0,8}")).prop_map(
        |(name, (tool, kind, path, command, host), then, message)| PolicyRule {
            name,
            tool,
            kind,
            path,
            command,
            host,
            then,
            message,
        },
    );
    let rules = (".{0,8}", of(".{0,8}"), prop::collection::vec(rule, 0..3))
        .prop_map(|(name, extends, rules)| PolicyChoice::Rules(Policy { name, extends, rules }));
    prop_oneof![".{0,8}".prop_map(PolicyChoice::Name), rules]
}

fn proof() -> impl Strategy<Value = (Option<Check>, Option<Worktree>)> {
    let check = (".{0,12}", of(seconds()), any::<u32>()).prop_map(|(command, timeout, retries)| Check {
        command,
        timeout,
        retries,
    });
    let continues = (".{0,8}", any::<u32>(), "[0-9a-f]{0,8}").prop_map(|(host, attempt, commit)| Continues {
        host,
        attempt,
        commit,
        base: None,
    });
    let worktree = (of(".{0,8}"), of(".{0,8}"), of(seconds()), of(continues))
        .prop_map(|(branch, base, save_every, continues)| Worktree { branch, base, save_every, continues });
    (of(check), of(worktree))
}

fn place() -> impl Strategy<Value = (Option<Context>, Option<Lease>)> {
    let repo = (".{0,12}", of(".{0,8}")).prop_map(|(url, reference)| Repo { url, reference });
    let context = (of("/.{0,20}"), of(repo)).prop_map(|(path, repo)| Context { path, repo });
    let orphan = prop_oneof![Just(Orphan::Keep), Just(Orphan::Stop)];
    let lease = (".{0,12}", seconds(), orphan, of(seconds()))
        .prop_map(|(owner, seconds, orphan, as_of)| Lease { owner, seconds, orphan, as_of });
    (of(context), of(lease))
}

fn create() -> impl Strategy<Value = CreateSession> {
    let who = (of(".{0,12}"), of(".{0,80}"), place());
    let which = (of(".{0,12}"), of(any::<u32>()), of(".{0,12}"), prop::collection::vec(".{0,8}", 0..3));
    let env = prop::collection::btree_map("[A-Z_]{1,8}", ".{0,8}", 0..3);
    let limits = (of(any::<u64>()), of(seconds()), of(any::<u64>()))
        .prop_map(|(memory, cpu, tasks)| ResourceLimits { memory, cpu, tasks });
    let size = (any::<u16>(), any::<u16>()).prop_map(|(cols, rows)| Size { cols, rows });
    let done = of(prop_oneof![Just(OnDone::Keep), Just(OnDone::Close)]);
    let bounds = (of(seconds()), of(limits), of(size), done);
    (who, which, env, bounds, of(policy()), proof()).prop_map(
        |(
            (tool, task, (context, lease)),
            (task_id, attempt, name, args),
            env,
            (timeout, limits, size, on_done),
            policy,
            (check, worktree),
        )| {
            let env: BTreeMap<String, String> = env;
            CreateSession {
                tool,
                task,
                context,
                task_id,
                attempt,
                name,
                args,
                env,
                timeout,
                limits,
                size,
                on_done,
                policy,
                check,
                worktree,
                resume: None,
                lease,
            }
        },
    )
}

/// What a hook is called with. Without fractions: not every one survives JSON exactly.
fn hook_event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![".{0,20}".prop_map(Value::String), any::<i64>().prop_map(Value::from)];
    prop::collection::btree_map(word(), leaf, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn answer() -> impl Strategy<Value = Answer> {
    let decision = prop_oneof![
        Just(AnswerDecision::Allow),
        Just(AnswerDecision::Deny),
        Just(AnswerDecision::Choose),
        Just(AnswerDecision::Text)
    ];
    (session(), of(any::<u64>()), decision, words(), of(".{0,20}")).prop_map(
        |(session_id, prompt_id, decision, options, text)| Answer {
            session_id,
            prompt_id,
            decision,
            options,
            text,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let status =
        prop_oneof![Just(ReportStatus::Working), Just(ReportStatus::Done), Just(ReportStatus::Waiting)];
    prop_oneof![
        create().prop_map(|c| Action::CreateSession(Box::new(c))),
        (session(), of(".{0,60}"), of(any::<bool>()), prop::collection::vec(".{0,8}", 0..3)).prop_map(
            |(session_id, keys, enter, named)| Action::SendKeys(SendKeys { session_id, keys, enter, named })
        ),
        (session(), of(any::<u64>()), any::<bool>()).prop_map(|(session_id, lines, escapes)| {
            Action::CapturePane(CapturePane { session_id, lines, escapes })
        }),
        (any::<bool>(), of(".{0,8}"))
            .prop_map(|(all, owner)| Action::ListSessions(ListSessions { all, owner })),
        session().prop_map(|session_id| Action::KillSession(KillSession { session_id })),
        of(any::<u64>()).prop_map(|since| Action::Subscribe(Subscribe { since })),
        session().prop_map(|session_id| Action::PauseSession(PauseSession { session_id })),
        session().prop_map(|session_id| Action::ResumeSession(ResumeSession { session_id })),
        session().prop_map(|session_id| Action::WatchScreen(WatchScreen { session_id })),
        session().prop_map(|session_id| Action::UnwatchScreen(UnwatchScreen { session_id })),
        session().prop_map(|session_id| Action::GetSession(GetSession { session_id })),
        (session(), of(any::<u64>()), of(any::<u64>())).prop_map(|(session_id, from, limit)| {
            Action::Transcript(Transcript { session_id, from, limit })
        }),
        Just(Action::AgentInfo),
        (session(), status, of(".{0,20}")).prop_map(|(session_id, status, message)| Action::Report(Report {
            session_id,
            status,
            message
        })),
        (session(), hook_event()).prop_map(|(session_id, event)| Action::Hook(Hook { session_id, event })),
        answer().prop_map(Action::Answer),
        session().prop_map(|session_id| Action::ExplainSession(ExplainSession { session_id })),
        (".{0,12}", of(seconds()), of(seconds()))
            .prop_map(|(owner, seconds, as_of)| Action::RenewLease(RenewLease { owner, seconds, as_of })),
        of(seconds()).prop_map(|as_of| Action::Renew(Renew { as_of })),
        prop::collection::vec(session(), 0..3)
            .prop_map(|sessions| Action::Acknowledge(Acknowledge { sessions })),
        (".{0,12}", any::<u32>()).prop_map(|(task_id, below)| Action::Fence(Fence { task_id, below })),
        (words(), words()).prop_map(|(tools, repos)| Action::Probe(Probe { tools, repos })),
        (".{0,12}", of("[0-9a-f]{0,64}")).prop_map(|(deployment, sha256)| {
            Action::ConfirmDeployment(ConfirmDeployment { deployment, sha256 })
        }),
        (any::<bool>(), of(seconds()))
            .prop_map(|(drain, timeout)| Action::Shutdown(Shutdown { drain, timeout })),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let id = prop_oneof![any::<i64>().prop_map(RequestId::Number), ".{0,12}".prop_map(RequestId::Text)];
    (of(id), action()).prop_map(|(id, action)| Request { id, action })
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(value in json()) {
        let text = value.to_string();
        if let Err(refusal) = ClientFrame::parse(&text) {
            prop_assert!(!refusal.error.is_empty());
        }
        let _ = ServerFrame::parse(&text);
        let _ = serde_json::from_value::<AuthReply>(value);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = ClientFrame::parse(&text);
        let _ = ServerFrame::parse(&text);
    }

    /// A refusal carries the id of the command it refuses, whatever else is wrong with it.
    #[test]
    fn refusals_carry_the_id(fields in prop::collection::vec((word(), json()), 0..6), id in any::<i64>()) {
        let mut map: Map<String, Value> = fields.into_iter().collect();
        map.remove("auth_token");
        map.insert("id".into(), id.into());
        if let Err(refusal) = ClientFrame::parse(&Value::Object(map).to_string()) {
            prop_assert_eq!(refusal.id, Some(RequestId::Number(id)));
        }
    }

    #[test]
    fn requests_come_back_as_they_went(request in request()) {
        let text = to_text(&request);
        prop_assert_eq!(ClientFrame::parse(&text).map_err(|e| e.to_string()), Ok(ClientFrame::Request(request)));
    }
}
