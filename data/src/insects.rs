//! Built-in synthetic data set: drawn ants and bees, generated on first use, identical on every machine.
//!
//! Only shape distinguishes the classes: colours of bodies and ground and the light have the same
//! distributions for both. Knows nothing of training.

mod body;
mod scene;

use crate::drawn::random::Random;
use crate::drawn::{self, Drawing};
use crate::{Result, Split};
use std::path::{Path, PathBuf};

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

impl Drawing for Task {
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

    fn draw(&self, stream: u64) -> Result<Vec<u8>> {
        draw_jpeg(self.kind, stream)
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
    drawn::ensure(folder, &tasks(), progress)
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

/// One image as a JPEG file.
fn draw_jpeg(kind: Kind, stream: u64) -> Result<Vec<u8>> {
    let mut random = Random::new(SEED, stream);
    let image = scene::draw(kind, &mut random);
    // JPEG quality 82 to 95, as cameras and web pages have it.
    let quality = 82 + random.pick(14) as u8;
    drawn::jpeg(&image, quality)
}

#[cfg(test)]
#[path = "insects/tests.rs"]
mod tests;
