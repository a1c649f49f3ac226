//! What a run looks like: the page, the comparison, the charts and the predictions behind them.

use fs_err as fs;
use tests::{Workshop, run_folder, tiny_models};

/// Everything in a page that a browser would fetch or run.
pub(crate) fn references(page: &str) -> Vec<String> {
    let lower = page.to_lowercase();
    let mut found = vec![];
    for tag in [
        "<script", "<link", "<iframe", "<object", "<embed", "<base", "<form", "@import",
    ] {
        if lower.contains(tag) {
            found.push(tag.to_owned());
        }
    }
    for mark in [
        "src=", "href=", "srcset=", "data=", "action=", "poster=", "url(",
    ] {
        for (at, _) in lower.match_indices(mark) {
            let value = lower[at + mark.len()..].trim_start_matches(['"', '\'']);
            if !value.starts_with("data:image/") {
                found.push(value.chars().take(40).collect());
            }
        }
    }
    // Handlers such as `onload=`, and addresses of other places in any attribute.
    for (at, _) in lower.match_indices("=\"http") {
        found.push(lower[at..].chars().take(40).collect());
    }
    found.extend(
        [" onload=", " onerror=", " onclick="]
            .iter()
            .filter(|h| lower.contains(*h))
            .map(|handler| (*handler).to_owned()),
    );
    found
}

#[test]
fn what_a_browser_would_fetch_is_found() {
    for page in [
        "<img src=\"http://a/b.png\">",
        "<img src=b.png>",
        "<LINK rel=x>",
        "<style>a { background: url('x.png') }</style>",
        "<style>@import 'x.css';</style>",
        "<script>1</script>",
        "<a href='//a'>",
        "<img src=\"data:image/png;base64,\" onerror=\"x()\">",
    ] {
        assert!(!references(page).is_empty(), "{page}");
    }
    assert!(references("<img src=\"data:image/png;base64,AAAA\">").is_empty());
}

#[test]
fn a_run_leaves_a_page_that_needs_nothing_but_itself() {
    let shop = Workshop::new();
    let fit = shop.fit("--epochs 3 --name own").run().ok();
    assert!(
        fit.err.contains("report: runs/own/report.html"),
        "{}",
        fit.err
    );
    let page = fs::read_to_string(shop.path("runs/own/report.html")).unwrap();
    assert_eq!(references(&page), Vec::<String>::new());
    let summary = shop.json("runs/own/summary.json");
    let accuracy = 100.0 * summary["accuracy"].as_f64().unwrap();
    for text in [
        format!("{accuracy:.1} %"),
        "of 12 test images".into(),
        "than always answering “discs”, which is right on 50.0 %".into(),
        "trainer fit --data pictures --width 2 --epochs 3 --name own".into(),
        "epochs = 3".into(),
        "ONNX Runtime and the trained network agree".into(),
        format!("exported: epoch {}", summary["epoch"]),
        "AUC ".into(),
        "Brier score".into(),
        "crop(0.08..1".into(),
        // A constant is a number, not a chart.
        "1.0e-3, constant".into(),
    ] {
        assert!(page.contains(&text), "{text}");
    }
    assert!(page.contains("<h3>Loss</h3>") && !page.contains("<h3>Learning rate</h3>"));
    // Each of the 12 test images is a mistake or a hit, and there is the augmentation sheet.
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 13);
    assert!(!page.contains("not found") && !page.contains("NaN"));
}

#[test]
fn predictions_are_what_the_file_answers() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    for (run, flags) in [("own", ""), ("frozen", "--backbone tiny.onnx")] {
        let fit = shop.fit(&format!("--epochs 2 --name {run} {flags}"));
        shop.own_cache(fit).run().ok();
        let rows = run_folder::predictions(&shop.path(format!("runs/{run}/predictions.csv")));
        shop.deploy(&format!(
            "eval --model runs/{run}/model.onnx --csv ort.csv -q"
        ))
        .run()
        .ok();
        let ort = fs::read_to_string(shop.path("ort.csv")).unwrap();
        assert_eq!(rows.len(), 12);
        for (row, ort) in rows.iter().zip(ort.lines().skip(1)) {
            let fields: Vec<&str> = ort.split(',').collect();
            assert_eq!(row["split"], "test");
            assert_eq!(
                [&row["path"], &row["label"], &row["predicted"]],
                fields[..3]
            );
            let [own, ort] = [&*row["probability"], fields[3]].map(|p| p.parse::<f64>().unwrap());
            assert!((own - ort).abs() < 1e-4, "{run}: {row:?} {ort}");
        }
    }
}

