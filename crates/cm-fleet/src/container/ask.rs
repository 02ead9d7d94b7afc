//! Asks an engine what a host's containers are: two questions where all is as it should be, the rest where not.

use std::collections::HashMap;

use bollard::query_parameters::ListContainersOptionsBuilder;

use super::engine::Engine;
use super::error::EngineError;
use super::facts::{EngineSeen, Found, Seen, found, listed};
use super::image;
use super::plan::{Known, settled};
use super::wanted::{ContainerWanted, Role, label};

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only what says whether all is as it should be; everything where it is not.
    Changes,
    /// Everything.
    Whole,
}

/// Asks.
///
/// # Errors
/// The engine does not answer, or not as an engine does.
pub async fn ask(
    engine: &Engine,
    wanted: &ContainerWanted,
    known: &Known,
    depth: Depth,
) -> Result<Seen, EngineError> {
    let names = wanted.names();
    let mut seen = Seen { agent: container(engine, &names.of(Role::Agent)).await?, ..Seen::default() };
    if seen.agent.is_some() {
        seen.keeper = container(engine, &names.of(Role::Keeper)).await?;
        if known.image().is_none() {
            seen.image = image::inspect(engine, &wanted.image.reference).await?;
        }
        if depth == Depth::Changes && settled(wanted, known, &seen) {
            return Ok(seen);
        }
    } else {
        seen.keeper = container(engine, &names.of(Role::Keeper)).await?;
    }
    let version = engine
        .docker
        .version()
        .await
        .map_err(|e| EngineError::of("asking the engine for its version", &e))?;
    let podman = version.components.iter().flatten().any(|part| part.name.starts_with("Podman"));
    seen.engine = Some(EngineSeen {
        kind: if podman { "podman" } else { "docker" }.to_owned(),
        version: version.version.unwrap_or_default(),
        arch: version.arch.unwrap_or_default(),
        system: format!("{} {}", version.os.unwrap_or_default(), version.kernel_version.unwrap_or_default()),
    });
    seen.ours = ours(engine, wanted).await?;
    if seen.image.is_none() {
        seen.image = image::present(engine, &wanted.image, known).await?;
    }
    seen.whole = true;
    Ok(seen)
}

/// Every container that is marked as this host's.
///
/// # Errors
/// The engine does not say.
pub async fn ours(
    engine: &Engine,
    wanted: &ContainerWanted,
) -> Result<Vec<super::facts::Listed>, EngineError> {
    let marked = HashMap::from([("label", vec![format!("{}={}", label::HOST, wanted.host)])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&marked).build();
    let all = engine.docker.list_containers(Some(options)).await;
    let all = all.map_err(|e| EngineError::of("listing containers", &e))?;
    Ok(all.into_iter().map(listed).collect())
}

/// A container by its name or id.
///
/// # Errors
/// The engine does not say.
pub async fn container(engine: &Engine, name: &str) -> Result<Option<Found>, EngineError> {
    let answer = engine.docker.inspect_container(name, None).await;
    match answer.map_err(|e| EngineError::of(&format!("looking at the container {name}"), &e)) {
        // An engine finds a container by the beginning of an id, too.
        Ok(answer) => Ok(Some(found(answer))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
