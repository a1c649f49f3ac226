//! Records of an event file: messages of TensorFlow's `event.proto` and `summary.proto`, derived
//! by hand, in the frames of a TFRecord file (`tensorflow/core/lib/io/record_writer.h`).

use prost::{Message, Oneof};

/// `tensorflow.Event`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

/// What an event says.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum What {
    /// The first event of every file.
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// Of a oneof, so that zero is written too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// `tensorflow.SessionLog`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionLog {
    /// 1 is `START`: readers forget events of this and later steps.
    #[prost(int32, tag = "1")]
    status: i32,
}

impl Event {
    pub(super) fn new(wall_time: f64, step: usize, what: What) -> Self {
        Self {
            wall_time,
            step: step as i64,
            what: Some(what),
        }
    }
}

impl What {
    pub(super) fn scalars(scalars: &[(&str, f64)]) -> Self {
        let value = scalars.iter().map(|&(tag, value)| Value {
            tag: tag.into(),
            simple_value: Some(value as f32),
        });
        Self::Summary(Summary {
            value: value.collect(),
        })
    }

    pub(super) fn restart() -> Self {
        Self::SessionLog(SessionLog { status: 1 })
    }
}

/// An event in its frame: length, its checksum, the event, its checksum.
pub(super) fn framed(event: &Event) -> Vec<u8> {
    let bytes = event.encode_to_vec();
    let length = (bytes.len() as u64).to_le_bytes();
    let sum = |bytes: &[u8]| masked(crc32c::crc32c(bytes)).to_le_bytes();
    [&length[..], &sum(&length), &bytes, &sum(&bytes)].concat()
}

/// `tensorflow/core/lib/hash/crc32c.h`: a checksum of data that holds checksums is masked.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_castagnoli_s() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }

    /// As TensorBoard 2.21's own `RecordWriter` writes it.
    #[test]
    fn a_frame_is_that_of_tensorboard() {
        let event = Event::new(1.5, 7, What::scalars(&[("loss/val", 0.25)]));
        let expected =
            b"\x1e\0\0\0\0\0\0\0\xd9\xdc\x122\t\0\0\0\0\0\0\xf8?\x10\x07*\x11\n\x0f\n\x08loss/val\
                         \x15\0\0\x80>E\xf7V\xe7";
        assert_eq!(framed(&event), expected);
    }

    #[test]
    fn a_scalar_of_zero_is_written() {
        let What::Summary(summary) = What::scalars(&[("loss", 0.0)]) else {
            panic!("a summary");
        };
        let bytes = summary.encode_to_vec();
        assert_eq!(bytes, b"\x0a\x0b\x0a\x04loss\x15\0\0\0\0");
    }
}
