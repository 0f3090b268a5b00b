//! Lines, each with its name at its end, where it needs no legend.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::sheet::{FONT, Sheet, cause, extent, range, tick};
use super::{Lines, Series};
use crate::palette::Marker;

type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Points of a line from which on it has no markers, and its intervals are a band.
const MANY: usize = 16;

impl Lines {
    pub(super) fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        sheet: &Sheet,
        label: &str,
    ) -> Result<(), String> {
        let (xs, ys) = self.ranges();
        let lines = self.series.iter().filter(|series| !series.name.is_empty()).count();
        let named = sheet.is_file || (lines > 1 && self.ends_apart(&ys));
        // A panel has a legend beside it; in a file names stand here alone.
        let most = sheet.width * if sheet.is_file { 5 } else { 3 } / 10;
        let names = self.series.iter().map(|series| sheet.fitted(area, &series.name, most));
        let names: Vec<String> = if named { names.collect() } else { Vec::new() };
        let widest = names.iter().map(|name| sheet.text_width(area, name)).max();
        let beside = widest.map_or(sheet.pixels(12.0), |widest| widest + sheet.pixels(22.0));
        let font = (FONT, sheet.font);
        let mut builder = ChartBuilder::on(area);
        if sheet.is_file {
            builder.caption(&self.title, sheet.title_font(area, &self.title));
        }
        let mut chart = builder
            .margin(sheet.pixels(6.0))
            .margin_right(beside)
            .x_label_area_size(sheet.pixels(if sheet.is_file { 36.0 } else { 31.0 }))
            .y_label_area_size(sheet.pixels(if sheet.is_file { 54.0 } else { 36.0 }))
            .build_cartesian_2d(xs, ys)
            .map_err(cause)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh()
            .x_labels(7)
            .y_labels(6)
            .x_desc(&self.x)
            .x_label_formatter(&tick)
            .y_label_formatter(&tick)
            .label_style(font)
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.15).stroke_width(sheet.pixel))
            .axis_style(BLACK.mix(0.5).stroke_width(sheet.pixel));
        if sheet.is_file {
            mesh.y_desc(label);
        }
        mesh.draw().map_err(cause)?;
        for series in &self.series {
            series.draw_spread(&mut chart, sheet).map_err(cause)?;
        }
        for series in &self.series {
            series.draw_line(&mut chart, sheet).map_err(cause)?;
        }
        if named {
            self.draw_names(area, &chart, sheet, &names).map_err(cause)?;
        }
        Ok(())
    }

    /// The ranges of both axes: all there is, with a little space around it.
    fn ranges(&self) -> (Range<f64>, Range<f64>) {
        let points = || self.series.iter().flat_map(Series::drawn);
        let ends = self.series.iter().flat_map(|series| &series.intervals);
        let ends = ends.flat_map(|&(_, low, high)| [low, high]);
        let dots = self.series.iter().flat_map(|series| &series.dots).map(|dot| dot.1);
        let heights = points().map(|point| point.1).chain(ends).chain(dots);
        let few = self.series.iter().all(|series| series.points.len() < MANY);
        let xs = range(points().map(|point| point.0), if few { 0.03 } else { 0.0 });
        (xs, range(heights, 0.03))
    }

    /// True if the ends of the lines lie so far apart that names beside them tell them apart.
    fn ends_apart(&self, ys: &Range<f64>) -> bool {
        let ends = self.series.iter().filter_map(Series::end);
        extent(ends.map(|end| end.1))
            .is_some_and(|(low, high)| high - low > 0.15 * (ys.end - ys.start))
    }

    /// Each name beside the end of its line, moved up or down until none hides another.
    fn draw_names<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        chart: &Chart<'_, B>,
        sheet: &Sheet,
        names: &[String],
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let (right, rows) = {
            let (columns, rows) = chart.plotting_area().get_pixel_range();
            (columns.end, rows)
        };
        let ended = self.series.iter().zip(names);
        let ended: Vec<(&Series, &String, (i32, i32))> = ended
            .filter(|(_, name)| !name.is_empty())
            .filter_map(|(series, name)| Some((series, name, chart.backend_coord(&series.end()?))))
            .collect();
        let wanted: Vec<f64> = ended.iter().map(|(.., end)| f64::from(end.1)).collect();
        let apart = f64::from(sheet.font) * 1.12;
        let half = apart / 2.0;
        let within = f64::from(rows.start) - half..f64::from(rows.end) + half;
        let places = spread(&wanted, apart, within);
        let left = right + sheet.pixels(14.0) as i32;
        for ((series, name, (x, y)), place) in ended.into_iter().zip(places) {
            let (colour, place) = (series.look.rgb(), place.round() as i32);
            let line = [
                (x + sheet.pixels(4.0) as i32, y),
                (right + sheet.pixels(4.0) as i32, y),
                (left - sheet.pixels(2.0) as i32, place),
            ];
            area.draw(&PathElement::new(line, colour.mix(0.5).stroke_width(sheet.pixel)))?;
            let anchor = Pos::new(HPos::Left, VPos::Center);
            let style = TextStyle::from((FONT, sheet.font).into_font()).pos(anchor).color(&colour);
            area.draw(&Text::new(name.clone(), (left, place), &style))?;
        }
        Ok(())
    }
}

