//! The image: known here, seen to be on the host, else streamed there or pulled, and verified by what it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use cm_ssh::{Keys, NoSecrets, Target};
use futures_util::StreamExt;
use tokio::sync::{Mutex, OnceCell};

use super::engine::{Engine, Road};
use super::error::EngineError;
use super::facts::{self, Image, Seen};
use super::packed::{self, Packed, Whole};
use super::plan::Known;
use super::wanted::{ContainerWanted, EngineWanted, ImageWanted};
use super::{archive, steps};
use crate::deploy::host::Tell;
use crate::inventory::Pull;

/// What keeps an engine's layers apart from its images: with it a layer that is there has not to be sent again.
const SNAPSHOTS: &str = "io.containerd.snapshotter";

/// Made once for each, and used by all who come.
type Once<K, T> = Mutex<BTreeMap<K, Arc<OnceCell<T>>>>;

/// Images as they are here; each is looked at once, and packed once for all hosts.
#[derive(Default)]
pub struct Images {
    known: Once<ImageWanted, Known>,
    /// As they are, to take layers out of.
    whole: Once<ImageWanted, Arc<Whole>>,
    /// Without so many of their first layers.
    packed: Once<(ImageWanted, usize), Arc<Packed>>,
}

impl Images {
    /// What is known here of an image.
    ///
    /// # Errors
    /// The inventory names a file that is none.
    pub async fn known(&self, wanted: &ImageWanted) -> Result<Known, EngineError> {
        let cell = Arc::clone(self.known.lock().await.entry(wanted.clone()).or_default());
        cell.get_or_try_init(|| known(wanted)).await.cloned()
    }

    /// It, packed to be sent, without its first `there` layers.
    ///
    /// # Errors
    /// It cannot be had from where it is, or there is no room here.
    pub async fn packed(
        &self,
        wanted: &ImageWanted,
        image: &Image,
        there: usize,
    ) -> Result<Arc<Packed>, EngineError> {
        let cell = Arc::clone(self.packed.lock().await.entry((wanted.clone(), there)).or_default());
        cell.get_or_try_init(|| async {
            if there == 0 {
                return packed::all(wanted, image).await.map(Arc::new);
            }
            let cell = Arc::clone(self.whole.lock().await.entry(wanted.clone()).or_default());
            let whole = cell.get_or_try_init(|| async { Whole::of(wanted, image).await.map(Arc::new) });
            Arc::clone(whole.await?).without(there).await.map(Arc::new)
        })
        .await
        .cloned()
    }
}

/// The engine of this machine: `DOCKER_HOST` where it is a socket, else where engines listen.
pub fn here() -> Road {
    let socket =
        std::env::var("DOCKER_HOST").ok().and_then(|at| at.strip_prefix("unix://").map(str::to_owned));
    Road {
        host: "this machine".to_owned(),
        target: Target::new("this machine", "localhost", ""),
        wanted: EngineWanted { socket, here: true, ..EngineWanted::default() },
    }
}

async fn known(wanted: &ImageWanted) -> Result<Known, EngineError> {
    if let Some(path) = &wanted.archive {
        return packed::described(path, &wanted.reference).await.map(Known::Here);
    }
    if wanted.pull != Pull::Never {
        return Ok(Known::Elsewhere { why: "the host pulls it".to_owned() });
    }
    let engine = match here().connect(&Keys::new(NoSecrets), None).await {
        Ok(engine) => engine,
        Err(error) => return Ok(Known::Elsewhere { why: error.to_string() }),
    };
    match inspect(&engine, &wanted.reference).await {
        Ok(Some(image)) => Ok(Known::Here(image)),
        Ok(None) => {
            Ok(Known::Elsewhere { why: "this machine's engine has no image of that name".to_owned() })
        }
        Err(error) => Ok(Known::Elsewhere { why: error.to_string() }),
    }
}

