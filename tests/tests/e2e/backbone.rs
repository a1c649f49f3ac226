//! Frozen backbones of any operators: cut, proven, exported, refused.

use fs_err as fs;
use onnx::Document;
use tests::{Workshop, shared, tiny_models};

/// From a picture to the input of the tiny models.
const STEPS: &str =
    "decode(rgb, exif)|resize(32, 32, bilinear, antialias)|scale(1/255)|layout(nchw, f32)";

/// `fit` with a backbone, its log and `verify.json`.
fn fit(shop: &Workshop, run: &str, flags: &str) -> (String, serde_json::Value) {
    let fit = shop
        .fit(&format!("--name {run} --backbone {flags}"))
        .run()
        .ok();
    let verify = shop.json(&format!("runs/{run}/verify.json"));
    assert_eq!(verify["verified"], true, "{verify}");
    assert_eq!(verify["reference"], "features times head");
    (fit.err, verify)
}

#[test]
fn operators_of_any_kind_are_frozen_and_the_batch_is_freed() {
    let shop = Workshop::new();
    let backbone = Document::open(&tiny_models::gated(&shop.path("gated.onnx"))).unwrap();
    let (log, verify) = fit(&shop, "a", "gated.onnx");
    let found = "features `row` [N, 6]: the input of its fully connected layer; its own \
                 classification layer recomputed on ";
    assert!(log.contains(found), "{log}");
    assert_eq!(verify["batches"], serde_json::json!([1, 2, 7]));
    // Nodes and weights up to the features are the file's own, but for the shape that held the batch.
    let model = Document::open(&shop.path("runs/a/model.onnx")).unwrap();
    let kept = backbone
        .graph()
        .node
        .iter()
        .position(|node| node.name() == "product")
        .unwrap();
    assert_eq!(model.graph().node[..kept], backbone.graph().node[..kept]);
    assert_eq!(
        model.tensor("stem.w").unwrap(),
        backbone.tensor("stem.w").unwrap()
    );
    assert_eq!(model.outputs()[0].to_string(), "logits: Float [batch, 2]");
    let card = shop.deploy("card show runs/a/model.onnx").run().ok().json();
    let features = &card["provenance"]["features"];
    assert_eq!(
        (&features["values"][0], &features["width"]),
        (&"row".into(), &6.into())
    );
    shop.deploy("eval -q --model runs/a/model.onnx --data pictures")
        .run()
        .ok();
    for command in ["eval a", "export a"] {
        shop.trainer(command).run().ok();
    }
    let info = shop.deploy("info gated.onnx").run().ok().out;
    for line in [
        "features    `row` [N, 6]: the input of its fully connected layer",
        "fine-tune   all its operators can be trained",
    ] {
        assert!(info.contains(line), "{info}");
    }
}

