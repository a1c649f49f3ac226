//! Every target with mutated seeds. The inputs follow from the seed alone.
//!
//! `FUZZ_INPUTS` is their number for each target, `FUZZ_SEED` the seed, and `FUZZ_CORPUS` a folder with more
//! seeds: files in `CORPUS/TARGET/`. `scripts/fuzz.sh` sets them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::alloc::System;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cap::Cap;
use fs_err as fs;
use fuzz::{Target, mutate::mutate, target};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// An input may make a reader allocate this much. Larger requests end the process.
const MEMORY: usize = 1 << 30;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY);

fn number(variable: &str, default: u64) -> u64 {
    let text = env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect(variable))
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let mut seeds = (target.seeds)();
    let folder = env::var_os("FUZZ_CORPUS").map(|corpus| Path::new(&corpus).join(target.name));
    if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        // The order of a folder differs between machines; the inputs must not.
        files.sort();
        seeds.extend(files.iter().map(|file| fs::read(file).unwrap()));
    }
    seeds
}

/// Runs a target. Each input is first written to a file, which stays when the process dies of it.
fn run(name: &str) {
    let target = target(name);
    let (inputs, seed) = (number("FUZZ_INPUTS", 10_000), number("FUZZ_SEED", 1));
    let seeds = seeds(&target);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| watch(name, &done, inputs));
        for seed in &seeds {
            (target.run)(seed);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..inputs {
            let input = mutate(&seeds, target.words, &mut rng);
            fs::write(&path, &input).unwrap();
            let survived = std::panic::catch_unwind(|| (target.run)(&input));
            if let Err(panic) = survived {
                done.store(inputs, Ordering::Relaxed);
                eprintln!("the input is {}", path.display());
                std::panic::resume_unwind(panic);
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    });
    fs::remove_file(&path).unwrap();
}

/// Ends the process when a reader hangs: then no input is done in two minutes.
fn watch(name: &str, done: &AtomicU64, inputs: u64) {
    let mut before = (0, 0);
    loop {
        let now = done.load(Ordering::Relaxed);
        if now == inputs {
            return;
        }
        before = if now == before.0 {
            (now, before.1 + 1)
        } else {
            (now, 0)
        };
        if before.1 == 2_400 {
            eprintln!("{name} hangs");
            std::process::abort();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

macro_rules! survive {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test] fn $test() { run($name); })*

        #[test]
        fn every_target_is_run() {
            let names: Vec<&str> = fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

survive! {
    images: "image",
    onnx_headers: "onnx-header",
    onnx_documents: "onnx-document",
    onnx_conversions: "onnx-convert",
    external_data: "external-data",
    preprocessing: "preprocess",
    augmentation: "augment",
    cards: "card",
    class_names: "class-names",
    split_tables: "split-table",
    predictions: "predictions",
    settings: "settings",
    checkpoints: "checkpoint",
    features: "features",
}
