//! Durations and schedules in words.

use crate::diagnostic::one_of;
use crate::parse_duration;

/// `90m` as "1 hour 30 minutes".
pub(super) fn duration(text: &str) -> Option<String> {
    let whole = u64::try_from(parse_duration(text)?.as_millis()).ok()?;
    let mut rest = whole;
    let mut parts = Vec::new();
    for (unit, name) in [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "millisecond")] {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// `0 6 * * 1-5` as "At 06:00, on Monday to Friday".
pub(super) fn cron(text: &str) -> Option<String> {
    let named = match text.trim() {
        "@hourly" => Some("Every hour"),
        "@daily" | "@midnight" => Some("At 00:00 every day"),
        "@weekly" => Some("At 00:00 on Sunday"),
        "@monthly" => Some("At 00:00 on the 1st of every month"),
        "@yearly" | "@annually" => Some("At 00:00 on the 1st of January"),
        _ => None,
    };
    if let Some(named) = named {
        return Some(named.to_owned());
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else { return None };
    let number = |text: &str| text.parse::<u32>().ok();
    let when = match (number(minute), number(hour)) {
        (Some(minute), Some(hour)) => format!("At {hour:02}:{minute:02}"),
        _ => match (*minute, *hour) {
            ("*", "*") => "Every minute".to_owned(),
            (minute, "*") if number(minute).is_some() => format!("At minute {minute} of every hour"),
            (minute, hour) => format!("{}, {}", field(minute, "minute", &[])?, field(hour, "hour", &[])?),
        },
    };
    let on = |text: &str, unit: &str, names: &[&str]| -> Option<String> {
        if matches!(text, "*" | "?") { Some(String::new()) } else { Some(format!(", {}", field(text, unit, names)?)) }
    };
    const DAYS: &[&str] = &["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    const MONTHS: &[&str] = &[
        "",
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    Some(format!("{when}{}{}{}", on(day, "day of the month", &[])?, on(month, "month", MONTHS)?, on(weekday, "weekday", DAYS)?))
}

/// One field: `*/5`, `1-5`, `1,15`.
fn field(text: &str, unit: &str, names: &[&str]) -> Option<String> {
    let name = |text: &str| match text.parse::<usize>() {
        Ok(number) => Some(names.get(number).map_or_else(|| number.to_string(), |name| (*name).to_owned())),
        Err(_) if text.is_empty() => None,
        Err(_) => {
            let full = names.iter().find(|name| name.len() >= 3 && name[..3].eq_ignore_ascii_case(text));
            Some(full.map_or_else(|| text.to_owned(), |name| (*name).to_owned()))
        }
    };
    let before = if names.is_empty() { format!("{unit} ") } else { String::new() };
    if text == "*" {
        return Some(format!("every {unit}"));
    }
    if let Some((from, step)) = text.split_once('/') {
        let from = if from == "*" { String::new() } else { format!(" from {}", name(from.split('-').next()?)?) };
        return Some(format!("every {step} {unit}s{from}"));
    }
    let parts: Option<Vec<String>> = text
        .split(',')
        .map(|part| match part.split_once('-') {
            Some((from, to)) => Some(format!("{} to {}", name(from)?, name(to)?)),
            None => name(part),
        })
        .collect();
    let parts = parts?;
    Some(format!("on {before}{}", one_of(parts.iter().map(String::as_str)).replace(" or ", " and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_words() {
        assert_eq!(duration("90m").as_deref(), Some("1 hour 30 minutes"));
        assert_eq!(duration("500ms").as_deref(), Some("500 milliseconds"));
        assert_eq!(duration("7d").as_deref(), Some("7 days"));
        assert_eq!(duration("soon"), None);
        assert_eq!(duration("0s"), None);
    }

    #[test]
    fn schedules_are_told_in_words() {
        assert_eq!(cron("0 6 * * 1-5").as_deref(), Some("At 06:00, on Monday to Friday"));
        assert_eq!(cron("*/15 * * * *").as_deref(), Some("every 15 minutes, every hour"));
        assert_eq!(cron("30 * * * *").as_deref(), Some("At minute 30 of every hour"));
        assert_eq!(cron("0 0 1,15 jan *").as_deref(), Some("At 00:00, on day of the month 1 and 15, on January"));
        assert_eq!(cron("@daily").as_deref(), Some("At 00:00 every day"));
        assert_eq!(cron("0 6 * *"), None);
        assert_eq!(cron("0 6 * * -"), None);
    }
}
