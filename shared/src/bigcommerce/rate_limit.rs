//! What an answer of BigCommerce says of the quota that all apps of a store share.

use aws_smithy_runtime_api::http::Headers;

/// Seconds to wait where an answer of 429 does not say.
const WINDOW: u64 = 30;

/// Seconds in which nothing more should be asked for the store after an answer; none if more may be.
///
/// A tenth of the quota is left to the store's other apps, even where our own budget would allow more.
pub fn pause(status: u16, headers: &Headers) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.trim().parse::<u64>().ok();
    let reset = number("x-rate-limit-time-reset-ms").map(|milliseconds| milliseconds.div_ceil(1000));
    let seconds = if status == 429 {
        reset.or_else(|| number("x-retry-after")).or_else(|| number("retry-after")).unwrap_or(WINDOW)
    } else {
        let (left, quota) = (number("x-rate-limit-requests-left")?, number("x-rate-limit-requests-quota")?);
        if left > quota / 10 {
            return None;
        }
        reset?
    };
    // A store that BigCommerce would have wait for longer is asked again from time to time.
    Some(seconds.clamp(1, WINDOW))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.insert(*name, *value);
        }
        headers
    }

    const LEFT: &str = "x-rate-limit-requests-left";
    const QUOTA: &str = "x-rate-limit-requests-quota";
    const RESET: &str = "x-rate-limit-time-reset-ms";

    #[test]
    fn nothing_is_asked_while_the_quota_is_nearly_used_up() {
        for (status, said, expected) in [
            (200, vec![(LEFT, "16"), (QUOTA, "150"), (RESET, "9001")], None),
            (200, vec![(LEFT, "15"), (QUOTA, "150"), (RESET, "9001")], Some(10)),
            (200, vec![(LEFT, "0"), (QUOTA, "150"), (RESET, "0")], Some(1)),
            (200, vec![(LEFT, "0"), (QUOTA, "150"), (RESET, "9000000")], Some(30)),
            (200, vec![(LEFT, "0"), (QUOTA, "150")], None),
            (200, vec![(LEFT, "0"), (RESET, "1000")], None),
            (200, vec![(LEFT, "-1"), (QUOTA, "many"), (RESET, "1000")], None),
            (200, vec![], None),
            (503, vec![(LEFT, "1"), (QUOTA, "150"), (RESET, "1000")], Some(1)),
            (429, vec![(RESET, "1500")], Some(2)),
            (429, vec![(RESET, "1500"), ("x-retry-after", "7")], Some(2)),
            (429, vec![(RESET, "soon"), ("x-retry-after", "7")], Some(7)),
            (429, vec![("retry-after", "7")], Some(7)),
            (429, vec![("retry-after", "Fri, 27 Nov 2026 08:00:00 GMT")], Some(30)),
            (429, vec![], Some(30)),
            (429, vec![("x-retry-after", "86400")], Some(30)),
        ] {
            assert_eq!(pause(status, &headers(&said)), expected, "{status} {said:?}");
        }
    }
}
