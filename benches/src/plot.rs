//! Draws what was measured, from the files that `--json` wrote.

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use anyhow::{Context as _, ensure};
use plotters::{coord::Shift, prelude::*};
use serde_json::Value;

use crate::stats::median;

/// Pixels of one panel; two stand side by side.
const PANEL: (u32, u32) = (420, 300);
const FONT: &str = "sans-serif";
/// Colors that most people can tell apart.
const COLORS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Lines by name, each of points.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// What stands beside a panel's axes.
struct Axes {
    caption: &'static str,
    below: &'static str,
    digits: usize,
    /// Where no line is.
    names: SeriesLabelPosition,
}

/// Draws how rates and processor time depend on the prefetch count.
///
/// # Errors
/// The file is none of this program's, or has no scenario `prefetch-…`.
pub(crate) fn prefetch(from: &Path, into: &Path) -> anyhow::Result<()> {
    let (mut rates, mut cpu) = (Lines::new(), Lines::new());
    let all = read(from)?;
    for scenario in all["scenarios"].as_array().into_iter().flatten() {
        let count = scenario["scenario"].as_str().and_then(|name| name.strip_prefix("prefetch-")?.parse::<u32>().ok());
        let (Some(count), Some(contenders)) = (count, scenario["contenders"].as_object()) else { continue };
        for (name, contender) in contenders {
            for (lines, quantity) in [(&mut rates, "events_per_second"), (&mut cpu, "cpu_microseconds_per_event")] {
                let rounds = contender["rounds"].as_array().into_iter().flatten();
                let values: Vec<f64> = rounds.filter_map(|round| round[quantity].as_f64()).collect();
                lines.entry(name.clone()).or_default().push((f64::from(count), median(&values)));
            }
        }
    }
    ensure!(!rates.is_empty(), "{} has no scenario `prefetch-…`: name them with `--only`", from.display());
    side_by_side(into, |left, right| {
        let below = "prefetch count";
        let names = SeriesLabelPosition::LowerRight;
        lines(left, &rates, Axes { caption: "thousand events/s", below, digits: 0, names }, 1000.0)?;
        let names = SeriesLabelPosition::UpperRight;
        lines(right, &cpu, Axes { caption: "µs of processor time for each event", below, digits: 0, names }, 1.0)
    })
}

/// Draws how rates grow with processes, and memory with the prefetch count.
///
/// # Errors
/// The file is none that `scale` wrote.
pub(crate) fn scale(from: &Path, into: &Path) -> anyhow::Result<()> {
    let (mut rates, mut memory) = (Lines::new(), Lines::new());
    let all = read(from)?;
    for one in all["scale"].as_array().into_iter().flatten() {
        let rounds = one["events_per_second"].as_array().into_iter().flatten();
        let values: Vec<f64> = rounds.filter_map(Value::as_f64).collect();
        let count = one["processes"].as_f64().context("a count of processes")?;
        rates.entry("rabbitry".to_owned()).or_default().push((count, median(&values)));
    }
    for one in all["memory"].as_array().into_iter().flatten() {
        // The others stand in the table.
        if one["subscriptions"] == 1 && one["waiting"].as_u64() < Some(1_000_000) {
            let name = format!("bodies of {} bytes", one["body_bytes"]);
            let (prefetch, held) = (one["prefetch"].as_f64(), one["kib"].as_f64());
            memory.entry(name).or_default().extend(prefetch.zip(held));
        }
    }
    ensure!(!rates.is_empty() && !memory.is_empty(), "{} was not written by `scale`", from.display());
    side_by_side(into, |left, right| {
        let names = SeriesLabelPosition::LowerRight;
        lines(left, &rates, Axes { caption: "thousand events/s", below: "processes", digits: 0, names }, 1000.0)?;
        let names = SeriesLabelPosition::UpperLeft;
        lines(right, &memory, Axes { caption: "MiB of a process", below: "prefetch count", digits: 0, names }, 1024.0)
    })
}

fn read(from: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", from.display()))
}

fn side_by_side(into: &Path, draw: impl FnOnce(&Area<'_>, &Area<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let root = SVGBackend::new(into, (2 * PANEL.0, PANEL.1)).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(PANEL.0);
    draw(&left, &right)?;
    root.present().with_context(|| format!("cannot write {}", into.display()))
}

/// One panel: lines over a logarithmic axis, from nought up.
fn lines(area: &Area<'_>, lines: &Lines, axes: Axes, unit: f64) -> anyhow::Result<()> {
    let points = || lines.values().flatten();
    let (across, up) = (ends(points().map(|point| point.0)), ends(points().map(|point| point.1 / unit)));
    let mut chart = ChartBuilder::on(area)
        .caption(axes.caption, (FONT, 15))
        .margin(10)
        .margin_right(24)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d((across.start..across.end).log_scale().base(2.0), 0.0..up.end * 1.15)?;
    chart
        .configure_mesh()
        .x_desc(axes.below)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.*}", axes.digits))
        .label_style((FONT, 11))
        .light_line_style(WHITE)
        .draw()?;
    for ((name, line), color) in lines.iter().zip(COLORS.iter().cycle()) {
        let color = color.stroke_width(2);
        let mut points: Vec<_> = line.iter().map(|(x, y)| (*x, y / unit)).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        chart
            .draw_series(LineSeries::new(points, color).point_size(2))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
    }
    chart
        .configure_series_labels()
        .position(axes.names)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 11))
        .draw()?;
    Ok(())
}

/// The lowest and the highest.
fn ends(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    low..high
}
