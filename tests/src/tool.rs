//! Running a binary: with a limit, with its output read while it runs, with signals.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::shared;

/// Seconds after which a binary hangs; none needs a tenth of it.
const PATIENCE: u64 = 120;

/// A binary that is about to run.
pub struct Tool {
    command: Command,
    folder: PathBuf,
    patience: Duration,
}

/// What it left.
#[derive(Debug)]
pub struct Done {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    folder: PathBuf,
}

/// A binary that runs.
pub struct Running {
    child: Child,
    out: JoinHandle<String>,
    err: JoinHandle<String>,
    lines: Receiver<String>,
    deadline: Instant,
    folder: PathBuf,
}

impl Tool {
    /// `program` in `folder`, with nothing of this user's settings but the cache folder.
    pub fn new(program: &Path, folder: &Path) -> Tool {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null());
        for name in ["ORT_DYLIB_PATH", "LD_LIBRARY_PATH", "NO_COLOR", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.env("COLUMNS", "100");
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        Tool {
            command,
            folder: folder.to_path_buf(),
            patience: Duration::from_secs(PATIENCE),
        }
    }

    /// With these arguments too, parted by spaces.
    #[must_use]
    pub fn args(mut self, arguments: &str) -> Tool {
        self.command.args(arguments.split_whitespace());
        self
    }

    /// With one more argument, spaces and all.
    #[must_use]
    pub fn word(mut self, word: &str) -> Tool {
        self.command.arg(word);
        self
    }

    /// With a path as the next argument.
    #[must_use]
    pub fn path(mut self, path: &Path) -> Tool {
        self.command.arg(path);
        self
    }

    /// With this in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Tool {
        self.command.env(name, value);
        self
    }

    /// With more seconds before it counts as hanging.
    #[must_use]
    pub fn patience(mut self, seconds: u64) -> Tool {
        self.patience = Duration::from_secs(seconds);
        self
    }

    /// The same command under `nohup`: SIGHUP is ignored from the start.
    #[must_use]
    pub fn nohup(self) -> Tool {
        let mut tool = Tool::new(Path::new("nohup"), &self.folder);
        tool.command.arg(self.command.get_program());
        tool.command.args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                tool.command.env(name, value);
            }
        }
        tool
    }

    /// The same command on a terminal (by `script`); both streams come as `out`.
    pub fn on_a_terminal(self) -> Option<Tool> {
        let quote = |text: &OsStr| format!("'{}'", text.to_str().unwrap());
        let words = [self.command.get_program()]
            .into_iter()
            .chain(self.command.get_args());
        let line = words.map(quote).collect::<Vec<_>>().join(" ");
        let mut tool = Tool::new(Path::new("script"), &self.folder);
        tool.command.args(["-qec", &line, "/dev/null"]);
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                tool.command.env(name, value);
            }
        }
        let there = Command::new("script").arg("--version").output().is_ok();
        shared::or_skip(there.then_some(tool), "the program `script`")
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command.get_program()));
        let mut out = child.stdout.take().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        let out = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            let mut start = 0;
            while err.read_line(&mut text).unwrap() > 0 {
                send.send(text[start..].trim_end().to_owned()).unwrap_or(());
                start = text.len();
            }
            text
        });
        Running {
            child,
            out,
            err,
            lines,
            deadline: Instant::now() + self.patience,
            folder: self.folder,
        }
    }

    /// Runs it to its end.
    pub fn run(self) -> Done {
        self.start().wait()
    }
}

impl Running {
    /// Waits for a line of standard error that contains `text`; false when it ended before.
    pub fn says(&mut self, text: &str) -> bool {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return true,
                Ok(_) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return false,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => self.hangs(),
            }
        }
    }

    /// Sends it a signal: `INT` is Ctrl-C.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Done {
        self.child.kill().unwrap();
        self.wait()
    }

    /// To its end.
    pub fn wait(mut self) -> Done {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > self.deadline {
                self.hangs();
            }
            sleep(Duration::from_millis(5));
        };
        let done = Done {
            code: status.code().unwrap_or(-1),
            out: self.out.join().unwrap(),
            err: self.err.join().unwrap(),
            folder: self.folder,
        };
        assert!(!done.err.contains("panicked"), "{}", done.err);
        done
    }

    fn hangs(&mut self) -> ! {
        self.child.kill().unwrap();
        panic!("process {} hangs", self.child.id());
    }
}

impl Done {
    /// Exit code 0, or it shows what went wrong.
    pub fn ok(self) -> Done {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }

    /// A refusal: exit code 2 and an error in the first line (give `-q`). Gives its text, with
    /// the folders of this machine named `[DIR]` and `[SHARED]`.
    pub fn refusal(&self) -> String {
        assert_eq!(self.code, 2, "{}\n{}", self.out, self.err);
        let plain = self.err.trim_start_matches("\u{1b}[31m");
        assert!(plain.starts_with("error: "), "{}", self.err);
        self.filtered(&self.err)
    }

    /// [`Done::refusal`] with `[N]` for every number of four digits and more, and `[TEMPORARY]`
    /// for the names of temporary files.
    pub fn refusal_without_numbers(&self) -> String {
        let text = self.refusal();
        let mut filtered = String::new();
        for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            let (word, end) = match word.char_indices().last() {
                Some((at, c)) if !c.is_ascii_alphanumeric() => word.split_at(at),
                _ => (word, ""),
            };
            let long = word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_digit());
            filtered += match word {
                _ if long => "[N]",
                _ if word.starts_with("tmp-") => "[TEMPORARY]",
                _ => word,
            };
            filtered += end;
        }
        filtered
    }

    /// The text without this machine's folders.
    pub fn filtered(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let real = self.folder.canonicalize().unwrap();
        for folder in [real.as_path(), &self.folder] {
            text = text.replace(folder.to_str().unwrap(), "[DIR]");
        }
        let shared = shared::root();
        if let Ok(shared) = shared.canonicalize() {
            text = text.replace(shared.to_str().unwrap(), "[SHARED]");
        }
        text.replace(shared.to_str().unwrap(), "[SHARED]")
            .trim_end()
            .to_owned()
    }

    /// Standard output, which must be one JSON value and nothing else.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}
