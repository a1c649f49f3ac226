//! HTTP GET through the program `curl`.
//!
//! Every desktop system has `curl`, with the system's certificates and proxy settings. An HTTP client with
//! TLS as a library is 14 crates, which each user would compile for two downloads.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The answer of a server: status and headers; the body is what [`Read`] gives.
#[derive(Debug)]
pub struct Response {
    head: Head,
    body: BufReader<ChildStdout>,
    curl: Curl,
}

#[derive(Debug)]
struct Head {
    status: u16,
    status_text: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

/// Asks for `url`, with more `headers`; follows redirects. A connection that brings nothing for 60 seconds
/// is an error.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when `curl` is not installed; otherwise what `curl` says. A status such as
/// 404 is no error.
pub fn get(url: &str, headers: &[(&str, String)]) -> io::Result<Response> {
    let mut command = Command::new("curl");
    // `-q`: a user's `.curlrc` could add to the output, which is parsed here. `--globoff`: brackets
    // in a URL mean themselves.
    command
        .args(["-q", "--silent", "--show-error", "--location", "--globoff"])
        .args(["--include", "--suppress-connect-headers"])
        .args(["--proto", "=http,https", "--connect-timeout", "20"])
        .args(["--speed-limit", "1", "--speed-time", "60"])
        .args([
            "--user-agent",
            concat!("classifold/", env!("CARGO_PKG_VERSION")),
        ]);
    if ["http://127.0.0.1", "http://localhost"]
        .iter()
        .any(|local| url.starts_with(local))
    {
        // A mirror on this machine is not behind the environment's proxy.
        command.args(["--noproxy", "*"]);
    }
    for (name, value) in headers {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    command
        .args(["--url", url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A Ctrl-C is this program's to handle, not that of `curl`.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), "the program `curl` is not installed")
        }
        _ => error,
    })?;
    let mut curl = Curl(child);
    let stdout = curl
        .0
        .stdout
        .take()
        .expect("standard output is piped above");
    let mut body = BufReader::new(stdout);
    loop {
        let Some(head) = Head::read(&mut body)? else {
            let nothing = || invalid("the server answered nothing");
            return Err(curl.failure()?.unwrap_or_else(nothing));
        };
        // `--include` shows the heads of redirects and of `100 Continue` too.
        let is_followed = (300..400).contains(&head.status) && head.header("location").is_some();
        if head.status >= 200 && !is_followed {
            return Ok(Response { head, body, curl });
        }
    }
}

impl Head {
    /// Reads the status line and the headers up to the empty line; `None` at the end.
    fn read(from: &mut impl BufRead) -> io::Result<Option<Head>> {
        // `HTTP/1.1 404 Not Found`
        let Some(line) = read_line(from)? else {
            return Ok(None);
        };
        let status_text = line.split_once(' ').map_or("", |(_, status)| status.trim());
        let number = status_text.split(' ').next().unwrap_or_default();
        let status = number
            .parse()
            .map_err(|_| invalid("the server does not speak HTTP"))?;
        let mut headers = vec![];
        while let Some((name, value)) = read_line(from)?.as_deref().and_then(|l| l.split_once(':'))
        {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Some(Head {
            status,
            status_text: status_text.to_owned(),
            headers,
        }))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|header| header.0 == name);
        found.map(|header| header.1.as_str())
    }
}

/// A line without its end; bytes that are no UTF-8, which a header may have, are replaced.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = vec![];
    from.read_until(b'\n', &mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok((!bytes.is_empty()).then(|| text.trim_end().to_owned()))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl Response {
    /// The status, such as 404.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The status with its reason, such as `404 Not Found`.
    #[must_use]
    pub fn status_text(&self) -> &str {
        &self.head.status_text
    }

    /// The value of a header, whose name is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.body.read(buffer)? {
            0 if !buffer.is_empty() => self.curl.failure()?.map_or(Ok(0), Err),
            count => Ok(count),
        }
    }
}

/// The running program, which ends with its owner.
#[derive(Debug)]
struct Curl(Child);

impl Curl {
    /// Waits for the end, and gives what `curl` says where it failed.
    fn failure(&mut self) -> io::Result<Option<io::Error>> {
        let mut text = String::new();
        if let Some(stderr) = &mut self.0.stderr {
            stderr.read_to_string(&mut text)?;
        }
        let status = self.0.wait()?;
        // `curl: (6) Could not resolve host: example.org`
        let reason = text.trim().trim_start_matches("curl: ");
        Ok((!status.success()).then(|| io::Error::other(reason)))
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        // It has ended already, or nobody reads what it still brings.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    /// A server that gives these answers, one per connection; its address.
    fn serve(answers: Vec<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = BufReader::new(stream.try_clone().unwrap());
                while read_line(&mut request)
                    .unwrap()
                    .is_some_and(|line| !line.is_empty())
                {}
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        format!("http://{address}")
    }

    #[test]
    fn a_redirect_is_followed_and_the_last_head_counts() {
        let url = serve(vec![
            "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 3\r\nConnection: close\r\n\r\nold",
            "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnew",
        ]);
        let mut response = get(&url, &[]).unwrap();
        assert_eq!(response.status_text(), "200 OK");
        assert_eq!(response.header("etag"), Some("\"1\""));
        let mut body = String::new();
        response.read_to_string(&mut body).unwrap();
        assert_eq!(body, "new");
    }

    #[test]
    fn a_status_is_no_error_and_a_cut_body_is_one() {
        let url = serve(vec![
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 30\r\nConnection: close\r\n\r\nhalf",
        ]);
        assert_eq!(get(&url, &[]).unwrap().status(), 404);
        let mut response = get(&url, &[]).unwrap();
        let error = response.read_to_end(&mut vec![]).unwrap_err();
        assert!(error.to_string().starts_with("(18)"), "{error}");
    }

    #[test]
    fn what_curl_says_is_the_error() {
        // Nothing listens on the port of a listener that is gone.
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let error = get(&format!("http://127.0.0.1:{port}"), &[]).unwrap_err();
        assert!(error.to_string().starts_with("(7)"), "{error}");
        assert!(get("file:///etc/passwd", &[]).is_err());
    }
}
