//! What is to be done, and why.

use super::*;
use crate::container::facts::{EngineSeen, Health, Listed};
use crate::container::wanted::{EngineWanted, ImageWanted, Shape};

fn wanted() -> ContainerWanted {
    ContainerWanted {
        host: "h1".into(),
        fleet: "f".into(),
        image: ImageWanted { reference: "cm-agent:1".into(), pull: Pull::Never, archive: None },
        shape: Shape { memory: Some(1 << 30), ..Shape::default() },
        settings: Default::default(),
        engine: EngineWanted::default(),
    }
}

fn image(id: &str, arch: &str) -> Image {
    Image { id: id.into(), arch: arch.into(), ..Image::default() }
}

fn labels(role: Role, pairs: &[(&str, String)]) -> std::collections::BTreeMap<String, String> {
    let own =
        [(label::FLEET, "f"), (label::HOST, "h1"), (label::ROLE, role.as_str()), (label::IMAGE, "sha256:a")];
    let own = own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    own.chain(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone()))).collect()
}

/// As it should be, of the image `a`.
fn good() -> Seen {
    let wanted = wanted();
    let found = |role: Role, digest: String| Found {
        id: role.as_str().into(),
        name: wanted.names().of(role),
        image: "sha256:a".into(),
        labels: labels(
            role,
            &[
                (label::WANTED, digest),
                (label::SHAPE, wanted.shape_digest()),
                (label::SETTINGS, wanted.settings_digest()),
                (label::BY, "bob@desk".into()),
            ],
        ),
        state: "running".into(),
        restarts: "unless-stopped".into(),
        limits: wanted.shape.limits(),
        health: Some(Health { sessions: 2, ..Health::default() }),
        ..Found::default()
    };
    Seen {
        engine: Some(EngineSeen { arch: "amd64".into(), ..EngineSeen::default() }),
        agent: Some(found(Role::Agent, wanted.digest("sha256:a"))),
        keeper: Some(found(Role::Keeper, wanted.keeper_digest("sha256:a"))),
        image: Some(image("sha256:a", "amd64")),
        ..Seen::default()
    }
}

fn here(id: &str) -> Known {
    Known::Here(image(id, "amd64"))
}

fn words(plan: &Plan) -> String {
    match plan {
        Plan::Nothing { sessions, notes } => format!("nothing {sessions} {}", notes.len()),
        Plan::Change(change) => {
            let all: Vec<String> = change.reasons.iter().map(|r| format!("{r:?}")).collect();
            let first: Vec<&str> =
                all.iter().map(|r| r.split([' ', '(']).next().unwrap_or_default()).collect();
            format!("{}{}", if change.send { "send " } else { "" }, first.join(" "))
        }
        Plan::Blocked(blocked) => blocked.why(),
    }
}

#[track_caller]
fn check(known: &Known, change: impl FnOnce(&mut Seen), manner: &Manner, expected: &str) {
    let mut seen = good();
    change(&mut seen);
    let made = plan(&wanted(), known, &seen, manner, 1000.0);
    assert_eq!(words(&made), expected, "{made:?}");
    let alone = matches!(made, Plan::Nothing { .. });
    assert_eq!(settled(&wanted(), known, &seen), alone, "the first look says the same");
}

fn agent(seen: &mut Seen) -> &mut Found {
    seen.agent.as_mut().expect("an agent")
}

fn keeper(seen: &mut Seen) -> &mut Found {
    seen.keeper.as_mut().expect("a keeper")
}

