//! What an answer of BigCommerce says of the quota that all apps of a store share.

use aws_smithy_runtime_api::http::Headers;

const LEFT: &str = "x-rate-limit-requests-left";
const QUOTA: &str = "x-rate-limit-requests-quota";
const RESET: &str = "x-rate-limit-time-reset-ms";
/// Seconds in which BigCommerce counts, and to wait where it does not say for how long.
const WINDOW: u64 = 30;

/// Seconds in which nothing more should be asked for the store; none if more may be. A tenth of the quota is left to the store's
/// other apps, even where our own budget would allow more.
///
/// An answer of 429 alone says nothing of the quota: a single call may have limits of its own, that of one e-mail for one.
pub fn pause(headers: &Headers) -> Option<u64> {
    let (left, quota) = (number(headers, LEFT)?, number(headers, QUOTA)?);
    if left > quota / 10 {
        return None;
    }
    until_reset(headers)
}

/// Seconds to wait after an answer of 429.
pub fn retry_after(headers: &Headers) -> u64 {
    let told = || ["x-retry-after", "retry-after"].into_iter().find_map(|name| number(headers, name));
    until_reset(headers).or_else(told).unwrap_or(WINDOW).clamp(1, WINDOW)
}

fn until_reset(headers: &Headers) -> Option<u64> {
    // A store that would have to wait for longer is asked again from time to time.
    number(headers, RESET).map(|milliseconds| milliseconds.div_ceil(1000).clamp(1, WINDOW))
}

fn number(headers: &Headers, name: &str) -> Option<u64> {
    headers.get(name)?.trim().parse().ok()
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

    #[test]
    fn nothing_is_asked_while_the_quota_is_nearly_used_up() {
        for (said, expected) in [
            (vec![(LEFT, "16"), (QUOTA, "150"), (RESET, "9001")], None),
            (vec![(LEFT, "15"), (QUOTA, "150"), (RESET, "9001")], Some(10)),
            (vec![(LEFT, "0"), (QUOTA, "150"), (RESET, "0")], Some(1)),
            (vec![(LEFT, "0"), (QUOTA, "150"), (RESET, "9000000")], Some(30)),
            (vec![(LEFT, "0"), (QUOTA, "150")], None),
            (vec![(LEFT, "0"), (RESET, "1000")], None),
            (vec![(LEFT, "-1"), (QUOTA, "many"), (RESET, "1000")], None),
            (vec![], None),
        ] {
            assert_eq!(pause(&headers(&said)), expected, "{said:?}");
        }
    }

    #[test]
    fn an_answer_of_429_says_how_long_to_wait_or_half_a_minute_it_is() {
        for (said, expected) in [
            (vec![(RESET, "1500")], 2),
            (vec![(RESET, "1500"), ("x-retry-after", "7")], 2),
            (vec![(RESET, "soon"), ("x-retry-after", "7")], 7),
            (vec![("retry-after", "7")], 7),
            (vec![("retry-after", "0")], 1),
            (vec![("retry-after", "Fri, 27 Nov 2026 08:00:00 GMT")], 30),
            (vec![("x-retry-after", "86400")], 30),
            (vec![], 30),
        ] {
            assert_eq!(retry_after(&headers(&said)), expected, "{said:?}");
        }
    }
}
