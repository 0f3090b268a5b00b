//! Figures on pages: small multiples below one legend, in the colours of the page's looks.

use std::fmt::Write;
use std::path::PathBuf;

use super::{escaped, link};
use crate::palette::{self, Look, Marker};
use crate::plot::{Figure, PlotError};

/// A figure on a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What its vertical axis is, or its bars are, with the unit, as plain text.
    pub heading: String,
    /// The figure.
    pub figure: Figure,
    /// Files of the figure, each with its name and its path from the page; may be empty.
    pub files: Vec<(String, PathBuf)>,
}

/// Figures beside each other, one under the other on a narrow screen, below one legend of all their
/// lines and bars.
///
/// # Errors
/// [`PlotError`] if a figure can't be drawn.
pub fn grid(panels: &[Panel]) -> Result<String, PlotError> {
    let mut text = legend(panels);
    text += "<div class=\"panels\">\n";
    for Panel { heading, figure, files } in panels {
        let heading = escaped(heading);
        let _ = write!(text, "<figure><figcaption><h3>{heading}</h3>");
        if !files.is_empty() {
            let links: Vec<String> = files.iter().map(|(name, path)| link(path, name)).collect();
            let _ = write!(text, "<span class=\"files\">{}</span>", links.join(" "));
        }
        let svg = themed(&figure.panel_svg()?, &heading);
        let _ = writeln!(text, "</figcaption>{svg}</figure>");
    }
    text += "</div>\n";
    Ok(text)
}

/// An SVG without a size of its own, named for those who can't see it, whose colours follow the page's looks.
fn themed(svg: &str, label: &str) -> String {
    let mut svg = match svg.split_once(" viewBox") {
        Some((_, rest)) => format!("<svg role=\"img\" aria-label=\"{label}\" viewBox{rest}"),
        None => svg.to_owned(),
    };
    let fixed = [("#000000", "var(--ink)"), ("#FFFFFF", "var(--ground)")];
    let fixed = fixed.map(|(colour, variable)| (colour.to_owned(), variable.to_owned()));
    for (colour, variable) in palette::variables().chain(fixed) {
        svg = svg.replace(&format!("=\"{colour}\""), &format!("=\"{variable}\""));
    }
    svg
}

/// The lines and bars of all panels, each once, and what intervals and dots are; empty if there is nothing
/// to explain.
fn legend(panels: &[Panel]) -> String {
    let mut keys = Vec::new();
    let (mut intervals, mut dots, mut strips) = (false, false, false);
    for Panel { figure, .. } in panels {
        intervals |= figure.has_intervals();
        dots |= figure.has_dots();
        strips |= matches!(figure, Figure::Strips(_));
        for key in figure.keys() {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    let mut text = String::new();
    for (name, look, quoted) in keys {
        let _ = writeln!(text, "<li>{}{}</li>", swatch(look, quoted), escaped(&name));
    }
    let notes = [
        (intervals, "bars and bands: 95 % intervals"),
        (dots, "faint dots: individual training seeds"),
        (strips, "dots: single episodes; boxes: quartiles and median"),
    ];
    let notes: Vec<&str> =
        notes.into_iter().filter(|(shown, _)| *shown).map(|(_, note)| note).collect();
    let note = notes.join("; ");
    if !note.is_empty() {
        let _ = writeln!(text, "<li class=\"note\">{note}</li>");
    }
    if text.is_empty() { text } else { format!("<ul class=\"legend\">\n{text}</ul>\n") }
}

fn swatch(Look { colour, marker }: Look, quoted: bool) -> String {
    let dash = if quoted { " stroke-dasharray=\"4 3\"" } else { "" };
    let fill = if quoted { "var(--ground)".to_owned() } else { format!("var(--c{colour})") };
    let shape = match marker {
        Marker::Disc => "<circle cx=\"13\" cy=\"6\" r=\"3.5\"",
        Marker::Square => "<rect x=\"9.5\" y=\"2.5\" width=\"7\" height=\"7\"",
        Marker::Triangle => "<path d=\"M13 1.5 L17 9.5 L9 9.5 Z\"",
    };
    format!(
        "<svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path d=\"M0 6H26\" stroke=\"var(--c{colour})\" \
         stroke-width=\"2\"{dash}/>{shape} fill=\"{fill}\" stroke=\"var(--c{colour})\" \
         stroke-width=\"1.5\"/></svg>"
    )
}
