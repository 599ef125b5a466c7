//! Reads from a test tool's output how many tests passed, failed and were skipped.

use crate::report::Counts;

/// `Summary [ 1.0s] 18 tests run: 16 passed (1 slow), 1 failed, 1 timed out, 1 skipped`.
pub(super) fn of_nextest(lines: &[String]) -> Option<Counts> {
    let line = lines.iter().rev().find(|line| line.contains("Summary ["))?;
    let (_, parts) = line.split_once("run:")?;
    let parts = without_parentheses(parts);
    let mut counts = Counts::default();
    for part in parts.split(", ") {
        let (number, what) = part.trim().split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match what.trim() {
            "passed" => counts.passed += number,
            "skipped" => counts.skipped += number,
            // failed, timed out, exec failed, …
            _ => counts.failed += number,
        }
    }
    Some(counts)
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; …`, one per test program.
pub(super) fn of_cargo_test(lines: &[String]) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut seen = false;
    for line in lines.iter().filter(|line| line.starts_with("test result:")) {
        seen = true;
        for part in line.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => counts.passed += number,
                "failed" => counts.failed += number,
                "ignored" => counts.skipped += number,
                _ => {}
            }
        }
    }
    seen.then_some(counts)
}

/// `ℹ pass 5`, `ℹ fail 0`, `ℹ skipped 0` of Node's test runner (`# pass 5` in TAP).
pub(super) fn of_node(lines: &[String]) -> Option<Counts> {
    let number = |what: &str| {
        lines.iter().rev().find_map(|line| {
            let rest = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# "))?;
            rest.strip_prefix(what)?.trim().parse::<u64>().ok()
        })
    };
    Some(Counts {
        passed: number("pass ")?,
        failed: number("fail ")? + number("cancelled ").unwrap_or(0),
        skipped: number("skipped ").unwrap_or(0) + number("todo ").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn nextest() {
        let all = "     Summary [   1.015s] 9 tests run: 9 passed, 0 skipped";
        assert_eq!(of_nextest(&lines(all)), Some(Counts { passed: 9, failed: 0, skipped: 0 }));
        let some = "x\n  Summary [ 9s] 20 tests run: 16 passed (2 slow, 1 flaky), 1 failed, \
                    2 timed out, 1 exec failed, 3 skipped\n   FAIL y";
        assert_eq!(of_nextest(&lines(some)), Some(Counts { passed: 16, failed: 4, skipped: 3 }));
        assert_eq!(of_nextest(&lines("error: could not compile")), None);
    }

    #[test]
    fn cargo_test_adds_up_its_programs() {
        let text = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                    test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(of_cargo_test(&lines(text)), Some(Counts { passed: 7, failed: 3, skipped: 1 }));
    }

    #[test]
    fn node() {
        let text = "ℹ tests 6\nℹ pass 4\nℹ fail 1\nℹ cancelled 0\nℹ skipped 1\nℹ todo 0";
        assert_eq!(of_node(&lines(text)), Some(Counts { passed: 4, failed: 1, skipped: 1 }));
    }
}
