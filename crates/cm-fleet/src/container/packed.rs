//! An image as a file that is sent: out of an archive or this machine's engine, compressed, whole or without layers.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::query_parameters::ImportImageOptionsBuilder;
use cm_ssh::{Keys, NoSecrets};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::archive::{self, Contents};
use super::engine::Engine;
use super::error::EngineError;
use super::facts::Image;
use super::image::{here, inspect};
use super::wanted::ImageWanted;
use crate::deploy::host::{Sending, Tell};

/// Bytes that are read and sent at once.
const PIECE: usize = 256 * 1024;
/// Pieces under way between an engine and the packing.
const AHEAD: usize = 8;

/// An image in a file without a name, compressed.
#[derive(Debug)]
pub struct Packed {
    file: Arc<File>,
    /// Its length in bytes.
    pub size: u64,
}

/// An image's archive as it is, unpacked, to take layers out of.
#[derive(Debug)]
pub struct Whole {
    file: Arc<File>,
    contents: Contents,
}

/// The image in an archive.
///
/// # Errors
/// The file is no image.
pub async fn described(path: &Path, reference: &str) -> Result<Image, EngineError> {
    let (path, reference) = (path.to_owned(), reference.to_owned());
    let (contents, _) = blocking(move || open_archive(&path, &reference)).await?;
    Ok(contents.image)
}

/// All of an image.
///
/// # Errors
/// It cannot be had from where it is, or there is no room here.
pub async fn all(wanted: &ImageWanted, image: &Image) -> Result<Packed, EngineError> {
    match &wanted.archive {
        Some(path) => {
            let (path, reference) = (path.clone(), wanted.reference.clone());
            blocking(move || pack_archive(&path, &reference)).await
        }
        None => pack_export(&image.id, &wanted.reference).await,
    }
}

impl Whole {
    /// Of an image.
    ///
    /// # Errors
    /// As [`all`].
    pub async fn of(wanted: &ImageWanted, image: &Image) -> Result<Self, EngineError> {
        let reference = wanted.reference.clone();
        let file = match wanted.archive.clone() {
            Some(path) => blocking(move || unpack(&path, &reference)).await?,
            None => export(&image.id, &reference, spool().map_err(|e| no_room(&e))?).await?,
        };
        let (file, reference) = (Arc::new(file), wanted.reference.clone());
        let read = Arc::clone(&file);
        let contents = blocking(move || {
            let mut reader = io::BufReader::with_capacity(PIECE, FromStart::of(&read));
            archive::read(&mut reader, &reference).map_err(|why| EngineError::Here {
                why: format!("the image is damaged: {why}"),
                remedy: None,
            })
        });
        let contents = contents.await?;
        Ok(Self { file, contents })
    }

    /// It without its first layers.
    ///
    /// # Errors
    /// There is no room here.
    pub async fn without(self: Arc<Self>, layers: usize) -> Result<Packed, EngineError> {
        blocking(move || {
            let pack = || {
                let skip = archive::only_in_first(&self.contents.layers, layers);
                let mut out = GzEncoder::new(spool()?, Compression::fast());
                let mut reader = io::BufReader::with_capacity(PIECE, FromStart::of(&self.file));
                archive::copy_without(&mut reader, &skip, &mut out)?;
                out.write_all(&archive::end(self.contents.manifest.as_deref()))?;
                out.finish()
            };
            finished(pack().map_err(|e| no_room(&e))?)
        })
        .await
    }
}

