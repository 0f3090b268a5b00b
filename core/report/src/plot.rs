//! Figures, as SVG and PNG files and as panels of pages. The font is embedded: nothing of the system
//! is needed.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::FontStyle;
use png::EncodingError;

use crate::palette::Look;

mod bars;
mod lines;
mod rows;
mod sheet;
mod strips;

use sheet::Sheet;
pub(crate) use strips::quartiles;

/// Most points of a line on a page: more than a panel has pixels to tell apart.
pub(crate) const MAX_POINTS: usize = 500;

/// At most `most` (2 or more) of `points`, evenly chosen; the first and the last are always among them.
pub(crate) fn thinned<P: Clone>(points: Vec<P>, most: usize) -> Vec<P> {
    let count = points.len();
    if count <= most {
        return points;
    }
    (0..most).map(|at| points[at * (count - 1) / (most - 1)].clone()).collect()
}

/// A figure that can't be drawn or written.
#[derive(Debug, thiserror::Error)]
#[error("can't write {path}: {cause}")]
pub struct PlotError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub cause: String,
}

/// A figure, ready to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Lines.
    Lines(Lines),
    /// Bars.
    Bars(Bars),
    /// Distributions.
    Strips(Strips),
}

/// A figure of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// The title above it, in files.
    pub title: String,
    /// The label of the horizontal axis, with the unit.
    pub x: String,
    /// The label of the vertical axis, with the unit.
    pub y: String,
    /// The lines, in the order of the legend.
    pub series: Vec<Series>,
}

/// One line of a figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its name, in the legend and at its end; empty for marks on another line, which no legend lists.
    pub name: String,
    /// Its colour and marker.
    pub look: Look,
    /// True if its numbers are quoted from elsewhere; the line is then dashed, its markers hollow.
    pub quoted: bool,
    /// Its points, by x.
    pub points: Vec<(f64, f64)>,
    /// Intervals as (x, low, high), drawn as upright bars, or as a band where there are many; may be empty.
    pub intervals: Vec<(f64, f64, f64)>,
    /// Single values that its points average, such as those of training seeds, drawn as faint dots; may
    /// be empty.
    pub dots: Vec<(f64, f64)>,
}

/// A figure of bars, which run to the right.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// The title above it, in files.
    pub title: String,
    /// The label of the axis of values, with the unit.
    pub value: String,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
}

/// A bar of a figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// The name beside it.
    pub name: String,
    /// Its colour.
    pub look: Look,
    /// True if its number is quoted from elsewhere; the bar is then hollow.
    pub quoted: bool,
    /// Its length.
    pub value: f64,
    /// The interval of its length, (low, high).
    pub interval: Option<(f64, f64)>,
    /// Single values that its length averages, such as those of training seeds, drawn as dots from top to
    /// bottom; may be empty.
    pub dots: Vec<f64>,
}

/// A figure of distributions, one below the other: single values as dots, their quartiles as boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Strips {
    /// The title above it, in files.
    pub title: String,
    /// The label of the axis of values, with the unit.
    pub value: String,
    /// The distributions, from top to bottom.
    pub strips: Vec<Strip>,
}

/// A distribution of a figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strip {
    /// The name beside it.
    pub name: String,
    /// Its colour.
    pub look: Look,
    /// Its values, ascending. Of many, only some are drawn as dots.
    pub values: Vec<f64>,
}

impl Figure {
    /// Draws the figure to `stem`.svg and `stem`.png.
    ///
    /// # Errors
    /// [`PlotError`] if a file can't be written.
    pub fn write(&self, stem: &Path) -> Result<(), PlotError> {
        self.write_svg(&stem.with_extension("svg"))?;
        let png = stem.with_extension("png");
        let sheet = self.sheet(Sheet::FILE);
        self.draw_png(&png, &sheet).map_err(|cause| PlotError { path: png, cause })
    }

    fn draw_png(&self, path: &Path, sheet: &Sheet) -> Result<(), String> {
        let size = (sheet.width, sheet.height);
        let mut pixels = vec![0; 3 * size.0 as usize * size.1 as usize];
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        self.draw(&area, sheet)?;
        drop(area);
        write_png(path, size, &pixels).map_err(|error| error.to_string())
    }

    /// Draws the figure to an SVG file.
    ///
    /// # Errors
    /// [`PlotError`] if it can't be written.
    pub fn write_svg(&self, path: &Path) -> Result<(), PlotError> {
        let sheet = self.sheet(Sheet::FILE);
        let area = SVGBackend::new(path, (sheet.width, sheet.height)).into_drawing_area();
        self.draw(&area, &sheet).map_err(|cause| PlotError { path: path.to_owned(), cause })
    }

    /// The figure with that title.
    #[must_use]
    pub fn titled(mut self, name: &str) -> Self {
        let title = match &mut self {
            Self::Lines(lines) => &mut lines.title,
            Self::Bars(bars) => &mut bars.title,
            Self::Strips(strips) => &mut strips.title,
        };
        name.clone_into(title);
        self
    }

