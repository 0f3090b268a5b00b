//! Colours: one per policy throughout a page or the files of a study.
//!
//! All are legible as text on their background, and differ for those who don't see red or green too. They
//! come from a search, begun from named hues, for the largest distances between them. Neighbours, and names
//! that share a colour, have different markers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use plotters::style::RGBColor;

/// The shape of a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marker {
    /// A disc.
    #[default]
    Disc,
    /// A square.
    Square,
    /// A triangle.
    Triangle,
}

/// The looks of a line or bar: an index into the colours, and a marker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The colour, 0 to 11; on pages the CSS variable `--cN`.
    pub colour: usize,
    /// The shape of its points.
    pub marker: Marker,
}

/// The looks of policies, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    looks: BTreeMap<String, Look>,
}

/// The number of the colour of what stays in the background.
pub(crate) const GREY: usize = 9;

/// Colours on white, and the same on dark.
const COLOURS: [(RGBColor, RGBColor); 12] = [
    (RGBColor(0x2e, 0x57, 0xd6), RGBColor(0x5f, 0x8b, 0xfb)), // blue
    (RGBColor(0xd0, 0x43, 0x19), RGBColor(0xf3, 0x57, 0x2a)), // vermilion
    (RGBColor(0x2f, 0x82, 0x68), RGBColor(0xa2, 0xfe, 0xdc)), // green
    (RGBColor(0x5b, 0x1b, 0x46), RGBColor(0xe1, 0x54, 0xb1)), // plum
    (RGBColor(0x4b, 0x3e, 0x00), RGBColor(0xdb, 0xc9, 0x81)), // umber
    (RGBColor(0x1b, 0x6e, 0x8e), RGBColor(0x69, 0xce, 0xfb)), // sea
    (RGBColor(0xaa, 0x2a, 0x43), RGBColor(0xc7, 0x78, 0x7f)), // crimson
    (RGBColor(0x33, 0x7e, 0x01), RGBColor(0x71, 0xd4, 0x47)), // leaf
    (RGBColor(0x86, 0x5c, 0xb6), RGBColor(0xad, 0x8a, 0xdb)), // lilac
    (RGBColor(0x54, 0x57, 0x61), RGBColor(0xb3, 0xb9, 0xca)), // grey
    (RGBColor(0xae, 0x5d, 0x42), RGBColor(0xe0, 0x7a, 0x57)), // terracotta
    (RGBColor(0x59, 0x27, 0x1e), RGBColor(0xff, 0xc0, 0xb2)), // maroon
];

impl Look {
    /// The looks of the line of that number in a figure that has no policies.
    pub fn numbered(number: usize) -> Self {
        Self::new(number % COLOURS.len(), number / COLOURS.len())
    }

    /// The looks of what uses the colour after so many others. Neighbouring colours have different
    /// markers, and so have different uses of one colour.
    fn new(colour: usize, uses: usize) -> Self {
        let markers = [Marker::Disc, Marker::Square, Marker::Triangle];
        Self { colour, marker: markers[(colour + uses) % markers.len()] }
    }

    /// The colour on white.
    pub(crate) fn rgb(self) -> RGBColor {
        COLOURS[self.colour].0
    }
}

impl Palette {
    /// Looks for all names, by first appearance. Names of one group stand in one figure: they have
    /// different colours as long as there are enough.
    pub fn of_groups<'n, G>(groups: impl IntoIterator<Item = G>) -> Self
    where
        G: IntoIterator<Item = &'n str>,
    {
        let groups: Vec<Vec<&str>> =
            groups.into_iter().map(|group| group.into_iter().collect()).collect();
        let mut names: Vec<(&str, BTreeSet<&str>)> = Vec::new();
        for &name in groups.iter().flatten() {
            if names.iter().all(|(known, _)| *known != name) {
                let beside = groups.iter().filter(|group| group.contains(&name)).flatten();
                names.push((name, beside.copied().collect()));
            }
        }
        let classes = classes(&names);
        // The class that appears first has the first colour.
        let mut order: Vec<usize> = Vec::new();
        let mut uses = [0_usize; COLOURS.len()];
        let looks = names.iter().map(|(name, _)| {
            let class = classes.get(name).copied().unwrap_or(0);
            let colour = order.iter().position(|known| *known == class).unwrap_or_else(|| {
                order.push(class);
                order.len() - 1
            });
            uses[colour] += 1;
            ((*name).to_owned(), Look::new(colour, uses[colour] - 1))
        });
        Self { looks: looks.collect() }
    }

    /// The looks of a policy; those of the first colour if it is unknown.
    pub fn look(&self, name: &str) -> Look {
        self.looks.get(name).copied().unwrap_or_default()
    }
}

/// Names in as many classes as there are colours, so that as few as possible of a class stand beside each
/// other. Those beside the most others choose first: they have the least choice.
fn classes<'n>(names: &[(&'n str, BTreeSet<&'n str>)]) -> BTreeMap<&'n str, usize> {
    let mut choosing: Vec<_> = names.iter().collect();
    choosing.sort_by_key(|(_, beside)| Reverse(beside.len()));
    let mut classes = BTreeMap::new();
    let mut uses = [0_usize; COLOURS.len()];
    for (name, beside) in choosing {
        let mut clashes = [0_usize; COLOURS.len()];
        for &class in beside.iter().filter_map(|other| classes.get(other)) {
            clashes[class] += 1;
        }
        let best = (0..COLOURS.len()).min_by_key(|&at| (clashes[at], uses[at], at)).unwrap_or(0);
        uses[best] += 1;
        classes.insert(*name, best);
    }
    classes
}

