//! The sheet that a figure is drawn on: its size, its letters, the text of its labels, and the ranges of
//! its axes.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

/// The name of the font.
pub(super) const FONT: &str = "sans-serif";

/// The sizes of a title's letters.
const LARGEST_TITLE: u32 = 24;
const SMALLEST_TITLE: u32 = 10;

/// A sheet: sizes are in units, of which `pixel` make a pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sheet {
    /// Width.
    pub(super) width: u32,
    /// Height; bars take another.
    pub(super) height: u32,
    /// Size of letters.
    pub(super) font: u32,
    /// Units of a pixel. SVG files of plotters have whole numbers, which are too coarse for small
    /// figures.
    pub(super) pixel: u32,
    /// True for files: they stand alone, so they have a title, both labels and a white ground.
    pub(super) is_file: bool,
}

impl Sheet {
    /// A file's.
    pub(super) const FILE: Self =
        Self { width: 960, height: 600, font: 16, pixel: 1, is_file: true };
    /// A panel's on a page.
    pub(super) const PANEL: Self =
        Self { width: 1080, height: 750, font: 33, pixel: 3, is_file: false };

    /// So many pixels, in units; in files half as much again, for their letters are larger, too.
    pub(super) fn pixels(&self, pixels: f64) -> u32 {
        let larger = if self.is_file { 1.5 } else { 1.0 };
        (pixels * f64::from(self.pixel) * larger).round() as u32
    }

    /// The width of a text.
    pub(super) fn text_width<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        text: &str,
    ) -> u32 {
        width_of(area, text, self.font)
    }

    /// The font of a title: as large as the width allows.
    pub(super) fn title_font<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        title: &str,
    ) -> (&'static str, u32) {
        let fits = |size: &u32| width_of(area, title, *size) <= self.width;
        (FONT, (SMALLEST_TITLE..=LARGEST_TITLE).rev().find(fits).unwrap_or(SMALLEST_TITLE))
    }

    /// The text, cut with an ellipsis to fit into `width`.
    pub(super) fn fitted<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        text: &str,
        width: u32,
    ) -> String {
        let mut fitted = text.to_owned();
        let mut letters: Vec<char> = text.chars().collect();
        while self.text_width(area, &fitted) > width && letters.len() > 1 {
            letters.pop();
            fitted = letters.iter().collect::<String>().trim_end().to_owned() + "…";
        }
        fitted
    }
}

/// The width of a text of letters of that size. Viewers of an SVG file may have wider letters than the
/// embedded font.
fn width_of<B: DrawingBackend>(area: &DrawingArea<B, Shift>, text: &str, size: u32) -> u32 {
    let style = TextStyle::from((FONT, size).into_font());
    let letters = text.chars().count() as u32;
    let width = area.estimate_text_size(text, &style).map_or(letters * size / 2, |size| size.0);
    width + width / 6
}

/// The reason why something can't be drawn.
pub(super) fn cause<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> String {
    error.to_string()
}

/// The least and the greatest of the values that are finite.
pub(super) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |extent, value| {
        let (low, high) = extent.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// The range of an axis: all finite values, and `space` times as much on either side. One value, or
/// none, still has a range.
pub(super) fn range(values: impl Iterator<Item = f64>, space: f64) -> Range<f64> {
    match extent(values) {
        Some((low, high)) if low < high => {
            let space = space * (high - low);
            low - space..high + space
        }
        Some((only, _)) => only - 1.0..only + 1.0,
        None => 0.0..1.0,
    }
}

/// A number on an axis, without needless zeros.
pub(super) fn tick(number: &f64) -> String {
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_spans_what_is_finite() {
        let range = |values: &[f64]| range(values.iter().copied(), 0.5);
        assert_eq!(range(&[2.0, 4.0, f64::NAN, f64::INFINITY]), 1.0..5.0);
        assert_eq!(range(&[2.0]), 1.0..3.0);
        assert_eq!(range(&[f64::NAN]), 0.0..1.0);
    }

    #[test]
    fn numbers_on_an_axis_have_no_needless_zeros() {
        let ticks = [0.0, -0.000_000_01, 0.1 + 0.2, 800.0, -2.5].map(|number| tick(&number));
        assert_eq!(ticks, ["0", "0", "0.3", "800", "-2.5"]);
    }
}
