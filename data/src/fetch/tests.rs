//! Fetching from a small HTTP server on this machine that misbehaves on request.

use super::archive::{Bounds, unpack};
use super::{FetchOptions, Source, hymenoptera, recorded_sha256};
use crate::Error;
use fs_err as fs;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use zip::write::SimpleFileOptions;

/// What the server does with one request.
#[derive(Clone, Debug)]
enum Act {
    /// The file from where it is asked for, with its tag.
    Serve(Vec<u8>, &'static str),
    /// As `Serve`, but the connection ends after so many bytes.
    Cut(Vec<u8>, usize),
    /// The whole file, whatever range is asked for.
    Whole(Vec<u8>),
    Status(&'static str),
}

/// A server that takes its acts one by one, the last one for ever.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(acts: Vec<Act>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        thread::spawn(move || {
            for (i, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let request = read_head(&mut stream);
                seen.lock().unwrap().push(request.clone());
                // A client may leave early.
                let _ = answer(&mut stream, &request, &acts[i.min(acts.len() - 1)]);
            }
        });
        Server { url, requests }
    }

    /// The `Range` of every request so far.
    fn ranges(&self) -> Vec<Option<String>> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|head| field(head, "range"))
            .collect()
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

fn answer(stream: &mut TcpStream, request: &str, act: &Act) -> std::io::Result<()> {
    let (bytes, tag, cut) = match act {
        Act::Status(status) => {
            return write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Act::Whole(bytes) => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n",
                bytes.len()
            )?;
            write!(stream, "Connection: close\r\n\r\n")?;
            return stream.write_all(bytes);
        }
        Act::Serve(bytes, tag) => (bytes, *tag, usize::MAX),
        Act::Cut(bytes, cut) => (bytes, "\"v1\"", *cut),
    };
    let same = field(request, "if-range").is_none_or(|asked| asked == tag);
    let range = field(request, "range").filter(|_| same);
    let start = range.map(|r| {
        r["bytes=".len()..]
            .trim_end_matches('-')
            .parse::<usize>()
            .unwrap()
    });
    match start {
        Some(start) => write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{}\r\n",
            bytes.len() - 1,
            bytes.len()
        )?,
        None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
    }
    let rest = &bytes[start.unwrap_or(0)..];
    write!(
        stream,
        "ETag: {tag}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        rest.len()
    )?;
    stream.write_all(&rest[..rest.len().min(cut)])
}

/// Bytes that do not repeat.
fn content(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(length)
        .collect()
}

fn hash(bytes: &[u8]) -> String {
    crate::hash::hex(&Sha256::digest(bytes))
}

fn resnet18(options: &FetchOptions<'_>) -> crate::Result<PathBuf> {
    let target = options.cache.join("weights/resnet18-v1-7.onnx");
    let source = Source {
        url: "https://example.org/resnet18-v1-7.onnx",
        name: "resnet18-v1-7.onnx",
        sha256: Some("00"),
    };
    super::file(&source, &target, options)?;
    Ok(target)
}

/// Fetches "ResNet18" of this content from somewhere.
fn weights(cache: &Path, from: &str, expected: &[u8]) -> crate::Result<PathBuf> {
    resnet18(&FetchOptions {
        cache: cache.into(),
        from: Some(from.into()),
        sha256: Some(hash(expected)),
        progress: &|_, _| {},
    })
}

fn photos(cache: &Path, from: &str) -> crate::Result<PathBuf> {
    let from = Some(from.to_owned());
    hymenoptera(&FetchOptions {
        cache: cache.into(),
        from,
        sha256: None,
        progress: &|_, _| {},
    })
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_arrives_whole_with_progress_and_is_not_fetched_twice() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(300_000);
    let server = Server::start(vec![Act::Serve(bytes.clone(), "\"v1\"")]);
    let last = Cell::new((0, None));
    let mut options = FetchOptions {
        cache: cache.path().into(),
        from: Some(server.url.clone()),
        sha256: Some(hash(&bytes).to_uppercase()),
        progress: &|done, total| {
            assert!(done >= last.get().0);
            last.set((done, total));
        },
    };
    let path = resnet18(&options).unwrap();
    assert_eq!(path, cache.path().join("weights/resnet18-v1-7.onnx"));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(last.get(), (300_000, Some(300_000)));
    assert_eq!(names(&cache.path().join("weights")), ["resnet18-v1-7.onnx"]);

    options.from = None;
    assert_eq!(resnet18(&options).unwrap(), path);
    assert_eq!(server.ranges().len(), 1);
    // A file that has changed since is not taken.
    fs::write(&path, "other").unwrap();
    assert!(matches!(resnet18(&options), Err(Error::Checksum { .. })));
}

#[test]
fn a_cut_connection_is_resumed() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(100_000);
    let server = Server::start(vec![
        Act::Cut(bytes.clone(), 40_000),
        Act::Serve(bytes.clone(), "\"v1\""),
    ]);
    let path = weights(cache.path(), &server.url, &bytes).unwrap();
    assert_eq!(fs::read(path).unwrap(), bytes);
    assert_eq!(server.ranges(), [None, Some("bytes=40000-".into())]);
    assert_eq!(
        field(&server.requests.lock().unwrap()[1], "if-range").unwrap(),
        "\"v1\""
    );
}

