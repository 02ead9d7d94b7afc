//! What tests do to hosts happens, and is undone for the next test.

use std::time::{Duration, Instant};

use cm_testkit::hosts::{Cast, Claimed, another_build, inventory_yaml, test_agent};

/// Whether somebody can log in within two seconds.
fn answers(host: &Claimed) -> bool {
    let mut ssh = host.ssh_command();
    // The relay of docker takes the connection even if the host does not: the greeting is what counts.
    ssh.args(["-o", "ConnectTimeout=2", "-o", "ConnectionAttempts=1", &host.name, "true"]);
    ssh.output().unwrap().status.success()
}

#[test]
fn a_host_is_paused_and_cut_off_and_comes_back() {
    let host = Cast::load().claim("plain");
    assert!(answers(&host));
    host.pause();
    assert!(!answers(&host));
    host.unpause();
    assert!(answers(&host));
    host.cut();
    assert!(!answers(&host));
    host.uncut();
    assert!(answers(&host));
}

#[test]
fn a_host_is_killed_and_boots() {
    let host = Cast::load().claim("plain");
    host.user_says("touch ~/kept /run/user/$(id -u)/lost");
    host.kill();
    assert!(!answers(&host));
    host.start();
    assert_eq!(
        host.user_says("cd; ls kept; test ! -e /run/user/$(id -u)/lost && echo rebooted"),
        "kept\nrebooted\n"
    );
}

/// Of `full` and `noexec`, whose mounts have to be there again.
#[test]
fn a_host_is_like_new_for_the_next_test() {
    let cast = Cast::load();
    for kind in ["fish", "full", "noexec"] {
        let host = cast.claim(kind);
        host.user_says("mkdir -p ~/.local/share/cm-agent ~/.config/systemd/user && touch ~/.config/cm-agent");
        host.user_says("loginctl enable-linger && systemd-run --quiet --user sleep 1000");
        host.user_says("tmux -L left new-session -d sleep 1000");
        host.root_says("rm /etc/ssh/ssh_host_* && ssh-keygen -q -A && systemctl restart ssh.service");
        assert!(!answers(&host), "the host's key has changed");
        host.cut();
        host.pause();
        drop(host);
        let host = cast.claim(kind);
        assert!(answers(&host));
        assert_eq!(host.root_says("pgrep -c -u deploy sleep || true"), "0\n");
        let left = "find /home/deploy /tmp -user deploy '(' -name 'cm-agent*' -o -name systemd -o -name 'tmux-*' ')'";
        assert_eq!(host.root_says(left), "");
        assert_eq!(host.user_says("loginctl show-user -P Linger deploy"), "no\n");
    }
    let noexec = cast.claim("noexec");
    assert!(!noexec.as_user("cp /bin/true ~/it && ~/it").status.success());
    let full = cast.claim("full");
    assert!(!full.as_user("head -c 4000000 /dev/zero > ~/.local/share/large").status.success());
}

#[test]
fn a_relay_makes_a_host_distant() {
    let host = Cast::load().claim("plain");
    let round_trip = Duration::from_millis(50);
    let relay = host.relay(round_trip);
    let began = Instant::now();
    let known = format!("UserKnownHostsFile={}", relay.known_hosts.display());
    let mut ssh = host.ssh_command();
    ssh.args(["-o", &format!("Port={}", relay.port), "-o", &known, &host.name, "true"]);
    let output = ssh.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Connecting, greeting, agreeing on keys, logging in, running: more than five.
    assert!(began.elapsed() > 5 * round_trip, "{:?}", began.elapsed());
}

#[test]
fn the_agent_runs_on_hosts_and_so_does_another_build_of_it() {
    let host = Cast::load().claim("plain");
    let dir = tempfile::tempdir().unwrap();
    let first = test_agent();
    let second = another_build(&first, "v2", dir.path());
    for (from, to) in [(&first, "/opt/one"), (&second, "/opt/two")] {
        host.put(from, to);
        assert!(host.user_says(&format!("{to} --version")).starts_with("cm-agent "));
    }
    let sums = host.user_says("sha256sum /opt/one /opt/two | cut -d' ' -f1 | uniq | wc -l");
    assert_eq!(sums.trim(), "2");
}

#[test]
fn an_inventory_of_claimed_hosts() {
    let hosts = Cast::load().claim_all(&["bastion", "inner"]);
    let [bastion, inner] = &hosts[..] else { panic!("two were claimed") };
    let both = inventory_yaml(&[bastion, inner]);
    assert!(both.starts_with("hosts:\n  bastion:\n    address: 127.0.1."), "{both}");
    assert!(both.contains("\n    host_key: ssh-ed25519 AAAA"), "{both}");
    assert!(both.ends_with("\n    jump: bastion\n"), "{both}");
    let alone = inventory_yaml(&[inner]);
    assert!(alone.ends_with(&format!("\n    jump: {}\n", bastion.target())), "{alone}");
}
