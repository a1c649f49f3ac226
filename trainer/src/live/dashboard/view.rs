//! Dashboard drawn into a buffer of characters. It knows no terminal.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph, Widget, Wrap};

use super::state::DashboardState;
use crate::train::EpochRow;

/// Blue and yellow are told apart by all eyes; where there are no colours, lines and dots are.
/// The light blue, since the plain one is too dark on black.
const TRAIN: Color = Color::LightBlue;
const VAL: Color = Color::Yellow;

/// Below these, a chart is left out for the rest.
const LEAST_CHART_HEIGHT: u16 = 8;
const LEAST_CHART_WIDTH: u16 = 34;
/// Below this, each line of text takes two.
const WIDE: u16 = 64;

pub(super) fn draw(state: &DashboardState, lines: &[String], stopping: bool, buffer: &mut Buffer) {
    let area = buffer.area;
    let pane = (area.height / 4).clamp(3, 10);
    let [head_height, facts_height] = match area.width < WIDE {
        true => [2, 4],
        false => [1, 2],
    };
    let [head, bar, charts, facts, log, foot] = Layout::vertical([
        Constraint::Length(head_height),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(facts_height),
        Constraint::Length(pane),
        Constraint::Length(1),
    ])
    .areas(area);
    Paragraph::new(heading(state))
        .wrap(Wrap { trim: true })
        .render(head, buffer);
    progress(state, bar, buffer);
    if charts.height >= LEAST_CHART_HEIGHT {
        draw_charts(state, charts, buffer);
    }
    Paragraph::new(facts_text(state))
        .wrap(Wrap { trim: true })
        .render(facts, buffer);
    let block = Block::bordered().title(" log ");
    let inner = block.inner(log);
    block.render(log, buffer);
    let first = lines.len().saturating_sub(inner.height.into());
    let newest = lines[first..].iter().map(|line| Line::raw(line.as_str()));
    Paragraph::new(newest.collect::<Vec<_>>()).render(inner, buffer);
    let keys = if stopping {
        "stopping: saving after this step (Ctrl-C: at once)"
    } else {
        "q or Ctrl-C: save and stop"
    };
    Paragraph::new(Line::styled(keys, Modifier::DIM)).render(foot, buffer);
}

fn heading(state: &DashboardState) -> Line<'static> {
    let bold = |text: String| Span::styled(text, Modifier::BOLD);
    // After the last epoch the state is already at the one that would follow.
    let epoch = state.epoch.min(state.epochs);
    Line::from(vec![
        bold(state.run.display().to_string()),
        Span::raw(format!("  epoch {epoch}/{}  ", state.epochs)),
        Span::raw(current(state)),
    ])
}

/// Loss and accuracy of the phase in progress.
fn current(state: &DashboardState) -> String {
    let (phase, report) = match (state.val, state.train) {
        (Some(report), _) => ("val", report),
        (None, Some(report)) => ("train", report),
        (None, None) => return String::new(),
    };
    let progress = report.progress;
    format!(
        "{phase} loss {:.4} accuracy {:.1} %",
        progress.loss(),
        progress.accuracy()
    )
}

fn progress(state: &DashboardState, area: Rect, buffer: &mut Buffer) {
    let (done, all) = state.images_done();
    Gauge::default()
        .ratio((done as f64 / all.max(1) as f64).clamp(0.0, 1.0))
        .label(format!("{done}/{all} images"))
        .gauge_style(Style::new().fg(TRAIN))
        .render(area, buffer);
}

fn facts_text(state: &DashboardState) -> Vec<Line<'static>> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let rate = or_dash(
        state
            .images_per_second()
            .map(|rate| format!("{rate:.0} images/s")),
    );
    let waits = or_dash(
        state
            .wait_percent()
            .map(|percent| format!("{percent:.0} %")),
    );
    let left = or_dash(state.seconds_left().map(duration));
    let lr = or_dash(state.rows.last().map(|row| format!("{:.1e}", row.lr)));
    let best = or_dash(state.best_row().map(|row| {
        let EpochRow {
            epoch,
            val_loss,
            val_accuracy,
            ..
        } = row;
        format!("epoch {epoch}: val loss {val_loss:.4} accuracy {val_accuracy:.1} %")
    }));
    vec![
        Line::raw(format!(
            "training {rate}, waits {waits}   left {left}   lr {lr}"
        )),
        Line::raw(format!("best {best}")),
    ]
}

/// `1:02:03` or `2:03`.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn draw_charts(state: &DashboardState, area: Rect, buffer: &mut Buffer) {
    let row = |pick: fn(&EpochRow) -> f64| -> Vec<(f64, f64)> {
        state
            .rows
            .iter()
            .map(|row| (row.epoch as f64, pick(row)))
            .collect()
    };
    let loss = [row(|r| r.train_loss), row(|r| r.val_loss)];
    let accuracy = [row(|r| r.train_accuracy), row(|r| r.val_accuracy)];
    let losses = loss.iter().flatten().map(|point| point.1);
    let (low, high) = losses.fold((f64::INFINITY, 0.0), |(low, high), loss| {
        (loss.min(low), loss.max(high))
    });
    // A margin, so that a curve does not lie on the frame.
    let loss_domain = match high > 0.0 {
        true => [0.95 * low, 1.05 * high],
        false => [0.0, 1.0],
    };
    let epochs = state.rows.len().max(2);
    let loss = LearningCurves {
        title: "loss",
        decimals: 2,
        domain: loss_domain,
        curves: loss,
        epochs,
    };
    let accuracy = LearningCurves {
        title: "accuracy, %",
        decimals: 0,
        domain: [0.0, 100.0],
        curves: accuracy,
        epochs,
    };
    if area.width >= 2 * LEAST_CHART_WIDTH {
        let [left, right] = Layout::horizontal([Constraint::Ratio(1, 2); 2]).areas(area);
        loss.draw(left, buffer);
        accuracy.draw(right, buffer);
    } else {
        loss.draw(area, buffer);
    }
}

/// A chart of training and validation values over the epochs.
struct LearningCurves {
    title: &'static str,
    decimals: usize,
    domain: [f64; 2],
    /// Training and validation, `(epoch, value)`.
    curves: [Vec<(f64, f64)>; 2],
    epochs: usize,
}

impl LearningCurves {
    fn draw(&self, area: Rect, buffer: &mut Buffer) {
        let line = |name, data, marker, color| {
            Dataset::default()
                .name(name)
                .data(data)
                .marker(marker)
                .graph_type(GraphType::Line)
                .style(Style::new().fg(color))
        };
        let Self {
            title,
            decimals,
            epochs,
            curves: [train, val],
            domain: [low, high],
        } = self;
        let y = [*low, (low + high) / 2.0, *high].map(|value| format!("{value:.decimals$}"));
        Chart::new(vec![
            line("train", train.as_slice(), Marker::Braille, TRAIN),
            line("val", val.as_slice(), Marker::Dot, VAL),
        ])
        // In the frame, where they cover no curve.
        .block(Block::bordered().title(Line::from(vec![
            Span::raw(format!(" {title}  ")),
            Span::styled("⠒ train ", TRAIN),
            Span::styled("• val ", VAL),
        ])))
        .x_axis(
            Axis::default()
                .bounds([1.0, *epochs as f64])
                .labels(["1".to_string(), format!("epoch {epochs}")]),
        )
        .y_axis(Axis::default().bounds([*low, *high]).labels(y))
        .legend_position(None)
        .render(area, buffer);
    }
}

#[cfg(test)]
mod tests;