#[test]
fn what_an_earlier_call_left_is_resumed() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(100_000);
    let mut acts = vec![Act::Cut(bytes.clone(), 10_000); 4];
    acts.push(Act::Serve(bytes.clone(), "\"v1\""));
    let server = Server::start(acts);
    let error = weights(cache.path(), &server.url, &bytes).unwrap_err();
    assert!(error.to_string().contains("40000 of 100000") || error.to_string().contains("cut"));
    assert!(error.hint().unwrap().contains("run the command again"));
    let path = weights(cache.path(), &server.url, &bytes).unwrap();
    assert_eq!(fs::read(path).unwrap(), bytes);
    assert_eq!(server.ranges()[4], Some("bytes=40000-".into()));
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(100_000);
    let server = Server::start(vec![
        Act::Cut(bytes.clone(), 40_000),
        Act::Whole(bytes.clone()),
    ]);
    let path = weights(cache.path(), &server.url, &bytes).unwrap();
    assert_eq!(fs::read(path).unwrap(), bytes);
    assert_eq!(server.ranges().len(), 2);
}

#[test]
fn a_file_that_changed_on_the_server_starts_anew() {
    let (old, new) = (vec![7; 100_000], content(90_000));
    // With another tag the server sends all of it at once.
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(vec![
        Act::Cut(old.clone(), 40_000),
        Act::Serve(new.clone(), "\"v2\""),
    ]);
    let path = weights(cache.path(), &server.url, &new).unwrap();
    assert_eq!(fs::read(path).unwrap(), new);
    // With the same tag the hash tells: nothing of the mixture is left for the next call.
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(vec![
        Act::Cut(old, 40_000),
        Act::Serve(new.clone(), "\"v1\""),
    ]);
    let mixed = weights(cache.path(), &server.url, &new);
    assert!(matches!(mixed, Err(Error::Checksum { .. })));
    assert!(names(&cache.path().join("weights")).is_empty());
    let path = weights(cache.path(), &server.url, &new).unwrap();
    assert_eq!(fs::read(path).unwrap(), new);
}

#[test]
fn refusals_are_named_and_leave_nothing() {
    let bytes = content(5000);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4e8f\nsize 46820737\n";
    let cases = [
        (Act::Serve(content(5001), "\"v1\""), "SHA-256 differs", 1),
        (
            Act::Serve(pointer.to_vec(), "\"v1\""),
            "is a git-LFS pointer",
            1,
        ),
        (
            Act::Status("404 Not Found"),
            "the server answered 404 Not Found",
            1,
        ),
        (
            Act::Status("503 Service Unavailable"),
            "the server answered 503",
            4,
        ),
    ];
    for (act, expected, requests) in cases {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::start(vec![act]);
        let error = weights(cache.path(), &server.url, &bytes).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(server.ranges().len(), requests, "{expected}");
        assert!(!cache.path().join("weights/resnet18-v1-7.onnx").exists());
        let folder = cache.path().join("weights");
        let bytes_left = |name: &String| fs::metadata(folder.join(name)).unwrap().len();
        assert_eq!(
            names(&folder).iter().map(bytes_left).sum::<u64>(),
            0,
            "{expected}"
        );
    }
}

#[test]
fn a_busy_server_is_asked_again() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(5000);
    let busy = Act::Status("503 Service Unavailable");
    let server = Server::start(vec![
        busy.clone(),
        busy,
        Act::Serve(bytes.clone(), "\"v1\""),
    ]);
    assert!(weights(cache.path(), &server.url, &bytes).is_ok());
    // A mirror's folder: the file's name is added.
    let folder = server.url.replace("/file", "/mirror/");
    assert!(weights(cache.path(), &folder, &bytes).is_ok());
    let requests = server.requests.lock().unwrap();
    assert!(
        requests[3].starts_with("GET /mirror/resnet18-v1-7.onnx "),
        "{}",
        requests[3]
    );
}

#[test]
fn files_and_folders_on_disk_are_copied_and_checked() {
    let cache = tempfile::tempdir().unwrap();
    let disk = tempfile::tempdir().unwrap();
    let bytes = content(5000);
    let file = disk.path().join("resnet18-v1-7.onnx");
    fs::write(&file, &bytes).unwrap();
    for from in [file.as_path(), disk.path()] {
        let path = weights(cache.path(), from.to_str().unwrap(), &bytes).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
        fs::remove_file(path).unwrap();
    }
    let error = weights(cache.path(), file.to_str().unwrap(), b"other").unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }));
    assert!(names(&cache.path().join("weights")).is_empty());
    let error = weights(cache.path(), "no/such/file", &bytes).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there is no file `no/such/file`"),
        "{error}"
    );
    let bad = FetchOptions {
        cache: cache.path().into(),
        from: None,
        sha256: Some("12".into()),
        progress: &|_, _| {},
    };
    assert!(
        resnet18(&bad)
            .unwrap_err()
            .to_string()
            .contains("64 hexadecimal digits")
    );
}

