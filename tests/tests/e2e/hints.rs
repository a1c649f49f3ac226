//! Commands that errors, hints and documents name: each exists, with its flags.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use tests::Workshop;

/// Flags that no help shows: for the program itself, and for tests.
const HIDDEN: [&str; 2] = ["--trial", "--engine"];

/// Files of the product with text for users: sources outside tests, and documents.
fn texts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_other = name.starts_with('.') || ["target", "tests", "fuzz"].contains(&&*name);
        match path.is_dir() {
            _ if is_other => {}
            true => texts(&path, found),
            // A history names what was.
            false if name == "CHANGELOG.md" || name == "tests.rs" => {}
            false if name.ends_with(".rs") || name.ends_with(".md") => found.push(path),
            false => {}
        }
    }
}

/// What stands between backticks and begins with a program's name, in one line.
fn commands(text: &str) -> Vec<String> {
    let line = text.replace("\\\n", " ").replace("\n///", " ");
    let words: Vec<&str> = line.split_whitespace().collect();
    let line = words.join(" ");
    ["`deploy ", "`trainer "]
        .iter()
        .flat_map(|program| line.match_indices(program))
        .filter_map(|(start, _)| line[start + 1..].split('`').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_that_is_named_exists_with_its_flags() {
    let shop = Workshop::empty();
    let mut files = vec![];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    texts(root, &mut files);
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = BTreeSet::new();
    let mut count = 0;
    for file in files {
        for command in commands(&fs::read_to_string(&file).unwrap()) {
            let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
            let words: Vec<&str> = command.split(' ').collect();
            let nested = ["card", "cache", "runtime"].contains(&words[1]);
            let depth = if nested { 2 } else { 1 };
            let names: Vec<&str> = words[1..]
                .iter()
                .copied()
                .take(depth)
                .take_while(is_name)
                .collect();
            if names.is_empty() {
                continue;
            }
            let help = helps
                .entry(format!("{} {}", words[0], names.join(" ")))
                .or_insert_with(|| {
                    let arguments = format!("{} --help", names.join(" "));
                    let tool = match words[0] {
                        "deploy" => shop.deploy(&arguments),
                        _ => shop.trainer(&arguments),
                    };
                    let done = tool.run();
                    if done.code == 0 {
                        done.out
                    } else {
                        String::new()
                    }
                });
            count += 1;
            let flags = words.iter().filter_map(|word| {
                let end = word
                    .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
                let flag = &word[..end.unwrap_or(word.len())];
                flag.starts_with("--").then_some(flag)
            });
            for flag in std::iter::once("--help").chain(flags) {
                if !help.contains(flag) && !HIDDEN.contains(&flag) {
                    wrong.insert(format!("{}: `{command}`: {flag}", file.display()));
                }
            }
        }
    }
    assert!(count > 100, "only {count} commands were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
