//! Dashboard (`--ui dashboard`): a full screen that a thread of its own draws.
//!
//! `ratatui` lays out and draws the widgets; Burn's dashboard belongs to its `burn-train`, whose
//! training loop is not ours. While the screen is there, the printer keeps its lines for the pane
//! on it, and prints them when the terminal is given back: at the end, by a panic of any thread,
//! and by the second Ctrl-C.

mod screen;
mod state;
mod view;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use console::Printer;
use ratatui::buffer::Buffer;

use super::RunInfo;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::train::{Ended, EpochRow, Observer, StepReport};
use screen::{Keys, Screen};
use state::DashboardState;

type Hook = dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync;

/// The dashboard; the terminal is given back when it is dropped.
pub(super) struct Dashboard {
    state: Arc<Mutex<DashboardState>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    printer: Printer,
    hook: Arc<Hook>,
}

impl Dashboard {
    /// Takes the terminal.
    pub(super) fn open(
        info: &RunInfo,
        printer: &Printer,
        interrupt: &Interrupt,
    ) -> io::Result<Self> {
        let (screen, keys) = Screen::open(printer.has_colors())?;
        let screen = Arc::new(Mutex::new(Some(screen)));
        let covered = Arc::clone(&screen);
        printer.begin_pane(Box::new(move || drop(lock(&covered).take())));
        let state = Arc::new(Mutex::new(DashboardState::new(info)));
        let over = Arc::new(AtomicBool::new(false));
        let drawing = Drawing {
            state: Arc::clone(&state),
            screen,
            printer: printer.clone(),
            over: Arc::clone(&over),
            interrupt: interrupt.clone(),
        };
        let hook: Arc<Hook> = Arc::from(std::panic::take_hook());
        let (inner, of_panic) = (Arc::clone(&hook), printer.clone());
        std::panic::set_hook(Box::new(move |info| {
            of_panic.end_pane();
            inner(info);
        }));
        let mut dashboard = Dashboard {
            state,
            over,
            thread: None,
            printer: printer.clone(),
            hook,
        };
        // Once in this thread, so that a terminal that cannot be drawn on is an error of `open`.
        drawing.draw()?;
        let builder = thread::Builder::new().name("dashboard".into());
        dashboard.thread = Some(builder.spawn(move || drawing.run_until_over(keys))?);
        Ok(dashboard)
    }
}

impl Observer for Dashboard {
    fn epoch_started(&mut self, epoch: usize, _epochs: usize) {
        lock(&self.state).epoch_started(epoch);
    }

    fn step(&mut self, report: &StepReport) {
        lock(&self.state).step(report);
    }

    fn epoch_done(&mut self, row: &EpochRow, new_best: bool) {
        lock(&self.state).epoch_done(row, new_best);
    }

    fn ended(&mut self, _how: Result<Ended, &Error>) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has given the terminal back already.
            thread.join().unwrap_or_default();
        }
        self.printer.end_pane();
        // A hook cannot be set while panicking.
        if !thread::panicking() {
            let hook = Arc::clone(&self.hook);
            std::panic::set_hook(Box::new(move |info| hook(info)));
        }
    }
}

/// State of the drawing thread.
struct Drawing {
    state: Arc<Mutex<DashboardState>>,
    screen: Arc<Mutex<Option<Screen>>>,
    printer: Printer,
    over: Arc<AtomicBool>,
    interrupt: Interrupt,
}

impl Drawing {
    /// Draws until training is over or the screen is gone; waits for keys in between.
    fn run_until_over(self, mut keys: Keys) {
        while !self.over.load(Ordering::Relaxed) {
            // A terminal that went away does not end the training.
            if !self.draw().unwrap_or(true) {
                return;
            }
            if keys.wait().contains(&b'q') && !self.interrupt.request() {
                let text = "stopping: saving after this step (Ctrl-C: at once)";
                self.printer.answer(text);
            }
        }
    }

    /// Draws once; false where there is no screen any more. It is locked for no longer than it takes
    /// to write, so that a panic while the state is drawn can take it.
    fn draw(&self) -> io::Result<bool> {
        let Some(area) = lock(&self.screen).as_ref().map(Screen::area) else {
            return Ok(false);
        };
        let mut buffer = Buffer::empty(area?);
        let state = lock(&self.state).clone();
        let lines = self.printer.pane_lines();
        let stopping = self.interrupt.is_requested();
        view::draw(&state, &lines, stopping, &mut buffer);
        match lock(&self.screen).as_mut() {
            Some(screen) => screen.show(buffer).map(|()| true),
            None => Ok(false),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
