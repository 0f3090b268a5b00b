//! The sheet that a figure is drawn on: its size, its letters, and the text of its labels.

use plotters::coord::Shift;
use plotters::prelude::*;

/// The name of the font.
pub(super) const FONT: &str = "sans-serif";

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

    /// The width of a text. Viewers of an SVG file may have wider letters than the embedded font.
    pub(super) fn text_width<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        text: &str,
    ) -> u32 {
        let style = TextStyle::from((FONT, self.font).into_font());
        let letters = text.chars().count() as u32;
        let width =
            area.estimate_text_size(text, &style).map_or(letters * self.font / 2, |size| size.0);
        width + width / 6
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
    fn numbers_on_an_axis_have_no_needless_zeros() {
        let ticks = [0.0, -0.000_000_01, 0.1 + 0.2, 800.0, -2.5].map(|number| tick(&number));
        assert_eq!(ticks, ["0", "0", "0.3", "800", "-2.5"]);
    }
}