#[test]
fn a_network_of_many_operators_is_trained_whole_or_refused_by_operator() {
    let shop = Workshop::new();
    let path = shop.path("gated.onnx");
    let mut document = Document::open(&tiny_models::gated(&path)).unwrap();
    let fit = shop
        .fit("--name a --backbone gated.onnx --fine-tune --keep tuned")
        .run()
        .ok();
    let line = "Burn computes the same features, off by ";
    assert!(fit.err.contains(line), "{}", fit.err);
    assert_eq!(shop.json("runs/a/verify.json")["verified"], true);
    let tuned = Document::open(&shop.path("runs/a/model.onnx")).unwrap();
    assert_ne!(
        tuned.tensor("stem.w").unwrap(),
        document.tensor("stem.w").unwrap()
    );
    let gate = document.graph_mut().node.iter_mut();
    let mut gate = gate.filter(|node| node.op_type() == "Sigmoid");
    gate.next().unwrap().op_type = Some("Softsign".into());
    drop(gate);
    document.save(&path).unwrap();
    let info = shop.deploy("info gated.onnx").run().ok().out;
    assert!(info.contains("fine-tune   not with Softsign"), "{info}");
    let tuned = shop
        .fit("-q --backbone gated.onnx --fine-tune")
        .run()
        .refusal();
    insta::assert_snapshot!(tuned, @r#"
    error: `[DIR]/gated.onnx` uses the operator `Softsign` (node `gate`, opset 17), which cannot be trained here

    hint: it can be used frozen: leave out `--fine-tune`
    "#);
}

#[test]
fn the_features_may_be_named() {
    let shop = Workshop::new();
    tiny_models::gated(&shop.path("gated.onnx"));
    // A map, which is averaged.
    let (log, _) = fit(&shop, "a", "gated.onnx --cut-at stem");
    assert!(
        log.contains("features `stem` [N, 6]: the value that was named"),
        "{log}"
    );
    let model = Document::open(&shop.path("runs/a/model.onnx")).unwrap();
    let operators: Vec<_> = model
        .graph()
        .node
        .iter()
        .map(|node| node.op_type())
        .collect();
    assert_eq!(operators, ["Conv", "GlobalAveragePool", "Flatten", "Gemm"]);
    let unknown = shop
        .fit("-q --backbone gated.onnx --cut-at rows")
        .run()
        .refusal();
    insta::assert_snapshot!(unknown, @r#"
    error: `[DIR]/gated.onnx` computes no value `rows`

    hint: the values with the nearest names are `row`, `probabilities`, `product`, `scores`, `pool`
    "#);
    let custom = shop.fit("-q --cut-at row").run().refusal();
    assert!(
        custom.contains("`--cut-at row`: needs a `--backbone`"),
        "{custom}"
    );
}

#[test]
fn what_is_no_backbone_is_refused_by_its_name() {
    let shop = Workshop::new();
    let path = tiny_models::gated(&shop.path("gated.onnx"));
    let document = Document::open(&path).unwrap();
    let refusal = |change: &dyn Fn(&mut Document)| {
        let mut changed = document.clone();
        change(&mut changed);
        fs::write(&path, changed.to_bytes()).unwrap();
        let fit = shop.fit("-q --backbone gated.onnx --preprocess");
        fit.word(STEPS).run().refusal()
    };
    let cyclic = refusal(&|document| document.graph_mut().node[0].input[0] = "gated".into());
    insta::assert_snapshot!(cyclic, @r#"
    error: `[DIR]/gated.onnx` cannot be a backbone: the graph is not valid: node `stem` (Conv) reads from nodes that form a cycle
    "#);
    let text = refusal(&|document| {
        let dims = vec!["batch".into(), "words".into()];
        let kind = onnx::proto::DataType::Int64;
        document.graph_mut().input[0] = onnx::ValueInfo::new("image", kind, dims).to_proto();
    });
    insta::assert_snapshot!(text, @r#"
    error: `[DIR]/gated.onnx` takes no images: its input is `image: Int64 [batch, words]`

    hint: take a network with one input [batch, channels, height, width], such as `--backbone resnet18`
    "#);
    let without_weights = refusal(&|document| document.graph_mut().initializer.clear());
    insta::assert_snapshot!(without_weights, @r#"
    error: `[DIR]/gated.onnx` stores no weights

    hint: take a network with one input [batch, channels, height, width], such as `--backbone resnet18`
    "#);
    let constant = refusal(&|document| {
        let mut zeros = document.tensor("stem.w").unwrap();
        zeros.data = onnx::TensorData::F32(vec![0.0; 6 * 3 * 9]);
        document.set_tensor("stem.w", &zeros).unwrap();
    });
    insta::assert_snapshot!(constant, @r#"
    error: `[DIR]/gated.onnx` cannot be a backbone: it gives all images the same features

    hint: name another value for its features with `--cut-at`, or take another file
    "#);
    let detector = refusal(&|document| {
        let dims = vec![1.into(), 6.into(), 16.into(), 16.into()];
        let map = onnx::ValueInfo::new("gated", onnx::proto::DataType::Float, dims);
        onnx::surgery::set_outputs(document.graph_mut(), &[map]);
    });
    insta::assert_snapshot!(detector, @r#"
    error: `[DIR]/gated.onnx` has no classification layer, and none of its outputs is known as features (gated: Float [1, 6, 16, 16])

    hint: take an image classifier, or name the value that holds the features [N, D] with `--cut-at`
    "#);
}

#[test]
fn other_peoples_files_are_frozen_but_for_dynamic_integers() {
    let Some(folder) = shared::find("onnx") else {
        return;
    };
    let shop = Workshop::new();
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "onnx"));
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let done = shop
            .fit(&format!("-q --name {name} --backbone"))
            .path(&path)
            .run();
        if name.contains("int8dyn") {
            let refusal = done.refusal();
            assert!(refusal.contains("(`DynamicQuantizeLinear`)"), "{refusal}");
            continue;
        }
        done.ok();
        let verify = shop.json(&format!("runs/{name}/verify.json"));
        assert_eq!(verify["verified"], true, "{name}: {verify}");
    }
}
