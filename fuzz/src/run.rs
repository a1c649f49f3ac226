//! Run of a target with mutated seeds. The inputs follow from the seed alone.

use std::io::{Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fs_err as fs;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::Target;
use crate::mutate::mutate;

/// A reader that takes this long for one input hangs, on any machine.
const HANG: Duration = Duration::from_secs(120);

/// The seeds of a target, and the files in `corpus/NAME/` where there are some.
pub fn seeds(target: &Target, corpus: Option<&Path>) -> Vec<Vec<u8>> {
    let mut seeds = (target.seeds)();
    let folder = corpus.map(|corpus| corpus.join(target.name));
    if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
        let entries = fs::read_dir(folder).expect("the corpus can be read");
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        // The order of a folder differs between machines; the inputs must not.
        files.sort();
        seeds.extend(
            files
                .iter()
                .map(|file| fs::read(file).expect("the corpus can be read")),
        );
    }
    seeds
}

/// Calls a target with all seeds and with so many `inputs` made from them.
///
/// Each input is first written to a file in `folder`, which stays when the process dies of it.
///
/// # Panics
/// The target did. The message of the panic comes first, then the file of the input.
pub fn run(target: &Target, seeds: &[Vec<u8>], inputs: u64, seed: u64, folder: &Path) {
    fs::create_dir_all(folder).expect("the folder for inputs can be written");
    let path = folder.join(target.name);
    let mut file = fs::File::create(&path).expect("the folder for inputs can be written");
    let (done, finished) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut feed = || {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let made = (0..inputs).map(|_| mutate(seeds, target.words, &mut rng));
        for input in seeds.iter().cloned().chain(made) {
            keep(&mut file, &input).expect("the folder for inputs can be written");
            (target.run)(&input);
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| abort_when_stuck(&path, &done, &finished));
        let result = catch_unwind(AssertUnwindSafe(&mut feed));
        finished.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            report(&format!("the input is {}", path.display()));
            resume_unwind(panic);
        }
    });
    fs::remove_file(&path).expect("it was written above");
}

/// Replaces the content of a file. Left open, it costs less than a new file.
fn keep(file: &mut fs::File, input: &[u8]) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(input)?;
    file.set_len(input.len() as u64)
}

fn abort_when_stuck(path: &Path, done: &AtomicU64, finished: &AtomicBool) {
    let tick = Duration::from_millis(50);
    let (mut last, mut waited) = (0, Duration::ZERO);
    while !finished.load(Ordering::Relaxed) {
        let now = done.load(Ordering::Relaxed);
        waited = if now == last {
            waited + tick
        } else {
            Duration::ZERO
        };
        last = now;
        if waited >= HANG {
            report(&format!("a reader hangs; the input is {}", path.display()));
            std::process::abort();
        }
        std::thread::sleep(tick);
    }
}

#[expect(clippy::print_stderr, reason = "for whoever runs the targets")]
fn report(text: &str) {
    eprintln!("{text}");
}
