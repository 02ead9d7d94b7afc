//! One container host among all hosts: asked and planned, changed, taken back, told of, as the others are.

use std::sync::Arc;

use cm_protocol::deploy::{Facts, HostAfter};
use cm_ssh::Keys;
use tokio::time::Instant;

use super::ask::{self, Depth};
use super::engine::{Engine, Road};
use super::error::EngineError;
use super::facts::{self, Seen};
use super::image::{self, Images};
use super::plan::{self, Known};
use super::steps::{self, Work};
use super::undo;
use super::wanted::ContainerWanted;
use crate::deploy::event::{DeployEventKind, Outcome};
use crate::deploy::host::{Job, Tell, failed};
use crate::deploy::plan::Plan;
use crate::deploy::stage::now;
use crate::deploy::wanted::Manner;
use crate::inventory::Pull;

/// A container host of a run's.
pub struct Hosted<'a> {
    wanted: &'a ContainerWanted,
    road: Road,
    images: &'a Images,
    keys: &'a Keys,
    tell: &'a Tell,
}

impl<'a> Hosted<'a> {
    /// None, where the host's agent runs in no container.
    pub fn of(job: &'a Job, images: &'a Images, keys: &'a Keys, tell: &'a Tell) -> Option<Self> {
        let wanted = job.container.as_deref()?;
        Some(Self { wanted, road: road(job)?, images, keys, tell })
    }

    fn work<'b>(&'b self, manner: &'b Manner) -> Work<'b> {
        Work { wanted: self.wanted, road: &self.road, manner, keys: self.keys, tell: self.tell }
    }

    async fn reached(&self) -> Result<Engine, EngineError> {
        let began = Instant::now();
        let engine = self.road.connect(self.keys, None).await?;
        self.tell.say(|host| DeployEventKind::HostConnected { host, took: began.elapsed().as_secs_f64() });
        Ok(engine)
    }

    async fn known(&self) -> Result<Known, EngineError> {
        self.images.known(&self.wanted.image).await
    }

    /// Connects, asks and plans. `changing`: images that are pulled at every deployment are pulled now.
    ///
    /// # Errors
    /// What the host is done with, instead.
    pub async fn plan(&self, manner: &Manner, changing: bool) -> Result<(Engine, Plan), Outcome> {
        let untouched = Some(HostAfter::Untouched);
        let known = self.known().await.map_err(|e| e.outcome("image", untouched.clone()))?;
        let engine = self.reached().await.map_err(|e| e.outcome("connect", None))?;
        if changing && self.wanted.image.pull == Pull::Always && known.image().is_none() {
            image::pull(&engine, &self.wanted.image.reference)
                .await
                .map_err(|e| e.outcome("image", untouched.clone()))?;
        }
        let seen = ask::ask(&engine, self.wanted, &known, Depth::Changes)
            .await
            .map_err(|e| e.outcome("ask", untouched))?;
        let plan = plan::plan(self.wanted, &known, &seen, manner, now());
        Ok((engine, plan))
    }

    /// Brings it to what it is to be.
    pub async fn change(&self, engine: Engine, manner: &Manner) -> Outcome {
        match self.known().await {
            Ok(known) => Box::pin(steps::change(&self.work(manner), engine, &known, self.images)).await,
            Err(error) => error.outcome("image", Some(HostAfter::Untouched)),
        }
    }

    /// Takes it back, because others did not go well.
    pub async fn take_back(&self, manner: &Manner) -> Outcome {
        Box::pin(undo::take_back(&self.work(manner))).await
    }

    /// Brings it back to an earlier generation.
    pub async fn roll_back(&self, engine: Engine, to: Option<&str>, manner: &Manner) -> Outcome {
        Box::pin(undo::roll_back(&self.work(manner), engine, to)).await
    }

    /// Removes what is ours there.
    pub async fn uninstall(&self, engine: Engine, purge: bool, force: bool) -> Outcome {
        let manner = Manner { force, ..Manner::default() };
        Box::pin(undo::uninstall(&self.work(&manner), engine, purge, force)).await
    }

    /// Connects and asks for everything, told as every host's facts are.
    ///
    /// # Errors
    /// What the host is done with, instead.
    pub async fn facts(&self) -> Result<(Engine, Facts), Outcome> {
        let engine = self.reached().await.map_err(|e| e.outcome("connect", None))?;
        let facts =
            self.facts_over(&engine).await.map_err(|e| e.outcome("ask", Some(HostAfter::Untouched)))?;
        Ok((engine, facts))
    }

    /// The same over a connection that stands.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn facts_over(&self, engine: &Engine) -> Result<Facts, EngineError> {
        let seen = self.seen(engine).await?;
        let drift = plan::drift(self.wanted, &seen);
        Ok(facts::facts(&self.wanted.host, &seen, drift, now()))
    }

    /// Everything there is.
    ///
    /// # Errors
    /// The engine does not answer, or the inventory names a file that is no image.
    pub async fn seen(&self, engine: &Engine) -> Result<Seen, EngineError> {
        let known = self.known().await?;
        ask::ask(engine, self.wanted, &known, Depth::Whole).await
    }

    /// What is to be seen there that is not as it should be.
    pub async fn findings(&self) -> Vec<cm_protocol::deploy::Finding> {
        let known = self.known().await;
        let engine = match self.reached().await {
            Ok(engine) => engine,
            Err(error) => return super::doctor::unreached(&error),
        };
        let known = match known {
            Ok(known) => known,
            Err(error) => return vec![super::doctor::of_error("image", &error)],
        };
        match ask::ask(&engine, self.wanted, &known, Depth::Whole).await {
            Ok(seen) => super::doctor::of(self.wanted, &known, &seen),
            Err(error) => vec![super::doctor::of_error("engine", &error)],
        }
    }
}

/// How a container host's engine is reached.
pub fn road(job: &Job) -> Option<Road> {
    let wanted = job.container.as_deref()?;
    Some(Road { host: job.name.clone(), target: job.target.clone(), wanted: wanted.engine.clone() })
}

/// A token of a container host's agent is the inventory's.
pub fn no_rotation() -> Outcome {
    failed(
        "rotate-token",
        "the token of an agent in a container is the inventory's (`agent: {token: …}`)".to_owned(),
        Some(HostAfter::Untouched),
    )
}

/// The image that is wanted, as the program it stands for.
pub async fn wanted_program(job: &Job, images: &Arc<Images>) -> Option<cm_protocol::deploy::Binary> {
    let wanted = job.container.as_deref()?;
    let known = images.known(&wanted.image).await.ok()?;
    let image = known.image()?;
    Some(cm_protocol::deploy::Binary {
        sha256: facts::bare(&image.id).to_owned(),
        size: image.size,
        version: image.version.clone(),
    })
}
