//! Class names as Ultralytics' exporter writes them: the text of a Python dictionary, `{0: 'ants', 1: 'bees'}`.

use std::collections::BTreeSet;

/// The names in the order of their numbers. `None` where the text is something else, a number is missing, or a name
/// is there twice: nobody promised what the metadata of other tools means.
pub(super) fn parse(text: &str) -> Option<Vec<String>> {
    let body = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut rest = body.trim_start();
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (number, after) = rest.split_once(':')?;
        // Python keeps the order in which the classes were numbered.
        if number.trim().parse() != Ok(names.len()) {
            return None;
        }
        let (name, after) = quoted(after.trim_start())?;
        names.push(name);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(rest) => rest.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    let unique = names.iter().collect::<BTreeSet<_>>().len() == names.len();
    (unique && !names.is_empty()).then_some(names)
}

/// A string as Python's `repr` writes it, and the text behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut chars = text.char_indices().skip(1);
    let mut string = String::new();
    while let Some((index, char)) = chars.next() {
        match char {
            '\\' => string.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'x' => coded(&mut chars, 2)?,
                'u' => coded(&mut chars, 4)?,
                'U' => coded(&mut chars, 8)?,
                escaped @ ('\\' | '\'' | '"') => escaped,
                _ => return None,
            }),
            _ if char == quote => return Some((string, &text[index + 1..])),
            _ => string.push(char),
        }
    }
    None
}

/// The character of so many hexadecimal digits.
fn coded(chars: &mut impl Iterator<Item = (usize, char)>, digits: usize) -> Option<char> {
    let digits: String = chars.take(digits).map(|(_, digit)| digit).collect();
    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_python_dictionary_is_read() {
        let names = |text| parse(text).map(|names| names.join("|"));
        // `repr` of Python 3.12
        let text = r#"{0: 'ants', 1: "bee's", 2: 'a, b: {c}', 3: 'Käfer', 4: '\'"\\\n\xa0\u2028'}"#;
        let expected = "ants|bee's|a, b: {c}|Käfer|'\"\\\n\u{a0}\u{2028}";
        assert_eq!(names(text).as_deref(), Some(expected));
        assert_eq!(names("{0: 'one',}").as_deref(), Some("one"));
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            "{}",
            "ants,bees",
            "{0: 'ants'",
            "{0: 'ants}",
            "{1: 'ants'}",
            "{0: 'ants' 1: 'bees'}",
            "{0: 'ants', 2: 'bees'}",
            "{0: 'ants', 1: 'ants'}",
            "{0: ants}",
            "{0: '\\q'}",
            "{0: '\\x'}",
            "{'0': 'ants'}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