    /// The figure as the text of a small SVG image without title, for pages.
    ///
    /// # Errors
    /// [`PlotError`] if it can't be drawn.
    pub(crate) fn panel_svg(&self) -> Result<String, PlotError> {
        let sheet = self.sheet(Sheet::PANEL);
        let mut text = String::new();
        let area =
            SVGBackend::with_string(&mut text, (sheet.width, sheet.height)).into_drawing_area();
        self.draw(&area, &sheet)
            .map_err(|cause| PlotError { path: PathBuf::from("SVG"), cause })?;
        drop(area);
        Ok(text)
    }

    /// The label of the axis that its values lie on.
    pub fn value_label(&self) -> &str {
        match self {
            Self::Lines(lines) => &lines.y,
            Self::Bars(bars) => &bars.value,
            Self::Strips(strips) => &strips.value,
        }
    }

    /// What its legend lists: names, looks, and which are quoted. Empty for bars and distributions,
    /// whose names stand beside them.
    pub(crate) fn keys(&self) -> Vec<(String, Look, bool)> {
        match self {
            Self::Lines(lines) => {
                let series = lines.series.iter().filter(|series| !series.name.is_empty());
                series.map(|series| (series.name.clone(), series.look, series.quoted)).collect()
            }
            Self::Bars(_) | Self::Strips(_) => Vec::new(),
        }
    }

    /// True if it shows intervals.
    pub(crate) fn has_intervals(&self) -> bool {
        match self {
            Self::Lines(lines) => lines.series.iter().any(|series| !series.intervals.is_empty()),
            Self::Bars(bars) => bars.bars.iter().any(|bar| bar.interval.is_some()),
            Self::Strips(_) => false,
        }
    }

    /// True if it shows single values, which its points or bars average, as dots.
    pub(crate) fn has_dots(&self) -> bool {
        match self {
            Self::Lines(lines) => lines.series.iter().any(|series| !series.dots.is_empty()),
            Self::Bars(bars) => bars.bars.iter().any(|bar| !bar.dots.is_empty()),
            Self::Strips(_) => false,
        }
    }

    /// The sheet that it is drawn on: bars and distributions take as much height as they need.
    fn sheet(&self, sheet: Sheet) -> Sheet {
        match self {
            Self::Lines(_) => sheet,
            Self::Bars(bars) => rows::sheet(sheet, bars.bars.len()),
            Self::Strips(strips) => rows::sheet(sheet, strips.strips.len()),
        }
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        sheet: &Sheet,
    ) -> Result<(), String> {
        register_font();
        if sheet.is_file {
            area.fill(&WHITE).map_err(|error| error.to_string())?;
        }
        // A file has no legend that explains its dots.
        let dots =
            if sheet.is_file && self.has_dots() { "; dots: individual training seeds" } else { "" };
        let label = format!("{}{dots}", self.value_label());
        match self {
            Self::Lines(lines) => lines.draw(area, sheet, &label),
            Self::Bars(bars) => bars.draw(area, sheet, &label),
            Self::Strips(strips) => strips.draw(area, sheet, &label),
        }?;
        area.present().map_err(|error| error.to_string())
    }
}

/// Writes rows of red, green and blue bytes. Not by plotters, which would bring decoders of other formats.
fn write_png(path: &Path, (width, height): (u32, u32), pixels: &[u8]) -> Result<(), EncodingError> {
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()
}

/// Registers the font, once per process; without one no label could be drawn.
fn register_font() {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        // It fails only for a malformed font, and drawing then reports it.
        let _ = plotters::style::register_font(sheet::FONT, FontStyle::Normal, font);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinned_points_are_evenly_chosen_with_both_ends() {
        assert_eq!(thinned(vec![1, 2, 3], 3), [1, 2, 3]);
        assert_eq!(thinned((0..=9).collect(), 4), [0, 3, 6, 9]);
        assert_eq!(thinned((0..1001).collect::<Vec<_>>(), MAX_POINTS).last(), Some(&1000));
    }

    #[test]
    fn what_is_not_finite_changes_no_axis() {
        let svg = |extra: &[f64]| {
            let values = [1.0, 2.0, 3.0].iter().chain(extra).copied().collect();
            let strip = Strip { name: "a".to_owned(), values, ..Strip::default() };
            let figure = Strips { title: String::new(), value: String::new(), strips: vec![strip] };
            Figure::Strips(figure).panel_svg().unwrap()
        };
        assert_eq!(svg(&[f64::INFINITY, f64::NAN]), svg(&[]));
        let line = |extra: Option<(f64, f64)>| {
            let points = [(0.0, 1.0), (1.0, 3.0)].into_iter().chain(extra).collect();
            let series = vec![Series { name: "a".to_owned(), points, ..Series::default() }];
            let (title, x, y) = (String::new(), String::new(), String::new());
            Figure::Lines(Lines { title, x, y, series }).panel_svg().unwrap()
        };
        assert_eq!(line(Some((2.0, f64::NAN))), line(None));
    }
}
