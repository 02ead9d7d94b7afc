//! What an image's archive holds: Docker's (`docker save`) or an OCI layout. PURE.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use serde::Deserialize;

use super::facts::{self, Image};
use super::tar::{self, BLOCK, Put};
use crate::deploy::wanted::hex;

/// Bytes of a file in an archive that may be a description, and not a layer.
const DESCRIPTION: u64 = 1 << 20;
/// Files of an archive that are looked at.
const FILES: usize = 100_000;
/// Bytes of descriptions that are kept.
const KEPT: usize = 64 << 20;

/// What is in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The image.
    pub image: Image,
    /// What Docker needs besides, to load an OCI layout: a `manifest.json`.
    pub manifest: Option<Vec<u8>>,
    /// The files of its layers, the lowest first.
    pub layers: Vec<String>,
    /// Bytes up to where the archive's entries end.
    pub end: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    rootfs: RootFs,
    #[serde(default)]
    config: Inner,
}

#[derive(Deserialize, Default)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Inner {
    user: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

/// Reads an archive, unpacked. `reference`: the name a layout's image is to get.
///
/// # Errors
/// It is none, or damaged: in words.
pub fn read(archive: &mut impl Read, reference: &str) -> Result<Contents, String> {
    let (files, end) = descriptions(archive)?;
    if let Some(saved) = files.get("manifest.json") {
        let saved: Vec<Saved> =
            serde_json::from_slice(saved).map_err(|e| format!("its manifest.json cannot be read: {e}"))?;
        let one = match saved.as_slice() {
            [one] => one,
            [] => return Err("it holds no image".to_owned()),
            several => several
                .iter()
                .find(|one| one.repo_tags.iter().flatten().any(|tag| tag == reference))
                .ok_or_else(|| {
                    format!("it holds {} images, and none is called {reference}", several.len())
                })?,
        };
        let config = files.get(&one.config).ok_or_else(|| format!("{} is missing in it", one.config))?;
        let image = described(config, one.repo_tags.clone().unwrap_or_default())?;
        if let Some(digest) =
            one.config.strip_suffix(".json").or_else(|| one.config.strip_prefix("blobs/sha256/"))
            && image.id != format!("sha256:{digest}")
        {
            return Err(format!("it is damaged: {} has another digest", one.config));
        }
        return Ok(Contents { image, manifest: None, layers: one.layers.clone(), end });
    }
    if files.contains_key("index.json") {
        return layout(&files, reference, end);
    }
    Err("it holds no image: there is neither manifest.json (docker save) nor index.json (OCI) in it"
        .to_owned())
}

/// All small files of an archive, and where its entries end.
fn descriptions(archive: &mut impl Read) -> Result<(BTreeMap<String, Vec<u8>>, u64), String> {
    let mut files = BTreeMap::new();
    let (mut end, mut kept) = (0, 0);
    for _ in 0..FILES {
        let mut block = [0_u8; BLOCK];
        match archive.read_exact(&mut block) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && end > 0 => break,
            Err(e) => return Err(format!("it breaks off: {e}")),
        }
        let Some(entry) = tar::read(&block)? else { break };
        let padded = entry.size.next_multiple_of(BLOCK as u64);
        let small = entry.file && entry.size <= DESCRIPTION && kept < KEPT;
        if small {
            let mut bytes = Vec::new();
            archive.by_ref().take(padded).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
            if (bytes.len() as u64) < padded {
                return Err("it breaks off".to_owned());
            }
            bytes.truncate(usize::try_from(entry.size).unwrap_or(usize::MAX));
            kept += bytes.len();
            files.insert(entry.path, bytes);
        } else {
            let over = io::copy(&mut archive.by_ref().take(padded), &mut io::sink());
            if over.map_err(|e| e.to_string())? < padded {
                return Err("it breaks off".to_owned());
            }
        }
        end += BLOCK as u64 + padded;
    }
    Ok((files, end))
}

fn described(config: &[u8], tags: Vec<String>) -> Result<Image, String> {
    let read: Config = serde_json::from_slice(config)
        .map_err(|e| format!("its image's configuration cannot be read: {e}"))?;
    let labels = read.config.labels.unwrap_or_default();
    Ok(Image {
        id: format!("sha256:{}", hex(config)),
        arch: read.architecture,
        layers: read.rootfs.diff_ids,
        version: facts::version(labels.get("org.opencontainers.image.version")),
        user: read.config.user.unwrap_or_default(),
        tags,
        size: 0,
    })
}

