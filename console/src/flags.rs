//! Flags in place of the library's words: a library's hint names a function, its program the flag that calls it.

/// What hints of libraries say, and what the programs say instead.
const FLAGS: [(&str, &str); 18] = [
    (
        "check the path that names it",
        "check the path given by `--runtime` or `ORT_DYLIB_PATH`",
    ),
    ("`ClassifierBuilder::allow_fallback`", "`--allow-fallback`"),
    ("`ClassifierBuilder::classes`", "`--classes FILE`"),
    ("`ClassifierBuilder::output`", "`--output NAME`"),
    ("`ClassifierBuilder::output_kind`", "`--output-kind`"),
    ("`ClassifierBuilder::preprocess`", "`--preprocess TEXT`"),
    (
        "the log of ONNX Runtime says why it",
        "`--verbose` shows why ONNX Runtime",
    ),
    (
        "name the library with `ORT_DYLIB_PATH`",
        "give the library with `--runtime FILE`",
    ),
    (
        "name a newer library with `ORT_DYLIB_PATH`",
        "give a newer library with `--runtime FILE`",
    ),
    (
        "name a library that was built with CUDA with `ORT_DYLIB_PATH`",
        "give a library that was built with CUDA with `--runtime FILE`",
    ),
    (
        ", and name no other library",
        " and leave out `--runtime` and `ORT_DYLIB_PATH`",
    ),
    ("with `CLASSIFIER_CACHE`", "with `--cache DIR`"),
    (
        "install from their folder",
        "give their folder with `--from FOLDER`",
    ),
    (
        "check the path of the data folder",
        "check the path after `--data`",
    ),
    (
        "give the folder of the images",
        "give the folder of the images with `--data DIR`",
    ),
    (
        "name the folder that the list's paths start from",
        "name the folder that the list's paths start from with `--data DIR`",
    ),
    (
        "name the value that holds the features [N, D]",
        "name the value that holds the features [N, D] with `--cut-at`",
    ),
    (
        "give the preprocessing yourself, as text",
        "give the preprocessing yourself: `--preprocess TEXT`",
    ),
];

/// A library's hint or note in the words of the programs.
pub fn in_flags(text: &str) -> String {
    FLAGS.iter().fold(text.to_owned(), |text, (word, flag)| {
        text.replace(word, flag)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The lines of all sources in a folder, without comments.
    fn code(folder: &Path, lines: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                code(&path, lines);
            } else if path.extension().is_some_and(|name| name == "rs")
                && !path.ends_with("tests.rs")
            {
                let text = fs::read_to_string(&path).unwrap();
                let code = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"));
                lines.extend(code.map(|line| format!("{}: {line}", path.display())));
            }
        }
    }

    fn libraries() -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut lines = Vec::new();
        for library in [
            "deploy",
            "deploy/machine",
            "data/pixels",
            "data/files",
            "onnx",
            "data",
        ] {
            code(&root.join(library).join("src"), &mut lines);
        }
        lines
    }

    #[test]
    fn no_library_speaks_of_flags_and_every_word_is_one_of_a_library() {
        let lines = libraries();
        // Commands as a whole are for embedders, too; so is Docker's flag. `fetch` is a command of `trainer`.
        let is_flag = |line: &&String| {
            line.contains("`--") && !line.contains("`--gpus all`") && !line.contains("src/fetch")
        };
        assert_eq!(lines.iter().find(is_flag), None);
        for (word, _) in FLAGS {
            let start = word.split_inclusive(' ').take(4).collect::<String>();
            let is_said = lines.iter().any(|line| line.contains(start.trim_end()));
            assert!(is_said, "{word}");
        }
    }

    #[test]
    fn a_hint_of_a_library_names_the_flag_in_a_program() {
        let hint = "choose one with `ClassifierBuilder::output`, such as `logits`";
        assert_eq!(
            in_flags(hint),
            "choose one with `--output NAME`, such as `logits`"
        );
        assert_eq!(in_flags("export it again"), "export it again");
    }
}
