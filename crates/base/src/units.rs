//! Sizes and times for people.

use std::time::Duration;

/// `123 B`, `4.2 KiB`, `17.0 MiB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") }
}

/// `120.3/235.0 MiB`: how much of how much, in the unit of the whole.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn share(done: u64, total: u64) -> String {
    let whole = bytes(total);
    let Some((_, unit)) = whole.split_once(' ') else { return whole };
    let factor = match unit {
        "KiB" => 1_u64 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return format!("{done}/{whole}"),
    };
    format!("{:.1}/{whole}", done as f64 / factor as f64)
}

/// `0.42 s`, `1 min 5 s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.2} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "1.0 KiB");
        assert_eq!(bytes(174_004_228), "165.9 MiB");
        assert_eq!(share(17, 999), "17/999 B");
        assert_eq!(share(17, 174_004_228), "0.0/165.9 MiB");
        assert_eq!(share(174_004_228, 1 << 32), "0.2/4.0 GiB");
        assert_eq!(duration(Duration::from_millis(65_400)), "1 min 5 s");
        assert_eq!(duration(Duration::from_millis(420)), "0.42 s");
    }

    #[test]
    fn the_unit_changes_before_a_fourth_digit() {
        for (n, text) in [
            (1023, "1.0 KiB"),
            (1000 * 1024, "1.0 MiB"),
            (999 * 1024, "999.0 KiB"),
            (u64::from(u32::MAX), "4.0 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(n), text, "{n}");
        }
        assert_eq!(duration(Duration::from_secs(60)), "1 min 0 s");
        assert_eq!(duration(Duration::from_millis(59_999)), "60.00 s");
    }
}
