//! The client of the run: started, killed, and started again to go on.

use std::fs::OpenOptions;
use std::process::{Child, Command, Stdio};

use cm_testkit::hosts::written;

use crate::failure::Failure;

use super::GRACE;
use super::field::Field;

/// A client that runs. It ends with this.
pub struct Client<'a> {
    field: &'a Field,
    child: Child,
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'a> Client<'a> {
    /// Begins the run.
    pub fn dispatch(field: &'a Field, tasks: usize) -> Result<Self, Failure> {
        let mut text = "defaults: {tool: shell}\ntasks:\n".to_owned();
        for number in 1..=tasks {
            // Of different lengths, so that at any time some begin and some end.
            let seconds = [1.0, 2.0, 3.0, 4.0, 5.0][number % 5];
            text.push_str(&format!("  - '{}'\n", written::script(&format!("t{number}"), seconds)));
        }
        let file = field.write("tasks.yaml", &text)?;
        let mut command = field.fleet();
        command.args([
            "dispatch",
            "-i",
            "fleet.yaml",
            "-F",
            "ssh_config",
            "--connect-timeout",
            "5",
            "--json",
        ]);
        command.args(["--grace", GRACE, "--orphan", "stop", "--attempts", "20", "--tasks"]).arg(file);
        Self::start(field, command)
    }

    fn start(field: &'a Field, mut command: Command) -> Result<Self, Failure> {
        let path = field.path("said");
        let open = || OpenOptions::new().create(true).append(true).open(&path);
        let (out, err) =
            open().and_then(|out| open().map(|err| (out, err))).map_err(Failure::file("open", &path))?;
        let started = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child =
            started.map_err(|source| Failure::Start { command: "cm-fleet dispatch".to_owned(), source })?;
        Ok(Self { field, child })
    }

    /// Kills it as nothing can refuse, and goes on with the run in a new one.
    pub fn kill_and_resume(&mut self) -> Result<(), Failure> {
        let failed = |source| Failure::Start { command: "kill -9 of the client".to_owned(), source };
        self.child.kill().map_err(failed)?;
        self.child.wait().map_err(failed)?;
        let mut command = self.field.fleet();
        command.args(["runs", "resume", "last", "--json"]);
        *self = Self::start(self.field, command)?;
        Ok(())
    }

    /// Its exit code, if it has ended.
    pub fn ended(&mut self) -> Result<Option<Option<i32>>, Failure> {
        let asked = self.child.try_wait();
        let status = asked.map_err(|source| Failure::Start { command: "cm-fleet".to_owned(), source })?;
        Ok(status.map(|status| status.code()))
    }
}
