//! What `--help` says, word for word.

use crate::support::deploy;

#[test]
fn help_of_every_command() {
    let commands: [&[&str]; 22] = [
        &[],
        &["eval"],
        &["bench"],
        &["tune"],
        &["predict"],
        &["score"],
        &["embed"],
        &["cut"],
        &["info"],
        &["check"],
        &["convert"],
        &["diff"],
        &["card"],
        &["card", "show"],
        &["card", "attach"],
        &["cache"],
        &["cache", "prune"],
        &["runtime"],
        &["runtime", "install"],
        &["runtime", "list"],
        &["doctor"],
        &["completions"],
    ];
    let mut text = String::new();
    for command in commands {
        let run = deploy(".").args(command).arg("--help").run();
        assert_eq!(run.code, 0, "{command:?}");
        text += &format!("$ deploy {} --help\n{}\n", command.join(" "), run.out);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn version_and_completions() {
    let run = deploy(".").arg("--version").run();
    assert_eq!(run.out, format!("deploy {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = deploy(".").args(["completions", shell]).run();
        assert!(run.code == 0 && run.out.contains("predict"), "{shell}");
    }
}

#[test]
fn nothing_to_do_is_help_and_an_error() {
    let run = deploy(".").run();
    assert!(
        run.code == 2 && run.err.contains("Usage: deploy"),
        "{}",
        run.err
    );
}