/// Reads a file from its beginning; several can at the same time.
struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl FromStart {
    fn of(file: &Arc<File>) -> Self {
        Self { file: Arc::clone(file), at: 0 }
    }
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// An archive, unpacked.
fn unpack(path: &Path, reference: &str) -> Result<File, EngineError> {
    let (_, packed) = open_archive(path, reference)?;
    let file = File::open(path).map_err(|e| no_room(&e))?;
    if !packed {
        return Ok(file);
    }
    let copy = || {
        let mut out = spool()?;
        io::copy(&mut MultiGzDecoder::new(io::BufReader::with_capacity(PIECE, file)), &mut out)?;
        Ok(out)
    };
    copy().map_err(|e| no_room(&e))
}

/// Streams an image to an engine. `plain`: unpacked on the way; Podman's API takes no compressed archives.
///
/// # Errors
/// The engine does not take it.
pub async fn load(
    engine: &Engine,
    packed: &Arc<Packed>,
    plain: bool,
    tell: &Tell,
) -> Result<(), EngineError> {
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

impl Packed {
    /// Its bytes, and what has become of them, as events.
    fn stream(
        self: &Arc<Self>,
        tell: Tell,
    ) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + use<> {
        let (this, sending) = (Arc::clone(self), Sending::new(tell, self.size));
        futures_util::stream::try_unfold((this, 0_u64, sending), |(this, at, mut sending)| async move {
            if at >= this.size {
                return Ok(None);
            }
            let reader = Arc::clone(&this);
            let piece = tokio::task::spawn_blocking(move || reader.piece(at)).await;
            let piece = piece.map_err(io::Error::other)??;
            let at = at + piece.len() as u64;
            sending.at(at);
            Ok(Some((piece, (this, at, sending))))
        })
    }

    /// Its bytes unpacked, with progress by what was read of it.
    fn unpacked(
        self: &Arc<Self>,
        tell: Tell,
    ) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + use<> {
        let (to, pieces) = mpsc::channel::<Result<Bytes, io::Error>>(AHEAD);
        let reading = Reading { from: FromStart::of(&self.file), sending: Sending::new(tell, self.size) };
        tokio::task::spawn_blocking(move || {
            let mut unpack = MultiGzDecoder::new(reading);
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
    from: FromStart,
    sending: Sending,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.sending.at(self.from.at);
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
        return Ok(Packed { file: Arc::new(file), size });
    }
    let source: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    // Docker's archives go as they are; a layout gets its manifest after its last entry.
    let layout = contents.manifest.is_some();
    let limit = if layout { contents.end } else { u64::MAX };
    let mut out = GzEncoder::new(spool().map_err(failed)?, Compression::fast());
    io::copy(&mut source.take(limit), &mut out).map_err(failed)?;
    if layout {
        out.write_all(&archive::end(contents.manifest.as_deref())).map_err(failed)?;
    }
    finished(out.finish().map_err(failed)?)
}

/// Has this machine's engine write an image out, packing it as it comes.
async fn pack_export(id: &str, reference: &str) -> Result<Packed, EngineError> {
    let out = GzEncoder::new(spool().map_err(|e| no_room(&e))?, Compression::fast());
    let file = export(id, reference, out).await?.finish();
    finished(file.map_err(|e| no_room(&e))?)
}

/// Has this machine's engine write an image out.
async fn export<W: Write + Send + 'static>(id: &str, reference: &str, mut out: W) -> Result<W, EngineError> {
    let engine = here().connect(&Keys::new(NoSecrets), None).await?;
    // By its name it keeps it, if that is still its name.
    let own = inspect(&engine, reference).await?;
    let name = if own.is_some_and(|image| image.id == id) { reference } else { id };
    let (tell, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
    let writing = tokio::task::spawn_blocking(move || {
        while let Some(piece) = pieces.blocking_recv() {
            out.write_all(&piece)?;
        }
        Ok(out)
    });
    let mut export = std::pin::pin!(engine.docker.export_image(name));
    while let Some(piece) = export.next().await {
        let piece = piece.map_err(|e| EngineError::of("writing the image out here", &e))?;
        if tell.send(piece).await.is_err() {
            break;
        }
    }
    drop(tell);
    let written = writing
        .await
        .map_err(|_| EngineError::Here { why: "packing was broken off".into(), remedy: None })?;
    written.map_err(|e| no_room(&e))
}

fn finished(file: File) -> Result<Packed, EngineError> {
    let size = file.metadata().map_err(|e| no_room(&e))?.len();
    Ok(Packed { file: Arc::new(file), size })
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
