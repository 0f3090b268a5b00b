//! Bars, one below the other: names of any length stand beside them.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::sheet::{Sheet, cause, extent};
use super::{Bar, Bars, rows};

impl Bars {
    pub(super) fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        sheet: &Sheet,
        label: &str,
    ) -> Result<(), String> {
        let ends = self.bars.iter().flat_map(|bar| {
            let (low, high) = bar.interval.unwrap_or((bar.value, bar.value));
            [bar.value, low, high].into_iter().chain(bar.dots.iter().copied())
        });
        // Bars begin at 0.
        let range = match extent(ends.chain([0.0])) {
            Some((low, high)) if low < high => 1.05 * low..1.05 * high,
            _ => 0.0..1.0,
        };
        let names = self.bars.iter().map(|bar| bar.name.as_str());
        let mut chart = rows::chart(area, sheet, [&self.title, label], names, range)?;
        for (number, bar) in self.bars.iter().enumerate() {
            let at = rows::place(number, self.bars.len());
            let Bar { look, quoted, value, interval, dots, .. } = bar;
            let colour = look.rgb();
            let corners = [(0.0, at + 0.36), (*value, at - 0.36)];
            let fill = colour.mix(if *quoted { 0.12 } else { 0.75 }).filled();
            let edge = colour.stroke_width(sheet.pixels(1.3));
            let shapes = [Rectangle::new(corners, fill), Rectangle::new(corners, edge)];
            chart.draw_series(shapes).map_err(cause)?;
            if let Some((low, high)) = *interval {
                let line = [(low, at), (high, at)];
                let line = PathElement::new(line, BLACK.stroke_width(sheet.pixels(1.5)));
                chart.draw_series([line]).map_err(cause)?;
            }
            let height = 0.6 / dots.len() as f64;
            for (number, &value) in dots.iter().enumerate() {
                let place = (value, at + 0.3 - height * (number as f64 + 0.5));
                // A bright dot with a dark rim shows on the bar and beside it.
                let styles = [WHITE.filled(), ShapeStyle::from(BLACK).stroke_width(sheet.pixel)];
                let circles = styles.map(|style| Circle::new(place, sheet.pixels(1.7), style));
                chart.draw_series(circles).map_err(cause)?;
            }
        }
        Ok(())
    }
}