impl Series {
    /// The points that have a place in a figure.
    fn drawn(&self) -> impl Iterator<Item = (f64, f64)> + Clone + '_ {
        self.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    /// The last of them.
    fn end(&self) -> Option<(f64, f64)> {
        self.drawn().last()
    }

    /// Its intervals and dots, which lie behind all lines.
    fn draw_spread<B: DrawingBackend>(
        &self,
        chart: &mut Chart<'_, B>,
        sheet: &Sheet,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let colour = self.look.rgb();
        if self.intervals.len() < MANY {
            let style = colour.mix(0.7).stroke_width(sheet.pixels(1.0));
            let upright =
                |&(x, low, high): &(f64, f64, f64)| PathElement::new([(x, low), (x, high)], style);
            chart.draw_series(self.intervals.iter().map(upright))?;
        } else {
            let lower = self.intervals.iter().map(|&(x, low, _)| (x, low));
            let upper = self.intervals.iter().rev().map(|&(x, _, high)| (x, high));
            let around: Vec<(f64, f64)> = lower.chain(upper).collect();
            chart.draw_series([Polygon::new(around, colour.mix(0.13).filled())])?;
        }
        let dot =
            |&place: &(f64, f64)| Circle::new(place, sheet.pixels(1.5), colour.mix(0.4).filled());
        chart.draw_series(self.dots.iter().map(dot)).map(drop)
    }

    /// Its line, and its markers if they are few.
    fn draw_line<B: DrawingBackend>(
        &self,
        chart: &mut Chart<'_, B>,
        sheet: &Sheet,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let (colour, points) = (self.look.rgb(), self.drawn());
        let style = colour.stroke_width(sheet.pixels(1.5));
        if self.quoted {
            let (dash, gap) = (sheet.pixels(4.0), sheet.pixels(3.0));
            chart.draw_series(DashedLineSeries::new(points.clone(), dash, gap, style))?;
        } else {
            chart.draw_series(LineSeries::new(points.clone(), style))?;
        }
        if self.points.len() >= MANY {
            return Ok(());
        }
        let fill = if self.quoted { WHITE.filled() } else { colour.filled() };
        let rim = colour.stroke_width(sheet.pixels(1.0));
        let r = sheet.pixels(2.4) as i32;
        for place in points {
            let at = EmptyElement::at(place);
            match self.look.marker {
                Marker::Disc => {
                    let disc = at + Circle::new((0, 0), r, fill) + Circle::new((0, 0), r, rim);
                    chart.draw_series([disc])?;
                }
                Marker::Square => {
                    let corners = [(-r, -r), (r, r)];
                    let square = at + Rectangle::new(corners, fill) + Rectangle::new(corners, rim);
                    chart.draw_series([square])?;
                }
                Marker::Triangle => {
                    let corners = vec![(0, -r - 1), (r + 1, r), (-r - 1, r), (0, -r - 1)];
                    let inside = Polygon::new(corners.clone(), fill);
                    chart.draw_series([at + inside + PathElement::new(corners, rim)])?;
                }
            }
        }
        Ok(())
    }
}

/// Places as near to `wanted` as they can be, at least `apart` from each other, in the same order,
/// within a range if they have room there.
fn spread(wanted: &[f64], apart: f64, within: Range<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    // Neighbours that are too close make a block, which stands where its members want on average.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    let begin_of = |(centre, members): (f64, usize)| {
        let length = apart * members as f64;
        (centre - length / 2.0).min(within.end - length).max(within.start)
    };
    for &at in &order {
        let mut block = (wanted[at], 1);
        while let Some(&before) = blocks.last() {
            if begin_of(before) + apart * before.1 as f64 <= begin_of(block) {
                break;
            }
            blocks.pop();
            let members = before.1 + block.1;
            let sum = before.0 * before.1 as f64 + block.0 * block.1 as f64;
            block = (sum / members as f64, members);
        }
        blocks.push(block);
    }
    let mut places = vec![0.0; wanted.len()];
    let mut rest = order.into_iter();
    for block in blocks {
        for (number, at) in rest.by_ref().take(block.1).enumerate() {
            places[at] = begin_of(block) + apart * (number as f64 + 0.5);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_hide_each_other_move_apart() {
        let spread = |wanted: &[f64]| spread(wanted, 10.0, 0.0..100.0);
        assert_eq!(spread(&[50.0, 20.0]), [50.0, 20.0]);
        assert_eq!(spread(&[50.0, 50.0, 20.0]), [45.0, 55.0, 20.0]);
        assert_eq!(spread(&[52.0, 50.0]), [56.0, 46.0]);
        // Nothing leaves the range as long as there is room.
        assert_eq!(spread(&[99.0, 98.0, 1.0]), [95.0, 85.0, 5.0]);
        assert_eq!(spread(&[0.0; 12]).len(), 12);
    }
}
