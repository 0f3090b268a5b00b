//! Figures, as SVG and as PNG. The font is embedded: nothing of the system is needed.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A figure that can't be drawn or written.
#[derive(Debug, thiserror::Error)]
#[error("can't write {path}: {cause}")]
pub struct PlotError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub cause: String,
}

/// One line of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, by x.
    pub points: Vec<(f64, f64)>,
    /// Intervals as (x, low, high), drawn as upright bars; may be empty.
    pub intervals: Vec<(f64, f64, f64)>,
    /// Single values that its points average, such as those of training seeds, drawn as dots; may be empty.
    pub dots: Vec<(f64, f64)>,
}

/// A figure, ready to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Lines.
    Lines(Lines),
    /// Bars.
    Bars(Bars),
}

/// A figure of bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// The title above it.
    pub title: String,
    /// The label of the vertical axis.
    pub y: String,
    /// The bars, from left to right.
    pub bars: Vec<Bar>,
}

/// A bar of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The name below it.
    pub name: String,
    /// Its height.
    pub height: f64,
    /// The interval of its height, (low, high).
    pub interval: Option<(f64, f64)>,
    /// Single values that its height averages, such as those of training seeds, drawn as dots from left to right;
    /// may be empty.
    pub dots: Vec<f64>,
    /// True if the number is quoted from elsewhere; the bar is then grey.
    pub quoted: bool,
}

/// A figure of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// The title above it.
    pub title: String,
    /// The label of the horizontal axis.
    pub x: String,
    /// The label of the vertical axis.
    pub y: String,
    /// The lines, in the order of the legend.
    pub series: Vec<Series>,
}

const SIZE: (u32, u32) = (960, 600);
const FONT: &str = "sans-serif";

/// Colours that can be told apart with red-green colour blindness (Okabe and Ito 2008, and four
/// of Tol's).
const COLOURS: [RGBColor; 11] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(136, 34, 85),
    RGBColor(153, 153, 51),
    RGBColor(102, 102, 102),
    RGBColor(51, 34, 136),
];

impl Figure {
    /// Draws the figure to `stem`.svg and `stem`.png.
    ///
    /// # Errors
    /// [`PlotError`] if a file can't be written.
    pub fn write(&self, stem: &Path) -> Result<(), PlotError> {
        register_font();
        let svg = stem.with_extension("svg");
        let fail = |path: &Path, cause: String| PlotError { path: path.to_owned(), cause };
        self.draw(&SVGBackend::new(&svg, SIZE).into_drawing_area())
            .map_err(|cause| fail(&svg, cause))?;
        let png = stem.with_extension("png");
        self.draw(&BitMapBackend::new(&png, SIZE).into_drawing_area())
            .map_err(|cause| fail(&png, cause))
    }

    /// The figure as the text of an SVG image.
    ///
    /// # Errors
    /// [`PlotError`] if it can't be drawn.
    pub fn svg(&self) -> Result<String, PlotError> {
        register_font();
        let mut text = String::new();
        self.draw(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area())
            .map_err(|cause| PlotError { path: PathBuf::from("SVG"), cause })?;
        Ok(text)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), String> {
        match self {
            Self::Lines(lines) => lines.draw(area),
            Self::Bars(bars) => bars.draw(area),
        }
    }
}