#[test]
fn a_page_and_a_sheet_to_standard_output_are_nothing_else() {
    let shop = Workshop::new();
    shop.fit("--epochs 1").run().ok();
    let page = shop.trainer("report 1 --out -").run().ok();
    assert!(
        page.out.trim_end().ends_with("</html>"),
        "{}",
        &page.out[page.out.len() - 200..]
    );
    assert!(page.err.contains("wrote `-`"), "{}", page.err);
    // Not as text: the sheet is a PNG file.
    let sheet = shop.path("sheet.png");
    let command = format!(
        "{} augment --data pictures --out - > sheet.png",
        tests::workshop::binary("trainer").display()
    );
    let shell = tests::Tool::new("sh".as_ref(), &shop.path(""))
        .args("-c")
        .word(&command);
    shell.run().ok();
    let bytes = fs::read(sheet).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.ends_with(b"IEND\xaeB`\x82"));
}

#[test]
fn a_run_is_shown_again_and_without_what_is_gone() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 --name own -q").run().ok();
    let first = fs::read(shop.path("runs/own/report.html")).unwrap();
    shop.trainer("report own").run().ok();
    assert!(fs::read(shop.path("runs/own/report.html")).unwrap() == first);

    fs::rename(shop.path("pictures"), shop.path("moved")).unwrap();
    let gone = shop.trainer("report own --out gone.html").run().ok();
    assert!(gone.err.contains("--data DIR"), "{}", gone.err);
    let page = fs::read_to_string(shop.path("gone.html")).unwrap();
    assert!(page.contains("not found") && !page.contains("data:image"));
    shop.trainer("report own --out moved.html --data moved")
        .run()
        .ok();
    assert!(fs::read(shop.path("moved.html")).unwrap() == first);

    for file in [
        "predictions.csv",
        "verify.json",
        "command.txt",
        "summary.json",
    ] {
        fs::remove_file(shop.path("runs/own").join(file)).unwrap();
        let bare = shop
            .trainer("report own -q --out bare.html --data moved")
            .run()
            .ok();
        assert_eq!(bare.err, "");
    }
    shop.write("runs/own/verify.json", "{");
    shop.write("runs/own/audit.json", "[]");
    let broken = shop
        .trainer("report own --out bare.html --data moved")
        .run()
        .ok();
    for file in ["verify.json", "audit.json"] {
        assert!(broken.err.contains(file), "{}", broken.err);
    }
    let page = fs::read_to_string(shop.path("bare.html")).unwrap();
    assert!(
        page.contains("was not scored") && page.contains("audit.json"),
        "{page}"
    );
}

#[test]
fn what_other_commands_left_is_shown() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 --name own -q").run().ok();
    let picture = "test/squares/00.jpg";
    for (file, text) in [
        (
            "calibration.json",
            r#"{"temperature": 1.734, "applied": true, "fitted_on": "validation images", "count": 8,
                "loss_before": 0.61, "loss_after": 0.52, "standard_error": 0.01, "epoch": 1}"#,
        ),
        (
            "folds.json",
            r#"{"folds": 2, "count": 28, "accuracy": {"mean": 0.9, "interval": [0.8, 0.95]},
                "loss": {"mean": 0.3, "interval": [0.2, 0.4]},
                "per_fold": [{"fold": 1, "count": 14, "accuracy": 0.9, "loss": 0.3}]}"#,
        ),
        (
            "seeds.json",
            r#"{"seeds": [{"seed": 7, "accuracy": 0.75, "loss": 0.5}],
                "accuracy": {"mean": 0.75, "min": 0.7, "max": 0.8},
                "loss": {"mean": 0.5, "min": 0.4, "max": 0.6}, "split": "test", "count": 12,
                "unstable": [{"path": "test/squares/00.jpg", "label": "squares",
                              "answers": {"discs": 1, "squares": 2}}]}"#,
        ),
        (
            "suspects.csv",
            "path,label,predicted,probability\ntrain/discs/00.jpg,discs,squares,0.97\n",
        ),
        (
            "audit.json",
            r#"{"depth": "pixels", "counts": {}, "findings": [{"kind": "near-duplicate", "severity": "warning",
                "message": "two pictures look alike", "paths": ["a.jpg", "b.jpg"]}],
                "width": {"min": 72, "median": 90, "max": 102}, "height": null,
                "aspect": [{"from": 1.0, "to": 1.5, "count": 3}], "megapixels": []}"#,
        ),
        (
            "inspect/inspect.json",
            r#"{"images": [{"title": "occlusion of 00.jpg", "file": "a.png", "kind": "occlusion"},
                           {"title": "conv1", "file": "kernels/b.png", "kind": "kernels"}]}"#,
        ),
    ] {
        shop.write(&format!("runs/own/{file}"), text);
    }
    fs::create_dir_all(shop.path("runs/own/inspect/kernels")).unwrap();
    for file in ["a.png", "kernels/b.png"] {
        let path = shop.path("runs/own/inspect").join(file);
        image::RgbImage::new(9, 7).save(path).unwrap();
    }
    let done = shop.trainer("report own -q").run().ok();
    assert_eq!(done.err, "");
    let page = fs::read_to_string(shop.path("runs/own/report.html")).unwrap();
    for text in [
        "1.734",
        "Fitted on validation images (8 images)",
        "Cross-validation, 2 folds of 28 images",
        "80.0 to 95.0 %",
        "seed 7",
        "squares: 1 × discs, 2 × squares",
        "labelled discs, looks like squares, 97.0 %",
        "two pictures look alike",
        "72 to 102, median 90",
        "occlusion of 00.jpg",
        "Kernels and feature maps: 1",
        picture,
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("data:image/png;base64,").count(), 2);
    assert_eq!(references(&page), Vec::<String>::new());
}

