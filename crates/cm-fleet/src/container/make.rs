//! Makes what a host is to have: volumes, containers under names of their own, the settings in the agent's.

use bollard::models::{ContainerCreateBody, ContainerUpdateBody, RestartPolicyNameEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    RenameContainerOptionsBuilder, StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use cm_protocol::deploy::AgentSettings;
use futures_util::StreamExt;

use super::engine::Engine;
use super::error::EngineError;
use super::tar::{self, Put};
use super::wanted::{CONFIG, ContainerWanted, STOP, label, restarts};

/// Bytes of a container's `passwd` that are read.
const PASSWD: usize = 1 << 20;

/// Volumes: those of our names, made where they are missing. Which were.
///
/// # Errors
/// One of that name is not ours: [`EngineError::Here`] says so.
pub async fn volumes(engine: &Engine, wanted: &ContainerWanted) -> Result<Vec<String>, EngineError> {
    let mut made = Vec::new();
    if let Some(volume) = wanted.volume() {
        let name = volume.name.clone().unwrap_or_default();
        let act = format!("making the volume {name}");
        let found = match engine.docker.inspect_volume(&name).await.map_err(|e| EngineError::of(&act, &e)) {
            Ok(found) => Some(found.labels),
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(error),
        };
        match found {
            Some(labels) if labels.get(label::HOST) == Some(&wanted.host) => {}
            Some(_) => {
                return Err(EngineError::Here {
                    why: format!("a volume {name} is there that cm-fleet has not made for this host"),
                    remedy: Some(
                        "remove it there, or give this host another name in the inventory".to_owned(),
                    ),
                });
            }
            None => {
                engine.docker.create_volume(volume).await.map_err(|e| EngineError::of(&act, &e))?;
                made.push(name);
            }
        }
    }
    Ok(made)
}

/// Makes a container; its id.
///
/// # Errors
/// The engine does not want it so.
pub async fn container(
    engine: &Engine,
    name: &str,
    body: ContainerCreateBody,
) -> Result<String, EngineError> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let made = engine.docker.create_container(Some(options), body).await;
    Ok(made.map_err(|e| EngineError::of(&format!("making the container {name}"), &e))?.id)
}

/// Puts an agent's settings into its container: nobody but its user reads them, and no inspection shows them.
///
/// # Errors
/// The engine does not take them, or the container's user cannot be found out.
pub async fn settings(
    engine: &Engine,
    container: &str,
    user: &str,
    settings: &AgentSettings,
) -> Result<(), EngineError> {
    let text = serde_json::to_vec(settings)
        .map_err(|e| EngineError::Here { why: format!("the settings: {e}"), remedy: None })?;
    config(engine, container, user, &text).await
}

/// Puts the text of a configuration into a container.
///
/// # Errors
/// As [`settings`].
pub async fn config(engine: &Engine, container: &str, user: &str, text: &[u8]) -> Result<(), EngineError> {
    let owner = owner(engine, container, user).await?;
    let (directory, name) =
        CONFIG.trim_start_matches("/etc/").split_once('/').unwrap_or(("cm-agent", "config.json"));
    let archive = tar::write(&[
        Put { path: &format!("{directory}/"), mode: 0o700, owner, bytes: b"" },
        Put { path: &format!("{directory}/{name}"), mode: 0o600, owner, bytes: text },
    ]);
    let options = UploadToContainerOptionsBuilder::default().path("/etc").build();
    let body = bollard::body_full(archive.into());
    let sent = engine.docker.upload_to_container(container, Some(options), body).await;
    sent.map_err(|e| EngineError::of("bringing the settings", &e))
}

/// Reads the configuration out of a container that is kept.
///
/// # Errors
/// The engine does not give it.
pub async fn read_config(engine: &Engine, container: &str) -> Result<Vec<u8>, EngineError> {
    let archive = download(engine, container, CONFIG, 8 << 20).await?;
    tar::first(&archive)
        .map(<[u8]>::to_vec)
        .ok_or_else(|| EngineError::Here { why: format!("{container} has no settings in it"), remedy: None })
}

async fn download(engine: &Engine, container: &str, path: &str, most: usize) -> Result<Vec<u8>, EngineError> {
    let act = format!("reading {path} of {container}");
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let mut all = Vec::new();
    let mut pieces = std::pin::pin!(engine.docker.download_from_container(container, Some(options)));
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece.map_err(|e| EngineError::of(&act, &e))?);
        if all.len() > most {
            return Err(EngineError::Lost { act, why: format!("it has more than {most} bytes") });
        }
    }
    Ok(all)
}