/// An OCI layout's first image, and the file that makes it Docker's.
fn layout(files: &BTreeMap<String, Vec<u8>>, reference: &str, end: u64) -> Result<Contents, String> {
    let blob = |digest: &str| {
        let path = format!("blobs/{}", digest.replace(':', "/"));
        let bytes = files.get(&path).ok_or_else(|| format!("{path} is missing in it"))?;
        if digest != format!("sha256:{}", hex(bytes)) {
            return Err(format!("it is damaged: {path} has another digest"));
        }
        Ok((path, bytes))
    };
    let parse = |e: serde_json::Error| format!("its index cannot be read: {e}");
    let mut index: Index = serde_json::from_slice(&files["index.json"]).map_err(parse)?;
    // An index may lead to another one: of platforms.
    for _ in 0..3 {
        let one = chosen(&index).ok_or("it holds no image")?;
        let (_, bytes) = blob(&one)?;
        if let Ok(deeper) = serde_json::from_slice::<Index>(bytes) {
            index = deeper;
            continue;
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(parse)?;
        let (path, config) = blob(&manifest.config.digest)?;
        let layers: Vec<String> =
            manifest.layers.iter().map(|layer| format!("blobs/{}", layer.digest.replace(':', "/"))).collect();
        let tag = if reference.contains('@') { Vec::new() } else { vec![reference.to_owned()] };
        let image = described(config, tag.clone())?;
        let saved = serde_json::json!([{"Config": path, "RepoTags": tag, "Layers": layers}]);
        return Ok(Contents { image, manifest: Some(saved.to_string().into_bytes()), layers, end });
    }
    Err("its index leads nowhere".to_owned())
}

/// The image of an index: the first that is none of the notes some builders add.
fn chosen(index: &Index) -> Option<String> {
    let real =
        |one: &&Descriptor| one.platform.as_ref().is_none_or(|platform| platform.architecture != "unknown");
    index.manifests.iter().find(real).map(|one| one.digest.clone())
}

/// The end of an archive, which may get one more file: `manifest.json`.
pub fn end(manifest: Option<&[u8]>) -> Vec<u8> {
    let last = manifest.map(|bytes| Put { path: "manifest.json", mode: 0o644, owner: (0, 0), bytes });
    tar::write(last.as_slice())
}

/// How many first layers two images have in common.
pub fn shared(a: &[String], b: &[String]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The files of the first layers that no later layer has, too.
pub fn only_in_first(layers: &[String], first: usize) -> BTreeSet<&str> {
    let (first, rest) = layers.split_at(first.min(layers.len()));
    first.iter().filter(|layer| !rest.contains(layer)).map(String::as_str).collect()
}

/// Copies an archive's entries but these; its end is not written.
///
/// # Errors
/// It breaks off, is none, or cannot be written.
pub fn copy_without(archive: &mut impl Read, skip: &BTreeSet<&str>, out: &mut impl Write) -> io::Result<()> {
    // What some archives say of an entry in one of its own before it.
    let mut notes = Vec::new();
    for _ in 0..FILES {
        let mut block = [0_u8; BLOCK];
        match archive.read_exact(&mut block) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        let Some(entry) = tar::read(&block).map_err(io::Error::other)? else { break };
        let padded = entry.size.next_multiple_of(BLOCK as u64);
        let mut body = archive.by_ref().take(padded);
        if entry.note && entry.size <= DESCRIPTION {
            notes.extend_from_slice(&block);
            body.read_to_end(&mut notes)?;
            continue;
        }
        let copied = if skip.contains(entry.path.as_str()) {
            io::copy(&mut body, &mut io::sink())?
        } else {
            out.write_all(&notes)?;
            out.write_all(&block)?;
            io::copy(&mut body, out)?
        };
        if copied < padded {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        notes.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(arch: &str) -> Vec<u8> {
        format!(
            r#"{{"architecture":"{arch}","rootfs":{{"type":"layers","diff_ids":["sha256:aa"]}},
            "config":{{"User":"agent","Labels":{{"org.opencontainers.image.version":"0.1.0"}}}}}}"#
        )
        .into_bytes()
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let puts: Vec<Put<'_>> =
            files.iter().map(|(path, bytes)| Put { path, mode: 0o644, owner: (0, 0), bytes }).collect();
        tar::write(&puts)
    }

    #[test]
    fn both_kinds_say_the_same_image() {
        let config = config("amd64");
        let digest = hex(&config);
        let saved =
            format!(r#"[{{"Config":"{digest}.json","RepoTags":["cm-agent:1"],"Layers":["l/layer.tar"]}}]"#);
        let name = format!("{digest}.json");
        let docker = archive(&[
            ("l/layer.tar", &vec![7; 2 << 20]),
            (&name, &config),
            ("manifest.json", saved.as_bytes()),
        ]);
        let got = read(&mut &docker[..], "cm-agent:1").expect("contents");
        assert_eq!(
            (got.image.id.as_str(), got.image.arch.as_str()),
            (format!("sha256:{digest}").as_str(), "amd64")
        );
        assert_eq!((got.image.user.as_str(), got.image.version.as_str()), ("agent", "0.1.0"));
        assert_eq!(got.manifest, None);

        let manifest =
            format!(r#"{{"config":{{"digest":"sha256:{digest}"}},"layers":[{{"digest":"sha256:bb"}}]}}"#);
        let of_manifest = hex(manifest.as_bytes());
        let index = format!(r#"{{"manifests":[{{"digest":"sha256:{of_manifest}"}}]}}"#);
        let (config_path, manifest_path) =
            (format!("blobs/sha256/{digest}"), format!("blobs/sha256/{of_manifest}"));
        let oci = archive(&[
            ("index.json", index.as_bytes()),
            (&config_path, &config),
            (&manifest_path, manifest.as_bytes()),
        ]);
        let layout = read(&mut &oci[..], "cm-agent:1").expect("contents");
        assert_eq!(layout.image.id, got.image.id);
        // With one more file at its end it is one of Docker's.
        let mut whole = oci[..usize::try_from(layout.end).expect("small")].to_vec();
        whole.extend(end(Some(&layout.manifest.expect("a manifest"))));
        assert_eq!(read(&mut &whole[..], "cm-agent:1").expect("contents").image, layout.image);
    }

    #[test]
    fn what_is_no_image() {
        let check = |bytes: &[u8], expected: &str| {
            let why = read(&mut &bytes[..], "x:1").expect_err("no image");
            assert!(why.contains(expected), "{why}");
        };
        check(b"", "breaks off");
        check(&[1; 600], "checksum");
        check(&archive(&[("x", b"y")]), "neither manifest.json");
        check(&archive(&[("manifest.json", b"[]")]), "no image");
        check(&archive(&[("manifest.json", br#"[{"Config":"abc.json"}]"#)]), "abc.json is missing");
        let damaged = config("amd64");
        check(
            &archive(&[("manifest.json", br#"[{"Config":"abc.json"}]"#), ("abc.json", &damaged)]),
            "another digest",
        );
        let cut = archive(&[("a", &[1; 4000])]);
        check(&cut[..2000], "breaks off");
    }

    #[test]
    fn layers_that_are_there_are_left_out() {
        let layers = ["a", "b", "a", "c"].map(str::to_owned);
        let check = |first, expected: &str| {
            let skipped: Vec<&str> = only_in_first(&layers, first).into_iter().collect();
            assert_eq!(skipped.join(" "), expected, "{first}");
        };
        check(0, "");
        // A layer that comes again later is needed.
        check(2, "b");
        check(3, "a b");
        check(9, "a b c");
        let shares = |other: &[&str]| {
            let other: Vec<String> = other.iter().map(|&layer| layer.to_owned()).collect();
            shared(&layers, &other)
        };
        assert_eq!([shares(&["a", "b", "x"]), shares(&["x"]), shares(&[])], [2, 0, 0]);
    }

    #[test]
    fn an_archive_without_some_of_its_files() {
        let put = |path, bytes| Put { path, mode: 0o644, owner: (0, 0), bytes };
        let big = vec![7; 3 * BLOCK + 1];
        let whole = tar::write(&[put("a/", b"".as_slice()), put("a/layer", &big), put("b", b"two")]);
        let mut note = tar::write(&[put("note", b"path=a/layer")]);
        note.truncate(2 * BLOCK);
        note[156] = b'L';
        // Its sum: another letter in one place.
        let sum: u32 = note[..BLOCK]
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        note[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let (begin, rest) = whole.split_at(BLOCK);
        let noted = [begin, &note, rest].concat();
        let mut out = Vec::new();
        copy_without(&mut noted.as_slice(), &BTreeSet::from(["a/layer"]), &mut out).unwrap();
        out.extend_from_slice(&end(None));
        assert_eq!(out, tar::write(&[put("a/", b""), put("b", b"two")]));
        out.clear();
        copy_without(&mut noted.as_slice(), &BTreeSet::new(), &mut out).unwrap();
        out.extend_from_slice(&end(None));
        assert_eq!(out, noted);
        // It breaks off in a file.
        let mut cut = &noted[..noted.len() - 3 * BLOCK];
        assert!(copy_without(&mut cut, &BTreeSet::new(), &mut Vec::new()).is_err());
    }
}
