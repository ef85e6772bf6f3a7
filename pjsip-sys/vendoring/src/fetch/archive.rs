//! Unpacks .tar.gz and .tar.xz.

use crate::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

const GZIP: [u8; 2] = [0x1F, 0x8B];
const XZ: [u8; 6] = [0xFD, b'7', b'z', b'X', b'Z', 0];

/// Unpacks into the new folder `target`, without the archive's own top folder.
///
/// Files and folders only: what we vendor has no links or devices, so an archive that does is not
/// to be trusted, and neither is one that names a path outside.
pub(super) fn unpack(archive: &Path, target: &Path) -> Result<(), Error> {
    let refuse = |reason: String| Error::Archive { archive: archive.to_owned(), reason };
    let mut tar = tar::Archive::new(decompress(archive)?);
    fs::create_dir_all(target).map_err(Error::io(target))?;
    for entry in tar.entries().map_err(|error| refuse(error.to_string()))? {
        let mut entry = entry.map_err(|error| refuse(error.to_string()))?;
        let named = entry.path().map_err(|error| refuse(error.to_string()))?.into_owned();
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let Some(inside) = below_top(&named) else {
            return Err(refuse(format!("it names the path {}", named.display())));
        };
        let path = target.join(&inside);
        if kind.is_dir() {
            fs::create_dir_all(&path).map_err(Error::io(&path))?;
        } else if kind.is_file() && !inside.as_os_str().is_empty() {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(Error::io(folder))?;
            }
            let mut file = File::create(&path).map_err(Error::io(&path))?;
            io::copy(&mut entry, &mut file).map_err(|error| refuse(error.to_string()))?;
        } else {
            return Err(refuse(format!("{} is neither a file nor a folder", named.display())));
        }
    }
    Ok(())
}

/// The path without its first component, unless one of its components leads elsewhere.
fn below_top(path: &Path) -> Option<PathBuf> {
    let mut parts: Vec<&OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.into_iter().skip(1).collect())
}

fn decompress(archive: &Path) -> Result<Box<dyn Read>, Error> {
    let mut file = File::open(archive).map_err(Error::io(archive))?;
    let mut magic = Vec::new();
    (&mut file).take(XZ.len() as u64).read_to_end(&mut magic).map_err(Error::io(archive))?;
    file.seek(SeekFrom::Start(0)).map_err(Error::io(archive))?;
    let file = BufReader::new(file);
    if magic.starts_with(&GZIP) {
        Ok(Box::new(flate2::bufread::GzDecoder::new(file)))
    } else if magic == XZ {
        Ok(Box::new(lzma_rust2::XzReader::new(file, true)))
    } else {
        Err(Error::Archive {
            archive: archive.to_owned(),
            reason: "it is neither a .tar.gz nor a .tar.xz".to_owned(),
        })
    }
}
