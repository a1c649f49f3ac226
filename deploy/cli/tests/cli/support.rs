//! Runs the binary; makes a tiny model and images for it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use data::RgbImage;
use fs_err as fs;
use onnx::proto::DataType;
use onnx::{Dim, Document, GraphBuilder, ModelInfo, Tensor};

/// From a image to the tiny model's input.
pub const PREPROCESS: &str =
    "decode(rgb, exif)|resize(4, 4, bilinear, antialias)|scale(1/255)|layout(nchw, f32)";

/// A run of the binary to be.
pub struct Deploy(Command);

/// What a run left.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The binary, in a folder; nothing of this machine's settings but the cache folder.
pub fn deploy(folder: impl AsRef<Path>) -> Deploy {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deploy"));
    command
        .current_dir(folder)
        .env_remove("ORT_DYLIB_PATH")
        .env_remove("LD_LIBRARY_PATH");
    command
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    Deploy(command)
}

impl Deploy {
    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub fn args<S: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    pub fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(key, value);
        self
    }

    pub fn stdin(mut self, file: &Path) -> Self {
        self.0.stdin(fs::File::open(file).unwrap().into_file());
        self
    }

    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.0.stdout(stdout);
        self
    }

    /// Begins, with standard error to be read.
    pub fn spawn(mut self) -> std::process::Child {
        self.0.stdout(Stdio::null()).stderr(Stdio::piped());
        self.0.spawn().unwrap()
    }

    pub fn run(mut self) -> Run {
        let output = self.0.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let run = Run {
            code: output.status.code().expect("no signal ends it"),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        assert!(!run.err.contains("panicked"), "{}", run.err);
        run
    }
}

impl Run {
    /// It could not be done, and the last words say why.
    pub fn refused(&self, expected: &str) {
        assert_eq!(self.code, 2, "{}{}", self.out, self.err);
        let at = self
            .err
            .find("error: ")
            .unwrap_or_else(|| panic!("no error: {}", self.err));
        assert!(
            self.err[at..].contains(expected),
            "{expected}: {}",
            self.err
        );
    }
}

/// Material beside the checkout; without it a test is skipped, but not in CI.
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(path);
    if found.exists() {
        return Some(found.canonicalize().unwrap());
    }
    assert!(std::env::var_os("CI").is_none(), "needs ../shared/{path}");
    println!("skipped: needs ../shared/{path}");
    None
}

/// A model whose scores are `gain` times the mean red and the mean blue.
pub fn model(gain: f32) -> Document {
    model_for("batch".into(), gain)
}

/// The same for so many images at a time.
pub fn model_for(batch: Dim, gain: f32) -> Document {
    let mut graph = GraphBuilder::new("tiny");
    let dims = [batch.clone(), Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)];
    let x = graph.input("input", DataType::Float, &dims);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    let weight = Tensor::f32(&[2, 3], vec![gain, 0.0, 0.0, 0.0, 0.0, gain]).unwrap();
    let weight = graph.initializer("weight", &weight);
    let bias = graph.initializer("bias", &Tensor::f32(&[2], vec![0.0; 2]).unwrap());
    let y = graph.gemm("fc", &x, &weight, &bias);
    graph.output(&y, "logits", DataType::Float, &[batch, Dim::Fixed(2)]);
    graph.finish(&ModelInfo::default()).unwrap()
}

/// A folder with the model, its class names, and `photos/{train,val,test}/{blue,red}/*.png`; the last
/// image of each class in `test` has the other one's colour.
pub fn workshop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    model(10.0).save(&folder.path().join("model.onnx")).unwrap();
    fs::write(folder.path().join("classes.txt"), "red\nblue\n").unwrap();
    for split in ["train", "val", "test"] {
        for class in ["blue", "red"] {
            for i in 0..4_u8 {
                let red = (class == "red") ^ (split == "test" && i == 3);
                let color = if red {
                    [200, 0, 10 * i]
                } else {
                    [10 * i, 0, 200]
                };
                picture(
                    &folder
                        .path()
                        .join(format!("photos/{split}/{class}/{i}.png")),
                    color,
                );
            }
        }
    }
    folder
}

/// A image of one colour, not square.
pub fn picture(path: &Path, color: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_raw(9, 6, color.repeat(54))
        .unwrap()
        .save(path)
        .unwrap();
}

/// The flags that tell what the tiny model does not say itself.
pub fn flags() -> [&'static str; 6] {
    [
        "--model",
        "model.onnx",
        "--classes",
        "classes.txt",
        "--preprocess",
        PREPROCESS,
    ]
}

/// Answers one request with `body`; gives the address.
pub fn serve(body: Vec<u8>) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let read = stream.read(&mut request).unwrap();
        assert!(read > 0);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
    });
    address
}
