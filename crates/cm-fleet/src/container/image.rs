//! The image: known here, seen to be on the host, else streamed there or pulled, and verified by what it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptionsBuilder};
use cm_ssh::{Keys, NoSecrets, Target};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use hyper::body::Bytes;
use tokio::sync::{Mutex, OnceCell, mpsc};

use super::archive::{self, Contents};
use super::engine::{Engine, Road};
use super::error::EngineError;
use super::facts::{self, Image};
use super::plan::Known;
use super::wanted::{ContainerWanted, EngineWanted, ImageWanted};
use crate::deploy::event::DeployEventKind;
use crate::deploy::host::Tell;
use crate::inventory::Pull;

/// Bytes that are read and sent at once.
const PIECE: usize = 256 * 1024;
/// Pieces under way between an engine and the packing.
const AHEAD: usize = 8;
/// Progress is told in steps of so many hundredths.
const GRAIN: u64 = 4;

/// Images as they are here; each is looked at once, and packed once for all hosts.
#[derive(Default)]
pub struct Images {
    known: Mutex<BTreeMap<ImageWanted, Arc<OnceCell<Known>>>>,
    packed: Mutex<BTreeMap<ImageWanted, Arc<OnceCell<Arc<Packed>>>>>,
}

/// An image in a file without a name, compressed.
#[derive(Debug)]
pub struct Packed {
    file: File,
    /// Its length in bytes.
    pub size: u64,
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