#[test]
fn what_is_to_be_done() {
    let usual = &Manner::default();
    let a = here("sha256:a");
    check(&a, |_| {}, usual, "nothing 2 0");
    check(&a, |seen| *seen = Seen { engine: seen.engine.clone(), ..Seen::default() }, usual, "send Absent");
    check(
        &a,
        |seen| {
            seen.agent = None;
            seen.keeper = None;
        },
        usual,
        "Absent",
    );
    check(&here("sha256:b"), |seen| seen.image = None, usual, "send Image");
    check(&here("sha256:b"), |seen| seen.image = Some(image("sha256:b", "amd64")), usual, "Image");
    check(
        &a,
        |seen| {
            agent(seen).labels.insert(label::SETTINGS.into(), "x".into());
        },
        usual,
        "Settings",
    );
    check(
        &a,
        |seen| {
            agent(seen).labels.insert(label::SHAPE.into(), "x".into());
        },
        usual,
        "Container",
    );
    check(&a, |seen| agent(seen).restarts = "no".into(), usual, "Unconfirmed");
    check(&a, |seen| agent(seen).state = "exited".into(), usual, "NotRunning");
    check(&a, |seen| agent(seen).limits.memory = 5, usual, "Drift");
    check(&a, |seen| keeper(seen).limits.memory = 5, usual, "Drift");
    check(&a, |seen| agent(seen).restarts = "always".into(), usual, "Drift");
    check(&a, |seen| keeper(seen).state = "exited".into(), usual, "Drift");
    check(&a, |seen| seen.keeper = None, usual, "Drift");
    // Nobody asked for a limit of processes, and Podman has one.
    check(&a, |seen| agent(seen).limits.pids = 2048, usual, "nothing 2 0");
    // The keeper waits for its sessions, and is replaced once there is none.
    let old = |seen: &mut Seen| {
        keeper(seen).labels.insert(label::WANTED.into(), "x".into());
    };
    check(&a, old, usual, "nothing 2 1");
    check(
        &a,
        |seen| {
            old(seen);
            agent(seen).health = Some(Health::default());
        },
        usual,
        "Keeper",
    );
    check(
        &a,
        |seen| {
            old(seen);
            agent(seen).health = None;
        },
        usual,
        "nothing 0 1",
    );
}

#[test]
fn what_is_in_the_way() {
    let (usual, a) = (&Manner::default(), here("sha256:a"));
    let over = &Manner { take_over: true, ..Manner::default() };
    let theirs = |seen: &mut Seen| {
        agent(seen).labels.insert(label::FLEET.into(), "g".into());
    };
    check(&a, theirs, usual, "it belongs to the fleet `g` (deployed by bob@desk)");
    check(&a, theirs, over, "TakenOver");
    let no = "a container cm-agent-h1 is there that cm-fleet has not made for this host";
    check(&a, |seen| agent(seen).labels.clear(), usual, no);
    check(&a, |seen| agent(seen).labels.clear(), over, no);
    let no = "a container cm-keeper-h1 is there that cm-fleet has not made for this host";
    check(
        &a,
        |seen| {
            seen.agent = None;
            keeper(seen).labels.clear();
        },
        over,
        no,
    );
    let at = |seconds: &str| Listed {
        name: "cm-agent-h1-next".into(),
        labels: labels(Role::Agent, &[(label::BY, "eve@lap".into()), (label::AT, seconds.into())]),
        ..Listed::default()
    };
    let b = here("sha256:b");
    let no = "eve@lap deploys to it since 10 s (the lock expires in 590 s)";
    check(&b, |seen| seen.ours = vec![at("990")], usual, no);
    check(&b, |seen| seen.ours = vec![at("990")], over, "Image");
    check(&b, |seen| seen.ours = vec![at("100")], usual, "Image");
    let arm = Known::Here(image("sha256:b", "arm64"));
    check(&arm, |_| {}, usual, "the image cm-agent:1 is for aarch64, and the host is x86_64");
    let nowhere = Known::Elsewhere { why: "no such image".into() };
    check(&nowhere, |_| {}, usual, "nothing 2 0");
    let no = "the image cm-agent:1 is neither on the host nor here: no such image";
    check(
        &nowhere,
        |seen| {
            seen.image = None;
            seen.agent = None;
        },
        usual,
        no,
    );
}
