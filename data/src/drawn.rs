//! Drawn data sets: a folder of images that is drawn on first use, identical on every machine. Knows no set.

pub(crate) mod canvas;
pub(crate) mod random;

use crate::error::writing;
use crate::{Error, Result};
use fs_err as fs;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// One image of a set: its file and the bytes that are written into it.
pub(crate) trait Drawing: Sync {
    /// Path below the set's folder.
    fn relative(&self) -> PathBuf;

    /// The image file; `stream` numbers the set's images.
    fn draw(&self, stream: u64) -> Result<Vec<u8>>;
}

/// Draws the set into `folder` if it is not there yet: all of it or nothing.
///
/// `progress` receives the number of images done and their total, from several threads.
pub(crate) fn ensure(
    folder: &Path,
    drawings: &[impl Drawing],
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<()> {
    let is_complete = || is_complete(folder, drawings);
    if is_complete() {
        return Ok(());
    }
    let parent = files::parent_folder(folder);
    fs::create_dir_all(parent).map_err(writing(folder))?;
    // In the same folder, so that it can be renamed: another disk would need a copy.
    let draft = tempfile::Builder::new()
        .prefix(".drawn-")
        .tempdir_in(parent)
        .map_err(writing(folder))?;
    draw_all(draft.path(), drawings, progress)?;
    let renamed = fs::rename(draft.path(), folder).or_else(|error| {
        // Never remove a complete set: another process may have drawn it meanwhile and be reading it.
        if is_complete() || !folder.exists() {
            return Err(error);
        }
        fs::remove_dir_all(folder)?;
        fs::rename(draft.path(), folder)
    });
    match renamed {
        Ok(()) => {
            // The temporary folder has a new name: nothing is left to delete.
            let _ = draft.keep();
            Ok(())
        }
        // Another process finished first.
        Err(_) if is_complete() => Ok(()),
        Err(error) => Err(writing(folder)(error)),
    }
}

/// Whether every image of a set is in `folder`.
pub(crate) fn is_complete(folder: &Path, drawings: &[impl Drawing]) -> bool {
    let mut drawings = drawings.iter();
    drawings.all(|drawing| folder.join(drawing.relative()).is_file())
}

fn draw_all(
    folder: &Path,
    drawings: &[impl Drawing],
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<()> {
    for drawing in drawings {
        if let Some(parent) = folder.join(drawing.relative()).parent() {
            fs::create_dir_all(parent).map_err(writing(parent))?;
        }
    }
    let done = AtomicUsize::new(0);
    // A random stream per image: the order in which threads draw does not matter.
    let numbered = drawings.par_iter().enumerate();
    numbered.try_for_each(|(stream, drawing)| {
        let path = folder.join(drawing.relative());
        let bytes = drawing.draw(stream as u64)?;
        fs::write(&path, bytes).map_err(writing(path))?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, drawings.len());
        Ok(())
    })
}

/// An image as a JPEG file; quality 1 to 100.
pub(crate) fn jpeg(image: &image::RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(image)
        .map_err(|error| Error::invalid(format!("cannot encode the image: {error}")))?;
    Ok(bytes)
}