/// A zip file of these entries.
fn zip_of(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn photo_zip(salt: u8) -> Vec<u8> {
    zip_of(&[
        ("hymenoptera_data/train/ants/a.jpg", vec![salt; 10]),
        ("hymenoptera_data/val/bees/b.jpg", content(2000)),
    ])
}

#[test]
fn photos_are_unpacked_and_their_hash_recorded_and_held_to() {
    let cache = tempfile::tempdir().unwrap();
    let zip = photo_zip(1);
    let server = Server::start(vec![
        Act::Serve(zip.clone(), "\"v1\""),
        Act::Serve(photo_zip(2), "\"v2\""),
    ]);
    let folder = photos(cache.path(), &server.url).unwrap();
    assert_eq!(folder, cache.path().join("datasets/hymenoptera"));
    assert_eq!(fs::read(folder.join("train/ants/a.jpg")).unwrap(), [1; 10]);
    let record = cache.path().join("datasets/hymenoptera_data.zip");
    assert_eq!(recorded_sha256(&record).unwrap().unwrap(), hash(&zip));
    let text = fs::read_to_string(cache.path().join("datasets/hymenoptera_data.zip.sha256"));
    assert_eq!(
        text.unwrap(),
        format!("{}  hymenoptera_data.zip\n", hash(&zip))
    );
    assert_eq!(
        names(&cache.path().join("datasets")),
        ["hymenoptera", "hymenoptera_data.zip.sha256"]
    );

    // There already: nothing is fetched.
    assert_eq!(photos(cache.path(), &server.url).unwrap(), folder);
    assert_eq!(server.ranges().len(), 1);
    fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(
        photos(cache.path(), &server.url),
        Err(Error::Checksum { .. })
    ));
    assert!(!folder.exists());
}

#[test]
fn an_archive_is_unpacked_into_a_folder_with_its_folders() {
    let disk = tempfile::tempdir().unwrap();
    let zip = disk.path().join("wheel.zip");
    let files = [("a/one.txt", vec![1; 3]), ("two.txt", vec![2; 5])];
    fs::write(&zip, zip_of(&files)).unwrap();
    let folder = disk.path().join("unpacked");
    fs::create_dir(&folder).unwrap();
    super::unpack(&zip, &folder).unwrap();
    for (name, content) in files {
        assert_eq!(fs::read(folder.join(name)).unwrap(), content);
    }
}

#[test]
fn an_unpacked_folder_is_copied() {
    let disk = tempfile::tempdir().unwrap();
    fs::create_dir_all(disk.path().join("hymenoptera_data/train/ants")).unwrap();
    fs::write(disk.path().join("hymenoptera_data/train/ants/a.jpg"), "a").unwrap();
    for from in [
        disk.path().to_path_buf(),
        disk.path().join("hymenoptera_data"),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let folder = photos(cache.path(), from.to_str().unwrap()).unwrap();
        assert_eq!(fs::read(folder.join("train/ants/a.jpg")).unwrap(), b"a");
        assert_eq!(names(&cache.path().join("datasets")), ["hymenoptera"]);
    }
}

#[test]
fn archives_that_lead_out_or_blow_up_are_refused() {
    let train = |n: usize| ("train/ants/a.jpg", content(n));
    let small = Bounds {
        max_entries: 3,
        max_bytes: 100_000,
        max_ratio: 100,
    };
    let mut link = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    link.add_symlink("train", "/etc", SimpleFileOptions::default())
        .unwrap();
    let cases = [
        (
            zip_of(&[train(9), ("../evil.txt", vec![1])]),
            "`../evil.txt` leads out",
        ),
        (
            zip_of(&[train(9), ("train/../../evil.txt", vec![1])]),
            "leads out of the archive",
        ),
        (
            zip_of(&[train(9), ("/evil.txt", vec![1])]),
            "`/evil.txt` leads out",
        ),
        (link.finish().unwrap().into_inner(), "`train` leads out"),
        (
            zip_of(&[train(9), ("bomb", vec![0; 90_000])]),
            "`bomb` unpacks to more",
        ),
        (
            zip_of(&[train(60_000), ("more", content(60_000))]),
            "`more` unpacks to more",
        ),
        (
            zip_of(&[train(9), ("b", vec![]), ("c", vec![]), ("d", vec![])]),
            "4 entries are more",
        ),
        (zip_of(&[("ants/a.jpg", content(9))]), "no `train/` folder"),
        (content(3000), "not a zip file"),
        (photo_zip(1)[..200].to_vec(), "not a zip file"),
    ];
    for (bytes, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let zip = inner.join("a.zip");
        fs::write(&zip, bytes).unwrap();
        let error = unpack(&zip, &inner.join("out"), &small).expect_err(expected);
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert_eq!(names(&inner), ["a.zip"], "{expected}");
        assert_eq!(names(folder.path()), ["inner"], "{expected}");
    }
}
