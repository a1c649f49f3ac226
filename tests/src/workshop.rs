//! A temporary folder to work in, and the two binaries.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fs_err as fs;
use tempfile::TempDir;

use crate::{Tool, pictures};

/// A temporary folder in which the binaries run; it goes when this is dropped.
pub struct Workshop {
    folder: TempDir,
}

impl Workshop {
    /// An empty one.
    ///
    /// # Panics
    /// When the binaries are not built.
    pub fn empty() -> Workshop {
        let folder = TempDir::with_prefix("workshop-").unwrap();
        ensure_runtime(folder.path());
        Workshop { folder }
    }

    /// One with `pictures/{train,val,test}/{discs,squares}/`: 10, 4 and 6 images per class.
    pub fn new() -> Workshop {
        let shop = Workshop::empty();
        pictures::draw_splits(&shop.path("pictures"));
        shop
    }

    /// A path in the folder.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file, with its folders.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// `trainer` with arguments, parted by spaces.
    pub fn trainer(&self, arguments: &str) -> Tool {
        Tool::new(&binary("trainer"), self.folder.path()).args(arguments)
    }

    /// `deploy` with arguments, parted by spaces.
    pub fn deploy(&self, arguments: &str) -> Tool {
        Tool::new(&binary("deploy"), self.folder.path()).args(arguments)
    }

    /// A small quick `trainer fit` on the pictures.
    pub fn fit(&self, arguments: &str) -> Tool {
        // Small, where there is something to be small: an imported network has its own width.
        let has_width = ["--backbone", "--width"]
            .iter()
            .any(|flag| arguments.contains(flag));
        let width = if has_width { "" } else { "--width 2" };
        self.trainer("fit --data pictures")
            .args(width)
            .args(arguments)
    }

    /// The tool with a cache folder of its own, `cache`, which lacks nothing that others have.
    pub fn own_cache(&self, tool: Tool) -> Tool {
        tool.env("CLASSIFIER_CACHE", self.path("cache"))
            .env("ORT_DYLIB_PATH", ensure_runtime(self.folder.path()))
    }

    /// The JSON in a file.
    pub fn json(&self, relative: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.path(relative)).unwrap()).unwrap()
    }
}

impl Default for Workshop {
    fn default() -> Self {
        Self::new()
    }
}

/// A built binary: in the target folder that holds this test, or in `$E2E_BIN_DIR`.
pub fn binary(name: &str) -> PathBuf {
    let folder = env::var_os("E2E_BIN_DIR").map_or_else(
        || {
            let test = env::current_exe().unwrap();
            // target/release/deps/e2e-…
            test.ancestors().nth(2).unwrap().to_path_buf()
        },
        PathBuf::from,
    );
    let path = folder.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "`{}` is not built: run `cargo test --release --workspace`",
        path.display()
    );
    path
}

/// Where ONNX Runtime is; installed into the cache folder when it is nowhere.
pub fn ensure_runtime(folder: &Path) -> &'static Path {
    static RUNTIME: OnceLock<PathBuf> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let deploy = |what| {
            let tool = Tool::new(&binary("deploy"), folder)
                .args("runtime -q")
                .args(what);
            tool.patience(600).run()
        };
        if deploy("path").code != 0 {
            deploy("install").ok();
        }
        PathBuf::from(deploy("path").ok().out.trim_end())
    })
}
