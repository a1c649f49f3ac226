//! The C library: programs in C and C++ have the answers of `deploy predict`, to the bit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use tests::{Done, Tool, Workshop};

/// Compiles an example against the shared library that cargo built, as the name that the loader asks for.
pub(crate) fn compile(shop: &Workshop, compiler: &str, source: &str) -> PathBuf {
    let capi = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/capi");
    let folder = shop.path("lib");
    if !folder.exists() {
        fs::create_dir(&folder).unwrap();
        let built = std::env::current_exe().unwrap();
        let built = built.with_file_name("libclassifold_c.so");
        for name in ["libclassifold_c.so", "libclassifold_c.so.0"] {
            std::os::unix::fs::symlink(&built, folder.join(name)).unwrap();
        }
    }
    let program = shop.path(source.split('.').next().unwrap());
    Tool::new(Path::new(compiler), &shop.path(""))
        .args("-O1 -g -Wall -Wextra -Werror -I")
        .path(&capi.join("include"))
        .path(&capi.join("examples").join(source))
        .args("-o")
        .path(&program)
        .word(&format!("-L{}", folder.display()))
        .word(&format!("-Wl,-rpath,{}", folder.display()))
        .args("-lclassifold_c")
        .run()
        .ok();
    program
}

/// The probabilities of every class by image and class, as `deploy predict` says them.
pub(crate) fn predicted(shop: &Workshop, images: &Path) -> BTreeMap<(String, String), f32> {
    let predict = shop
        .deploy("predict --format csv --top-k 9 -q")
        .path(images)
        .run()
        .ok();
    let row = |line: &str| {
        let mut fields = line.rsplitn(4, ',');
        let [probability, class, _, path] = [(); 4].map(|()| fields.next().unwrap().to_owned());
        ((path, class), probability.parse().unwrap())
    };
    predict.out.lines().skip(1).map(row).collect()
}

/// Fields of the lines of a program, which are parted by tabs.
pub(crate) fn fields(done: &Done) -> Vec<Vec<String>> {
    let split = |line: &str| line.split('\t').map(str::to_owned).collect();
    done.out.lines().map(split).collect()
}

#[test]
fn a_program_in_c_has_the_bits_of_predict() {
    let shop = Workshop::new();
    shop.fit("--epochs 1").run().ok();
    let program = compile(&shop, "cc", "classify.c");
    let folder = shop.path("pictures/test/discs");
    let expected = predicted(&shop, &folder);
    let mut tool = Tool::new(&program, &shop.path("")).path(&shop.path("runs/1/model.onnx"));
    for image in fs::read_dir(&folder).unwrap() {
        tool = tool.path(&image.unwrap().path());
    }
    let lines = fields(&tool.run().ok());
    assert_eq!(2 * lines.len(), expected.len());
    for line in lines {
        let [path, class, probability] = line.try_into().unwrap();
        let probability: f32 = probability.parse().unwrap();
        assert_eq!(expected[&(path, class)].to_bits(), probability.to_bits());
    }
}

#[test]
fn frames_in_cpp_have_the_bits_of_their_files() {
    let shop = Workshop::new();
    shop.fit("--epochs 1").run().ok();
    let program = compile(&shop, "c++", "frames.cpp");
    let mut tool = Tool::new(&program, &shop.path("")).path(&shop.path("runs/1/model.onnx"));
    let folder = shop.path("pictures/test/squares");
    let expected = predicted(&shop, &folder);
    // Another decoder may read other pixels from a JPEG.
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let is_png = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "png");
    let files: Vec<_> = files.filter(is_png).collect();
    assert!(files.len() > 1);
    for (index, file) in files.iter().enumerate() {
        let image = image::open(file).unwrap().to_rgb8();
        let mut ppm = format!("P6\n{} {}\n255\n", image.width(), image.height()).into_bytes();
        ppm.extend(image.as_raw());
        tool = tool.path(&shop.write(&format!("ppm/{index}.ppm"), ppm));
    }
    let lines = fields(&tool.run().ok());
    assert_eq!(lines.len(), files.len());
    for (file, line) in files.iter().zip(lines) {
        for (class, probability) in ["discs", "squares"].into_iter().zip(&line[2..]) {
            let probability: f32 = probability.parse().unwrap();
            let expected = expected[&(file.to_str().unwrap().to_owned(), class.to_owned())];
            assert_eq!(expected.to_bits(), probability.to_bits(), "{line:?}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_said_and_the_next_image_is_answered() {
    let shop = Workshop::new();
    shop.fit("--epochs 1").run().ok();
    let program = compile(&shop, "cc", "classify.c");
    let broken = shop.write("broken.jpg", "no image");
    let whole = fs::read_dir(shop.path("pictures/test/discs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let tool = Tool::new(&program, &shop.path("")).path(&shop.path("runs/1/model.onnx"));
    let done = tool.path(&broken).path(&whole).run();
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.err
            .starts_with(&format!("error: {}: ", broken.display())),
        "{}",
        done.err
    );
    assert_eq!(done.out.lines().count(), 1);
    let missing = Tool::new(&program, &shop.path(""))
        .args("no-such.onnx a.jpg")
        .run();
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("no-such.onnx"), "{}", missing.err);
}
