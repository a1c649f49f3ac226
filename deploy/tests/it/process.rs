//! What a whole process shares: where its ONNX Runtime comes from, telemetry, an environment of other code. Each test
//! runs this executable again, since a process has one ONNX Runtime.

use std::path::{Path, PathBuf};
use std::process::Command;

use classifold::runtime::{self, LoadOptions, RuntimeLibrary, Search, Source, ThreadPool};
use classifold::{Classifier, Kind, ort};
use fs_err as fs;

use crate::support::{Tiny, flat, installed};

/// The variable that says what the child does.
const ROLE: &str = "CLASSIFOLD_TEST_ROLE";
/// The model that it opens.
const MODEL: &str = "CLASSIFOLD_TEST_MODEL";

/// A child without any variable of ours, in its role.
fn child(executable: &Path, role: &str, model: &Path) -> Command {
    let mut command = Command::new(executable);
    command
        .args(["--exact", "process::the_child_in_its_role", "--nocapture"])
        .env_clear()
        .env(ROLE, role)
        .env(MODEL, model);
    command
}

/// What the child said in its last line; it must end well.
fn answer(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    let line = text.lines().find_map(|line| line.split_once("said: "));
    line.unwrap_or_else(|| panic!("{text}{error}")).1.to_owned()
}

/// A model with a card that classifies images by their colour, readable for everyone.
fn model(folder: &Path) -> PathBuf {
    let tiny = Tiny::default();
    let mut document = tiny.document();
    document.set_metadata(classifold::card::PREFIX, &tiny.card().to_pairs());
    let path = folder.join("tiny.onnx");
    document.save(&path).unwrap();
    path
}

/// README's three lines, and where their library came from.
fn three_lines(path: &Path) -> classifold::Result<String> {
    let classifier = Classifier::open(path)?;
    let prediction = classifier.classify(&flat(1, 200).into())?;
    let source = runtime::loaded().map(|library| library.source.to_string());
    Ok(format!(
        "{} from {}",
        prediction.label,
        source.unwrap_or_default()
    ))
}

fn newer() -> RuntimeLibrary {
    RuntimeLibrary {
        version: "1.29.0".to_owned(),
        ..installed().clone()
    }
}

/// The environment of a host that uses `ort` by itself.
fn host_environment() -> ort::environment::Environment {
    let builder = ort::init_from(std::env::var_os("ORT_DYLIB_PATH").unwrap()).unwrap();
    builder.with_name("host").build().unwrap()
}

fn outcome(result: classifold::Result<String>) -> String {
    match result {
        Ok(text) => text,
        Err(error) => format!(
            "{:?}: {error} ({})",
            error.kind(),
            error.hint().unwrap_or_default()
        )
        .replace('\n', " "),
    }
}

#[test]
fn the_child_in_its_role() {
    let (Some(role), Some(path)) = (std::env::var_os(ROLE), std::env::var_os(MODEL)) else {
        return;
    };
    let path = PathBuf::from(path);
    let said = match role.to_str().unwrap() {
        "three lines" => outcome(three_lines(&path)),
        "telemetry" => outcome(runtime::load(&newer()).map(|()| "loaded".to_owned())),
        "allowed telemetry" => {
            let mut options = LoadOptions::default();
            options.allow_telemetry = true;
            outcome(runtime::load_with(&newer(), &options).map(|()| "loaded".to_owned()))
        }
        "adopt" => {
            runtime::adopt(host_environment()).unwrap();
            outcome(three_lines(&path))
        }
        "fight" => {
            let host = host_environment();
            let said = outcome(three_lines(&path));
            drop(host);
            said
        }
        "lend" => {
            three_lines(&path).unwrap();
            let lent = runtime::environment().unwrap();
            let second = ort::init().build().map(|_| ()).unwrap_err();
            let builder = ort::session::Session::builder(lent).unwrap();
            let session = { builder }.commit_from_file(&path).unwrap();
            format!("{} outputs; {second}", session.outputs().len())
        }
        "nothing loaded" => outcome(runtime::environment().map(|_| String::new())),
        "shared threads" => {
            let mut options = LoadOptions::default();
            options.thread_pool = Some(ThreadPool {
                threads: 3,
                spinning: false,
            });
            let open = || {
                let builder = Classifier::builder(&path).load_options(options.clone());
                let classifier = builder.open().unwrap();
                let answer = classifier.classify(&flat(1, 200).into()).unwrap();
                (classifier, answer.label)
            };
            let first = open();
            let threads = threads_of_this_process();
            let others = [open(), open()];
            assert_eq!(threads_of_this_process(), threads);
            // With threads of its own, a session adds some.
            let own = Classifier::builder(&path).threads(4).open().unwrap();
            assert!(threads_of_this_process() >= threads + 3);
            drop(own);
            format!("{} {} {}", first.1, others[0].1, others[1].1)
        }
        other => panic!("{other}"),
    };
    println!("said: {said}");
}

