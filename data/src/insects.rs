//! Built-in synthetic data set: drawn ants and bees, generated on first use, identical on every machine.
//!
//! Only shape distinguishes the classes: colours of bodies and ground and the light have the same
//! distributions for both. Knows nothing of training.

mod body;
mod canvas;
mod random;
mod scene;

use crate::error::writing;
use crate::{Error, Result, Split};
use fs_err as fs;
use random::Random;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Name of the set's folder. It has the version of the generator: other images need another folder.
pub const FOLDER: &str = "insects-v1";
const SEED: u64 = 20_261;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ant,
    Bee,
}

/// One image to draw.
struct Task {
    kind: Kind,
    split: Split,
    number: usize,
}

impl Task {
    /// Path below the set's folder.
    fn relative(&self) -> PathBuf {
        let (class, name) = match self.kind {
            Kind::Ant => ("ants", "ant"),
            Kind::Bee => ("bees", "bee"),
        };
        let split = self.split.to_string();
        Path::new(&split)
            .join(class)
            .join(format!("{name}-{:03}.jpg", self.number))
    }
}

/// Images per class in a split.
#[must_use]
pub const fn per_class(split: Split) -> usize {
    match split {
        Split::Train => 240,
        Split::Val => 40,
        Split::Test => 100,
    }
}

/// Draws the set into `folder` if it is not there yet: all of it or nothing.
///
/// `progress` receives the number of images done and their total, from several threads.
///
/// # Errors
/// When the folder cannot be written.
///
/// ```no_run
/// let folder = std::path::Path::new("insects");
/// classifold_data::insects::ensure(folder, &|_, _| {})?;
/// let set = classifold_data::Dataset::open(folder, 0)?;
/// assert_eq!(set.classes, ["ants", "bees"]);
/// # Ok::<(), classifold_data::Error>(())
/// ```
pub fn ensure(folder: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
    if is_complete(folder) {
        return Ok(());
    }
    let parent = files::parent_folder(folder);
    fs::create_dir_all(parent).map_err(writing(folder))?;
    // In the same folder, so that it can be renamed: another disk would need a copy.
    let draft = tempfile::Builder::new()
        .prefix(".insects-")
        .tempdir_in(parent)
        .map_err(writing(folder))?;
    draw_all(draft.path(), progress)?;
    let renamed = fs::rename(draft.path(), folder).or_else(|error| {
        // Never remove a complete set: another process may have drawn it meanwhile and be reading it.
        if is_complete(folder) || !folder.exists() {
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
        Err(_) if is_complete(folder) => Ok(()),
        Err(error) => Err(writing(folder)(error)),
    }
}

fn tasks() -> Vec<Task> {
    let mut tasks = Vec::new();
    for split in [Split::Train, Split::Val, Split::Test] {
        for kind in [Kind::Ant, Kind::Bee] {
            tasks.extend((0..per_class(split)).map(|number| Task {
                kind,
                split,
                number,
            }));
        }
    }
    tasks
}

fn is_complete(folder: &Path) -> bool {
    tasks()
        .iter()
        .all(|task| folder.join(task.relative()).is_file())
}

fn draw_all(folder: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
    let tasks = tasks();
    for task in &tasks {
        if let Some(class) = folder.join(task.relative()).parent() {
            fs::create_dir_all(class).map_err(writing(class))?;
        }
    }
    let done = AtomicUsize::new(0);
    // A random stream per image: the order in which threads draw does not matter.
    tasks.par_iter().enumerate().try_for_each(|(stream, task)| {
        let path = folder.join(task.relative());
        let bytes = draw_jpeg(task.kind, stream as u64)?;
        fs::write(&path, bytes).map_err(writing(path))?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, tasks.len());
        Ok(())
    })
}

/// One image as a JPEG file.
fn draw_jpeg(kind: Kind, stream: u64) -> Result<Vec<u8>> {
    let mut random = Random::new(SEED, stream);
    let image = scene::draw(kind, &mut random);
    let mut bytes = Vec::new();
    // JPEG quality 82 to 95, as cameras and web pages have it.
    let quality = 82 + random.pick(14) as u8;
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(&image)
        .map_err(|error| Error::invalid(format!("cannot encode the image: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "insects/tests.rs"]
mod tests;
