//! Number formatting: shares, counts, times, dates.

/// A share as percent, with `digits` after the point.
pub fn percent(share: f64, digits: usize) -> String {
    format!("{:.digits$} %", 100.0 * share)
}

/// An interval of shares, in percent.
pub fn percents([low, high]: [f64; 2]) -> String {
    format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high)
}

/// A share that may be unknown, in percent.
pub fn share(share: Option<f64>) -> String {
    share.map_or("–".into(), |share| percent(share, 1))
}

/// A probability as people write it: none is certain.
pub fn probability(probability: f64) -> String {
    if probability > 0.9995 && probability <= 1.0 {
        return "> 99.9 %".into();
    }
    percent(probability, 1)
}

/// A p-value with four digits, or `< 0.0001`.
pub fn p_value(p: f64) -> String {
    if p < 0.0001 {
        "< 0.0001".into()
    } else {
        format!("{p:.4}")
    }
}

/// A number in at most three figures.
pub fn short(value: f32) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        size if size >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.0e}"),
    }
}

/// `2026-11-26T04:40:09Z` for people.
pub fn date(stamp: &str) -> String {
    match stamp.split_once('T') {
        Some((day, time)) => format!("{day}, {} UTC", time.get(..5).unwrap_or(time)),
        None => stamp.to_owned(),
    }
}

/// A whole number with its thousands apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // Narrow no-break space, as the SI recommends: a comma is a decimal point in half of the world.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number of things, in its right form.
pub fn count(number: usize, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{} {word}", thousands(number as u64))
}

/// A duration in its largest fitting unit.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.1 => format!("{:.1} ms", 1000.0 * s),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (123.4, "123"),
            (12.34, "12.3"),
            (-1.234, "-1.23"),
            (0.0123, "0.0123"),
            (0.00001, "1e-5"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(thousands(11_181_642), "11\u{202f}181\u{202f}642");
        assert_eq!(thousands(512), "512");
        assert_eq!(percents([0.9085, 0.9776]), "90.8 to 97.8 %");
        assert_eq!(probability(0.99951), "> 99.9 %");
        assert_eq!(probability(0.9994), "99.9 %");
        assert_eq!(p_value(1e-9), "< 0.0001");
        assert_eq!(date("2026-11-26T04:40:09Z"), "2026-11-26, 04:40 UTC");
        assert_eq!(share(None), "–");
        assert_eq!(
            (seconds(0.0123), seconds(150.0)),
            ("12.3 ms".into(), "2.5 min".into())
        );
    }
}