/// The numbers of the container's user.
async fn owner(engine: &Engine, container: &str, user: &str) -> Result<(u32, u32), EngineError> {
    if let Some(numbers) = numbers(user) {
        return Ok(numbers);
    }
    let archive = download(engine, container, "/etc/passwd", PASSWD).await?;
    let text = String::from_utf8_lossy(tar::first(&archive).unwrap_or_default()).into_owned();
    let name = user.split(':').next().unwrap_or(user);
    in_passwd(&text, name).ok_or_else(|| EngineError::Here {
        why: format!("the image has no user {name}"),
        remedy: Some("change `container: {user: …}`".to_owned()),
    })
}

/// PURE. `1000:1000`, `1000`, nothing (root).
fn numbers(user: &str) -> Option<(u32, u32)> {
    let (uid, gid) = user.split_once(':').unwrap_or((user, ""));
    let uid = if uid.is_empty() { 0 } else { uid.parse().ok()? };
    Some((uid, gid.parse().unwrap_or(0)))
}

/// PURE. A user's numbers by `/etc/passwd`.
fn in_passwd(text: &str, name: &str) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next()? == name).then_some(())?;
        Some((parts.nth(1)?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

/// Starts a container.
///
/// # Errors
/// It does not start.
pub async fn start(engine: &Engine, name: &str) -> Result<(), EngineError> {
    let started = engine.docker.start_container(name, None).await;
    started.map_err(|e| EngineError::of(&format!("starting {name}"), &e))
}

/// Stops a container; one that is stopped, or not there, is fine.
///
/// # Errors
/// It goes on.
pub async fn stop(engine: &Engine, name: &str) -> Result<(), EngineError> {
    let within = i32::try_from(STOP).unwrap_or(10);
    let options = StopContainerOptionsBuilder::default().t(within).build();
    let stopped = engine.docker.stop_container(name, Some(options)).await;
    match stopped.map_err(|e| EngineError::of(&format!("stopping {name}"), &e)) {
        Err(error) if !error.is_missing() && !matches!(error, EngineError::Refused { status: 304, .. }) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Removes a container, running or not; one that is not there is fine.
///
/// # Errors
/// It stays.
pub async fn remove(engine: &Engine, name: &str) -> Result<(), EngineError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    let removed = engine.docker.remove_container(name, Some(options)).await;
    match removed.map_err(|e| EngineError::of(&format!("removing {name}"), &e)) {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(()),
    }
}

/// Gives a container another name.
///
/// # Errors
/// The name is taken, or the container is gone.
pub async fn rename(engine: &Engine, from: &str, to: &str) -> Result<(), EngineError> {
    let options = RenameContainerOptionsBuilder::default().name(to).build();
    let renamed = engine.docker.rename_container(from, options).await;
    renamed.map_err(|e| EngineError::of(&format!("calling {from} {to}"), &e))
}

/// Sets what can be set of a container that is there: that it comes up again, and the wanted limits.
///
/// # Errors
/// The engine does not.
pub async fn keep_up(
    engine: &Engine,
    name: &str,
    limits: Option<super::wanted::Limits>,
) -> Result<(), EngineError> {
    let some = |value: Option<i64>| value.filter(|value| *value != 0);
    let body = ContainerUpdateBody {
        restart_policy: Some(restarts(RestartPolicyNameEnum::UNLESS_STOPPED)),
        nano_cpus: some(limits.map(|limits| limits.nano_cpus)),
        memory: some(limits.map(|limits| limits.memory)),
        // Otherwise an engine says that the swap limit is below the memory's.
        memory_swap: some(limits.map(|limits| limits.memory)).map(|memory| memory.saturating_mul(2)),
        pids_limit: some(limits.map(|limits| limits.pids)),
        ..ContainerUpdateBody::default()
    };
    let set = engine.docker.update_container(name, body).await;
    match set.map_err(|e| EngineError::of(&format!("changing {name}"), &e)) {
        // Podman 4 cannot change a container; it was made to come up again.
        Err(error) if error.is_missing() => match super::ask::container(engine, name).await? {
            Some(found) if !found.unconfirmed() => Ok(()),
            _ => Err(error),
        },
        set => set,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users() {
        let check = |user: &str, expected| assert_eq!(numbers(user), expected, "{user}");
        check("1000:7", Some((1000, 7)));
        check("1000", Some((1000, 0)));
        check("", Some((0, 0)));
        check("ada", None);
        check("ada:staff", None);
        let passwd = "root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1001::/home/agent:/bin/sh\nbad\n";
        assert_eq!(in_passwd(passwd, "agent"), Some((1000, 1001)));
        assert_eq!(in_passwd(passwd, "age"), None);
    }
}
