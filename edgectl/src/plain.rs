//! Words of others, made safe for a terminal.

/// `text` with what a terminal would obey written out.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_gives_the_operators_terminal_nothing_to_obey() {
        assert_eq!(plain("off\u{1b}[2J\nä\u{9b}1m"), "off\\u{1b}[2J\\nä\\u{9b}1m");
    }
}