/// Each colour of SVG files, as plotters writes it, with the CSS variable that replaces it on pages.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    let named = COLOURS.iter().enumerate();
    named.map(|(at, (light, _))| (hex(*light), format!("var(--c{at})")))
}

/// The declarations of the CSS variables `--c0` to `--c11` on white.
pub(crate) fn light_css() -> String {
    css(COLOURS.map(|(light, _)| light))
}

/// The declarations of the CSS variables `--c0` to `--c11` on dark.
pub(crate) fn dark_css() -> String {
    css(COLOURS.map(|(_, dark)| dark))
}

fn css(colours: [RGBColor; COLOURS.len()]) -> String {
    let mut text = String::new();
    for (at, colour) in colours.into_iter().enumerate() {
        let _ = write!(text, "--c{at}:{};", hex(colour));
    }
    text
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// A part of a colour, linear, 0 to 1.
    fn linear(part: u8) -> f64 {
        let part = f64::from(part) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(RGBColor(red, green, blue): RGBColor) -> f64 {
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        if a > b { a / b } else { b / a }
    }

    #[test]
    fn each_colour_is_legible_as_text_on_its_background() {
        for (light, dark) in COLOURS {
            assert!(contrast(light, RGBColor(255, 255, 255)) >= 4.5, "{light:?}");
            assert!(contrast(dark, RGBColor(0x12, 0x15, 0x19)) >= 5.0, "{dark:?}");
        }
    }

    /// Outlines and marks need 3:1 (WCAG 2.2, 1.4.11).
    #[test]
    fn marks_of_the_episode_stand_out_in_both_looks() {
        let css = include_str!("episode/page.css");
        for look in css.split("--paper: ").skip(1).take(2) {
            let colour = |text: &str| {
                let digits = u32::from_str_radix(&text[1..7], 16).unwrap();
                let [_, red, green, blue] = digits.to_be_bytes();
                RGBColor(red, green, blue)
            };
            for name in ["local", "offloaded", "done", "dropped", "other"] {
                let (_, of_name) = look.split_once(&format!("--{name}: ")).unwrap();
                assert!(contrast(colour(look), colour(of_name)) >= 3.0, "{name}");
            }
        }
    }

    /// CIE L*a*b* under daylight, of linear sRGB.
    fn lab([red, green, blue]: [f64; 3]) -> [f64; 3] {
        let root = |t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        let x = root((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505);
        let y = root(0.2126 * red + 0.7152 * green + 0.0722 * blue);
        let z = root((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089);
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// The smallest distance between two colours, as seen through a matrix on linear sRGB.
    fn nearest(colours: &[RGBColor], eyes: [[f64; 3]; 3]) -> f64 {
        let seen: Vec<[f64; 3]> = colours
            .iter()
            .map(|&RGBColor(red, green, blue)| {
                let rgb = [red, green, blue].map(linear);
                lab(eyes.map(|row| {
                    row.iter().zip(rgb).map(|(a, b)| a * b).sum::<f64>().clamp(0.0, 1.0)
                }))
            })
            .collect();
        let mut least = f64::INFINITY;
        for (at, a) in seen.iter().enumerate() {
            for b in &seen[..at] {
                let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                least = least.min(square.sqrt());
            }
        }
        least
    }

    /// Eyes as Machado, Oliveira and Fernandes (2009) model them.
    #[test]
    fn colours_differ_for_the_colour_blind() {
        const ALL: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        const NO_GREEN: [[f64; 3]; 3] = [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ];
        const NO_RED: [[f64; 3]; 3] = [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ];
        for colours in [COLOURS.map(|of| of.0), COLOURS.map(|of| of.1)] {
            for (eyes, all, first) in
                [(ALL, 20.0, 30.0), (NO_GREEN, 12.0, 17.0), (NO_RED, 12.0, 17.0)]
            {
                let (found, of_first) = (nearest(&colours, eyes), nearest(&colours[..7], eyes));
                assert!(found >= all && of_first >= first, "{found} {of_first}");
            }
        }
    }

    #[test]
    fn policies_of_one_figure_differ_in_colour() {
        let names: Vec<String> = (0..16).map(|at| format!("p{at}")).collect();
        // Twelve and twelve, of which eight are the same.
        let group = |range: Range<usize>| names[range].iter().map(String::as_str);
        let palette = Palette::of_groups([group(2..5), group(0..12), group(4..16)]);
        for range in [0..12, 4..16] {
            let colours: BTreeSet<usize> =
                names[range].iter().map(|name| palette.look(name).colour).collect();
            assert_eq!(colours.len(), 12, "{palette:?}");
        }
        // A colour used twice has two markers.
        let looks: Vec<Look> = names.iter().map(|name| palette.look(name)).collect();
        assert!(looks.iter().all(|look| looks.iter().filter(|other| look == *other).count() == 1));
    }

    #[test]
    fn names_of_one_figure_have_the_colours_in_order() {
        let palette = Palette::of_groups([["b", "a", "c"]]);
        assert_eq!(["b", "a", "c"].map(|name| palette.look(name).colour), [0, 1, 2]);
    }
}
