//! A study as one HTML page with its figures inside: no network access, no scripts.

use std::fmt::Write;

use offramp_results::claim::{Claim, Verdict};
use offramp_results::words::counted;

use crate::plot::PlotError;
use crate::study::{
    StudyResults, Table, budgets_table, failures, figures, judged, tables, verdict_name,
};

/// The page of a study: every exhibit with its figures, every claim with its verdict.
///
/// # Errors
/// [`PlotError`] if a figure can't be drawn.
pub fn html(study: &StudyResults<'_>) -> Result<String, PlotError> {
    let StudyResults { name, about, exhibits, claims, budgets, .. } = study;
    let about = format!(
        "{about} {}. Brackets contain 95 % intervals; dots are single training seeds.",
        study.size()
    );
    let title = escaped(name);
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<p>{}</p>\n",
        escaped(&about)
    );
    text += "<nav><ul>\n";
    if !claims.is_empty() {
        text += "<li><a href=\"#claims\">Claims</a></li>\n";
    }
    for exhibit in *exhibits {
        let _ =
            writeln!(text, "<li><a href=\"#{}\">{}</a></li>", exhibit.id, escaped(&exhibit.title));
    }
    text += "</ul></nav>\n";
    if !claims.is_empty() {
        text += "<section id=\"claims\">\n<h2>Claims</h2>\n<p>A claim holds if the 95 % interval \
                 of every difference it implies lies entirely on the claimed side; it fails if any difference \
                 lies on the other side, by Holm’s procedure over all comparisons of the claim; \
                 otherwise it is undecided. One training seed shows nothing about how \
                 another training would end.</p>\n<dl>\n";
        for claim in *claims {
            let Claim { text: statement, source, verdict, comparisons, basis, because } = claim;
            let class = verdict_name(*verdict).replace(' ', "-");
            let compared = counted(*comparisons as u64, "comparison");
            let because = match verdict {
                Verdict::NotJudged => format!("not judged: {because}"),
                _ => format!("deciding margin: {because}"),
            };
            let trained = basis.trainings();
            let seeds =
                trained.map_or_else(String::new, |seeds| format!(", training seeds: {seeds}"));
            let _ = writeln!(
                text,
                "<dt><span class=\"{class}\">{}</span> {} <small>({})</small></dt>\n\
                 <dd>{compared}{seeds}; {}</dd>",
                judged(claim),
                escaped(statement),
                escaped(source),
                escaped(&because)
            );
        }
        text += "</dl>\n</section>\n";
    }
    for exhibit in *exhibits {
        let _ =
            writeln!(text, "<section id=\"{}\">\n<h2>{}</h2>", exhibit.id, escaped(&exhibit.title));
        for (_, figure) in figures(exhibit) {
            let _ = writeln!(text, "<figure>{}</figure>", scalable(&figure.svg()?));
        }
        for shown in tables(exhibit) {
            table(&mut text, &shown);
        }
        for failure in failures(exhibit) {
            let _ = writeln!(text, "<pre>failed: {}</pre>", escaped(&failure));
        }
        text += "</section>\n";
    }
    if !budgets.is_empty() {
        text += "<section id=\"budgets\">\n<h2>Chosen on validation</h2>\n<p>These searches chose \
                 hyper-parameters on validation episodes. “Used” is what all trainings or distillations of a \
                 search took.</p>\n";
        table(&mut text, &budgets_table(budgets));
        text += "</section>\n";
    }
    text += "</body>\n</html>\n";
    Ok(text)
}

fn table(text: &mut String, table: &Table) {
    if !table.caption.is_empty() {
        let _ = writeln!(text, "<p>{}</p>", escaped(&table.caption));
    }
    text.push_str("<div class=\"table\"><table>\n<tr>");
    let class = |column: usize| if column < table.texts { "" } else { " class=\"number\"" };
    for (column, name) in table.header.iter().enumerate() {
        let _ = write!(text, "<th{}>{}</th>", class(column), escaped(name));
    }
    text.push_str("</tr>\n");
    for row in &table.rows {
        text.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(text, "<td{}>{}</td>", class(column), escaped(cell));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table></div>\n");
}

/// An SVG without a fixed size, so that it fills the width of its container.
fn scalable(svg: &str) -> String {
    svg.replacen("<svg width=\"960\" height=\"600\"", "<svg", 1)
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto; padding: 1rem; color: #222; }
h1, h2 { line-height: 1.2; }
section { margin-top: 3rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #ccc; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #444; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; }
figure svg { width: 100%; height: auto; }
dt { margin-top: 0.8rem; font-weight: 600; }
dt small { font-weight: 400; color: #666; }
dd { margin: 0; font-size: 0.9rem; color: #444; }
.holds, .fails, .undecided, .too-few-seeds, .not-judged { padding: 0 0.5rem; border-radius: 0.3rem; color: #fff; font-size: 0.85rem; }
.holds { background: #00755e; }
.fails { background: #b04300; }
.undecided, .too-few-seeds, .not-judged { background: #666; }
@media print { nav { display: none; } section, figure, tr { break-inside: avoid; } body { max-width: none; } .table { overflow: visible; } table { font-size: 0.6rem; } }
";

#[cfg(test)]
mod tests {
    use offramp_results::statistics::Basis;

    use super::*;

    #[test]
    fn a_claim_that_was_not_judged_is_shown_with_the_reason() {
        let claims = [Claim {
            text: "It is better.".to_owned(),
            source: "a test".to_owned(),
            verdict: Verdict::NotJudged,
            comparisons: 0,
            basis: Basis::Episodes,
            because: "a at 0.2 was left out of this version".to_owned(),
        }];
        let study = StudyResults {
            name: "toy",
            about: "",
            version: None,
            episodes: 1,
            training_seeds: &[7],
            exhibits: &[],
            claims: &claims,
            budgets: &[],
        };
        let page = html(&study).unwrap();
        assert!(page.contains("class=\"not-judged\">not judged"), "{page}");
        assert!(page.contains("a at 0.2 was left out of this version"), "{page}");
    }
}
