//! Where there is no Unix terminal, there is no dashboard.

use std::convert::Infallible;
use std::io;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Never there.
pub(in super::super) struct Screen(Infallible);
/// Never there.
pub(in super::super) struct Keys(Infallible);

impl Screen {
    pub(in super::super) fn open(_colors: bool) -> io::Result<(Self, Keys)> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it needs a Unix terminal",
        ))
    }

    pub(in super::super) fn area(&self) -> io::Result<Rect> {
        match self.0 {}
    }

    pub(in super::super) fn show(&mut self, _next: Buffer) -> io::Result<()> {
        match self.0 {}
    }
}

impl Keys {
    pub(in super::super) fn wait(&mut self) -> Vec<u8> {
        match self.0 {}
    }
}
