//! An engine without the image gets it from here, once: from the operator's engine, or out of a file.

use cm_fleet::container::tar::{self, Put};
use cm_fleet::deploy::wanted::hex;

use crate::stage::{DOCKER, Engine, Run, Stage, images, must};

/// How much was sent, in bytes.
#[track_caller]
fn sent(run: &Run) -> u64 {
    let last = run.events.iter().rev().find(|event| event["event"] == "host_sent");
    last.unwrap_or_else(|| panic!("nothing was sent: {run:#?}"))["total"].as_u64().unwrap()
}

fn id(socket: &str, image: &str) -> String {
    must(socket, &["image", "inspect", "-f", "{{.Id}}", image])
}

#[test]
fn an_image_is_sent_once_and_only_where_it_is_missing() {
    let [one, two] = images();
    let engine = Engine::start(None);
    let mut stage = Stage::here("send", &one, &engine.socket());
    let plan = stage.run("plan", &["--json"]).exits(0);
    assert!(plan.events.iter().any(|event| event["plan"]["send"] == true), "{plan:#?}");
    let run = stage.deploy().exits(0);
    run.is("changed");
    let whole = sent(&run);
    assert_eq!(id(&engine.socket(), &one), id(DOCKER, &one));
    let again = stage.deploy().exits(0);
    again.is("unchanged");
    assert_eq!(again.count("host_sent"), 0);

    // What the first one is made of is there.
    stage.image(&two);
    let run = stage.deploy().exits(0);
    run.is("changed");
    assert_eq!(id(&engine.socket(), &two), id(DOCKER, &two));
    assert!(sent(&run) < whole / 4, "{} of {whole}", sent(&run));
    stage.run("uninstall", &["--yes", "--json", "--purge"]).exits(0).is("removed");
}

#[test]
fn an_image_out_of_a_file_is_sent_without_the_layers_that_are_there() {
    let [one, two] = images();
    let engine = Engine::start(None);
    let mut stage = Stage::here("file", &one, &engine.socket());
    let mut all = Vec::new();
    for (image, name) in [(&one, "one"), (&two, "two")] {
        let file = stage.path(&format!("{name}.tar"));
        must(DOCKER, &["save", "-o", &file.display().to_string(), image]);
        let packed = std::process::Command::new("gzip").arg("-1").arg(&file).status().unwrap();
        assert!(packed.success());
        stage.container = format!("image: \"{image}\", network: none, archive: {name}.tar.gz");
        let run = stage.deploy().exits(0);
        run.is("changed");
        all.push(sent(&run));
        assert_eq!(id(&engine.socket(), image), id(DOCKER, image));
    }
    assert!(all[1] < all[0] / 4, "{all:?}");
    stage.run("uninstall", &["--yes", "--json", "--purge"]).exits(0).is("removed");
}

#[test]
fn an_image_for_other_machines_is_not_sent() {
    let config =
        br#"{"architecture":"s390x","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}"#;
    let digest = hex(config);
    let name = format!("{digest}.json");
    let manifest = format!(r#"[{{"Config":"{name}","RepoTags":["far:1"],"Layers":[]}}]"#);
    let put = |path, bytes| Put { path, mode: 0o644, owner: (0, 0), bytes };
    let archive = tar::write(&[put(&name, config.as_slice()), put("manifest.json", manifest.as_bytes())]);
    let mut stage = Stage::here("arch", "far:1", DOCKER);
    std::fs::write(stage.path("far.tar"), archive).unwrap();
    stage.container += ", archive: far.tar";
    let run = stage.deploy().exits(1);
    run.is("failed");
    run.says(&["is for s390x, and the host is", "--platform"]);
    assert_eq!(stage.containers(), "");
}

#[test]
fn a_full_disk_is_said_to_be_one() {
    let [one, _] = images();
    let disk = tempfile::Builder::new().prefix("cmt-").tempdir().unwrap();
    let path = disk.path().display().to_string();
    let mount =
        |args: &[&str]| std::process::Command::new(args[0]).args(&args[1..]).status().unwrap().success();
    assert!(mount(&["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", &path]), "mount needs root");
    let engine = Engine::start(Some(disk.path()));
    let stage = Stage::here("full", &one, &engine.socket());
    let run = stage.deploy().exits(1);
    assert_eq!(run.is("failed")["hostAfter"]["state"], "untouched", "{run:#?}");
    run.says(&["no space left", "disk is full"]);
    drop(stage);
    drop(engine);
    assert!(mount(&["umount", "-l", &path]));
}
