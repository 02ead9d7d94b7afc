//! What a session is born with: its command, directory and environment, exactly as given.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cm_agent::tmux::{LaunchSpec, Life, Open, OpenError, server_argv};

use crate::support::{Room, base_env, processes_naming, text, until, watch};

/// Runs a script that writes its answer to the file `out` and moves it there whole; gives back that answer.
async fn answer(room: &Room, spec: LaunchSpec) -> Vec<u8> {
    let (_control, _notices) = room.launch(&spec).await;
    let out = room.path("out");
    until("the script's answer", || out.exists()).await;
    std::fs::read(out).expect("readable")
}

#[tokio::test]
async fn starts_and_tells_who_it_is() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["sh", "-c", "printf 'héllo 😀\\n'; exec cat"]).await;
    let seen = watch("its output", &control, &mut notices, |s| text(&s.screen).contains("héllo 😀\n")).await;
    let status = seen.status;
    assert_eq!(status.session_id, "cm-test");
    assert_eq!((status.cols, status.rows, status.history_limit), (80, 24, 1000));
    assert_eq!((status.people, status.in_mode, status.alternate), (0, false, false));
    assert_eq!(status.life, Life::Running);
    assert!(status.server_pid > 1 && status.pane_pid > 1 && status.server_start > 1_600_000_000);
    assert_eq!((status.cursor_x, status.cursor_y), (0, 1));
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let odd =
        ["", ";", "a;", "x y", "\n", "$HOME", "~", "{", "}", "#{pid}", "é😀", "-t", "'\"\\", "%if", "#", "`"];
    let room = Room::new().await;
    let script = r#"printf '%s\0' "$@" > out.part; mv out.part out; exec cat"#;
    let command = [&["sh", "-c", script, "sh"], odd.as_slice()].concat();
    let expected = odd.map(|arg| format!("{arg}\0")).concat();
    assert_eq!(text(&answer(&room, room.spec(&command)).await), expected);
}

#[tokio::test]
async fn a_single_argument_is_a_program_and_no_script() {
    let room = Room::new().await;
    let program = room.path("a program; with $odd 'name");
    std::fs::write(&program, "#!/bin/sh\necho $# > out.part; mv out.part out; exec cat\n").expect("writable");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let spec = room.spec(&[program.to_str().expect("UTF-8")]);
    assert_eq!(answer(&room, spec).await, b"0\n");
}

#[tokio::test]
async fn any_directory_will_do() {
    for name in [
        "a b",
        "a'\"b",
        "#{pid} #[x] ##{y} a#[b",
        "#(touch gone)",
        "%H %%",
        "é😀",
        "new\nline",
        "$HOME ~",
        "*?[x",
    ] {
        let room = Room::new().await;
        let cwd: PathBuf = room.path(name);
        std::fs::create_dir(&cwd).expect("any name");
        let script = r#"printf '%s' "$PWD" > "$0/part"; mv "$0/part" "$0/out"; exec cat"#;
        let mut spec = room.spec(&["sh", "-c", script, room.dir.path().to_str().expect("UTF-8")]);
        spec.cwd = cwd.as_os_str().as_encoded_bytes().to_vec();
        assert_eq!(text(&answer(&room, spec).await), cwd.to_str().expect("UTF-8"), "{name:?}");
    }
}

#[tokio::test]
async fn secrets_stand_in_no_command_line() {
    let room = Room::new().await;
    let secret = format!("s3cret-{}-\"'$x\\\n#{{pid}}", std::process::id());
    let mut spec = room.spec(&["sh", "-c", r#"printf '%s' "$TOKEN" > out.part; mv out.part out; exec cat"#]);
    spec.env = BTreeMap::from([("TOKEN".into(), secret.clone())]);
    let (_control, _notices) = room.launch(&spec).await;
    until("the variable", || room.path("out").exists()).await;
    assert_eq!(text(&std::fs::read(room.path("out")).expect("readable")), secret);
    let marker = format!("s3cret-{}-", std::process::id());
    assert_eq!(processes_naming(&marker), [] as [i32; 0]);
}

#[tokio::test]
async fn the_environment_is_the_one_given() {
    let room = Room::new().await;
    let spec = room.spec(&["sh", "-c", "env > out.part; mv out.part out; exec cat"]);
    let env = text(&answer(&room, spec).await);
    let mut names: Vec<&str> = env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    names.retain(|name| *name != "_" && *name != "OLDPWD");
    let ours = ["HOME", "LANG", "PATH", "PWD", "SHELL"];
    let of_tmux = ["TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "TMUX_PANE"];
    let mut expected = [ours, of_tmux].concat();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert!(env.contains("TERM=screen-256color\n"), "{env}");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_and_leaves_nothing() {
    let good = "new-session -d -s main -x 80 -y 24 -- cat\n";
    for (conf, told) in [
        ("new-session -d -s main -x 0 -y 24 -- cat\n".to_owned(), "too small"),
        (format!("set-option -g no-such-option 1\n{good}"), "no-such-option"),
        (format!("no-such-command\n{good}"), "no-such-command"),
        (String::new(), "no session"),
    ] {
        let room = Room::new().await;
        let file = room.path("conf");
        std::fs::write(&file, &conf).expect("writable");
        let error = room.open(Open::Start { conf: &file, env: &base_env() }).await.expect_err("wrong");
        assert!(matches!(error, OpenError::Start { .. }), "{error:?}");
        assert!(error.to_string().contains(told), "{conf}: {error}");
        until("the server's end", || processes_naming(room.socket().to_str().expect("UTF-8")).is_empty())
            .await;
    }
    let room = Room::new().await;
    let error =
        room.open(Open::Start { conf: &room.path("none"), env: &base_env() }).await.expect_err("no file");
    assert!(error.to_string().contains("none"), "{error}");
}

#[tokio::test]
async fn a_start_disturbs_no_session_that_is_there() {
    let room = Room::new().await;
    let (control, _notices) = room.start(&["cat"]).await;
    let conf = room.write_conf(&room.spec(&["cat"]));
    let error = room.open(Open::Start { conf: &conf, env: &base_env() }).await.expect_err("occupied");
    assert!(matches!(error, OpenError::Occupied { .. }), "{error:?}");
    assert_eq!(control.inspect().await.expect("it lives").life, Life::Running);
}

#[tokio::test]
async fn a_service_manager_starts_it_with_server_argv() {
    let run = |room: &Room, conf: PathBuf| {
        let argv = server_argv(&room.tmux, &room.socket(), &conf);
        let mut command = std::process::Command::new(&argv[0]);
        command.args(&argv[1..]).env_clear().envs(base_env());
        command.output().expect("it runs")
    };
    let (wrong, room) = (Room::new().await, Room::new().await);
    let failed = run(&wrong, wrong.path("none"));
    assert!(!failed.status.success());
    assert!(text(&failed.stderr).contains("none"), "{failed:?}");
    // It has returned, so the session is there.
    let started = run(&room, room.write_conf(&room.spec(&["cat"])));
    assert!(started.status.success(), "{started:?}");
    let (control, _notices) = room.open(Open::Attach).await.expect("the session exists");
    assert_eq!(control.inspect().await.expect("a status").session_id, "cm-test");
}
