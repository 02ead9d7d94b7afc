//! Images that the host's engine pulls: from a registry on this machine, from one that is not there, and not at all.

use crate::registry::Registry;
use crate::stage::{DOCKER, Stage, docker, images, must};

#[test]
fn an_image_is_pulled_where_it_is_missing_and_each_time_where_that_is_wanted() {
    let [one, two] = images();
    let registry = Registry::serve(&one);
    let name = registry.name();
    let mut stage = Stage::over_ssh("pull", &one);
    let by = |pull: &str| format!("image: \"{name}\", network: none, pull: {pull}");
    stage.container = by("missing");
    stage.run("plan", &[]).exits(0).says(&["the host pulls the image"]);
    let run = stage.deploy().exits(0);
    run.is("changed");
    assert_eq!(run.count("host_sent"), 0);
    let id = |image: &str| must(DOCKER, &["image", "inspect", "-f", "{{.Id}}", image]);
    assert_eq!(id(&name), id(&one));
    stage.deploy().exits(0).is("unchanged");

    // Another image has that name there now: that is seen only by who looks.
    registry.now(&two);
    stage.deploy().exits(0).is("unchanged");
    stage.container = by("always");
    assert_eq!(stage.deploy().exits(0).is("changed")["generation"], 2);
    assert_eq!(id(&name), id(&two));
    stage.deploy().exits(0).is("unchanged");

    // The registry has gone: what is there goes on, and is enough where nothing must be pulled.
    drop(registry);
    let run = stage.deploy().exits(1);
    assert_eq!(run.is("failed")["hostAfter"]["state"], "untouched", "{run:#?}");
    run.says(&["pulling", "connection refused", "does not reach the registry"]);
    stage.container = by("missing");
    stage.deploy().exits(0).is("unchanged");
    stage.run("uninstall", &["--yes", "--json", "--purge"]).exits(0).is("removed");
    drop(stage);
    must(DOCKER, &["rmi", &name]);
}

#[test]
fn an_image_that_the_registry_does_not_have() {
    let [one, _] = images();
    let registry = Registry::serve(&one);
    let mut stage = Stage::here("nosuch", &one, DOCKER);
    stage.container =
        format!("image: \"{}\", network: none, pull: missing", registry.name().replace(":one", ":none"));
    let run = stage.deploy().exits(1);
    assert_eq!(run.is("failed")["hostAfter"]["state"], "untouched", "{run:#?}");
    run.says(&["pulling", "manifest", "there is no such image in the registry"]);
    assert_eq!(stage.containers(), "");

    // What is there needs no registry.
    stage.container = format!("image: \"{one}\", network: none, pull: missing");
    stage.run("plan", &[]).exits(0).says(&["the image is there already"]);
    stage.deploy().exits(0).is("changed");
    stage.run("uninstall", &["--yes", "--json", "--purge"]).exits(0).is("removed");
    let _ = docker(DOCKER, &["rmi", &registry.name()]);
}
