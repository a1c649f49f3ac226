//! Mutation: hostile inputs from well-formed ones, without knowledge of coverage.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// Numbers where readers break: zero, one, the ends of integer types, and sizes too large to allocate.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
];

/// A hostile input: one of the `seeds` with one to eight changes, or in one of 50 cases random bytes.
pub fn mutate(seeds: &[Vec<u8>], words: &[&str], rng: &mut ChaCha8Rng) -> Vec<u8> {
    if seeds.is_empty() || rng.random_ratio(1, 50) {
        let len = rng.random_range(0..512);
        return (0..len).map(|_| rng.random()).collect();
    }
    let mut bytes = pick(seeds, rng).clone();
    for _ in 0..1 << rng.random_range(0..4) {
        change(&mut bytes, seeds, words, rng);
    }
    // A wrong checksum ends the reading of a chunk: only with the right one is its content read.
    if bytes.starts_with(PNG) && rng.random_ratio(3, 4) {
        repair_png(&mut bytes);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str], rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(0..bytes.len());
    let range = at..at + rng.random_range(0..=(bytes.len() - at).min(64));
    match rng.random_range(0..10) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => write_number(&mut bytes[at..], rng),
        3 => drop(bytes.drain(range)),
        4 => {
            let copy = bytes[range].to_vec();
            insert(bytes, &copy, rng);
        }
        5 => bytes.truncate(at),
        6 => {
            let other = pick(seeds, rng);
            if !other.is_empty() {
                let from = rng.random_range(0..other.len());
                let len = rng.random_range(0..=(other.len() - from).min(256));
                insert(bytes, &other[from..from + len], rng);
            }
        }
        7 if !words.is_empty() => insert(bytes, pick(words, rng).as_bytes(), rng),
        8 => replace_digits(bytes, at, rng),
        _ => bytes[range].fill(rng.random()),
    }
}

/// Overwrites 1, 2, 4 or 8 bytes with a number, in either byte order.
fn write_number(bytes: &mut [u8], rng: &mut ChaCha8Rng) {
    let number = *pick(&NUMBERS, rng);
    let len = (1 << rng.random_range(0..4)).min(bytes.len());
    let little = number.to_le_bytes();
    let big = number.to_be_bytes();
    let encoded = if rng.random() {
        &little[..len]
    } else {
        &big[8 - len..]
    };
    bytes[..len].copy_from_slice(encoded);
}

/// Replaces the first run of decimal digits from `at` on, in texts.
fn replace_digits(bytes: &mut Vec<u8>, at: usize, rng: &mut ChaCha8Rng) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let start = at + start;
    let len = bytes[start..].iter().take_while(|b| b.is_ascii_digit());
    let end = start + len.count();
    let number = pick(&NUMBERS, rng).to_string();
    let text = *pick(
        &[&number, "-1", "1e308", "nan", "inf", "0.0000001", ""],
        rng,
    );
    bytes.splice(start..end, text.bytes());
}

fn insert(bytes: &mut Vec<u8>, part: &[u8], rng: &mut ChaCha8Rng) {
    // Repeated insertions must not make inputs that are slow only because they are long.
    if bytes.len() < 1 << 20 {
        let at = rng.random_range(0..=bytes.len());
        bytes.splice(at..at, part.iter().copied());
    }
}

fn pick<'a, T>(items: &'a [T], rng: &mut ChaCha8Rng) -> &'a T {
    &items[rng.random_range(0..items.len())]
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Makes the checksums of all chunks right.
fn repair_png(bytes: &mut [u8]) {
    let mut rest = &mut bytes[PNG.len()..];
    // A chunk: length of the content, name, content, CRC-32 of name and content.
    while let Some((length, after)) = rest.split_first_chunk_mut::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((content, after)) = after.split_at_mut_checked(length.saturating_add(4)) else {
            return;
        };
        let Some((crc, after)) = after.split_first_chunk_mut::<4>() else {
            return;
        };
        *crc = crc32fast::hash(content).to_be_bytes();
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let seeds = [b"resize=32,normalize=imagenet".to_vec(), vec![0; 40]];
        let inputs = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let make = |_| mutate(&seeds, &["crop"], &mut rng);
            (0..500).map(make).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }

    #[test]
    fn a_changed_png_gets_the_right_checksums() {
        let mut png = std::io::Cursor::new(Vec::new());
        let image = image::RgbImage::new(3, 2);
        image.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let whole = png.into_inner();
        let mut damaged = whole.clone();
        // The CRC of IHDR: 8 bytes of signature, 8 of length and name, 13 of content.
        damaged[29] ^= 1;
        repair_png(&mut damaged);
        assert_eq!(damaged, whole);
    }
}
