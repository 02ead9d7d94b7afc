//! Confirming a deployment: the new agent answers as itself over a new connection, or the host goes back by itself.

use std::time::Duration;

use cm_client::{Client, Token};
use cm_protocol::deploy::Installation;
use cm_ssh::{Input, Keys, Remote, Ssh, SshError};
use tokio::time::Instant;

use super::host::{AGAIN, ASK, Job};
use super::script;
use super::wanted::Manner;

/// Log-in at the agent, once the stream stands.
const LOGIN: Duration = Duration::from_secs(10);

/// Tries to confirm until the host has gone back by itself.
pub async fn confirm(
    job: &Job,
    done: &Installation,
    deployment: &str,
    manner: &Manner,
    keys: &Keys,
) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(manner.confirm_seconds);
    loop {
        let attempt = tokio::time::timeout_at(until, try_confirm(job, done, deployment, keys)).await;
        let error = match attempt {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Unconfirmed::Never(why))) => return Err(why),
            Ok(Err(Unconfirmed::Perhaps(why))) => why,
            Err(_) => "no answer over a new connection".to_owned(),
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

/// A new connection, through which the new agent answers as itself: that is what makes a deployment good.
async fn try_confirm(
    job: &Job,
    done: &Installation,
    deployment: &str,
    keys: &Keys,
) -> Result<(), Unconfirmed> {
    let perhaps = |error: &dyn std::fmt::Display| Unconfirmed::Perhaps(error.to_string());
    let ssh = Ssh::connect(&job.target, keys).await.map_err(|e| perhaps(&e))?;
    let stream = match ssh.stream(Remote::Unix(done.socket.clone().into())).await {
        Ok(stream) => stream,
        // sshd forbids sockets (and says it as if nothing listened): the installed program asks the agent, there.
        Err(SshError::Forbidden { .. } | SshError::Channel { .. }) => {
            return confirm_there(job, deployment, keys).await;
        }
        Err(error) => return Err(perhaps(&error)),
    };
    let client = Client::over(stream, &Token::new(""), LOGIN).await.map_err(|e| perhaps(&e))?;
    let running = client.hello().map(|hello| hello.agent.sha256.clone()).unwrap_or_default();
    if running != done.running.sha256 {
        client.close().await;
        return Err(Unconfirmed::Never(format!(
            "another program answers there than was deployed: {}",
            super::words::short_sha(&running)
        )));
    }
    let confirmed = client.confirm_deployment(deployment).await;
    client.close().await;
    confirmed.map(|_| ()).map_err(|error| perhaps(&error))
}

async fn confirm_there(job: &Job, deployment: &str, keys: &Keys) -> Result<(), Unconfirmed> {
    let perhaps = |error: &dyn std::fmt::Display| Unconfirmed::Perhaps(error.to_string());
    let mut ssh = Ssh::connect(&job.target, keys).await.map_err(|e| perhaps(&e))?;
    let command = script::installed(&job.wanted.dir, &format!("install confirm --deployment {deployment}"));
    let output = ssh.exec(&command, Input::None, ASK).await.map_err(|e| perhaps(&e))?;
    ssh.close().await;
    if output.ok() { Ok(()) } else { Err(Unconfirmed::Perhaps(output.stderr_text().trim().to_owned())) }
}
