//! Bars, one below the other: names of any length stand beside them.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::sheet::{FONT, Sheet, tick};
use super::{Bar, Bars};

/// Height of a bar with the space below it, pixels.
const ROW: f64 = 19.0;

impl Bars {
    /// The sheet, as high as the bars need.
    pub(super) fn sheet(&self, sheet: Sheet) -> Sheet {
        let around = if sheet.is_file { 75.0 } else { 36.0 };
        Sheet { height: sheet.pixels(around + ROW * self.bars.len().max(1) as f64), ..sheet }
    }

    pub(super) fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        sheet: &Sheet,
        label: &str,
    ) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let ends = self.bars.iter().flat_map(|bar| {
            let (low, high) = bar.interval.unwrap_or((bar.value, bar.value));
            [bar.value, low, high].into_iter().chain(bar.dots.iter().copied())
        });
        let (low, high) = ends
            .filter(|end| end.is_finite())
            .fold((0.0_f64, 0.0_f64), |(low, high), end| (low.min(end), high.max(end)));
        let range = if low < high { 1.05 * low..1.05 * high } else { 0.0..1.0 };
        let count = self.bars.len().max(1);
        let names: Vec<String> = self
            .bars
            .iter()
            .map(|bar| sheet.fitted(area, &bar.name, sheet.width * 3 / 5))
            .collect();
        let widest = names.iter().map(|name| sheet.text_width(area, name)).max().unwrap_or(0);
        let font = (FONT, sheet.font);
        let mut builder = ChartBuilder::on(area);
        if sheet.is_file {
            builder.caption(&self.title, (FONT, 24));
        }
        let mut chart = builder
            .margin(sheet.pixels(6.0))
            .margin_right(sheet.pixels(18.0))
            .x_label_area_size(sheet.pixels(if sheet.is_file { 36.0 } else { 20.0 }))
            .y_label_area_size(widest + sheet.pixels(6.0))
            .build_cartesian_2d(range, -0.5..count as f64 - 0.5)
            .map_err(text)?;
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
        mesh.draw().map_err(text)?;
        let beside = TextStyle::from(font.into_font()).pos(Pos::new(HPos::Right, VPos::Center));
        for (number, (bar, name)) in self.bars.iter().zip(names).enumerate() {
            let at = (count - 1 - number) as f64;
            let (_, y) = chart.backend_coord(&(0.0, at));
            let x = (sheet.pixels(6.0) + widest) as i32;
            area.draw(&Text::new(name, (x, y), &beside)).map_err(text)?;
            let Bar { look, quoted, value, interval, dots, .. } = bar;
            let colour = look.rgb();
            let corners = [(0.0, at + 0.36), (*value, at - 0.36)];
            let fill = colour.mix(if *quoted { 0.12 } else { 0.75 }).filled();
            let edge = colour.stroke_width(sheet.pixels(1.3));
            let shapes = [Rectangle::new(corners, fill), Rectangle::new(corners, edge)];
            chart.draw_series(shapes).map_err(text)?;
            if let Some((low, high)) = *interval {
                let line = [(low, at), (high, at)];
                let line = PathElement::new(line, BLACK.stroke_width(sheet.pixels(1.5)));
                chart.draw_series([line]).map_err(text)?;
            }
            let height = 0.6 / dots.len() as f64;
            for (number, &value) in dots.iter().enumerate() {
                let place = (value, at + 0.3 - height * (number as f64 + 0.5));
                // A bright dot with a dark rim shows on the bar and beside it.
                let styles = [WHITE.filled(), ShapeStyle::from(BLACK).stroke_width(sheet.pixel)];
                let circles = styles.map(|style| Circle::new(place, sheet.pixels(1.7), style));
                chart.draw_series(circles).map_err(text)?;
            }
        }
        Ok(())
    }
}
