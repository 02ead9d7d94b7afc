//! The command line as people meet it.

use clap::{CommandFactory, Parser};

use super::Cli;

fn check(line: &str, good: bool) {
    let parsed = Cli::try_parse_from(["cm-fleet"].into_iter().chain(line.split_whitespace()));
    assert_eq!(parsed.is_ok(), good, "{line:?}: {parsed:?}");
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn lines_that_are_understood() {
    for good in [
        "dispatch task",
        "dispatch one two --jobs 2 --tool shell",
        "dispatch --file tasks.txt",
        "dispatch -t shell -C /tmp -n name -e A=1 -e HOME --timeout 1h30m task",
        "dispatch -i f.yaml --on @gpu --each-host task",
        "dispatch --tasks t.yaml --grace 10s --orphan stop --attempts 5 --retries 2",
        "dispatch --repo https://example.org/a.git --ref main task",
        "runs",
        "runs --all --json",
        "runs show",
        "runs watch last --plain",
        "runs resume 1a2b",
        "runs cancel 1a2b",
        "runs retry-failed last --json",
        "dispatch --memory 2G --cpu 1.5 --processes 100 --size 120x40 --keep task",
        "dispatch --detach --json task",
        "dispatch --socket /s task",
        "dispatch --policy careful --arg --verbose --arg=-x task",
        "dispatch --check make --check-timeout 90s --retry-on-failed-check 3 task",
        "dispatch --worktree task",
        "dispatch --worktree --save-every 0 task",
        "dispatch --repo https://example.org/x.git --save-every 5m task",
        "collect",
        "collect 1a2b --out /tmp/x --json",
        "collect last --branches --into ../app",
        "dispatch --worktree=fix --base v1.2 task",
        "--socket /s sessions --all --json",
        "sessions --no-start",
        "ls",
        "logs -f -n 20 abc",
        "attach abc",
        "send abc now add a test",
        "send abc --no-enter y --key C-c --key Escape",
        "waiting --json",
        "inbox",
        "inbox --watch --notify ./ring --no-bell --json",
        "inbox --ctx lab --ctx other",
        "sessions --local",
        "sessions --on @gpu -i lab.yaml",
        "attach abc --take",
        "attach abc --read-only --on web",
        "kill --all --yes",
        "ctx add lab --host h --user u --port 22 --identity k --identity l",
        "ctx add lab --agent-port 9876 --agent-token-file t --force",
        "ctx list --json",
        "ctx show lab",
        "ctx rm lab",
        "start claude task --ctx lab --detach --json -C /s -e A=1",
        "approve",
        "approve a b/3",
        "approve --all",
        "approve a --same",
        "deny a --message no",
        "answer a Postgres",
        "answer a 1 2",
        "answer a --text words",
        "explain a --json",
        "replay file.jsonl --json",
        "kill a b",
        "kill --all",
        "pause a",
        "resume a b",
        "init",
        "init lab.yaml --host a --host b[1-3] --force",
        "init --all",
        "check",
        "check lab.yaml --on @gpu --on !gpu-3 --json",
        "check -i lab.yaml",
        "schema",
        "schema inventory",
        "schema tasks",
        "agent",
        "agent status --json",
        "agent stop --drain --timeout 5m",
        "agent log -n 5",
        "completions bash",
    ] {
        check(good, true);
    }
}

#[test]
fn lines_that_are_not_understood() {
    for bad in [
        "",
        "dispatch --json --plain task",
        "dispatch --json --quiet task",
        "dispatch --timeout never task",
        "dispatch --memory much task",
        "dispatch --size 1x1 task",
        "dispatch --jobs 0 task",
        "dispatch --processes 0 task",
        "dispatch --tasks t.yaml --each-host",
        "dispatch --grace 2s task",
        "dispatch --orphan adopt task",
        "dispatch --ref main task",
        "runs what",
        "runs show a b",
        "dispatch --worktree --save-every 500ms task",
        "collect --into ../app",
        "collect one two",
        "dispatch --env 1=2 task",
        "dispatch --check-timeout 90s task",
        "dispatch --retry-on-failed-check 1 task",
        "dispatch --retry-on-failed-check -1 --check make task",
        "dispatch --check= task",
        "dispatch --base main task",
        "dispatch --policy",
        "logs",
        "logs a b",
        "logs --agent --local",
        "approve --all a",
        "approve --message no",
        "answer",
        "answer a",
        "answer a b --text words",
        "explain",
        "inbox --notify x",
        "inbox --no-bell",
        "sessions --local --on a",
        "sessions --ctx a -i b.yaml",
        "attach a --take --read-only",
        "ctx",
        "ctx add",
        "ctx add lab --agent-port 1",
        "ctx add lab --agent-token-file t",
        "start claude task",
        "start claude --ctx lab",
        "replay",
        "kill",
        "kill --all a",
        "pause",
        "check a.yaml b.yaml",
        "check -i a.yaml b.yaml",
        "schema x",
        "agent stop --timeout 5m",
        "completions tcl",
        "nothing",
    ] {
        check(bad, false);
    }
}

fn help(of: &[&str]) -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let command = of.iter().fold(&mut command, |c, name| c.find_subcommand_mut(name).expect("it exists"));
    let text = command.render_long_help().to_string();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn help_teaches() {
    insta::assert_snapshot!(help(&[]), @r#"
    Turns machines into a fleet of coding agents, and gives it work.

    With nothing set up, tasks run on this machine: its agent is started in the background when it is
    needed and ends by itself when nothing is left to do. Sessions live in tmux and outlive this
    command, the terminal and the agent.

    Usage: cm-fleet [OPTIONS] <COMMAND>

    Commands:
      dispatch      Give tasks to agents and follow them to the end
      start         Give one task to the agent of a context
      runs          List runs; show, follow, go on with or stop one
      collect       Bring the results of a run's tasks together: how they ended, texts, patches,
                    branches
      sessions      List the sessions of all hosts [alias: ls]
      logs          Show what a session has printed
      attach        Open a session's terminal here
      send          Type into a session
      inbox         Show what waits for an answer on all hosts, each with its whole prompt [alias:
                    waiting]
      approve       Allow what sessions ask for, this one time
      deny          Refuse what sessions ask for
      answer        Answer a session's question
      explain       Say why a session is in its state, and what was decided on what evidence
      replay        Decide a session's recording anew, without the session
      kill          End sessions and everything that runs in them
      pause         Stop a session's processes and its clock
      resume        Let paused sessions go on
      init          Write an inventory to begin with
      check         Say whether an inventory can be used, and which hosts a selector selects
      schema        Print the JSON Schema of an inventory or a file of tasks, for editors
      plan          Show what a deployment would change, and why
      deploy        Make an inventory's hosts what it says: agents installed, verified, running
      status        Show every host: what runs, what should, sessions, load
      rollback      Take hosts back to an earlier generation
      versions      List the generations hosts keep
      uninstall     Remove agents from hosts
      rotate-token  Give agents new tokens
      exec          Run a command on every host
      doctor        Find what is not as it should be on hosts, each with its remedy
      ctx           Hosts of your own by name, in no inventory
      agent         This machine's background agent
      man           Print or write manual pages
      completions   Print a shell's completion script

    Options:
          --socket <PATH>
              Talk to the agent on this socket instead of this user's own

              [env: CM_FLEET_SOCKET]

          --no-start
              Do not start this machine's agent if it does not run

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Examples:
      cm-fleet dispatch "fix the failing test" --check "cargo test"
                                                            a coding tool, its work checked
      cm-fleet dispatch --tool shell "make" "make doc"      two scripts at once
      cm-fleet dispatch --tool shell -d -f tasks.txt        start what is in a file, and leave
      cm-fleet sessions                                     what goes on, here and on all hosts
      cm-fleet inbox                                        what waits for an answer; --watch follows
      cm-fleet approve 1a2b3c                               allow it
      cm-fleet logs -f 1a2b3c                               what a session prints
      cm-fleet attach 1a2b3c                                look and type for yourself

      cm-fleet init && cm-fleet check                       an inventory of hosts you can ssh to
      cm-fleet plan                                         what would change on them, and why
      cm-fleet deploy                                       agents on all of them, or back as it was
      cm-fleet status                                       how they are

    Exit codes:
      0 all done · 1 a task or host failed · 2 usage or inventory · 3 no host could be reached ·
      4 refused (host key, lock, limit) · 5 hosts went back · 130 interrupted
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one text")]
fn help_of_dispatch() {
    insta::assert_snapshot!(help(&["dispatch"]), @r#"
    Give tasks to agents and follow them to the end

    Usage: cm-fleet dispatch [OPTIONS] [TASK]...

    Arguments:
      [TASK]...
              The tasks, run at the same time; for --tool shell each is a script. `-` is one on standard
              input

    Options:
      -i, --inventory <FILE>
              The inventory [default: fleet.yaml here, else ~/.config/cm-fleet/fleet.yaml]

          --socket <PATH>
              Talk to the agent on this socket instead of this user's own

              [env: CM_FLEET_SOCKET]

          --no-start
              Do not start this machine's agent if it does not run

          --on <SELECTOR>
              Only these hosts: a name (gpu-01, gpu-*), @group or label=value, joined by , & !. May be
              repeated

          --ctx <NAME>
              Only this context of `cm-fleet ctx`. May be repeated

          --local
              Only this machine

          --accept-new
              Believe the keys of hosts that are in no known_hosts file, and write them down there

          --connect-timeout <SECONDS>
              Seconds a host may take for each of connecting, the handshake and logging in

              [default: 10]

      -F, --ssh-config <FILE>
              Use this ssh configuration instead of your own

          --tasks <FILE>
              Read tasks from a YAML file: each with its tool, hosts, check, order, … (docs/tasks.md)

          --each-host
              Do each task once on each host

      -f, --file <FILE>
              Read tasks from a file, one a line; `-` is standard input

      -t, --tool <TOOL>
              What does the task: a coding tool, `shell` for a script of sh, or any interactive program

              [default: claude]

      -C, --path <DIR>
              Where it is done [default: the current directory; with --on, the home directory there]

          --resume <SESSION>
              Go on with the conversation of an earlier session, with its tool and in its directory

      -n, --name <NAME>
              A name to find the session by; several tasks get NAME-1, NAME-2, …

      -e, --env <K[=V]>
              A variable for the session; without a value yours is passed on. May be repeated

          --arg <ARG>
              An argument for the tool's own command line. May be repeated

          --policy <NAME|FILE>
              What may be done without asking: read-only, careful, trusting, a policy of yours, or a
              file

          --check <CMD>
              A command that proves the task done, run where the task worked

          --check-timeout <TIME>
              How long the check may take [default: 10m]

          --retry-on-failed-check <N>
              Give a failed check back to the tool to mend, at most N times

          --worktree[=<BRANCH>]
              Work in a git work tree of its own, on BRANCH [default: cm/TASK]

          --repo <URL>
              Clone or fetch this git repository on the host; each task works in a work tree of its own

          --ref <REF>
              The commit, branch or tag of the repository that tasks start from [default: its own
              default branch]

          --base <REF>
              The commit, branch or tag the work tree starts from [default: HEAD]

          --timeout <TIME>
              End a task as failed after this time: 90s, 10m, 1h30m

          --memory <BYTES>
              Memory each task may use: 512M, 2G

          --cpu <CORES>
              Cores each task may use: 1.5

          --processes <N>
              Processes and threads each task may have

          --size <COLSxROWS>
              The terminal's size [default: 120x40]

          --retries <N>
              Try a task that has failed again, at most N times

          --attempts <N>
              How often hosts may fail a task before it is left to you [default: 3; with one host 1]

          --grace <TIME>
              A host that is not heard for this long is given up, and its tasks go elsewhere [default:
              60s]

          --save-every <TIME>
              How often work in progress of tasks with --worktree or --repo is saved, so that another
              host can go on with it; 0 is never [default: 60s; with one host, or --detach, never]

          --orphan <WHAT>
              What hosts do with sessions when nobody has asked after them for three quarters of the
              grace: `keep` lets them go on, `stop` ends them, so that no task ever runs in two places

              [default: keep]
              [possible values: keep, stop]

      -j, --jobs <N>
              How many tasks run at once [default: the hosts' slots; on this machine alone the number of
              cores]

          --keep
              Keep the terminals of tasks that have ended, for an hour

      -d, --detach
              Print the sessions' ids and leave; their terminals stay for an hour after the end

          --json
              Events as JSON lines on standard output, the last one `run_finished`

          --plain
              Lines instead of bars

      -q, --quiet
              Only what failed

          --notify <CMD>
              Run this when a task waits for a person, and when the run ends (see `cm-fleet inbox
              --help`)

          --no-bell
              Do not ring the terminal's bell when a task waits for a person, and send it no
              notification

      -h, --help
              Print help

    Examples:
      cm-fleet dispatch "fix the failing test" --path ~/src/app --check "cargo test"
      cm-fleet dispatch --tool codex --policy read-only "review the last commit"
      cm-fleet dispatch --resume 1a2b3c "now the documentation"
      cm-fleet dispatch --worktree --check "make test" --retry-on-failed-check 2 --file tasks.txt
      cm-fleet dispatch --tool shell --path ~/src/app --timeout 20m "make test"
      cm-fleet dispatch --tool shell --jobs 4 --file tasks.txt
      cm-fleet dispatch -i fleet.yaml --on @gpu --path src/app "fix the failing test"    over a fleet
      cm-fleet dispatch --on 'zone=eu' --each-host --tool shell "df -h /"    once on each host
      cm-fleet dispatch --tool shell --env CI=1 --env GITHUB_TOKEN ./release.sh
      cm-fleet dispatch --json --tool shell make | jq -c 'select(.type == "task_finished")'

    --notify is run by sh, with CM_EVENT (asked, ended), CM_HOST, CM_SESSION, CM_TASK and CM_QUESTION in
    its environment; at the end the last two are the run and what became of its tasks. It has 10 s.

    Ctrl-C detaches: what runs goes on, `cm-fleet sessions` finds it. A second one ends this run's
    sessions, a third leaves at once.

    Exit codes: 0 all tasks done · 1 a task failed · 2 usage · 3 no host could be reached · 130 Ctrl-C
    "#);
}
