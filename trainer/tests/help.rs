//! What `--help` says; this test also makes cargo build the real binary.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::process::Command;

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_trainer"))
        .args(arguments)
        .arg("--help")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_of_trainer() {
    insta::assert_snapshot!("trainer", help(&[]));
}

#[test]
fn help_of_every_command() {
    for command in [
        "fit",
        "probe",
        "find-lr",
        "audit",
        "eval",
        "export",
        "inspect",
        "runs",
        "report",
        "plot",
        "augment",
        "backbones",
        "fetch",
        "import",
        "completions",
    ] {
        insta::assert_snapshot!(command, help(&[command]));
    }
}

/// The help and the document of training list the same operations.
#[test]
fn every_operation_of_augment_is_documented() {
    let document = include_str!("../../docs/training.md");
    let operations = data::augment::USAGE.lines().skip(1);
    for operation in operations.filter_map(|line| line.split_once("  ").map(|_| line.trim())) {
        let (example, _) = operation.split_once("  ").unwrap();
        assert!(document.contains(&format!("| `{example}` |")), "{example}");
        for command in ["fit", "augment"] {
            assert!(
                help(&[command]).contains(operation),
                "{command}: {operation}"
            );
        }
    }
}

#[test]
fn a_flag_that_does_not_exist_is_exit_code_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_trainer"))
        .args(["fit", "--epoch"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error:"));
}
