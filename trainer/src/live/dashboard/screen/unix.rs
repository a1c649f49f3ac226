//! A Unix terminal by ECMA-48 sequences on standard error, which even old ones and `tmux` know.
//!
//! `crossterm`, the usual terminal under `ratatui`, is seven crates more for what these lines do. Keys come without a line feed and without an echo; signals such as Ctrl-C stay signals,
//! but the one that suspends is off: it would leave the other screen behind.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use fs_err::File;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr,
};

/// Enter the other screen and hide the cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";
const CLEAR: &str = "\x1b[2J";

/// Between two pictures.
const PAUSE: Duration = Duration::from_millis(200);

/// The other screen of the terminal; dropping it gives the terminal back.
pub(in super::super) struct Screen {
    tty: File,
    before: Termios,
    colors: bool,
    shown: Buffer,
}

/// Keys, as bytes.
pub(in super::super) struct Keys(File);

impl Screen {
    /// Takes the terminal that this process is in the foreground of.
    pub(in super::super) fn open(colors: bool) -> io::Result<(Self, Keys)> {
        let tty = File::open("/dev/tty")?;
        if tcgetpgrp(&tty)? != rustix::process::getpgrp() {
            return Err(io::Error::other("the process is in the background"));
        }
        let before = tcgetattr(&tty)?;
        let mut raw = before.clone();
        raw.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        // `_POSIX_VDISABLE` of Linux and the BSDs.
        raw.special_codes[SpecialCodeIndex::VSUSP] =
            if cfg!(target_os = "linux") { 0 } else { 0xff };
        // Before the terminal is another: nothing gives it back when this fails.
        let keys = Keys(File::open("/dev/tty")?);
        tcsetattr(&tty, OptionalActions::Now, &raw)?;
        let screen = Screen {
            tty,
            before,
            colors,
            shown: Buffer::empty(Rect::ZERO),
        };
        write(ENTER)?;
        Ok((screen, keys))
    }

    /// All of it, now.
    pub(in super::super) fn area(&self) -> io::Result<Rect> {
        let size = tcgetwinsize(&self.tty)?;
        // Serial lines and some programs that play a terminal do not say.
        let or = |found, usual| if found == 0 { usual } else { found };
        Ok(Rect::new(0, 0, or(size.ws_col, 80), or(size.ws_row, 24)))
    }

    /// Draws what is not there yet; everything in a window of another size.
    pub(in super::super) fn show(&mut self, next: Buffer) -> io::Result<()> {
        let mut text = String::new();
        if next.area != self.shown.area {
            self.shown = Buffer::empty(next.area);
            text += CLEAR;
        }
        paint(&self.shown.diff(&next), self.colors, &mut text);
        self.shown = next;
        write(&text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that went away needs nothing.
        write(LEAVE).unwrap_or_default();
        tcsetattr(&self.tty, OptionalActions::Now, &self.before).unwrap_or_default();
    }
}

impl Keys {
    /// Keys pressed until the next picture is due.
    pub(in super::super) fn wait(&mut self) -> Vec<u8> {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        let pause = Timespec::try_from(PAUSE).ok();
        let pressed = matches!(poll(&mut fds, pause.as_ref()), Ok(1..));
        let mut keys = [0; 32];
        match self.0.read(&mut keys) {
            Ok(count) if pressed && count > 0 => keys[..count].to_vec(),
            // Ready and yet nothing to read: the terminal is gone.
            _ if pressed => {
                thread::sleep(PAUSE);
                vec![]
            }
            _ => vec![],
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stderr().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The sequences that draw these cells.
fn paint(cells: &[(u16, u16, &Cell)], colors: bool, text: &mut String) {
    let mut style = (Color::Reset, Color::Reset, Modifier::empty());
    let mut after = None;
    for &(x, y, cell) in cells {
        if after != Some((x, y)) {
            // Writing to a string cannot fail.
            write!(text, "\x1b[{};{}H", y + 1, x + 1).unwrap_or_default();
        }
        after = Some((x + 1, y));
        let wanted = (cell.fg, cell.bg, cell.modifier);
        if wanted != style {
            style = wanted;
            *text += &sequence(cell, colors);
        }
        *text += cell.symbol();
    }
    if style != (Color::Reset, Color::Reset, Modifier::empty()) {
        *text += "\x1b[0m";
    }
}

/// Select graphic rendition: from nothing to a cell's style.
fn sequence(cell: &Cell, colors: bool) -> String {
    let mut codes = vec!["0".to_string()];
    let modifiers = [
        (Modifier::BOLD, "1"),
        (Modifier::DIM, "2"),
        (Modifier::ITALIC, "3"),
        (Modifier::UNDERLINED, "4"),
        (Modifier::REVERSED, "7"),
    ];
    for (modifier, code) in modifiers {
        if cell.modifier.contains(modifier) {
            codes.push(code.into());
        }
    }
    if colors {
        codes.extend(code(cell.fg, 30));
        codes.extend(code(cell.bg, 40));
    }
    format!("\x1b[{}m", codes.join(";"))
}

/// The eight colours that every terminal has; others are left to it.
fn code(color: Color, base: u8) -> Option<String> {
    let number = match color {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray | Color::White => 7,
        _ => return None,
    };
    Some((base + number).to_string())
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn cells_beside_each_other_need_one_move_and_one_style() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 2));
        buffer.set_string(1, 0, "ab", Style::new().fg(Color::Blue));
        buffer.set_string(0, 1, "c", Modifier::BOLD);
        let blank = Buffer::empty(buffer.area);
        let painted = |colors| {
            let mut text = String::new();
            paint(&blank.diff(&buffer), colors, &mut text);
            text
        };
        assert_eq!(
            painted(true),
            "\x1b[1;2H\x1b[0;34mab\x1b[2;1H\x1b[0;1mc\x1b[0m"
        );
        assert_eq!(
            painted(false),
            "\x1b[1;2H\x1b[0mab\x1b[2;1H\x1b[0;1mc\x1b[0m"
        );
    }
}
