//! Confirming a deployment: the new agent answers as itself through a new tunnel, or the host goes back by itself.

use std::time::Duration;

use cm_client::{Client, Token};
use cm_protocol::deploy::Installation;
use cm_protocol::{Action, ConfirmDeployment};
use cm_ssh::{Input, Keys, Remote, Ssh, SshError};
use tokio::time::Instant;

use super::host::{AGAIN, ASK, Job};
use super::script;
use super::wanted::Manner;

/// Log-in at the agent, once the stream stands.
const LOGIN: Duration = Duration::from_secs(10);

/// The longest that a connection which stands may keep a new one from being tried.
const STANDING: Duration = Duration::from_secs(5);

/// Tries to confirm until the host has gone back by itself: through a tunnel of the connection that stands, if any
/// (a new connection would take seven round trips and a log-in on the host to show the same), then over new ones.
pub async fn confirm(
    job: &Job,
    standing: Option<Ssh>,
    done: &Installation,
    deployment: &str,
    manner: &Manner,
    keys: &Keys,
) -> Result<(), String> {
    let within = Duration::from_secs(manner.confirm_seconds);
    let until = Instant::now() + within;
    let mut shut = false;
    if let Some(ssh) = standing {
        match tokio::time::timeout(STANDING.min(within / 2), through(ssh, done, deployment)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Shut::Unconfirmed(Unconfirmed::Never(why)))) => return Err(why),
            Ok(Err(Shut::Tunnel)) => shut = true,
            // The connection may be what is wrong.
            Ok(Err(Shut::Unconfirmed(Unconfirmed::Perhaps(_)))) | Err(_) => {}
        }
    }
    loop {
        let attempt = async {
            match shut {
                true => confirm_there(job, deployment, keys).await,
                false => try_confirm(job, done, deployment, keys).await,
            }
        };
        let attempt = tokio::time::timeout_at(until, attempt).await;
        let error = match attempt {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Unconfirmed::Never(why))) => return Err(why),
            Ok(Err(Unconfirmed::Perhaps(why))) => why,
            Err(_) => "no answer through a new connection".to_owned(),
        };
        if Instant::now() + AGAIN >= until {
            return Err(error);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Why a host is not confirmed yet.
enum Unconfirmed {
    /// It will not be.
    Never(String),
    /// Trying again may help.
    Perhaps(String),
}

/// Why nothing was confirmed through a connection.
enum Shut {
    /// sshd opens no tunnel to the agent (it says that as if nothing listened).
    Tunnel,
    /// Something else.
    Unconfirmed(Unconfirmed),
}

/// A new connection, through which the new agent answers as itself.
async fn try_confirm(
    job: &Job,
    done: &Installation,
    deployment: &str,
    keys: &Keys,
) -> Result<(), Unconfirmed> {
    let ssh = Ssh::connect(&job.target, keys).await.map_err(|e| perhaps(&e))?;
    match through(ssh, done, deployment).await {
        Ok(()) => Ok(()),
        // The installed program asks the agent, there.
        Err(Shut::Tunnel) => confirm_there(job, deployment, keys).await,
        Err(Shut::Unconfirmed(why)) => Err(why),
    }
}

/// A new tunnel to the agent, through which it answers as itself: that is what makes a deployment good.
async fn through(ssh: Ssh, done: &Installation, deployment: &str) -> Result<(), Shut> {
    let stream = ssh.stream(Remote::Unix(done.socket.clone().into())).await.map_err(|error| match error {
        SshError::Forbidden { .. } | SshError::Channel { .. } => Shut::Tunnel,
        error => Shut::Unconfirmed(perhaps(&error)),
    })?;
    let said = async {
        let confirm = Action::ConfirmDeployment(ConfirmDeployment {
            deployment: deployment.to_owned(),
            sha256: Some(done.running.sha256.clone()),
        });
        let opened = Client::over_with(stream, &Token::new(""), confirm, LOGIN).await;
        let (client, confirmed) = opened.map_err(|e| perhaps(&e))?;
        let running = client.hello().map(|hello| hello.agent.sha256.clone()).unwrap_or_default();
        // Saying good-bye is a round trip that nobody needs to wait for.
        tokio::spawn(async move { client.close().await });
        // An agent that does not look for itself yet confirms it all the same.
        if running != done.running.sha256 {
            return Err(Unconfirmed::Never(format!(
                "another program answers there than was deployed: {}",
                super::words::short_sha(&running)
            )));
        }
        confirmed.map(|_| ()).map_err(|error| perhaps(&error))
    };
    said.await.map_err(Shut::Unconfirmed)
}

fn perhaps(error: &dyn std::fmt::Display) -> Unconfirmed {
    Unconfirmed::Perhaps(error.to_string())
}

async fn confirm_there(job: &Job, deployment: &str, keys: &Keys) -> Result<(), Unconfirmed> {
    let mut ssh = Ssh::connect(&job.target, keys).await.map_err(|e| perhaps(&e))?;
    let command = script::installed(&job.wanted.dir, &format!("install confirm --deployment {deployment}"));
    let output = ssh.exec(&command, Input::None, ASK).await.map_err(|e| perhaps(&e))?;
    ssh.close().await;
    if output.ok() { Ok(()) } else { Err(Unconfirmed::Perhaps(output.stderr_text().trim().to_owned())) }
}
