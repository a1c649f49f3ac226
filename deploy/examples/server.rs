//! A server: an image file in the body of a POST, its prediction as JSON in the answer. Each core has a session, unless
//! `open` is asked for, and nobody waits longer than two seconds.
//!
//! `cargo run --release -p classifold --example server -- model.onnx 127.0.0.1:8080`
//! `curl --data-binary @bee.jpg http://127.0.0.1:8080`
#![allow(clippy::print_stdout, reason = "an app prints")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use classifold::{Classifier, Kind};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let classifier = match &args[1..] {
        [model, _] => Classifier::builder(model).for_server().open()?,
        [model, open, _] if open == "open" => Classifier::open(model)?,
        _ => return Err("usage: server MODEL [open] ADDRESS".into()),
    };
    let classifier = Arc::new(classifier);
    let listener = TcpListener::bind(&args[args.len() - 1])?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming().flatten() {
        let classifier = Arc::clone(&classifier);
        // A connection that breaks is the client's affair.
        std::thread::spawn(move || serve(&classifier, stream).ok());
    }
    Ok(())
}

fn serve(classifier: &Classifier, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut reader, mut length) = (BufReader::new(stream.try_clone()?), 0);
    for line in reader.by_ref().lines() {
        let line = line?.to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length.min(32 << 20)]; // At most 32 MB.
    reader.read_exact(&mut body)?;
    let answer = classifier.classify_timeout(body, Duration::from_secs(2));
    let (status, text) = match answer.as_ref().map_err(classifold::Error::kind) {
        Ok(prediction) => (200, format!("{{\"label\":{:?}}}", prediction.label)),
        Err(Kind::Image) => (400, "{\"error\":\"no image\"}".to_owned()),
        Err(Kind::Timeout) => (503, "{\"error\":\"busy\"}".to_owned()),
        Err(_) => (500, "{\"error\":\"internal\"}".to_owned()),
    };
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status} -\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
}
