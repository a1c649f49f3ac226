//! Built-in synthetic data set: drawn signatures, generated on first use, identical on every machine.
//!
//! A writer's strokes are the same in every signature but for the variation of a hand. A skilled forgery has the
//! strokes of a writer, and the hand of somebody else. Ink, paper, position and scanner are as random in one as
//! in the other. Knows nothing of training.

mod hand;
mod paper;
mod writer;

use crate::drawn::random::Random;
use crate::drawn::{self, Drawing};
use crate::{Result, Split};
use hand::Hand;
use std::path::{Path, PathBuf};
use writer::Writer;

/// Name of the set's folder. It has the version of the generator: other images need another folder.
pub const FOLDER: &str = "signatures-v1";
const SEED: u64 = 20_262;

/// Genuine signatures of a writer.
pub const GENUINE: usize = 6;
/// Skilled forgeries of a writer's signature.
pub const FORGED: usize = 4;

/// One signature to draw.
struct Task {
    split: Split,
    writer: usize,
    number: usize,
    is_forged: bool,
}

impl Drawing for Task {
    fn relative(&self) -> PathBuf {
        let split = self.split.to_string();
        let mut folder = Path::new(&split).join(format!("writer-{:03}", self.writer));
        if self.is_forged {
            folder.push("forged");
        }
        folder.join(format!("{:02}.jpg", self.number))
    }

    fn draw(&self, stream: u64) -> Result<Vec<u8>> {
        draw_jpeg(self.writer, self.is_forged, stream)
    }
}

/// Writers in a split. No writer is in two.
#[must_use]
pub const fn writers(split: Split) -> usize {
    match split {
        Split::Train => 160,
        Split::Val => 24,
        Split::Test => 40,
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
/// let folder = std::path::Path::new("signatures");
/// classifold_data::signatures::ensure(folder, &|_, _| {})?;
/// let pairs = classifold_data::Pairs::open(folder, &classifold_data::PairOptions::default())?;
/// assert_eq!(pairs.identities().len(), 224);
/// # Ok::<(), classifold_data::Error>(())
/// ```
pub fn ensure(folder: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
    drawn::ensure(folder, &tasks(), progress)
}

fn tasks() -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut first = 0;
    for split in Split::ALL {
        let writers = first..first + writers(split);
        first = writers.end;
        for writer in writers {
            for (count, is_forged) in [(GENUINE, false), (FORGED, true)] {
                tasks.extend((0..count).map(|number| Task {
                    split,
                    writer,
                    number,
                    is_forged,
                }));
            }
        }
    }
    tasks
}

/// One signature as a JPEG file.
fn draw_jpeg(writer: usize, is_forged: bool, stream: u64) -> Result<Vec<u8>> {
    // Streams of writers are apart from those of images.
    let own = Writer::new(&mut Random::new(SEED, (1 << 32) + writer as u64));
    let mut random = Random::new(SEED, stream);
    let hand = if is_forged {
        Hand::forger(&mut random)
    } else {
        Hand::own(&mut random)
    };
    let strokes = hand.write(&own, &mut random);
    let image = paper::scan(&strokes, &mut random);
    // JPEG quality 75 to 92, as scanners have it.
    let quality = 75 + random.pick(18) as u8;
    drawn::jpeg(&image, quality)
}

#[cfg(test)]
#[path = "signatures/tests.rs"]
mod tests;