fn threads_of_this_process() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// A folder that everyone may read, with this executable in `bin` and the library where `place` says.
#[cfg(unix)]
fn application(place: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let executable = folder.path().join("bin/app");
    let library = folder.path().join(place).join("libonnxruntime.so");
    for (from, to) in [
        (std::env::current_exe().unwrap(), &executable),
        (installed().path.clone(), &library),
    ] {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
    let model = model(folder.path());
    (folder, executable, model)
}

#[test]
#[cfg(unix)]
fn a_library_that_comes_with_the_program_is_found_without_home_and_user() {
    use std::os::unix::process::CommandExt;

    let is_root = is_root();
    for place in ["bin", "lib"] {
        let (_folder, executable, model) = application(place);
        let mut command = child(&executable, "three lines", &model);
        if is_root {
            // An id without passwd entry, as of `docker run --user 10001`.
            command.uid(10_001).gid(10_001);
        } else {
            println!("skipped: needs root to run as another user");
        }
        assert_eq!(
            answer(&mut command),
            "blue from beside the executable",
            "{place}"
        );
    }
}

/// The child has no cache folder: the package of the environment is all there is.
#[test]
#[cfg(unix)]
fn a_program_of_the_wheel_finds_the_package_of_its_environment() {
    let packages = "lib/python3.12/site-packages";
    let (folder, executable, model) = application(&format!("{packages}/onnxruntime/capi"));
    fs::create_dir(folder.path().join(packages).join("classifold")).unwrap();
    let mut command = child(&executable, "three lines", &model);
    assert_eq!(answer(&mut command), "blue from the Python environment");
}

/// Whether this process may become another user.
#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

#[test]
fn without_a_library_and_without_home_the_error_names_the_folders() {
    let folder = tempfile::tempdir().unwrap();
    let executable = std::env::current_exe().unwrap();
    let mut command = child(&executable, "three lines", &model(folder.path()));
    command.env("CLASSIFIER_CACHE", folder.path());
    let said = answer(&mut command);
    // A library in one of the system's folders would do as well.
    if !said.starts_with("blue from the system's") {
        assert!(
            said.starts_with("Runtime: no ONNX Runtime library"),
            "{said}"
        );
        assert!(said.contains("ORT_DYLIB_PATH"), "{said}");
    }
}

#[test]
fn the_variable_of_the_environment_counts_for_the_library_too() {
    let folder = tempfile::tempdir().unwrap();
    let executable = std::env::current_exe().unwrap();
    let mut command = child(&executable, "three lines", &model(folder.path()));
    command
        .env("CLASSIFIER_CACHE", folder.path())
        .env("ORT_DYLIB_PATH", &installed().path);
    assert_eq!(answer(&mut command), "blue from `ORT_DYLIB_PATH`");
}

#[test]
fn a_library_with_an_uploader_is_loaded_only_where_that_is_off_or_allowed() {
    let executable = std::env::current_exe().unwrap();
    let home = |role| {
        let mut command = child(&executable, role, "unused".as_ref());
        command.env("CLASSIFIER_CACHE", classifold::cache::dir(None).unwrap());
        command
    };
    let said = answer(&mut home("telemetry"));
    assert!(
        said.starts_with("Runtime: ONNX Runtime 1.29.0 sends telemetry"),
        "{said}"
    );
    assert!(said.contains("ORT_DISABLE_TELEMETRY"), "{said}");
    for value in ["0", ""] {
        let said = answer(home("telemetry").env("ORT_DISABLE_TELEMETRY", value));
        assert!(said.contains("sends telemetry"), "{value}: {said}");
    }
    let off = answer(home("telemetry").env("ORT_DISABLE_TELEMETRY", "1"));
    assert_eq!(off, "loaded");
    assert_eq!(answer(&mut home("allowed telemetry")), "loaded");
}

#[test]
fn an_environment_of_the_host_is_adopted_lent_or_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let (executable, model) = (std::env::current_exe().unwrap(), model(folder.path()));
    let said = |role| {
        let mut command = child(&executable, role, &model);
        answer(command.env("ORT_DYLIB_PATH", &installed().path))
    };
    assert_eq!(said("adopt"), "blue from the host program");
    let fight = said("fight");
    assert!(
        fight.starts_with("Runtime: ONNX Runtime is in use in this process already"),
        "{fight}"
    );
    assert!(fight.contains("`runtime::adopt`"), "{fight}");
    let lent = said("lend");
    assert!(lent.starts_with("1 outputs; "), "{lent}");
    // What `load` recognises the fight by.
    assert!(lent.contains("only one environment"), "{lent}");
    let nothing = said("nothing loaded");
    assert!(nothing.starts_with("Runtime: no ONNX Runtime"), "{nothing}");
}

#[test]
#[cfg(target_os = "linux")]
fn sessions_share_the_threads_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let executable = std::env::current_exe().unwrap();
    let mut command = child(&executable, "shared threads", &model(folder.path()));
    command.env("ORT_DYLIB_PATH", &installed().path);
    assert_eq!(answer(&mut command), "blue blue blue");
}

#[test]
fn the_search_of_a_library_names_its_sources_in_order() {
    let search = Search::from_env(None, Some("cache".as_ref()));
    assert!(search.beside_executable);
    assert_eq!(search.cache, Some("cache".into()));
    assert_eq!(
        Source::BesideExecutable.to_string(),
        "beside the executable"
    );
    assert_eq!(Kind::Runtime.number(), 3);
}
