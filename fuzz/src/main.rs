//! `fuzz list`, `fuzz seeds FOLDER`, `fuzz run TARGET INPUTS SEED CORPUS FOLDER`: for `scripts/fuzz.sh`.
#![expect(clippy::print_stdout, reason = "the script reads it")]

use std::alloc::System;
use std::path::Path;

use cap::Cap;
use fuzz::{TARGETS, run, target};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, fuzz::MEMORY);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => TARGETS
            .iter()
            .for_each(|target| println!("{}", target.name)),
        ["seeds", folder] => {
            for target in TARGETS {
                let folder = Path::new(folder).join(target.name);
                fs_err::create_dir_all(&folder).expect("the folder can be written");
                for (index, seed) in (target.seeds)().iter().enumerate() {
                    let path = folder.join(format!("seed-{index}"));
                    fs_err::write(path, seed).expect("the folder can be written");
                }
            }
        }
        ["run", name, inputs, seed, corpus, folder] => {
            let number = |text: &str| text.parse().expect("INPUTS and SEED are numbers");
            let target = target(name);
            let seeds = run::seeds(&target, Some(Path::new(corpus)));
            run::run(
                &target,
                &seeds,
                number(inputs),
                number(seed),
                Path::new(folder),
            );
        }
        _ => panic!("usage: fuzz list | seeds FOLDER | run TARGET INPUTS SEED CORPUS FOLDER"),
    }
}