    /// It, packed to be sent.
    ///
    /// # Errors
    /// It cannot be had from where it is, or there is no room here.
    pub async fn packed(&self, wanted: &ImageWanted, image: &Image) -> Result<Arc<Packed>, EngineError> {
        let cell = Arc::clone(self.packed.lock().await.entry(wanted.clone()).or_default());
        cell.get_or_try_init(|| async {
            match &wanted.archive {
                Some(path) => {
                    let (path, reference) = (path.clone(), wanted.reference.clone());
                    blocking(move || pack_archive(&path, &reference)).await
                }
                None => pack_export(&image.id, &wanted.reference).await,
            }
            .map(Arc::new)
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
        let (path, reference) = (path.clone(), wanted.reference.clone());
        let (contents, _) = blocking(move || open_archive(&path, &reference)).await?;
        return Ok(Known::Here(contents.image));
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

/// Sees that the image is there; what the engine has then. Podman's API takes no compressed archives.
///
/// # Errors
/// It cannot be sent or pulled, or what arrived is another one.
pub async fn ensure(
    engine: &Engine,
    wanted: &ContainerWanted,
    known: &Known,
    images: &Images,
    podman: bool,
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
            load(engine, &images.packed(image, own).await?, podman, tell).await?;
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

/// Streams an image to an engine.
async fn load(engine: &Engine, packed: &Arc<Packed>, plain: bool, tell: &Tell) -> Result<(), EngineError> {
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let body = match plain {
        true => bollard::body_try_stream(packed.unpacked(tell.clone())),
        false => bollard::body_try_stream(packed.stream(tell.clone())),
    };
    let mut answers = engine.docker.import_image(options, body, None);
    let act = "sending the image";
    while let Some(answer) = answers.next().await {
        let answer = answer.map_err(|e| EngineError::of(act, &e))?;
        if let Some(said) = answer.stream.filter(|said| !said.trim().is_empty()) {
            tracing::debug!(said, "loading the image");
        }
    }
    Ok(())
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

impl Packed {
    /// Its bytes, and what has become of them, as events.
    fn stream(
        self: &Arc<Self>,
        tell: Tell,
    ) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + use<> {
        let (this, total) = (Arc::clone(self), self.size);
        futures_util::stream::try_unfold((this, 0_u64, 0_u64), move |(this, at, told)| {
            let tell = tell.clone();
            async move {
                if at >= total {
                    return Ok(None);
                }
                let reader = Arc::clone(&this);
                let piece = tokio::task::spawn_blocking(move || reader.piece(at)).await;
                let piece = piece.map_err(io::Error::other)??;
                let at = at + piece.len() as u64;
                let part = at * 100 / total.max(1) / GRAIN;
                if part > told {
                    tell.say(|host| DeployEventKind::HostSent { host, bytes: at, total });
                }
                Ok(Some((piece, (this, at, part))))
            }
        })
    }

    /// Its bytes unpacked, with progress by what was read of it.
    fn unpacked(
        self: &Arc<Self>,
        tell: Tell,
    ) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + use<> {
        let (to, pieces) = mpsc::channel::<Result<Bytes, io::Error>>(AHEAD);
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let mut unpack = MultiGzDecoder::new(Reading { packed: this, at: 0, told: 0, tell });
            loop {
                let mut piece = vec![0; PIECE];
                let sent = match unpack.read(&mut piece) {
                    Ok(0) => return,
                    Ok(read) => {
                        piece.truncate(read);
                        to.blocking_send(Ok(piece.into()))
                    }
                    Err(error) => {
                        // Whoever does not listen any more has failed, and says it.
                        let _ = to.blocking_send(Err(error));
                        return;
                    }
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        futures_util::stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) })
    }

    fn piece(&self, at: u64) -> io::Result<Bytes> {
        use std::os::unix::fs::FileExt;
        let mut piece = vec![0; PIECE];
        let read = self.file.read_at(&mut piece, at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        piece.truncate(read);
        Ok(piece.into())
    }
}

/// Reads a packed image from its beginning, telling how far it is.
struct Reading {
    packed: Arc<Packed>,
    at: u64,
    told: u64,
    tell: Tell,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let read = self.packed.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        let (bytes, total) = (self.at, self.packed.size);
        let part = bytes * 100 / total.max(1) / GRAIN;
        if part > self.told {
            self.told = part;
            self.tell.say(|host| DeployEventKind::HostSent { host, bytes, total });
        }
        Ok(read)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let gone = |_| EngineError::Here { why: "reading the image was broken off".to_owned(), remedy: None };
    tokio::task::spawn_blocking(work).await.map_err(gone)?
}

/// Opens an archive and reads what is in it; whether it is compressed.
fn open_archive(path: &Path, reference: &str) -> Result<(Contents, bool), EngineError> {
    let bad = |why: String| EngineError::Here {
        why: format!("{} is no image: {why}", path.display()),
        remedy: Some(
            "make one with `docker save IMAGE > FILE`, or change `container: {archive: …}`".to_owned(),
        ),
    };
    let mut file = File::open(path).map_err(|e| bad(e.to_string()))?;
    let packed = is_packed(&mut file).map_err(|e| bad(e.to_string()))?;
    let file = io::BufReader::with_capacity(PIECE, file);
    let contents = if packed {
        archive::read(&mut MultiGzDecoder::new(file), reference)
    } else {
        archive::read(&mut { file }, reference)
    };
    contents.map(|contents| (contents, packed)).map_err(bad)
}

fn is_packed(file: &mut File) -> io::Result<bool> {
    let mut magic = [0; 2];
    let read = file.read(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(read == 2 && magic == [0x1f, 0x8b])
}

fn pack_archive(path: &Path, reference: &str) -> Result<Packed, EngineError> {
    let (contents, packed) = open_archive(path, reference)?;
    let failed = |e: io::Error| no_room(&e);
    let file = File::open(path).map_err(failed)?;
    if packed && contents.manifest.is_none() {
        let size = file.metadata().map_err(failed)?.len();
        return Ok(Packed { file, size });
    }
    let source: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let end = contents.manifest.as_deref().map(archive::tail);
    // Docker's archives go as they are; a layout gets its manifest after its last entry.
    let limit = if end.is_some() { contents.end } else { u64::MAX };
    let mut out = GzEncoder::new(spool().map_err(failed)?, Compression::fast());
    io::copy(&mut source.take(limit), &mut out).map_err(failed)?;
    out.write_all(end.as_deref().unwrap_or_default()).map_err(failed)?;
    finished(out.finish().map_err(failed)?)
}

/// Has this machine's engine write an image out, packing it as it comes.
async fn pack_export(id: &str, reference: &str) -> Result<Packed, EngineError> {
    let engine = here().connect(&Keys::new(NoSecrets), None).await?;
    // By its name it keeps it, if that is still its name.
    let own = inspect(&engine, reference).await?;
    let name = if own.is_some_and(|image| image.id == id) { reference } else { id };
    let (tell, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
    let packing = tokio::task::spawn_blocking(move || {
        let mut out = GzEncoder::new(spool()?, Compression::fast());
        while let Some(piece) = pieces.blocking_recv() {
            out.write_all(&piece)?;
        }
        out.finish()
    });
    let mut export = std::pin::pin!(engine.docker.export_image(name));
    while let Some(piece) = export.next().await {
        let piece = piece.map_err(|e| EngineError::of("writing the image out here", &e))?;
        if tell.send(piece).await.is_err() {
            break;
        }
    }
    drop(tell);
    let file = packing
        .await
        .map_err(|_| EngineError::Here { why: "packing was broken off".into(), remedy: None })?;
    finished(file.map_err(|e| no_room(&e))?)
}

fn finished(file: File) -> Result<Packed, EngineError> {
    let size = file.metadata().map_err(|e| no_room(&e))?.len();
    Ok(Packed { file, size })
}

fn no_room(error: &io::Error) -> EngineError {
    EngineError::Here {
        why: format!("the image cannot be packed here: {error}"),
        remedy: Some(format!(
            "make room in {}, or set TMPDIR to another directory",
            std::env::temp_dir().display()
        )),
    }
}

/// A file that only we have, and that is gone with us.
fn spool() -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mark = crate::deploy::host::mark().map_err(io::Error::other)?;
    let path: PathBuf = std::env::temp_dir().join(format!(".cm-fleet-image-{mark}"));
    let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
