//! One container in another's place, and back again.

use bollard::query_parameters::RemoveVolumeOptions;
use cm_protocol::deploy::HostAfter;

use super::engine::Engine;
use super::error::EngineError;
use super::make;
use super::wanted::{Names, Role};

/// What stands in whose place.
#[derive(Debug, Clone, Default)]
pub struct Swap {
    /// The host's names.
    pub names: Option<Names>,
    /// The agent that was there, and its generation.
    pub old: Option<(String, u64)>,
    /// The keeper that was there, where it is replaced.
    pub old_keeper: Option<String>,
    /// The new agent.
    pub new: String,
    /// The new keeper, where there is one.
    pub new_keeper: Option<String>,
    /// Volumes that were made for it.
    pub volumes: Vec<String>,
}

impl Swap {
    /// Stops the old ones, sets them aside, and starts the new ones under their names.
    ///
    /// # Errors
    /// Somewhere on the way: [`Self::back`] is next.
    pub async fn go(&self, engine: &Engine) -> Result<(), EngineError> {
        let Some(names) = &self.names else { return Ok(()) };
        if let Some((old, _)) = &self.old {
            make::stop(engine, old).await?;
            make::rename(engine, old, &names.before(Role::Agent)).await?;
        }
        if let Some(old) = &self.old_keeper {
            make::stop(engine, old).await?;
            make::rename(engine, old, &names.before(Role::Keeper)).await?;
        }
        if let Some(new) = &self.new_keeper {
            make::rename(engine, new, &names.of(Role::Keeper)).await?;
            make::start(engine, new).await?;
        }
        make::rename(engine, &self.new, &names.of(Role::Agent)).await?;
        make::start(engine, &self.new).await
    }

    /// Removes the new ones and brings the old ones back. How the host is then.
    pub async fn back(&self, engine: &Engine) -> HostAfter {
        match self.try_back(engine).await {
            Ok(()) => match &self.old {
                Some((_, generation)) => HostAfter::Reverted { generation: *generation },
                None => HostAfter::Removed,
            },
            Err(error) => HostAfter::Broken { why: error.to_string() },
        }
    }

    async fn try_back(&self, engine: &Engine) -> Result<(), EngineError> {
        let Some(names) = &self.names else { return Ok(()) };
        make::remove(engine, &self.new).await?;
        if let Some(new) = &self.new_keeper {
            make::remove(engine, new).await?;
        }
        if let Some(old) = &self.old_keeper {
            called(engine, old, &names.of(Role::Keeper)).await?;
            make::start(engine, old).await?;
        }
        if let Some((old, _)) = &self.old {
            called(engine, old, &names.of(Role::Agent)).await?;
            make::start(engine, old).await?;
        }
        for volume in &self.volumes {
            // One that is in use after all stays.
            let _ = engine.docker.remove_volume(volume, None::<RemoveVolumeOptions>).await;
        }
        Ok(())
    }

    /// Removes what was only made, and never used.
    pub async fn drop_new(&self, engine: &Engine) {
        let keeper = self.new_keeper.iter();
        for new in keeper.chain((!self.new.is_empty()).then_some(&self.new)) {
            if let Err(error) = make::remove(engine, new).await {
                tracing::debug!(%error, "a container that was only made stays");
            }
        }
        for volume in &self.volumes {
            let _ = engine.docker.remove_volume(volume, None::<RemoveVolumeOptions>).await;
        }
    }
}

/// Gives a container a name, unless it has it.
async fn called(engine: &Engine, id: &str, name: &str) -> Result<(), EngineError> {
    match super::ask::container(engine, id).await? {
        Some(found) if found.name != name => make::rename(engine, id, name).await,
        _ => Ok(()),
    }
}
