//! Pages: one self-contained HTML file each, with light and dark looks, for wide screens, phones
//! and paper. No network access; the only script switches the looks.
//!
//! [`Page`] is the shell; [`escaped`], [`table`], [`details`] and [`figures::grid`] make its contents.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

use offramp_results::files::replace_atomically;

use crate::palette;
use crate::plot::PlotError;
use crate::table::Table;

pub mod figures;

/// A page, ready to be printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The title, as plain text.
    pub title: String,
    /// The sentence below the title, as plain text; may be empty.
    pub about: String,
    /// The sections that the contents list, in order.
    pub sections: Vec<Section>,
    /// The last line, as plain text; may be empty.
    pub footer: String,
}

/// A section of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// The anchor: letters, digits, hyphens.
    pub id: String,
    /// The heading, as plain text.
    pub title: String,
    /// The contents, as HTML.
    pub html: String,
}

/// A page that can't be made or written. Nothing that was there before has changed.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The results that it shows can't be read.
    #[error(transparent)]
    Unreadable(#[from] offramp_results::Error),
    /// A figure can't be drawn, or the file can't be written.
    #[error(transparent)]
    Unwritable(#[from] PlotError),
    /// A file stands in its place that offramp did not write.
    #[error("{path} is not a page of offramp and stays as it is")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// How the head of every page begins that this writes, whatever its version.
const GENERATOR: &str = "<meta name=\"generator\" content=\"offramp";
/// Bytes at the beginning of a page, among which the generator is.
const HEAD: u64 = 1024;

/// Fails if a file stands at `path` that is not a page of offramp.
///
/// # Errors
/// [`PageError::Foreign`].
pub fn check_ours(path: &Path) -> Result<(), PageError> {
    let head = || -> std::io::Result<Vec<u8>> {
        let mut head = Vec::new();
        std::fs::File::open(path)?.take(HEAD).read_to_end(&mut head)?;
        Ok(head)
    };
    let ours = || head().is_ok_and(|head| String::from_utf8_lossy(&head).contains(GENERATOR));
    if path.exists() && !ours() {
        return Err(PageError::Foreign { path: path.to_owned() });
    }
    Ok(())
}

/// Writes the text of a page to `path`, over an earlier page of offramp.
///
/// # Errors
/// [`PageError::Foreign`], [`PageError::Unwritable`].
pub(crate) fn write(path: &Path, text: &str) -> Result<(), PageError> {
    check_ours(path)?;
    let fail =
        |cause: std::io::Error| PlotError { path: path.to_owned(), cause: cause.to_string() };
    Ok(replace_atomically(path, text.as_bytes()).map_err(fail)?)
}

/// The footer of the pages of results.
pub const FOOTER: &str =
    "Made by offramp. This file needs no other; the links lead to files beside it.";

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/theme.js");
/// Looks on dark that are not colours of policies.
const DARK: &str = "color-scheme:dark;--ink:#E6E8EA;--quiet:#A3A9B0;--ground:#121519;\
                    --rule:#343A42;--link:#8AB8FF;--good:#35D0A2;--bad:#FF954D;";

impl Page {
    /// Writes the page to `path`, over an earlier page of offramp.
    ///
    /// # Errors
    /// [`PageError::Foreign`], [`PageError::Unwritable`].
    pub fn write(&self, path: &Path) -> Result<(), PageError> {
        write(path, &self.html())
    }

    /// The text of the HTML file.
    pub fn html(&self) -> String {
        let Self { title, about, sections, footer } = self;
        let (title, about, footer) = (escaped(title), escaped(about), escaped(footer));
        let version = env!("CARGO_PKG_VERSION");
        let (light, dark) = (palette::light_css(), palette::dark_css());
        let mut text = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             {GENERATOR} {version}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n:root{{{light}}}\n{STYLE}\
             @media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{DARK}{dark}}}}}\n\
             @media screen{{:root[data-theme=dark]{{{DARK}{dark}}}}}\n</style>\n\
             <script>{SCRIPT}</script>\n</head>\n<body>\n<header><h1>{title}</h1>\
             <button id=\"theme\" type=\"button\" hidden>Light or dark</button></header>\n"
        );
        if sections.len() > 1 {
            text +=
                "<nav aria-label=\"Contents\"><details open><summary>Contents</summary>\n<ul>\n";
            for Section { id, title, .. } in sections {
                let _ = writeln!(text, "<li><a href=\"#{id}\">{}</a></li>", escaped(title));
            }
            text += "</ul>\n</details></nav>\n";
        }
        text += "<main>\n";
        if !about.is_empty() {
            let _ = writeln!(text, "<p class=\"about\">{about}</p>");
        }
        for Section { id, title, html } in sections {
            let title = escaped(title);
            let _ = writeln!(text, "<section id=\"{id}\">\n<h2>{title}</h2>\n{html}</section>");
        }
        text += "</main>\n";
        if !footer.is_empty() {
            let _ = writeln!(text, "<footer>{footer}</footer>");
        }
        text += "</body>\n</html>\n";
        text
    }
}