#[test]
fn runs_are_compared_on_their_common_images() {
    let shop = Workshop::new();
    for (name, epochs) in [("short", 1), ("long", 8), ("third", 2)] {
        shop.fit(&format!(
            "--epochs {epochs} --name {name} --seed {epochs} -q"
        ))
        .run()
        .ok();
    }
    let done = shop.trainer("report short long third").run().ok();
    assert!(done.out.contains("wrote `comparison.html`"), "{}", done.out);
    let page = fs::read_to_string(shop.path("comparison.html")).unwrap();
    assert_eq!(references(&page), Vec::<String>::new());
    for text in [
        "12 common images",
        "p, Holm",
        "short – third",
        "long, validation",
        "long: AUC ",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("The data sets differ"));
    // The numbers of the test, counted here.
    let right = |run: &str| -> Vec<bool> {
        let rows = run_folder::predictions(&shop.path(format!("runs/{run}/predictions.csv")));
        rows.iter()
            .map(|row| row["label"] == row["predicted"])
            .collect()
    };
    let (short, long) = (right("short"), right("long"));
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
    let row = format!(
        "short – long</th><td>12</td><td>{}</td><td>{}</td>",
        only(&short, &long),
        only(&long, &short)
    );
    assert!(page.contains(&row), "{row}");

    // The same names, and one picture more to train on.
    let picture = shop.path("pictures/train/discs");
    fs::copy(picture.join("00.jpg"), picture.join("more.jpg"))
        .or_else(|_| fs::copy(picture.join("00.png"), picture.join("more.png")))
        .unwrap();
    shop.fit("--epochs 1 --name other -q").run().ok();
    shop.trainer("report short other").run().ok();
    let page = fs::read_to_string(shop.path("comparison.html")).unwrap();
    assert!(page.contains("The data sets differ: images are matched by name."));
}

#[test]
fn charts_are_files_for_papers() {
    let shop = Workshop::new();
    for name in ["one", "two"] {
        shop.fit(&format!("--epochs 2 --name {name} -q")).run().ok();
    }
    shop.trainer("plot one --width 700").run().ok();
    let kinds = [
        "accuracy",
        "confusion",
        "loss",
        "lr",
        "pr",
        "rate",
        "reliability",
        "roc",
    ];
    for kind in kinds {
        let path = |ending: &str| shop.path(format!("runs/one/plots/{kind}.{ending}"));
        let picture = image::open(path("png")).unwrap().into_rgb8();
        assert_eq!(picture.width(), 700);
        let ink = picture.pixels().filter(|pixel| pixel.0 != [255; 3]).count();
        assert!(ink > 1000, "{kind}: {ink}");
        let svg = fs::read_to_string(path("svg")).unwrap();
        assert!(svg.contains("xmlns=\"http://www.w3.org/2000/svg\"") && !svg.contains("var("));
    }
    shop.trainer("plot one two --kind loss,confusion --out both")
        .run()
        .ok();
    for file in ["loss.svg", "confusion-one.png", "confusion-two.svg"] {
        assert!(shop.path("both").join(file).is_file(), "{file}");
    }
    fs::remove_file(shop.path("runs/two/predictions.csv")).unwrap();
    let refused = shop.trainer("plot one two --kind roc -q").run();
    assert!(
        refused
            .refusal()
            .contains("`runs/two` holds nothing to plot as `roc`")
    );
    let rest = shop.trainer("plot two --out rest").run().ok();
    assert!(
        rest.err.contains("`roc`") && shop.path("rest/loss.png").is_file(),
        "{}",
        rest.err
    );
    assert!(!shop.path("rest/roc.png").exists());
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 --name own -q").run().ok();
    // A folder in its place.
    fs::remove_file(shop.path("runs/own/report.html")).unwrap();
    fs::create_dir_all(shop.path("runs/own/report.html/full")).unwrap();
    let done = shop.trainer("fit --resume own --epochs 2").run().ok();
    assert!(
        done.err.contains("warning: there is no report"),
        "{}",
        done.err
    );
    let commands = fs::read_to_string(shop.path("runs/own/command.txt")).unwrap();
    let lines: Vec<&str> = commands.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[1].ends_with("trainer fit --resume own --epochs 2"),
        "{commands}"
    );
}
