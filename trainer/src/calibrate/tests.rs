use super::*;

/// `count` images of two classes: all but every `wrong`-th answered rightly, by `margin`.
fn answers(count: usize, wrong: usize, margin: f32) -> HeldOut {
    let row = |index: usize| match index % wrong {
        0 => vec![0.5, 0.5 + margin],
        _ => vec![0.5 + margin, 0.5],
    };
    HeldOut {
        logits: (0..count).map(row).collect(),
        labels: vec![0; count],
    }
}

/// The best temperature of [`answers`]: a share r of right answers is sure when
/// sigmoid(margin / T) = r.
fn best(count: f64, right: f64, margin: f64) -> f64 {
    let smoothing = 1.0 / (count + 2.0);
    let share = (right * (1.0 - smoothing) + (count - right) * smoothing) / count;
    margin / (share / (1.0 - share)).ln()
}

#[test]
fn a_temperature_makes_the_answers_as_sure_as_they_are_right() {
    for (margin, wrong) in [(8.0, 5), (0.1, 5), (8.0, 20)] {
        let calibration = fit_temperature(&answers(200, wrong, margin), "here", 3);
        let expected = best(200.0, 200.0 - 200.0 / wrong as f64, margin.into());
        let found = calibration.temperature;
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
        assert!(calibration.applied, "{calibration:?}");
        assert!(calibration.loss_after < calibration.loss_before);
        assert_eq!((calibration.count, calibration.epoch), (200, 3));
    }
}

#[test]
fn losses_and_their_error_are_those_computed_by_hand() {
    // Right by 2, wrong by 2: ln(1 + e^-2) = 0.126928, 2.126928.
    let calibration = fit_temperature(&answers(4, 4, 2.0), "here", 1);
    let expected = (3.0 * 0.126_928 + 2.126_928) / 4.0;
    assert!((calibration.loss_before - expected).abs() < 1e-6);
    let after = |logit: f64| (1.0 + (-logit / calibration.temperature).exp()).ln();
    let gains = [0.126_928 - after(2.0), 2.126_928 - after(-2.0)];
    let mean = (3.0 * gains[0] + gains[1]) / 4.0;
    let squares = 3.0 * (gains[0] - mean).powi(2) + (gains[1] - mean).powi(2);
    let error = (squares / 3.0 / 4.0).sqrt();
    assert!((calibration.standard_error - error).abs() < 1e-6);
    assert!((calibration.loss_before - calibration.loss_after - mean).abs() < 1e-6);
    // However large the gain: four images are too few.
    assert!(mean > 0.0 && !calibration.applied);
}

#[test]
fn a_gain_that_chance_explains_changes_nothing() {
    // Nearly calibrated: e^1.4 : 1 is 80 %.
    let calibration = fit_temperature(&answers(40, 5, 1.3), "here", 1);
    assert!(!calibration.applied, "{calibration:?}");
    assert!(calibration.line().contains("the logits stay as they are"));
}

#[test]
fn few_images_change_nothing() {
    for count in 2..Calibration::MIN_IMAGES {
        let calibration = fit_temperature(&answers(count, 30, 0.1), "here", 1);
        let gain = calibration.loss_before - calibration.loss_after;
        assert!(!calibration.applied && gain > 0.0, "{calibration:?}");
        assert!(calibration.line().contains("are too few"));
    }
    assert!(fit_temperature(&answers(Calibration::MIN_IMAGES, 30, 0.1), "here", 1).applied);
}

/// Networks that need no temperature, and few images: by chance, the best one is far from 1.
#[test]
fn calibrated_networks_are_left_alone() {
    use rand::{RngExt, SeedableRng};
    let mut applied = 0;
    for seed in 0..200 {
        let mut rng = rand::rngs::ChaCha8Rng::seed_from_u64(seed);
        let mut image = || {
            let logit: f32 = rng.random_range(-3.0..3.0);
            let is_first = rng.random_bool(f64::from(1.0 / (1.0 + (-logit).exp())));
            (vec![logit, 0.0], u32::from(!is_first))
        };
        let (logits, labels) = (0..40).map(|_| image()).unzip();
        applied += usize::from(fit_temperature(&HeldOut { logits, labels }, "here", 1).applied);
    }
    // One standard error would take some 30 of them.
    assert!(applied < 20, "{applied}");
}

#[test]
fn answers_that_are_all_right_do_not_become_certain() {
    let calibration = fit_temperature(&answers(25, 26, 3.0), "here", 1);
    // As sure as one wrong in 27 allows, not more; index 0 of 26 is the one wrong.
    let all_right = HeldOut {
        logits: vec![vec![3.0, 0.0]; 25],
        labels: vec![0; 25],
    };
    let sure = fit_temperature(&all_right, "here", 1);
    assert!((sure.temperature - 3.0 / 26_f64.ln()).abs() < 1e-6);
    assert!(calibration.temperature > sure.temperature);
}

#[test]
fn several_classes_and_logits_far_from_zero() {
    let row = |label: usize| {
        let mut row = vec![-1000.0; 4];
        row[label] = -990.0;
        row
    };
    let held_out = HeldOut {
        logits: (0..40)
            .map(|i| row(if i % 4 == 0 { 1 } else { 0 }))
            .collect(),
        labels: vec![0; 40],
    };
    let calibration = fit_temperature(&held_out, "here", 1);
    // e^(10/T) : 1 + 1 + 1 is as the smoothed shares are, of which three are others'.
    let share: f64 = (0.75 * 41.0 + 0.25 / 3.0) / 42.0;
    let expected = 10.0 / (3.0 * share / (1.0 - share)).ln();
    assert!(
        (calibration.temperature - expected).abs() < 1e-6,
        "{calibration:?}"
    );
}

#[test]
fn what_is_written_is_read_again_and_nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(folder.path(), Some("own")).unwrap();
    assert_eq!(open_calibration(&run).unwrap(), None);
    let calibration = fit_temperature(&answers(200, 5, 8.0), "validation images", 3);
    save_calibration(Some(&calibration), &run).unwrap();
    assert_eq!(open_calibration(&run).unwrap(), Some(calibration));
    for _ in 0..2 {
        save_calibration(None, &run).unwrap();
        assert_eq!(open_calibration(&run).unwrap(), None);
    }
    for text in ["{}", "torn", ""] {
        fs::write(run.calibration(), text).unwrap();
        let error = open_calibration(&run).unwrap_err();
        assert!(error.to_string().contains("is not a usable calibration"));
        assert!(error.hint().is_some());
    }
}
