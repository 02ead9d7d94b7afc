//! What is never well: the old one is back, and it is said so.

use crate::stage::{DOCKER, Stage, docker, images, must};

/// An image whose agent ends at once; its keeper is good.
fn broken(stage: &Stage, of: &str) -> String {
    let name = format!("cm-test-broken:{}", stage.host);
    let dir = stage.path("broken");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("Dockerfile"), cm_testkit::hosts::engine::broken(of)).unwrap();
    must(DOCKER, &["build", "-q", "-t", &name, &dir.display().to_string()]);
    name
}

#[test]
fn an_agent_that_is_never_well_is_taken_back() {
    let [one, _] = images();
    let mut stage = Stage::over_ssh("broken", &one);
    let bad = broken(&stage, &one);

    // The first: nothing is left of it.
    stage.image(&bad);
    let run = stage.deploy().exits(5);
    assert_eq!(run.is("failed")["hostAfter"]["state"], "removed", "{run:#?}");
    run.says(&["ended with 7", "broken on purpose"]);
    assert_eq!(stage.containers(), "");
    assert!(!docker(DOCKER, &["volume", "inspect", &format!("cm-agent-{}", stage.host)]).0);

    // After a good one: that one runs again.
    stage.image(&one);
    stage.deploy().exits(0).is("changed");
    let before = stage.containers();
    stage.image(&bad);
    let run = stage.deploy().exits(5);
    assert_eq!(run.is("failed")["hostAfter"]["generation"], 1, "{run:#?}");
    assert_eq!(stage.containers(), before);
    stage.image(&one);
    stage.deploy().exits(0).is("unchanged");
    drop(stage);
    let _ = docker(DOCKER, &["rmi", &bad]);
}
