//! What goes where: JSON alone on standard output, silence, colours, versions, completions.

use tests::Workshop;

#[test]
fn json_on_standard_output_is_alone_there() {
    let shop = Workshop::new();
    let fit = shop.fit("--epochs 1 --json -").run().ok();
    assert_eq!(fit.json(), shop.json("runs/1/summary.json"));
    assert!(fit.err.contains("true \\ predicted"), "{}", fit.err);
    let burn = shop.trainer("eval 1 --json -").run().ok();
    let ort = shop.deploy("eval --json -").run().ok();
    assert_eq!(burn.json()["accuracy"], ort.json()["accuracy"]);
    for done in [burn, ort] {
        assert!(done.err.contains("true \\ predicted"), "{}", done.err);
    }
}

#[test]
fn quiet_is_silent_when_all_is_well() {
    let shop = Workshop::new();
    for flags in ["-q", "--quiet"] {
        let fit = shop.fit("--epochs 1").args(flags).run().ok();
        assert_eq!((fit.out.as_str(), fit.err.as_str()), ("", ""));
    }
    let json = shop.fit("--epochs 1 -q --json -").run().ok();
    assert_eq!(
        (json.json()["run"].as_str(), json.err.as_str()),
        (Some("3"), "")
    );
    let eval = shop.trainer("-q eval latest").run().ok();
    assert_eq!((eval.out.as_str(), eval.err.as_str()), ("", ""));
    let eval = shop.deploy("eval -q").run().ok();
    assert_eq!(eval.err, "");
    let refused = shop.fit("--epochs 0 -q").run();
    assert!(refused.refusal().contains("--epochs 0"));
}

#[test]
fn colours_are_for_terminals_without_no_color() {
    let shop = Workshop::new();
    let eval = |env| {
        let fit = shop.fit("--epochs 1").env("TERM", "xterm-256color");
        fit.env("NO_COLOR", env).on_a_terminal()
    };
    let (Some(colour), Some(plain)) = (eval(""), eval("1")) else {
        return;
    };
    let coloured = |text: &str| {
        let marks = text.split("\u{1b}[").skip(1);
        let style = |mark: &str| mark.find(|c: char| c.is_ascii_alphabetic());
        let mut codes = marks.filter_map(|mark| style(mark).map(|at| &mark[..=at]));
        codes.any(|code| code.ends_with('m'))
    };
    let colour = colour.run().ok().out;
    assert!(coloured(&colour), "{colour}");
    let plain = plain.run().ok().out;
    assert!(plain.contains("verified"), "{plain}");
    assert!(!coloured(&plain), "{plain}");
    let piped = shop.fit("--epochs 1").run().ok();
    assert!(!(piped.out + &piped.err).contains('\u{1b}'));
}

#[test]
fn versions_and_completions() {
    let shop = Workshop::empty();
    for (name, word) in [("trainer", "--backbone"), ("deploy", "--top-k")] {
        let tool = |arguments: &str| match name {
            "trainer" => shop.trainer(arguments).run().ok(),
            _ => shop.deploy(arguments).run().ok(),
        };
        let version = concat!(env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(tool("--version").out, format!("{name} {version}"));
        for shell in ["bash", "zsh", "fish"] {
            let text = tool(&format!("completions {shell}")).out;
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(
                text.contains(name) && text.contains(word),
                "{shell}: {text}"
            );
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 -q").run().ok();
    let deploy = tests::workshop::binary("deploy");
    let line = format!(
        "{} eval --json - -q 2>/dev/null | head -c 1; echo ${{PIPESTATUS[0]}}",
        deploy.display()
    );
    let bash = tests::Tool::new(std::path::Path::new("bash"), &shop.path(""));
    let done = bash.args("-c").word(&line).run().ok();
    assert_eq!((done.out.as_str(), done.err.as_str()), ("{0\n", ""));
}
