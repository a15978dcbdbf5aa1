//! Small parts of HTML, with every text escaped.

/// A text so that it means itself in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Not allowed in HTML at all.
            c if c.is_control() && !c.is_whitespace() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// An element that holds a text.
pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// A table of texts; columns behind the first `texts` are numbers.
pub(super) fn table(header: &[&str], texts: usize, rows: &[Vec<String>]) -> String {
    let class = |column: usize| if column < texts { "" } else { " class=\"number\"" };
    let cells = |name: &str, row: &mut dyn Iterator<Item = &str>| -> String {
        let cell = |(column, text)| format!("<{name}{}>{}</{name}>", class(column), escape(text));
        row.enumerate().map(cell).collect()
    };
    let head = cells("th", &mut header.iter().copied());
    let row = |row: &Vec<String>| {
        format!("<tr>{}</tr>\n", cells("td", &mut row.iter().map(String::as_str)))
    };
    let body: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n\
         </table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_markup() {
        assert_eq!(escape("a<b & \"c\" > 'd'"), "a&lt;b &amp; &quot;c&quot; &gt; &#39;d&#39;");
        assert_eq!(escape("\u{0}\u{1b}\n"), "\u{fffd}\u{fffd}\n");
        let table = table(&["<h>"], 0, &[vec!["<script>".into()]]);
        assert!(table.contains("<th class=\"number\">&lt;h&gt;</th>"), "{table}");
        assert!(!table.contains("<script>"), "{table}");
        assert_eq!(element("p", "<"), "<p>&lt;</p>");
    }
}