impl Bars {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        area.fill(&WHITE).map_err(text)?;
        let heights = self
            .bars
            .iter()
            .flat_map(|bar| [bar.height, bar.interval.map_or(bar.height, |(_, high)| high)])
            .chain(self.bars.iter().flat_map(|bar| &bar.dots).copied());
        let highest = heights.filter(|height| height.is_finite()).fold(0.0, f64::max);
        let top = if highest > 0.0 { 1.05 * highest } else { 1.0 };
        let count = self.bars.len().max(1);
        let letters = (SIZE.0 as usize - 100) / count / LETTER;
        let names: Vec<Vec<String>> =
            self.bars.iter().map(|bar| lines_of(&bar.name, letters)).collect();
        let most_lines = names.iter().map(Vec::len).max().unwrap_or(1) as u32;
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 24))
            .margin(16)
            .x_label_area_size(16 + LINE * most_lines)
            .y_label_area_size(72)
            .build_cartesian_2d(-0.5..count as f64 - 0.5, 0.0..top)
            .map_err(text)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_desc(&self.y)
            .label_style((FONT, 16))
            .light_line_style(WHITE)
            .draw()
            .map_err(text)?;
        let centred = Pos::new(HPos::Center, VPos::Top);
        let style = TextStyle::from((FONT, 16).into_font()).pos(centred);
        for (at, lines) in names.iter().enumerate() {
            let (x, y) = chart.backend_coord(&(at as f64, 0.0));
            for (below, line) in lines.iter().enumerate() {
                let place = (x, y + 8 + LINE as i32 * below as i32);
                area.draw(&Text::new(line.clone(), place, &style)).map_err(text)?;
            }
        }
        for (at, bar) in self.bars.iter().enumerate() {
            let at = at as f64;
            let colour = if bar.quoted { RGBColor(160, 160, 160) } else { COLOURS[0] };
            let rectangle =
                Rectangle::new([(at - 0.35, 0.0), (at + 0.35, bar.height)], colour.filled());
            chart.draw_series([rectangle]).map_err(text)?;
            if let Some((low, high)) = bar.interval {
                let line = PathElement::new([(at, low), (at, high)], BLACK.stroke_width(3));
                chart.draw_series([line]).map_err(text)?;
            }
            let width = 0.6 / bar.dots.len() as f64;
            for (number, &height) in bar.dots.iter().enumerate() {
                let place = (at - 0.3 + width * (number as f64 + 0.5), height);
                // A bright dot with a dark rim shows on the bar and above it.
                let styles = [ShapeStyle::from(WHITE).filled(), BLACK.into()];
                let circles = styles.map(|style| Circle::new(place, DOT, style));
                chart.draw_series(circles).map_err(text)?;
            }
        }
        area.present().map_err(text)
    }
}

/// Radius of a dot, pixels.
const DOT: i32 = 3;
/// Distance between the lines of a name below a bar, pixels.
const LINE: u32 = 18;
/// Width of a letter of that size, pixels.
const LETTER: usize = 8;

/// A name broken at blanks into lines of at most `letters` letters.
fn lines_of(name: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

impl Lines {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        area.fill(&WHITE).map_err(text)?;
        let points = || self.series.iter().flat_map(|series| &series.points);
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
            // One point, or none, still needs a range.
            if low < high { low..high } else { low.min(0.0) - 1.0..high.max(0.0) + 1.0 }
        };
        let xs = range(&mut points().map(|point| point.0).filter(|x| x.is_finite()));
        let ends = || self.series.iter().flat_map(|series| &series.intervals);
        let ends = ends().flat_map(|&(_, low, high)| [low, high]);
        let dots = self.series.iter().flat_map(|series| &series.dots).map(|dot| dot.1);
        let heights = points().map(|point| point.1).chain(ends).chain(dots);
        let ys = range(&mut heights.filter(|y| y.is_finite()));
        let longest = self.series.iter().map(|series| series.name.chars().count()).max();
        let legend = (longest.unwrap_or(0) * LETTER) as u32 + 44;
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 24))
            .margin(16)
            .margin_right(legend)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(xs, ys)
            .map_err(text)?;
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .label_style((FONT, 16))
            .light_line_style(WHITE)
            .draw()
            .map_err(text)?;
        // Beside the lines, where it hides nothing.
        let left = (SIZE.0 - legend) as i32 + 12;
        let text_style = TextStyle::from((FONT, 16).into_font());
        for (number, series) in self.series.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let points = series.points.iter().copied();
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2))).map_err(text)?;
            let upright = |&(x, low, high): &(f64, f64, f64)| {
                PathElement::new([(x, low), (x, high)], colour.stroke_width(1))
            };
            chart.draw_series(series.intervals.iter().map(upright)).map_err(text)?;
            let dot = |&place: &(f64, f64)| Circle::new(place, DOT, colour.mix(0.5).filled());
            chart.draw_series(series.dots.iter().map(dot)).map_err(text)?;
            let y = 64 + 22 * number as i32;
            let dash = [(left, y), (left + 20, y)];
            area.draw(&PathElement::new(dash, colour.stroke_width(3))).map_err(text)?;
            let name = Text::new(series.name.clone(), (left + 26, y - 8), &text_style);
            area.draw(&name).map_err(text)?;
        }
        area.present().map_err(text)
    }
}

/// Registers the font, once per process; without one no label could be drawn.
fn register_font() {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        // It fails only for a malformed font, and drawing then reports it.
        let _ = plotters::style::register_font(FONT, FontStyle::Normal, font);
    });
}
