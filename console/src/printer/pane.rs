//! Log pane: lines of the log that wait while a screen, such as a dashboard, covers the terminal.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Log(String),
    Warning(String),
}

impl Line {
    /// Without colours.
    pub(super) fn text(&self) -> String {
        match self {
            Line::Log(text) => text.clone(),
            Line::Warning(text) => format!("warning: {text}"),
        }
    }
}

/// The lines, while there is a screen.
#[derive(Default)]
pub(super) struct Pane(Mutex<Option<Cover>>);

struct Cover {
    lines: Vec<Line>,
    uncover: Box<dyn FnOnce() + Send>,
}

impl Pane {
    pub(super) fn begin(&self, uncover: Box<dyn FnOnce() + Send>) {
        let lines = vec![];
        *self.lock() = Some(Cover { lines, uncover });
    }

    /// Keeps a line; returns it where there is no screen.
    pub(super) fn keep(&self, line: Line) -> Option<Line> {
        match self.lock().as_mut() {
            Some(cover) => {
                cover.lines.push(line);
                None
            }
            None => Some(line),
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let cover = self.lock();
        let lines = cover.iter().flat_map(|cover| &cover.lines);
        lines.map(Line::text).collect()
    }

    /// Takes the screen away, and returns the lines that were on it.
    pub(super) fn end(&self) -> Vec<Line> {
        let Some(cover) = self.lock().take() else {
            return vec![];
        };
        (cover.uncover)();
        cover.lines
    }

    fn lock(&self) -> MutexGuard<'_, Option<Cover>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pane {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.lines()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn lines_wait_for_the_end_of_the_pane_and_come_once() {
        let pane = Pane::default();
        let line = |text: &str| Line::Log(text.into());
        assert_eq!(pane.keep(line("before")), Some(line("before")));
        let uncovered = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&uncovered);
        pane.begin(Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        assert_eq!(pane.keep(line("a")), None);
        assert_eq!(pane.keep(Line::Warning("b".into())), None);
        assert_eq!(pane.lines(), ["a", "warning: b"]);
        assert_eq!(pane.end(), [line("a"), Line::Warning("b".into())]);
        assert!(pane.end().is_empty());
        assert_eq!(uncovered.load(Ordering::Relaxed), 1);
        assert_eq!(pane.keep(line("after")), Some(line("after")));
    }
}
