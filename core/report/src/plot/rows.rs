//! Rows: what bars and distributions stand in, one below the other, with a name of any length beside
//! each.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::sheet::{FONT, Sheet, cause, tick};

/// Height of a row, pixels.
const ROW: f64 = 19.0;

/// The sheet, as high as so many rows need.
pub(super) fn sheet(sheet: Sheet, rows: usize) -> Sheet {
    let around = if sheet.is_file { 75.0 } else { 36.0 };
    Sheet { height: sheet.pixels(around + ROW * rows.max(1) as f64), ..sheet }
}

/// The height of the middle of a row, by its number from the top, in a [`chart`]; a row is 1 high.
pub(super) fn place(number: usize, rows: usize) -> f64 {
    (rows.max(1) - 1 - number) as f64
}

/// A chart with a row for each of `names`, above an axis of values with that range. `texts` are the
/// title and the label of the axis, which files have.
pub(super) fn chart<'a, 'n, B: DrawingBackend>(
    area: &'a DrawingArea<B, Shift>,
    sheet: &Sheet,
    [title, label]: [&str; 2],
    names: impl Iterator<Item = &'n str>,
    range: Range<f64>,
) -> Result<ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>, String> {
    let names: Vec<String> =
        names.map(|name| sheet.fitted(area, name, sheet.width * 3 / 5)).collect();
    let widest = names.iter().map(|name| sheet.text_width(area, name)).max().unwrap_or(0);
    let font = (FONT, sheet.font);
    let mut builder = ChartBuilder::on(area);
    if sheet.is_file {
        builder.caption(title, sheet.title_font(area, title));
    }
    let mut chart = builder
        .margin(sheet.pixels(6.0))
        .margin_right(sheet.pixels(18.0))
        .x_label_area_size(sheet.pixels(if sheet.is_file { 36.0 } else { 20.0 }))
        .y_label_area_size(widest + sheet.pixels(6.0))
        .build_cartesian_2d(range, -0.5..names.len().max(1) as f64 - 0.5)
        .map_err(cause)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh()
        .y_labels(0)
        .x_labels(6)
        .x_label_formatter(&tick)
        .label_style(font)
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.15).stroke_width(sheet.pixel))
        .axis_style(BLACK.mix(0.5).stroke_width(sheet.pixel));
    if sheet.is_file {
        mesh.x_desc(label);
    }
    mesh.draw().map_err(cause)?;
    let beside = TextStyle::from(font.into_font()).pos(Pos::new(HPos::Right, VPos::Center));
    let count = names.len();
    for (number, name) in names.into_iter().enumerate() {
        let (_, y) = chart.backend_coord(&(0.0, place(number, count)));
        let x = (sheet.pixels(6.0) + widest) as i32;
        area.draw(&Text::new(name, (x, y), &beside)).map_err(cause)?;
    }
    Ok(chart)
}
