use dokuei_phantom::{OpacitySpec, Pattern, PhantomSpec, Side, Zone};

use crate::{mean, small};

#[test]
fn the_same_seed_gives_the_same_pixels() {
    let spec = small(42, true);
    assert_eq!(spec.render(), spec.render());
    assert_ne!(spec.render().pixels, small(43, true).render().pixels);
}

#[test]
fn lungs_are_dark_the_middle_is_bright_and_air_is_black() {
    for seed in 1..7 {
        let radiograph = small(seed, false).render();
        let shown = radiograph.windowed();
        let at = |x: usize, y: usize| y * 160 + x;
        let lungs = mean(&radiograph, &shown, |x, y| radiograph.lungs[at(x, y)] == 1 && (60..110).contains(&y));
        let middle = mean(&radiograph, &shown, |x, y| (76..84).contains(&x) && (90..115).contains(&y));
        let belly = mean(&radiograph, &shown, |x, y| (50..110).contains(&x) && (175..195).contains(&y));
        let corner = mean(&radiograph, &shown, |x, y| (30..40).contains(&x) && y < 6);
        assert!(lungs + 50.0 < middle, "seed {seed}: lungs {lungs}, middle {middle}");
        assert!(lungs + 60.0 < belly, "seed {seed}: lungs {lungs}, belly {belly}");
        assert!(corner < lungs, "seed {seed}: corner {corner}, lungs {lungs}");
    }
}

#[test]
fn both_lungs_are_there() {
    let radiograph = small(5, false).render();
    let half =
        |left: bool| radiograph.lungs.iter().enumerate().filter(|(i, v)| (i % 160 >= 80) == left && **v == 1).count();
    for area in [half(false), half(true)] {
        assert!((2500..9000).contains(&area), "{area}");
    }
}

#[test]
fn an_opacity_raises_what_is_inside_its_mask_and_leaves_the_person_alone() {
    for seed in [2, 9, 31, 77] {
        let (with, without) = (small(seed, true).render(), small(seed, false).render());
        let mask = with.mask.as_ref().unwrap();
        let at = |x: usize, y: usize| y * 160 + x;
        let (a, b) = (with.windowed(), without.windowed());
        let inside = |v: &[u8]| mean(&with, v, |x, y| mask[at(x, y)] == 1);
        let other = |v: &[u8]| {
            // The other lung, far from it.
            let left = with.truth.opacity.as_ref().unwrap().spec.side == Side::Left;
            mean(&with, v, |x, y| with.lungs[at(x, y)] == 1 && (x >= 80) != left && (x.abs_diff(80) > 25))
        };
        let (raised, aside) = (inside(&a) - inside(&b), (other(&a) - other(&b)).abs());
        assert!(raised > 6.0, "seed {seed}: {raised}");
        assert!(aside < 0.4 * raised + 3.0, "seed {seed}: {aside} against {raised}");
        assert!(without.mask.is_none() && without.truth.opacity.is_none());
    }
}

#[test]
fn masks_lie_inside_the_lungs_on_their_side() {
    for seed in 0..12 {
        let radiograph = small(seed, true).render();
        let mask = radiograph.mask.as_ref().unwrap();
        let truth = radiograph.truth.opacity.as_ref().unwrap();
        let area = mask.iter().filter(|v| **v == 1).count();
        assert!(area > 40, "seed {seed}: {area}");
        assert_eq!(area, usize::try_from(truth.area_pixels).unwrap());
        assert!(mask.iter().zip(&radiograph.lungs).all(|(m, l)| *m == 0 || *l == 1), "seed {seed}");
        let left = truth.middle[0] > 80.0;
        assert_eq!(left, truth.spec.side == Side::Left, "seed {seed}");
        assert!(truth.added_mass > 0.2);
    }
}

#[test]
fn what_is_asked_for_is_what_is_computed() {
    let asked =
        OpacitySpec { side: Side::Right, zone: Zone::Upper, pattern: Pattern::Round, radius_mm: 30.0, filling: 0.9 };
    let spec = PhantomSpec { opacity: Some(asked), bits_stored: 14, ..small(8, false) };
    let radiograph = spec.render();
    let truth = radiograph.truth.opacity.unwrap();
    assert_eq!(truth.spec, asked);
    assert!(truth.middle[0] < 80.0 && truth.middle[1] < 100.0, "{:?}", truth.middle);
    assert_eq!((radiograph.bits_stored, radiograph.rows, radiograph.columns), (14, 200, 160));
}

#[test]
fn stored_values_use_their_bits() {
    for bits_stored in [10, 12, 15] {
        let spec = PhantomSpec { bits_stored, photometric_monochrome1: false, ..small(3, false) };
        let normal = spec.render();
        let top = (1_u32 << bits_stored) - 1;
        let (low, high) = normal.pixels.iter().fold((u16::MAX, 0), |(l, h), p| (l.min(*p), h.max(*p)));
        assert!(u32::from(high) <= top && u32::from(high) * 10 > top * 8, "{bits_stored}: {low} to {high}");
        assert!(u32::from(low) * 5 < top, "{bits_stored}: {low} to {high}");
        let inverted = PhantomSpec { photometric_monochrome1: true, ..spec }.render();
        assert!(normal.pixels.iter().zip(&inverted.pixels).all(|(a, b)| u32::from(*a) + u32::from(*b) == top));
        let shown = normal.windowed().into_iter().zip(inverted.windowed());
        assert!(shown.into_iter().all(|(a, b)| a.abs_diff(b) <= 1));
    }
}

#[test]
fn size_changes_sampling_not_the_person() {
    let (small, large) = (small(4, false).render(), small(4, false).with_size(320, 400).render());
    assert!((small.pixel_spacing_mm / large.pixel_spacing_mm - 2.0).abs() < 0.01);
    let share = |lungs: &[u8]| lungs.iter().filter(|v| **v == 1).count() as f64 / lungs.len() as f64;
    assert!((share(&small.lungs) - share(&large.lungs)).abs() < 0.01);
}