/// What an engine has of that name or id.
///
/// # Errors
/// It does not say.
pub async fn inspect(engine: &Engine, name: &str) -> Result<Option<Image>, EngineError> {
    match engine.docker.inspect_image(name).await.map_err(|e| EngineError::of("looking for the image", &e)) {
        Ok(answer) => Ok(Some(facts::image(answer))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// PURE. Whether two engines mean the same image: by its id, or, as engines differ in what they call an id, by all
/// that it is made of.
pub fn same(a: &Image, b: &Image) -> bool {
    let content = !a.layers.is_empty() && a.layers == b.layers && a.arch == b.arch && a.user == b.user;
    a.id == b.id || content && a.version == b.version
}

/// The wanted image on a host, if it is there.
///
/// # Errors
/// The engine does not say.
pub async fn present(
    engine: &Engine,
    wanted: &ImageWanted,
    known: &Known,
) -> Result<Option<Image>, EngineError> {
    let Some(image) = known.image() else { return inspect(engine, &wanted.reference).await };
    if let Some(found) = inspect(engine, &image.id).await? {
        return Ok(Some(found));
    }
    Ok(inspect(engine, &wanted.reference).await?.filter(|found| same(image, found)))
}

/// Sees that the image is there; what the engine has then. `seen`: what is there of the host's containers.
///
/// # Errors
/// It cannot be sent or pulled, or what arrived is another one.
pub async fn ensure(
    engine: &Engine,
    wanted: &ContainerWanted,
    known: &Known,
    images: &Images,
    seen: &Seen,
    tell: &Tell,
) -> Result<Image, EngineError> {
    let image = &wanted.image;
    if let Some(found) = present(engine, image, known).await?
        && (image.pull != Pull::Always || known.image().is_some())
    {
        return Ok(found);
    }
    match known {
        Known::Here(own) => {
            let there = layers_there(engine, own, seen).await?;
            if there > 0 {
                match packed::load(engine, &images.packed(image, own, there).await?, false, tell).await {
                    Ok(()) => {
                        if let Some(found) = present(engine, image, known).await? {
                            return Ok(found);
                        }
                    }
                    Err(error @ EngineError::Refused { .. }) => {
                        tracing::debug!(%error, "the whole image is sent after all");
                    }
                    Err(error) => return Err(error),
                }
            }
            let podman = steps::is_podman(seen);
            packed::load(engine, &images.packed(image, own, 0).await?, podman, tell).await?;
            let Some(found) = present(engine, image, known).await? else {
                return Err(EngineError::Here {
                    why: format!("the image {} arrived, and is not the one that was sent", image.reference),
                    remedy: Some("deploy again; if it stays so, the engine there changes images".to_owned()),
                });
            };
            Ok(found)
        }
        Known::Elsewhere { .. } => {
            pull(engine, &image.reference).await?;
            inspect(engine, &image.reference).await?.ok_or_else(|| EngineError::Here {
                why: format!("the image {} was pulled, and is not there", image.reference),
                remedy: None,
            })
        }
    }
}

/// How many of an image's first layers need not be sent: those that the agent in use is made of, too, where the
/// engine takes an archive without them. That is Docker, as long as it keeps layers itself.
async fn layers_there(engine: &Engine, own: &Image, seen: &Seen) -> Result<usize, EngineError> {
    let Some(agent) = seen.agent.as_ref().filter(|_| !steps::is_podman(seen)) else { return Ok(0) };
    let Some(used) = inspect(engine, &agent.image).await? else { return Ok(0) };
    let there = archive::shared(&own.layers, &used.layers);
    if there == 0 {
        return Ok(0);
    }
    let info =
        engine.docker.info().await.map_err(|e| EngineError::of("asking the engine about itself", &e))?;
    let snapshots = info.driver_status.iter().flatten().flatten().any(|word| word.contains(SNAPSHOTS));
    Ok(if snapshots { 0 } else { there })
}

/// Has an engine pull an image.
///
/// # Errors
/// The registry, or the way to it.
pub async fn pull(engine: &Engine, reference: &str) -> Result<(), EngineError> {
    let options = CreateImageOptionsBuilder::default().from_image(reference);
    let plain = reference.rsplit('/').next().unwrap_or(reference);
    // Without a tag an engine would pull all there are.
    let options = if plain.contains([':', '@']) { options } else { options.tag("latest") };
    let mut answers = engine.docker.create_image(Some(options.build()), None, None);
    let act = format!("pulling {reference}");
    while let Some(answer) = answers.next().await {
        let CreateImageInfo { .. } = answer.map_err(|e| EngineError::of(&act, &e))?;
    }
    Ok(())
}
