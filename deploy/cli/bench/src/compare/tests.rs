use super::*;
use crate::example::{findings, result};

/// Findings of one result whose p50 is known to within `error`.
fn known(p50: f64, error: f64) -> Findings {
    let mut result = result("cpu", 1000.0 / p50, p50);
    result.log_error.insert("p50".to_owned(), error);
    result
        .interval_95
        .insert("p50".to_owned(), [0.97 * p50, 1.03 * p50]);
    findings(vec![result])
}

fn judged(now: &Findings, base: &Findings, conditions: &str) -> Vec<Verdict> {
    judge(now, Some(&pairs(now, base)), &conditions.parse().unwrap()).unwrap()
}

#[test]
fn a_condition_holds_only_beyond_doubt() {
    let base = known(10.0, 0.005);
    // The ratio's error is 0.00707, t of 18 degrees 2.10: the interval reaches 1.5 % to each side.
    for (p50, holds) in [
        (10.0, false),
        (10.5, false),
        (10.6, false),
        (10.7, true),
        (9.0, false),
    ] {
        let verdict = &judged(&known(p50, 0.005), &base, "p50>+5%")[0];
        assert_eq!(verdict.holds, holds, "{}", verdict.text);
    }
    assert!(judged(&known(8.0, 0.005), &base, "p50<-10%")[0].holds);
    assert!(judged(&known(10.7, 0.005), &base, "p50>+0.5")[0].holds);
    assert!(!judged(&known(10.6, 0.005), &base, "p50>+0.5")[0].holds);
    assert!(
        !judged(&known(10.7, 0.05), &base, "p50>+5%")[0].holds,
        "too noisy"
    );
}

#[test]
fn what_is_not_known_is_said() {
    let base = known(10.0, 0.005);
    let texts = |p50: f64, conditions: &str| {
        judged(&known(p50, 0.005), &base, conditions)[0]
            .text
            .clone()
    };
    let no_difference =
        "ok     p50>+5%  1/model.onnx cpu fp32 batch 1: p50 no difference shown (-1.5 % to +1.5 %)";
    assert_eq!(texts(10.0, "p50>+5%"), no_difference);
    let doubtful = "ok     not beyond doubt p50>+5%  1/model.onnx cpu fp32 batch 1: p50 +6.0 % (+4.4 % to +7.6 %)";
    assert_eq!(texts(10.6, "p50>+5%"), doubtful);
    let failed = "FAILED p50>+5%  1/model.onnx cpu fp32 batch 1: p50 +10.0 % (+8.4 % to +11.6 %)";
    assert_eq!(texts(11.0, "p50>+5%"), failed);
}

#[test]
fn counts_have_no_interval() {
    let base = known(10.0, 0.005);
    let mut now = known(10.0, 0.005);
    now.results[0].top1 = Some(0.90);
    for (conditions, expected) in [
        ("top1<-0.01", true),
        ("top1<-0.06", false),
        ("top1<0.95", true),
        ("flips>0", false),
        ("top1<-5%", true),
        ("host_bytes>+1%", false),
        ("session>42", true),
    ] {
        assert_eq!(
            judged(&now, &base, conditions)[0].holds,
            expected,
            "{conditions}"
        );
    }
    // Without a base, values can still be judged.
    let value = judge(&now, None, &"p50>9.5,p50>9.8,flips>0".parse().unwrap()).unwrap();
    assert_eq!(
        value
            .iter()
            .map(|verdict| verdict.holds)
            .collect::<Vec<_>>(),
        [true, false, false]
    );
    let error = judge(&now, None, &"p50>+5%".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("against a base"), "{error}");
}

#[test]
fn a_metric_without_a_value_is_an_error() {
    let (now, base) = (known(10.0, 0.005), known(10.0, 0.005));
    let pairs = pairs(&now, &base);
    let judge = |conditions: &str| judge(&now, Some(&pairs), &conditions.parse().unwrap());
    let error = judge("p99>+5%").unwrap_err().to_string();
    assert!(
        error.contains("`p99`") && error.contains("200 runs, 299 are needed"),
        "{error}"
    );
    let error = judge("build>+5%").unwrap_err().to_string();
    assert!(error.contains("it was not measured"), "{error}");
}

#[test]
fn configurations_must_match_and_are_named() {
    let base = known(10.0, 0.005);
    let mut now = known(10.0, 0.005);
    now.results[0].key.model = "runs/2/model.onnx".to_owned();
    let check = |now: &Findings, base: &Findings| {
        let keys: Vec<_> = now
            .results
            .iter()
            .map(|result| result.key.clone())
            .collect();
        check_configurations(&keys, base)
    };
    assert!(check(&now, &base).is_ok(), "one model on both sides");
    assert_eq!(pairs(&now, &base).len(), 1);
    let summary = summary(&pairs(&now, &base)).join("\n");
    assert!(summary.contains("p50 no difference shown"), "{summary}");
    now.results[0].key.batch = 8;
    let error = check(&now, &base).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().collect();
    assert!(lines[1].starts_with("  only here: "), "{error}");
    assert!(
        lines[1].contains("batch 8 (host, 1 x 2 threads, single-stream)"),
        "{error}"
    );
    assert!(lines[2].starts_with("  only in the base: "), "{error}");
    assert!(lines[2].contains("batch 1"), "{error}");
    // With two models, names count.
    let two = |name: &str| {
        let mut both = known(10.0, 0.005);
        let mut other = both.results[0].clone();
        other.key.model = name.to_owned();
        both.results.push(other);
        both
    };
    assert!(check(&two("a.onnx"), &two("a.onnx")).is_ok());
    assert!(check(&two("a.onnx"), &two("b.onnx")).is_err());
}

#[test]
fn a_file_comes_back_as_it_was_written() {
    let written = serde_json::to_string(&known(10.0, 0.005)).unwrap();
    let read: Findings = serde_json::from_str(&written).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), written);
}

#[test]
fn without_noise_any_difference_is_one() {
    let verdicts = judged(&known(10.001, 0.0), &known(10.0, 0.0), "p50>+0%");
    assert!(verdicts[0].holds, "{}", verdicts[0].text);
}
