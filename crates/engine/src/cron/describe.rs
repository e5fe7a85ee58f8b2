//! A schedule in words.

use super::parse::nickname;

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const WEEKDAYS: [&str; 8] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Words for an expression that has been read; the expression itself where words would be no clearer.
pub(super) fn describe(text: &str) -> String {
    let text = nickname(text).unwrap_or(text);
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    let [minute, hour, day, month, weekday] = parts.as_slice() else {
        return text.to_owned();
    };
    let mut words = time(minute, hour);
    let any = |field: &str| field == "*" || field == "?";
    match (any(day), any(weekday)) {
        (true, true) if !any(month) || !minute.contains('*') && !hour.contains('*') => words.push_str(" every day"),
        (true, true) => {}
        (false, true) => words.push_str(&format!(" on {}", day_words(day))),
        (true, false) => words.push_str(&format!(" on {}", listed(weekday, weekday_word))),
        (false, false) => words.push_str(&format!(" on {} and on every {}", day_words(day), listed(weekday, weekday_word))),
    }
    if !any(month) {
        words.push_str(&format!(" in {}", listed(month, month_word)));
    }
    words
}

fn time(minute: &str, hour: &str) -> String {
    let single = |field: &str| field.parse::<u8>().ok();
    match (single(minute), single(hour)) {
        (Some(minute), Some(hour)) => return format!("at {hour:02}:{minute:02}"),
        (Some(0), None) if hour == "*" => return "every hour".to_owned(),
        (Some(minute), None) if hour.split(',').all(|hour| single(hour).is_some()) => {
            let times: Vec<String> = hour.split(',').filter_map(single).map(|hour| format!("{hour:02}:{minute:02}")).collect();
            return format!("at {}", and(&times));
        }
        _ => {}
    }
    let minutes = match minute {
        "*" => "every minute".to_owned(),
        _ => match minute.strip_prefix("*/") {
            Some("1") => "every minute".to_owned(),
            Some(step) => format!("every {step} minutes"),
            None => format!("at minute {}", listed(minute, str::to_owned)),
        },
    };
    match hour {
        "*" => minutes,
        _ => match hour.strip_prefix("*/") {
            Some(step) => format!("{minutes} of every {} hour", ordinal(step)),
            None => format!("{minutes} of hour {}", listed(hour, str::to_owned)),
        },
    }
}

fn day_words(field: &str) -> String {
    let words: Vec<String> = field
        .split(',')
        .map(|item| {
            let upper = item.to_ascii_uppercase();
            match upper.as_str() {
                "L" => "the last day of the month".to_owned(),
                "LW" | "WL" => "the last working day of the month".to_owned(),
                _ => {
                    if let Some(before) = upper.strip_prefix("L-") {
                        format!("day {before} before the last of the month")
                    } else if let Some(day) = upper.strip_suffix('W') {
                        format!("the working day nearest to day {day}")
                    } else {
                        format!("day {}", item_words(item, &str::to_owned))
                    }
                }
            }
        })
        .collect();
    and(&words)
}

fn weekday_word(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    let name = |text: &str| {
        let by_number = text.parse::<usize>().ok().and_then(|number| WEEKDAYS.get(number));
        by_number
            .or_else(|| WEEKDAYS.iter().find(|name| name[..3].eq_ignore_ascii_case(text)))
            .map_or_else(|| text.to_owned(), |name| (*name).to_owned())
    };
    match upper.split_once('#') {
        Some((day, "L")) => format!("the last {}", name(day)),
        Some((day, nth)) => format!("the {} {}", ordinal(nth), name(day)),
        None => match upper.strip_suffix('L') {
            Some(day) => format!("the last {}", name(day)),
            None => name(&upper),
        },
    }
}

fn month_word(text: &str) -> String {
    let by_number = text.parse::<usize>().ok().and_then(|number| MONTHS.get(number.checked_sub(1)?));
    by_number
        .or_else(|| MONTHS.iter().find(|name| name[..3].eq_ignore_ascii_case(text)))
        .map_or_else(|| text.to_owned(), |name| (*name).to_owned())
}

fn listed(field: &str, word: impl Fn(&str) -> String) -> String {
    let words: Vec<String> = field.split(',').map(|item| item_words(item, &word)).collect();
    and(&words)
}

fn item_words(item: &str, word: &impl Fn(&str) -> String) -> String {
    let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
    let range = match range.split_once('-') {
        Some((first, last)) => format!("{} to {}", word(first), word(last)),
        None if range == "*" => "any".to_owned(),
        None => word(range),
    };
    match step {
        Some(step) if range == "any" => format!("every {}", ordinal(step)),
        Some(step) => format!("{range} in steps of {step}"),
        None => range,
    }
}

fn ordinal(number: &str) -> String {
    let ending = match number {
        "1" | "21" => "st",
        "2" | "22" => "nd",
        "3" | "23" => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