/// Plain text as HTML, also between quotes.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Contents that open with a click; `summary` is plain text, `html` HTML.
pub fn details(summary: &str, html: &str) -> String {
    format!("<details>\n<summary>{}</summary>\n{html}</details>\n", escaped(summary))
}

/// A table as HTML. On a narrow screen it scrolls beside its last column of texts, which names the rows;
/// of two columns of texts the first then stands above the second. A rule separates the rows of one first text from those of the next.
pub fn table(table: &Table) -> String {
    let linked: Vec<Vec<String>> =
        table.rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
    html_table(table, &linked)
}

/// The table with `rows` of HTML in place of its own.
pub fn html_table(table: &Table, rows: &[Vec<String>]) -> String {
    let Table { caption, header, texts, .. } = table;
    let class = |column: usize| match column {
        _ if column + 1 == *texts => " class=\"key\"",
        0 if *texts == 2 => " class=\"first\"",
        _ if column < *texts => "",
        _ => " class=\"number\"",
    };
    let line = |tag: &str, cells: &[String]| {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let _ = write!(line, "<{tag}{}>", class(column));
            if *texts == 2 && column == 1 {
                let _ = write!(line, "<small class=\"of\">{}</small>", cells[0]);
            }
            let _ = write!(line, "{cell}</{tag}>");
        }
        line
    };
    let mut text = String::new();
    if !caption.is_empty() {
        let _ = writeln!(text, "<p>{}</p>", escaped(caption));
    }
    let header: Vec<String> = header.iter().map(|name| escaped(name)).collect();
    let _ = writeln!(
        text,
        "<div class=\"table\" tabindex=\"0\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>",
        line("th", &header)
    );
    let mut before: Option<&String> = None;
    for row in rows {
        let first = row.first().filter(|_| *texts > 1);
        let group = before.is_some() && before != first;
        let begin = if group { "<tr class=\"group\">" } else { "<tr>" };
        let _ = writeln!(text, "{begin}{}</tr>", line("td", row));
        before = first;
    }
    text.push_str("</tbody>\n</table></div>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_escapes_its_texts_and_needs_nothing_else() {
        let section = |id: &str| Section {
            id: id.to_owned(),
            title: "<b> & \"c\"".to_owned(),
            html: "<p>as it is</p>\n".to_owned(),
        };
        let page = Page {
            title: "<script>".to_owned(),
            about: "a < b".to_owned(),
            sections: vec![section("one"), section("two")],
            footer: "&".to_owned(),
        };
        let html = page.html();
        assert!(html.contains("<title>&lt;script&gt;</title>") && html.contains("a &lt; b"));
        assert!(html.contains("<h2>&lt;b&gt; &amp; &quot;c&quot;</h2>\n<p>as it is</p>"), "{html}");
        assert!(html.contains("<a href=\"#two\">&lt;b&gt; &amp; &quot;c&quot;</a>"), "{html}");
        assert!(!html.contains("http") && !html.contains("src=") && !html.contains("@import"));
    }

    #[test]
    fn numbers_are_aligned_and_groups_are_ruled() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let shown = table(&Table {
            caption: "<i>".to_owned(),
            header: row(["load", "policy", "QoE"]),
            rows: vec![row(["0.1", "a", "1"]), row(["0.1", "b<", "2"]), row(["0.2", "a", "3"])],
            texts: 2,
        });
        assert!(shown.starts_with("<p>&lt;i&gt;</p>"), "{shown}");
        assert!(shown.contains("class=\"key\"><small class=\"of\">load</small>policy</th>"));
        assert!(
            shown.contains("<small class=\"of\">0.1</small>b&lt;</td><td class=\"number\">2<"),
            "{shown}"
        );
        assert_eq!(
            shown.matches("<tr class=\"group\"><td class=\"first\">0.2</td>").count(),
            1,
            "{shown}"
        );
        assert_eq!(shown.matches("group").count(), 1, "{shown}");
    }
}
