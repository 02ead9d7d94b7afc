//! What counts where several places say something.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ServeArgs,
}

#[test]
fn arguments_count_before_the_environment_and_that_before_the_volumes_settings() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = r#"{"listen":"127.0.0.1:1","placement":"keeper","maxClients":7,"keepFinished":8}"#;
    crate::host::places::write_private(&dir.path().join("config.json"), settings.as_bytes())
        .expect("written");
    let state = dir.path().join("state").display().to_string();
    let check = |words: &[&str], set: &[(&str, &str)], expected: (Option<&str>, Placement, usize, u64)| {
        let mut args = Cli::parse_from([&["serve"], words].concat()).args;
        let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        args.read_surroundings(&env).expect("usable");
        let listen = args.listen.map(|address| address.to_string());
        let found = (listen.as_deref(), args.placement, args.max_clients, args.keep_finished);
        assert_eq!(found, expected, "{words:?} {set:?}");
    };
    let inside = [(container::CONTAINER, "1"), ("CM_AGENT_STATE_DIR", state.as_str())];
    let listening = [inside.as_slice(), &[(container::LISTEN, "127.0.0.1:2")]].concat();
    check(&[], &[], (None, Placement::Auto, CLIENTS, KEPT));
    check(&[], &listening[2..], (Some("127.0.0.1:2"), Placement::Auto, CLIENTS, KEPT));
    check(&[], &inside, (Some("127.0.0.1:1"), Placement::Keeper, 7, 8));
    check(&[], &listening, (Some("127.0.0.1:2"), Placement::Keeper, 7, 8));
    let words = ["--listen", "127.0.0.1:3", "--placement", "detached", "--max-clients", "9"];
    check(&words, &listening, (Some("127.0.0.1:3"), Placement::Detached, 9, 8));
}

#[test]
fn the_token_is_taken_from_the_first_place_that_has_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    std::fs::write(&file, "from-a-file").expect("written");
    let file = file.display().to_string();
    let check = |words: &[&str], set: &[(&str, &str)], expected: &str| {
        let args = Cli::parse_from([&["serve"], words].concat()).args;
        let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let found = match args.find_token(env) {
            Ok(Some(token)) if token.is("from-a-file") => "file".to_owned(),
            Ok(Some(_)) => "other".into(),
            Ok(None) => "none".into(),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{found}, not {expected}");
    };
    let (file, other) = ((container::TOKEN_FILE, file.as_str()), ("CM_AGENT_TOKEN", "another-token"));
    check(&[], &[], "none");
    check(&[], &[file, other], "file");
    check(&[], &[other], "other");
    check(&["--token", "a-third-one"], &[file], "other");
    check(&[], &[(container::TOKEN_FILE, ""), ("CM_AGENT_TOKEN", "")], "none");
    check(&[], &[(container::TOKEN_FILE, "/nowhere")], "/nowhere");
    check(&["--listen", "127.0.0.1:1"], &[("CM_AGENT_TOKEN", "")], "--listen needs a token");
}
