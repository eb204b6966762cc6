//! `edgectl label`: what to stick on a node, for an eye and for a camera.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use edge_protocol::id::NodeId;
use qrcodegen::{QrCode, QrCodeEcc};
use serde_json::json;

use super::{CANNOT_CREATE, Failure, Report};

/// The light border that a scanner needs, in modules.
const QUIET: i32 = 4;
/// Two modules, one above the other, as one letter; light is drawn, for a terminal is dark.
const HALVES: [char; 4] = [' ', '▄', '▀', '█'];

/// Whose label.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The node.
    node: NodeId,
    /// Write the label as a drawing, for a printer.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// The node's id, and the same as a QR code.
///
/// # Errors
/// [`CANNOT_CREATE`].
pub(crate) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let node = arguments.node.as_str();
    // Labels get scratched: a quarter of it may be unreadable.
    let code = QrCode::encode_text(node, QrCodeEcc::Quartile)
        .expect("an id has 64 letters at most, and the largest code takes thousands");
    if let Some(file) = &arguments.svg {
        fs::write(file, drawing(&code, node)).map_err(|error| {
            Failure::new(CANNOT_CREATE, format!("can't write {}: {error}", file.display()))
        })?;
        let text = format!("wrote the label of {node}: {}", file.display());
        return Ok(Report { text, json: json!({ "node": node, "svg": file }) });
    }
    let text = format!("{}\n    {node}", letters(&code));
    Ok(Report { json: json!({ "node": node, "label": text }), text })
}

fn letters(code: &QrCode) -> String {
    let end = code.size() + QUIET;
    let light = |x, y| y < end && !code.get_module(x, y);
    let mut text = String::new();
    for y in (-QUIET..end).step_by(2) {
        for x in -QUIET..end {
            let half = usize::from(light(x, y)) * 2 + usize::from(light(x, y + 1));
            text.push(HALVES[half]);
        }
        text.push('\n');
    }
    text.pop();
    text
}

fn drawing(code: &QrCode, node: &str) -> String {
    let side = code.size() + 2 * QUIET;
    let mut dark = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // Writing to a string can't fail.
            let _ = write!(dark, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    let height = side + 5;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {height}\" width=\"{side}mm\" height=\"{height}mm\">\n\
         <rect width=\"{side}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <path d=\"{dark}\" fill=\"#000\"/>\n\
         <text x=\"{middle}\" y=\"{below}\" font-family=\"monospace\" font-size=\"3\" text-anchor=\"middle\">{node}</text>\n\
         </svg>\n",
        middle = side / 2,
        below = side + 2,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The label of pi-0042, as a terminal shows it.
    const LABEL: &str = "\
█████████████████████████████
█████████████████████████████
████ ▄▄▄▄▄ █▄█████ ▄▄▄▄▄ ████
████ █   █ █▀▄█  █ █   █ ████
████ █▄▄▄█ ██▀▄▀██ █▄▄▄█ ████
████▄▄▄▄▄▄▄█▄█ ▀ █▄▄▄▄▄▄▄████
████▀▀ ▀  ▄█▄█    ▀▀█ ▀▀ ████
████ █  ▀ ▄▄ █ ▀▀█▄▀  ▄ ▄████
████▄▄▄▄█▄▄█▀█▀▄ █ █ █▀█ ████
████ ▄▄▄▄▄ █▀█▄█▀█ ▀▄ ▄▄ ████
████ █   █ █▄█  ▀▀▀▄  █ ▄████
████ █▄▄▄█ █▄ ▄▄█▄▀▀▄▀▄▀▄████
████▄▄▄▄▄▄▄██▄▄▄█▄▄█▄▄█▄▄████
█████████████████████████████
▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀
    pi-0042";

    #[test]
    fn a_label_has_the_nodes_id_and_a_code_with_a_border() {
        let report = run(&Arguments { node: "pi-0042".parse().unwrap(), svg: None }).unwrap();
        assert_eq!(report.text, LABEL, "{}", report.text);
        assert_eq!(report.json, json!({ "node": "pi-0042", "label": LABEL }));
        let lines: Vec<&str> = report.text.lines().collect();
        assert_eq!(lines.last().unwrap().trim(), "pi-0042");
        // 21 modules and twice the border: 29 wide, two in a line.
        assert_eq!(lines.len(), 15 + 1);
        assert!(lines[..2].iter().all(|line| *line == "█".repeat(29)), "{}", report.text);
        // The last line is one module high.
        assert_eq!(lines[14], "▀".repeat(29));
        // The corner that every code has: a ring of dark around light around dark.
        let corner: String = lines[2].chars().skip(4).take(7).collect();
        assert_eq!(corner, " ▄▄▄▄▄ ", "{}", report.text);
    }

    /// What a scanner that others wrote reads off modules that are dark where `dark` says so.
    fn scanned(side: usize, dark: impl Fn(usize, usize) -> bool) -> String {
        // Pixels that a camera has for each module.
        const FINE: usize = 4;
        let mut image =
            rqrr::PreparedImage::prepare_from_bitmap(side * FINE, side * FINE, |x, y| {
                dark(x / FINE, y / FINE)
            });
        let codes = image.detect_grids();
        assert_eq!(codes.len(), 1, "one code on a label");
        codes[0].decode().unwrap().1
    }

    #[test]
    fn a_scanner_reads_the_nodes_id_off_the_terminal_and_off_the_drawing() {
        let folder = tempfile::tempdir().unwrap();
        let svg = folder.path().join("label.svg");
        let longest = "x7-".repeat(21) + "9";
        for node in ["pi-0042", "7", "Kiosk_3.north", &longest] {
            let label = |svg| run(&Arguments { node: node.parse().unwrap(), svg }).unwrap();
            let text = label(None).text;
            let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
            let side = rows[0].len();
            let on_terminal = scanned(side, |x, y| match (rows[y / 2][x], y % 2) {
                (' ', _) | ('▄', 0) | ('▀', 1) => true,
                ('█' | '▄' | '▀', _) => false,
                (other, _) => panic!("{other} is no part of a code"),
            });
            assert_eq!(on_terminal, node);

            label(Some(svg.clone()));
            let drawn = fs::read_to_string(&svg).unwrap();
            let printed = scanned(side, |x, y| drawn.contains(&format!("M{x} {y}h1v1h-1z")));
            assert_eq!(printed, node);
        }
    }

    #[test]
    fn a_drawing_is_written_where_it_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let svg = folder.path().join("label.svg");
        let arguments = Arguments { node: "pi-0042".parse().unwrap(), svg: Some(svg.clone()) };
        run(&arguments).unwrap();
        let drawn = fs::read_to_string(&svg).unwrap();
        assert!(drawn.contains(">pi-0042</text>") && drawn.contains("viewBox=\"0 0 29 34\""));
        let nowhere = Arguments { svg: Some(folder.path().join("no/such")), ..arguments };
        assert_eq!(run(&nowhere).unwrap_err().code, CANNOT_CREATE);
    }
}
